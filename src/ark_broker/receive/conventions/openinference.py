"""OpenInference (Arize Phoenix): https://github.com/Arize-ai/openinference/tree/main/spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told, always, as_object

_KINDS: Final = {
    "LLM": always(v.LLM_REQUEST),
    "EMBEDDING": always(v.EMBEDDING),
    "RETRIEVER": always(v.RETRIEVAL),
    "RERANKER": always(v.RERANK),
    "TOOL": (v.TOOL_CALL, v.TOOL_FAILED),
    "AGENT": (v.AGENT_COMPLETED, v.AGENT_FAILED),
    "GUARDRAIL": always(v.GUARDRAIL),
    "EVALUATOR": always(v.EVALUATION),
}


def _refine(told: Told, kind: str) -> Mapping[str, Any]:
    if kind in (v.AGENT_COMPLETED, v.AGENT_FAILED):
        return {"agent": told.attributes.get("graph.node.name") or told.name}
    if kind in (v.TOOL_CALL, v.TOOL_FAILED):
        # LangChain's tools answer with a message, which names the call that it is for.
        answer = as_object(told.attributes.get("output.value"))
        call_id = as_object(answer.get("data")).get("tool_call_id") or answer.get("tool_call_id")
        return {"tool": told.name, "tool_call_id": call_id} if isinstance(call_id, str) else {"tool": told.name}
    return {}


FAMILY: Final = Family(
    name="openinference",
    fields={
        "agent": ("agent.name",),
        "model": (
            "llm.response.model_name",
            "llm.model_name",
            "llm.request.model_name",
            "embedding.model_name",
            "reranker.model_name",
        ),
        "provider": ("llm.provider", "llm.system"),
        "tool": ("tool.name", "tool_call.function.name"),
        "tool_call_id": ("tool.id", "tool_call.id"),
        "input_tokens": ("llm.token_count.prompt",),
        "output_tokens": ("llm.token_count.completion",),
        "cached_tokens": (
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_input",
        ),
        "reasoning_tokens": ("llm.token_count.completion_details.reasoning",),
        "cost": ("llm.cost.total",),
    },
    content={
        "input": ("input.value", "tool.parameters"),
        "output": ("output.value",),
        "finish_reason": ("llm.finish_reason",),
    },
    kinds={"openinference.span.kind": _KINDS},
    marks=("openinference.span.kind",),
    refine=_refine,
    refines=frozenset({v.AGENT_COMPLETED, v.AGENT_FAILED, v.TOOL_CALL, v.TOOL_FAILED}),
)
