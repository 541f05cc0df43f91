"""Langfuse: https://langfuse.com/docs/opentelemetry. Usage and cost are JSON objects in one attribute each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told, always, as_object

_KINDS: Final = {
    "generation": always(v.LLM_REQUEST),
    "embedding": always(v.EMBEDDING),
    "agent": (v.AGENT_COMPLETED, v.AGENT_FAILED),
    "tool": (v.TOOL_CALL, v.TOOL_FAILED),
    "retriever": always(v.RETRIEVAL),
    "guardrail": always(v.GUARDRAIL),
    "evaluator": always(v.EVALUATION),
}
_NAMED_AFTER: Final = {"agent": "agent", "tool": "tool"}
#: Canonical field → keys in the usage object, best first: SDKs copy what their provider calls it.
_USAGE: Final = {
    "input_tokens": ("input", "prompt_tokens", "input_tokens", "prompt"),
    "output_tokens": ("output", "completion_tokens", "output_tokens", "completion"),
    "cached_tokens": ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens"),
    "reasoning_tokens": ("output_reasoning_tokens", "output_reasoning"),
}
#: Likewise, one level further down.
_DETAILS: Final = {
    "cached_tokens": (("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens")),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
    ),
}


def _refine(told: Told, _kind: str) -> Mapping[str, Any]:
    attributes = told.attributes
    found: dict[str, Any] = {}
    usage = as_object(attributes.get("langfuse.observation.usage_details"))
    for field, keys in _USAGE.items() if usage else ():
        for key in keys:
            if usage.get(key) is not None:
                found[field] = usage[key]
                break
    if usage and "input" in usage:
        # Langfuse keeps the parts apart: its input is without what was read from the cache, its output without
        # what was spent on reasoning.
        for total, part in (("input_tokens", "cached_tokens"), ("output_tokens", "reasoning_tokens")):
            if isinstance(found.get(total), int) and isinstance(found.get(part), int):
                found[total] += found[part]
    for field, places in _DETAILS.items() if usage else ():
        for details, key in places:
            value = as_object(usage.get(details)).get(key)
            if value is not None:
                found.setdefault(field, value)
    costs = as_object(attributes.get("langfuse.observation.cost_details"))
    if costs:
        found["cost"] = costs.get("total", sum(value for value in costs.values() if isinstance(value, int | float)))
    field_of_name = _NAMED_AFTER.get(str(attributes.get("langfuse.observation.type")))
    if field_of_name is not None:
        found[field_of_name] = told.name
    if attributes.get("langfuse.observation.level") == "ERROR":
        found["error"] = attributes.get("langfuse.observation.status_message") or "error"
    return found


FAMILY: Final = Family(
    name="langfuse",
    fields={
        "session_id": (
            "langfuse.session.id",
            "langfuse.observation.metadata.langfuse_session_id",
            "langfuse.trace.metadata.langfuse_session_id",
        ),
        "user_id": ("langfuse.user.id",),
        "model": ("langfuse.observation.model.name",),
    },
    inherited={"session_id": ("langfuse.session.id",)},
    content={
        "input": ("langfuse.observation.input", "langfuse.trace.input"),
        "output": ("langfuse.observation.output", "langfuse.trace.output"),
        "finish_reason": ("langfuse.observation.metadata.finish_reason",),
    },
    kinds={"langfuse.observation.type": _KINDS},
    marks=("langfuse.observation.type",),
    refine=_refine,
)
