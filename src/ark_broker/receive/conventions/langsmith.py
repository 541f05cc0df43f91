"""LangSmith: https://docs.langchain.com/langsmith/trace-with-opentelemetry.

What it calls a session is a project, and never read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told, always

_KINDS: Final = {
    "llm": always(v.LLM_REQUEST),
    "embedding": always(v.EMBEDDING),
    "tool": (v.TOOL_CALL, v.TOOL_FAILED),
    "retriever": always(v.RETRIEVAL),
}


def _refine(told: Told, kind: str) -> Mapping[str, Any]:
    return {"tool": told.name} if kind in (v.TOOL_CALL, v.TOOL_FAILED) else {}


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
    kinds={"langsmith.span.kind": _KINDS},
    marks=("langsmith.span.kind",),
    refine=_refine,
)
