"""Event types the broker gives a meaning to. Any other name is kept as the producer sent it."""

from __future__ import annotations

from typing import Final, Literal

QUERY_STARTED: Final = "query.started"
QUERY_WAITING: Final = "query.waiting"
QUERY_RESUMED: Final = "query.resumed"
QUERY_COMPLETED: Final = "query.completed"
QUERY_FAILED: Final = "query.failed"
QUERY_CANCELED: Final = "query.canceled"

WORKFLOW_COMPLETED: Final = "workflow.completed"
WORKFLOW_FAILED: Final = "workflow.failed"

AGENT_STARTED: Final = "agent.started"
AGENT_COMPLETED: Final = "agent.completed"
AGENT_FAILED: Final = "agent.failed"
AGENT_PROGRESS: Final = "agent.progress"
AGENT_CREATED: Final = "agent.created"
#: Some other work has begun, and is reported at its end again.
SPAN_STARTED: Final = "span.started"

LLM_REQUEST: Final = "llm.request"
#: A model call that has begun: reported ahead of its `llm.request`, never counted as one.
LLM_STARTED: Final = "llm.started"
#: What a model call was given, or gave, reported beside its span (OpenTelemetry GenAI events).
LLM_MESSAGE: Final = "llm.message"
EMBEDDING: Final = "llm.embedding"
#: A chunk that carries something the model produced: text, reasoning, a refusal, part of a tool call.
LLM_CHUNK: Final = "llm.chunk"
#: A chunk that carries token usage (OpenAI `stream_options.include_usage`).
LLM_USAGE: Final = "llm.usage"
#: A chunk with nothing but a role or a finish reason.
LLM_CONTROL: Final = "llm.control"
#: A chunk with an `error` member.
LLM_ERROR: Final = "llm.error"
#: The marker written by `POST /stream/{query}/complete`.
STREAM_COMPLETED: Final = "stream.completed"

RETRIEVAL: Final = "retrieval"
RERANK: Final = "rerank"
GUARDRAIL: Final = "guardrail"
EVALUATION: Final = "evaluation.result"
MEMORY: Final = "memory.operation"
PLAN: Final = "plan.created"

TOOL_CALL: Final = "tool.call"
TOOL_RESULT: Final = "tool.result"
TOOL_FAILED: Final = "tool.failed"

QUESTION_ASKED: Final = "question.asked"
QUESTION_ANSWERED: Final = "question.answered"
#: Its deadline passed.
QUESTION_EXPIRED: Final = "question.expired"
QUESTION_CANCELED: Final = "question.canceled"
#: Its deadline passed, and it is shown to others: it stays open.
QUESTION_ESCALATED: Final = "question.escalated"

#: Ark's executors ask for approval of a tool call in the stream, and say what came of it.
APPROVAL_REQUEST: Final = "tool_approval_request"
APPROVAL_RESPONSE: Final = "tool_approval_response"

TASK_UPDATED: Final = "task.updated"
ARTIFACT_UPDATED: Final = "artifact.updated"
MESSAGE_ADDED: Final = "message.added"
#: Says which conversation a query belongs to, and nothing else.
CONVERSATION_NAMED: Final = "conversation.named"
#: A report on a query of which no operation is known.
SESSION_REPORTED: Final = "session.reported"

SESSION_DELETED: Final = "session.deleted"
#: The session was a guess; its events are in the one that `body.to` names.
SESSION_MOVED: Final = "session.moved"
LINK_CREATED: Final = "link.created"
LINK_DELETED: Final = "link.deleted"
#: A query was taken out of the sessions that Ark's clients see; what happened in it stays.
QUERY_DELETED: Final = "query.deleted"
#: Messages, or operation events, were removed: of which query or conversation stands in the body.
MESSAGES_DELETED: Final = "messages.deleted"
EVENTS_DELETED: Final = "events.deleted"
#: Everything of a sort was removed: `body.store` says what, `body.requestId` who asked.
LOG_PURGED: Final = "log.purged"

#: Reports that something is no more: no part of any view.
#: Somebody with a token removed something, corrected something, or gave access: who, and by which request.
AUDIT: Final = "audit.request"

TOMBSTONES: Final = frozenset(
    {SESSION_DELETED, SESSION_MOVED, QUERY_DELETED, MESSAGES_DELETED, EVENTS_DELETED, LOG_PURGED}
)
#: Types the broker writes itself; a producer's event may not use them.
RESERVED: Final = TOMBSTONES | {LINK_CREATED, LINK_DELETED, AUDIT}

#: Rules of correlation by which a session is named, rather than found (`Event.correlated_by`).
EXPLICIT: Final = "explicit"
BAGGAGE: Final = "baggage"
OPERATOR: Final = "operator"
#: Named by a record of another broker, which was stored there at the event's `time`.
IMPORTED: Final = "import"

Phase = Literal["pending", "running", "waiting", "done", "error", "canceled"]

SessionStatus = Literal["active", "waiting", "idle", "error"]

#: Prefix of a session or query that stands for a trace which named neither.
TRACE_PREFIX: Final = "trace:"


def provisional(trace_id: str) -> str:
    """The name that a trace's session (and query) has while nobody gave it one."""
    return TRACE_PREFIX + trace_id


def is_provisional(name: str | None) -> bool:
    """True for a name made by `provisional`: a later link may move it into a real one."""
    return name is not None and name.startswith(TRACE_PREFIX)
