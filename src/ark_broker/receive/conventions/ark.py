"""The broker's own vocabulary: spans and events named as their type, with flat attributes (`tool.name`, …)."""

from __future__ import annotations

from typing import Final

from ark_broker.model import vocabulary
from ark_broker.receive.conventions.family import Family, Told

_TYPES: Final = frozenset(
    value for name, value in vars(vocabulary).items() if name.isupper() and isinstance(value, str) and "." in value
)


def _classify(told: Told) -> str | None:
    return told.name if told.name in _TYPES and told.name not in vocabulary.RESERVED else None


FAMILY: Final = Family(
    name="ark",
    fields={
        "agent": ("agent.name",),
        "model": ("model", "llm.model.name"),
        "tool": ("tool.name",),
        "tool_call_id": ("tool.call.id", "tool.id"),
        "error": ("error.message", "error"),
    },
    content={
        "input": ("tool.input", "query.input", "messages.input", "input.value"),
        "output": ("tool.output", "query.output", "messages.output", "output.value"),
        "question_uri": ("question.uri",),
        "duration_ms": ("duration.ms",),
    },
    classify=_classify,
)
