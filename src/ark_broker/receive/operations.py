"""Ark's operation events, as its controller and executors post them.

    {"timestamp", "eventType": "Normal" | "Warning", "reason": "LLMCallComplete", "message", "ttl_seconds",
     "data": {"queryId": <uid>, "queryName", "queryNamespace", "sessionId", "conversationId", "durationMs", …}}

`reason` is an operation and what became of it: Start, Complete, Canceled or Error. Every value in `data` is text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.fields import as_name, duration, name

_OUTCOMES: Final = ("Start", "Complete", "Canceled", "Error")
#: Operation → type by outcome, in the order of `_OUTCOMES`.
_TYPES: Final = {
    "QueryExecution": (v.QUERY_STARTED, v.QUERY_COMPLETED, v.QUERY_CANCELED, v.QUERY_FAILED),
    "AgentExecution": (v.AGENT_STARTED, v.AGENT_COMPLETED, "agent.canceled", v.AGENT_FAILED),
    "LLMCall": (v.LLM_STARTED, "llm.completed", "llm.canceled", "llm.failed"),
    "ToolCall": (v.TOOL_CALL, v.TOOL_RESULT, v.TOOL_FAILED, v.TOOL_FAILED),
}


def is_operation(value: Mapping[str, Any]) -> bool:
    """True for an operation event of Ark."""
    return isinstance(value.get("reason"), str) and isinstance(value.get("data"), dict) and "type" not in value


def fields_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """The event in the broker's own fields."""
    reason, data = value["reason"], value["data"]
    found: dict[str, Any] = {
        "type": _type_of(reason),
        "phase": _phase_of(reason, data),
        "time": data.get("timestamp") or value.get("timestamp"),
        "sessionId": name(data.get("sessionId")),
        "query": name(data.get("queryName")),
        "queryUid": name(data.get("queryId")),
        "namespace": name(data.get("queryNamespace")),
        "conversationId": name(data.get("conversationId")),
        "agent": name(data.get("agent") or data.get("team") or data.get("teamName")),
        "model": name(data.get("model")),
        "tool": name(data.get("toolName") or data.get("tool")),
        "toolCallId": name(data.get("toolId")),
        "durationMs": duration(data.get("durationMs")),
        "error": data.get("error"),
        "message": value.get("message"),
        "input": data.get("parameters") or data.get("input"),
        "output": data.get("result"),
    }
    return {key: item for key, item in found.items() if item not in (None, "")}


def _type_of(reason: str) -> str:
    for index, outcome in enumerate(_OUTCOMES):
        operation = reason.removesuffix(outcome)
        if operation != reason and operation in _TYPES:
            return _TYPES[operation][index]
    # As it came: `TeamTurnStart`, `A2AExecutionComplete`, `MemoryAddMessagesError`, a name of the future.
    kind = as_name(reason)
    return kind if kind and kind not in v.RESERVED else "event"


def _phase_of(reason: str, data: Mapping[str, Any]) -> str | None:
    """What the event makes of its query's phase, as Ark's own sessions have it; None for nothing.

    An operation within the query that fails is an error of the query, until the query completes.
    """
    if reason == "QueryExecutionComplete":
        return "error" if data.get("error") else "done"
    if "Canceled" in reason:
        return "canceled"
    return "error" if "Error" in reason else None
