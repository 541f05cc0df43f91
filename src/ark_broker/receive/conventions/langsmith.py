"""LangSmith: https://docs.langchain.com/langsmith/trace-with-opentelemetry.

What it calls a session is a project, and never read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told, always, as_object

_KINDS: Final = {
    "llm": always(v.LLM_REQUEST),
    "embedding": always(v.EMBEDDING),
    "tool": (v.TOOL_CALL, v.TOOL_FAILED),
    "retriever": always(v.RETRIEVAL),
}


def _refine(told: Told, kind: str) -> Mapping[str, Any]:
    if kind in (v.TOOL_CALL, v.TOOL_FAILED):
        return {"tool": told.name}
    usage = as_object(told.attributes.get("langsmith.metadata.usage_metadata"))
    if not usage:
        usage = as_object(told.attributes.get("langsmith.usage_metadata"))
    given, produced = as_object(usage.get("input_token_details")), as_object(usage.get("output_token_details"))
    found = {
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "cached_tokens": given.get("cache_read"),
        "reasoning_tokens": produced.get("reasoning"),
        "cost": usage.get("total_cost"),
    }
    return {name: value for name, value in found.items() if value is not None}


FAMILY: Final = Family(
    name="langsmith",
    fields={
        "session_id": ("langsmith.metadata.session_id", "langsmith.metadata.thread_id"),
        "conversation_id": ("langsmith.metadata.conversation_id",),
        "user_id": ("langsmith.metadata.user_id",),
        "agent": ("langsmith.metadata.lc_agent_name", "langsmith.metadata.agent_name"),
        "model": ("langsmith.metadata.ls_model_name",),
        "provider": ("langsmith.metadata.ls_provider",),
    },
    inherited={"session_id": ("langsmith.metadata.session_id", "langsmith.metadata.thread_id")},
    kinds={"langsmith.span.kind": _KINDS},
    marks=("langsmith.span.kind",),
    refine=_refine,
    refines=frozenset({v.LLM_REQUEST, v.EMBEDDING, v.TOOL_CALL, v.TOOL_FAILED}),
)
