"""Events that an orchestrator posts directly, as research workflows on Azure AI Foundry do.

Enveloped, `{"event_type", "session_id", "timestamp", "data": {…}}`, or flat, with the members of `data` beside the
others. One session is one run of the workflow, so its name is the query's too. Their times are ISO 8601, often without
a zone: UTC then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.fields import duration, name
from ark_broker.receive.otlp.records import valid_trace_id

#: Says only that the stream lives.
HEARTBEAT: Final = "heartbeat"
#: Kind of event → type. Their names have underscores, so that none is taken for one of the broker's own.
_TYPES: Final = {
    "workflow_started": v.QUERY_STARTED,
    "session_started": v.QUERY_STARTED,
    "agent_started": v.AGENT_STARTED,
    "agent_progress": v.AGENT_PROGRESS,
    "agent_thinking": v.AGENT_PROGRESS,
    "agent_response": v.AGENT_COMPLETED,
    "agent_completed": v.AGENT_COMPLETED,
    "agent_failed": v.AGENT_FAILED,
    "tool_call_started": v.TOOL_CALL,
    "tool_call_completed": v.TOOL_RESULT,
    "tool_call_failed": v.TOOL_FAILED,
    "subagent_tool_started": v.TOOL_CALL,
    "subagent_tool_completed": v.TOOL_RESULT,
    "subagent_progress": v.AGENT_PROGRESS,
    "scratchpad_updated": v.ARTIFACT_UPDATED,
    "scratchpad_snapshot": v.ARTIFACT_UPDATED,
    "question_added": v.QUESTION_ASKED,
    "awaiting_user_input": v.QUERY_WAITING,
    "questions_answered": v.QUESTION_ANSWERED,
    "synthesis_completed": v.ARTIFACT_UPDATED,
    "workflow_completed": v.QUERY_COMPLETED,
    "workflow_failed": v.QUERY_FAILED,
    "error": v.QUERY_FAILED,
    "trace_span_started": v.SPAN_STARTED,
    "trace_span_completed": "span.completed",
    "trace_tool_call": v.TOOL_CALL,
    HEARTBEAT: HEARTBEAT,
}
_AGENT: Final = ("agent_name", "subagent_name", "agent", "asked_by", "updated_by")
_INPUT: Final = ("input_args", "input_preview", "query", "question")
_OUTPUT: Final = (
    "output",
    "output_preview",
    "synthesis",
    "content",
    "response_preview",
    "text_chunk",
    "content_preview",
)
#: Questions that one event tells of, at most.
_MOST_QUESTIONS: Final = 100
_DURATION: Final = ("execution_time_ms", "total_time_ms", "duration_ms")


def kind_of(value: Mapping[str, Any]) -> str | None:
    """The kind of event; None for what is no event of an orchestrator.

    A `type` of such a name alone may be anybody's: it counts where the orchestrator's own members stand beside it.
    """
    kind = value.get("event_type")
    if isinstance(kind, str) and kind in _TYPES:
        return kind
    kind = value.get("type")
    if isinstance(kind, str) and "_" in kind and kind in _TYPES and "session_id" in value and "timestamp" in value:
        return kind
    return None


def fields_of_each(value: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The events in the broker's own fields: one for each question that was answered, one for anything else.

    All but the first have `also`, which tells them apart.
    """
    first = fields_of(value, kind)
    others = _answered(value)[1:_MOST_QUESTIONS] if kind == "questions_answered" else []
    return [first, *({**first, "questionId": found, "also": found} for found in map(name, others) if found)]


def _answered(value: Mapping[str, Any]) -> list[Any]:
    data = value.get("data")
    told: Mapping[str, Any] = data if isinstance(data, dict) else value
    found = told.get("answered_question_ids") or told.get("answered_ids")
    return found if isinstance(found, list) else []


def fields_of(value: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The event in the broker's own fields."""
    data = value.get("data")
    told: Mapping[str, Any] = data if isinstance(data, dict) else value
    session = value.get("session_id") or told.get("session_id")
    questions = told.get("blocking_question_ids") or told.get("answered_question_ids") or told.get("answered_ids")
    found: dict[str, Any] = {
        "type": _TYPES[kind],
        "sessionId": name(session),
        "query": name(session),
        "time": value.get("timestamp") or told.get("timestamp"),
        "traceId": _trace_id(told.get("operation_id")),
        "agent": name(_first(told, _AGENT)),
        "tool": name(told.get("tool_name")),
        "toolCallId": name(told.get("tool_call_id")),
        "mcpServer": name(told.get("mcp_server")),
        "questionId": name(
            told.get("question_id") or (questions[0] if isinstance(questions, list) and questions else None)
        ),
        "error": told.get("error"),
        "durationMs": duration(_first(told, _DURATION)),
        "input": _first(told, _INPUT),
        "output": _first(told, _OUTPUT),
    }
    return {key: item for key, item in found.items() if item is not None}


def _trace_id(value: object) -> str | None:
    """A trace id; None for what is none, such as the zeros of a program that does not trace."""
    found = value.lower() if isinstance(value, str) else ""
    return found if valid_trace_id(found) else None


def _first(told: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((told[key] for key in keys if told.get(key) is not None), None)
