"""OpenTelemetry GenAI semantic conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/."""

from __future__ import annotations

from typing import Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told

#: Type by `gen_ai.operation.name`: as it went well, and as it failed.
_OPERATIONS: Final = {
    "chat": (v.LLM_REQUEST, v.LLM_REQUEST),
    "text_completion": (v.LLM_REQUEST, v.LLM_REQUEST),
    "generate_content": (v.LLM_REQUEST, v.LLM_REQUEST),
    "invoke_agent": (v.AGENT_COMPLETED, v.AGENT_FAILED),
    "execute_tool": (v.TOOL_CALL, v.TOOL_FAILED),
}


def _classify(told: Told) -> str | None:
    types = _OPERATIONS.get(str(told.attributes.get("gen_ai.operation.name", "")))
    return None if types is None else types[told.failed]


FAMILY: Final = Family(
    name="genai",
    fields={
        "agent": ("gen_ai.agent.name",),
        "model": ("gen_ai.response.model", "gen_ai.request.model"),
        "tool": ("gen_ai.tool.name",),
        "tool_call_id": ("gen_ai.tool.call.id",),
        "error": ("error.type",),
        "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        "cost": ("gen_ai.usage.cost", "operation.cost"),
    },
    content={
        "input": ("gen_ai.tool.call.arguments", "gen_ai.input.messages", "gen_ai.prompt"),
        "output": ("gen_ai.tool.call.result", "gen_ai.output.messages", "gen_ai.completion"),
        "finish_reason": ("gen_ai.response.finish_reasons",),
    },
    classify=_classify,
)
