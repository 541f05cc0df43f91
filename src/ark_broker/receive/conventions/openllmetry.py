"""OpenLLMetry (Traceloop): https://www.traceloop.com/docs/openllmetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told, always

_KINDS: Final = {
    "workflow": (v.WORKFLOW_COMPLETED, v.WORKFLOW_FAILED),
    "agent": (v.AGENT_COMPLETED, v.AGENT_FAILED),
    "tool": (v.TOOL_CALL, v.TOOL_FAILED),
}
_ENTITIES: Final = {"agent": "agent", "tool": "tool"}


def _refine(told: Told, _kind: str) -> Mapping[str, Any]:
    field = _ENTITIES.get(str(told.attributes.get("traceloop.span.kind")))
    name = told.attributes.get("traceloop.entity.name")
    return {field: name} if field is not None and name else {}


FAMILY: Final = Family(
    name="openllmetry",
    fields={
        "session_id": ("traceloop.association.properties.session_id",),
        "conversation_id": (
            "traceloop.association.properties.conversation_id",
            "traceloop.association.properties.thread_id",
        ),
        "user_id": ("traceloop.association.properties.user_id", "llm.user"),
        "model": ("llm.response.model", "llm.request.model"),
        "input_tokens": ("llm.usage.prompt_tokens",),
        "output_tokens": ("llm.usage.completion_tokens",),
    },
    inherited={"session_id": ("traceloop.association.properties.session_id",)},
    content={"input": ("traceloop.entity.input",), "output": ("traceloop.entity.output",)},
    kinds={
        "traceloop.span.kind": _KINDS,
        "llm.request.type": {
            "chat": always(v.LLM_REQUEST),
            "completion": always(v.LLM_REQUEST),
            "embedding": always(v.EMBEDDING),
            "rerank": always(v.RERANK),
        },
    },
    marks=("traceloop.span.kind",),
    refine=_refine,
    refines=frozenset({v.AGENT_COMPLETED, v.AGENT_FAILED, v.TOOL_CALL, v.TOOL_FAILED}),
)
