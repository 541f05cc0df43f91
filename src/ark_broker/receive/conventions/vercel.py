"""Vercel AI SDK before it took up the GenAI conventions (scope `ai`): https://ai-sdk.dev/docs/ai-sdk-core/telemetry.

`ai.generateText` is the agent's run and repeats the totals of its steps, which are `ai.generateText.doGenerate`. What
the SDK writes today is GenAI; of its own it has settings and context beside that.
"""

from __future__ import annotations

from typing import Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, always

_RUN: Final = (v.AGENT_COMPLETED, v.AGENT_FAILED)
_OPERATIONS: Final = {
    "ai.generateText": _RUN,
    "ai.streamText": _RUN,
    "ai.generateObject": _RUN,
    "ai.streamObject": _RUN,
    "ai.generateText.doGenerate": always(v.LLM_REQUEST),
    "ai.streamText.doStream": always(v.LLM_REQUEST),
    "ai.generateObject.doGenerate": always(v.LLM_REQUEST),
    "ai.streamObject.doStream": always(v.LLM_REQUEST),
    "ai.embed.doEmbed": always(v.EMBEDDING),
    "ai.embedMany.doEmbed": always(v.EMBEDDING),
    "ai.rerank.doRerank": always(v.RERANK),
    "ai.toolCall": (v.TOOL_CALL, v.TOOL_FAILED),
}

FAMILY: Final = Family(
    name="vercel",
    fields={
        "session_id": (
            "ai.telemetry.metadata.sessionId",
            "ai.settings.runtimeContext.sessionId",
            "ai.settings.context.sessionId",
        ),
        "user_id": ("ai.telemetry.metadata.userId", "ai.settings.runtimeContext.userId", "ai.settings.context.userId"),
        "agent": ("ai.telemetry.functionId",),
        "model": ("ai.response.model", "ai.model.id"),
        "provider": ("ai.model.provider",),
        "tool": ("ai.toolCall.name",),
        "tool_call_id": ("ai.toolCall.id",),
        "input_tokens": ("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
        "output_tokens": ("ai.usage.outputTokens", "ai.usage.completionTokens"),
        "cached_tokens": ("ai.usage.cachedInputTokens",),
        "reasoning_tokens": ("ai.usage.reasoningTokens",),
    },
    inherited={"session_id": ("ai.telemetry.metadata.sessionId",)},
    content={
        "input": ("ai.toolCall.args", "ai.prompt.messages", "ai.prompt"),
        "output": ("ai.toolCall.result", "ai.response.text", "ai.response.object", "ai.response.toolCalls"),
        "finish_reason": ("ai.response.finishReason",),
        "first_token_ms": ("ai.response.msToFirstChunk",),
    },
    kinds={"ai.operationId": _OPERATIONS},
)
