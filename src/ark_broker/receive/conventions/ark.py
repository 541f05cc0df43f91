"""Ark and the broker's own vocabulary: spans and events named as their type, with flat attributes (`tool.name`, …).

Ark's controller and executor name their spans `query.<name>`, `agent.<namespace>/<name>`, `llm.<model>`, `tool.<name>`,
and repeat a query's totals on the spans above its calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told, always

_NAMES: Final = {
    value: always(value)
    for name, value in vars(v).items()
    if name.isupper() and isinstance(value, str) and "." in value and value not in v.RESERVED
}


def _refine(told: Told, kind: str) -> Mapping[str, Any]:
    attributes = told.attributes
    found: dict[str, Any] = {}
    if kind in (v.AGENT_COMPLETED, v.AGENT_FAILED) and "team.name" in attributes:
        found["agent"] = attributes["team.name"]
    return found


FAMILY: Final = Family(
    name="ark",
    fields={
        "agent": ("agent.name", "subagent.name"),
        "model": ("llm.model.name",),
        "provider": ("llm.model.provider",),
        "tool": ("tool.name",),
        "tool_call_id": ("tool.call.id", "tool.id", "tool.call_id"),
        "error": ("error.message",),
    },
    content={
        "input": ("tool.input", "query.input", "messages.input"),
        "output": ("tool.output", "query.output", "messages.output"),
        "question_uri": ("question.uri",),
        "duration_ms": ("duration.ms",),
        "finish_reason": ("gen_ai.completion.finish_reason",),
    },
    names=_NAMES | {"model.probe": always("model.probe")},
    prefixes={
        "query.": ("query.name", (v.WORKFLOW_COMPLETED, v.WORKFLOW_FAILED)),
        "agent.": ("agent.name", (v.AGENT_COMPLETED, v.AGENT_FAILED)),
        "team.": ("team.name", (v.AGENT_COMPLETED, v.AGENT_FAILED)),
        "llm.": ("llm.model.name", always(v.LLM_REQUEST)),
        "tool.": ("tool.name", (v.TOOL_CALL, v.TOOL_FAILED)),
    },
    marks=("team.name",),
    refine=_refine,
    refines=frozenset({v.AGENT_COMPLETED, v.AGENT_FAILED}),
)

#: Plain names that anybody may use: they count where no family says better.
PLAIN: Final = Family(name="plain", fields={"model": ("model",), "agent": ("gen_ai.agent.id",)})
