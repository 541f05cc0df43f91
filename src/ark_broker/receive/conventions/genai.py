"""OpenTelemetry GenAI semantic conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/.

All ages of them: messages as log events and `gen_ai.system` (to 1.36), as JSON in attributes and
`gen_ai.provider.name` (from 1.37), workflows, plans and memory (their own repository).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told, always

_AGENT: Final = (v.AGENT_COMPLETED, v.AGENT_FAILED)
_MEMORY: Final = {
    name: always(v.MEMORY)
    for name in (
        "create_memory_store",
        "delete_memory_store",
        "create_memory",
        "update_memory",
        "upsert_memory",
        "delete_memory",
        "search_memory",
    )
}
_OPERATIONS: Final = _MEMORY | {
    "chat": always(v.LLM_REQUEST),
    "text_completion": always(v.LLM_REQUEST),
    "completion": always(v.LLM_REQUEST),
    "generate": always(v.LLM_REQUEST),
    "generate_content": always(v.LLM_REQUEST),
    "llm_request": always(v.LLM_REQUEST),
    "embeddings": always(v.EMBEDDING),
    "retrieval": always(v.RETRIEVAL),
    "vector_db_retrieve": always(v.RETRIEVAL),
    "rerank": always(v.RERANK),
    "create_agent": always(v.AGENT_CREATED),
    "invoke_agent": _AGENT,
    "execute_task": _AGENT,
    "invoke_workflow": (v.WORKFLOW_COMPLETED, v.WORKFLOW_FAILED),
    "execute_tool": (v.TOOL_CALL, v.TOOL_FAILED),
    "plan": always(v.PLAN),
}
#: Log events of a model call: what it was given and what it gave, beside its span.
_EVENTS: Final = {
    name: always(v.LLM_MESSAGE)
    for name in (
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
        "gen_ai.client.inference.operation.details",
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
    )
} | {"gen_ai.evaluation.result": always(v.EVALUATION)}

#: Operation → the field that the span's name has behind it: `invoke_agent weather`.
_NAMED_AFTER: Final = {"invoke_agent": "agent", "create_agent": "agent", "execute_tool": "tool"}


def _refine(told: Told, _kind: str) -> Mapping[str, Any]:
    operation, _, rest = told.name.partition(" ")
    field = _NAMED_AFTER.get(operation)
    return {field: rest} if field is not None and rest else {}


FAMILY: Final = Family(
    name="genai",
    fields={
        "agent": ("gen_ai.agent.name",),
        "model": ("gen_ai.response.model", "gen_ai.request.model"),
        "provider": ("gen_ai.provider.name", "gen_ai.system"),
        "tool": ("gen_ai.tool.name",),
        "tool_call_id": ("gen_ai.tool.call.id",),
        "user_id": ("gen_ai.user",),
        "error": ("error.type",),
        "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        "cached_tokens": (
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.details.cache_read_tokens",
        ),
        "reasoning_tokens": (
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.details.reasoning_tokens",
        ),
        "cost": ("gen_ai.usage.cost", "operation.cost"),
    },
    content={
        "input": ("gen_ai.tool.call.arguments", "gen_ai.input.messages", "gen_ai.prompt"),
        "output": ("gen_ai.tool.call.result", "gen_ai.output.messages", "gen_ai.completion"),
        "finish_reason": ("gen_ai.response.finish_reasons",),
        "first_token_ms": (
            "gen_ai.response.time_to_first_chunk",
            "gen_ai.client.operation.time_to_first_chunk",
            "gen_ai.server.time_to_first_token",
        ),
    },
    kinds={"gen_ai.operation.name": _OPERATIONS},
    names=_EVENTS,
    marks=("gen_ai.operation.name",),
    refine=_refine,
    refines=frozenset({v.AGENT_COMPLETED, v.AGENT_FAILED, v.AGENT_CREATED, v.TOOL_CALL, v.TOOL_FAILED}),
)
