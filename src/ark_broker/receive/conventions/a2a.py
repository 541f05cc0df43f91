"""OpenTelemetry A2A conventions, and what the A2A SDKs write: calls of a remote agent, and the task they are about.

The state of a task is `TASK_STATE_INPUT_REQUIRED` in A2A 1.0 and `input-required` in 0.3; here it is `input_required`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.receive.conventions.family import Family, Told

_PREFIX: Final = "task_state_"


def task_state(value: object) -> str | None:
    """The state in lower case with underscores, of either version's spelling; None for what is no text."""
    if not isinstance(value, str) or not value:
        return None
    return value.strip().lower().replace("-", "_").removeprefix(_PREFIX) or None


def _refine(told: Told, _kind: str) -> Mapping[str, Any]:
    state = task_state(told.attributes.get("a2a.task.state"))
    return {} if state is None else {"task_state": state}


FAMILY: Final = Family(
    name="a2a",
    fields={"conversation_id": ("a2a.context.id", "a2a.context_id"), "task_id": ("a2a.task_id",)},
    marks=("a2a.task.state",),
    refine=_refine,
)
