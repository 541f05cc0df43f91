"""Questions: what waits for a person, another agent or a program to answer, whoever asked.

A question is a fold over the events that carry its id. It is open until the first of them, in the order of the log,
that ends it: what comes later is in the log, and changes nothing.

    question.asked ──► open ──► answered | expired | canceled
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import orjson

from ark_broker.model import MAX_INT64, Event
from ark_broker.model.timestamps import rfc3339
from ark_broker.model.vocabulary import (
    APPROVAL_REQUEST,
    APPROVAL_RESPONSE,
    QUESTION_ANSWERED,
    QUESTION_ASKED,
    QUESTION_CANCELED,
    QUESTION_ESCALATED,
    QUESTION_EXPIRED,
    TASK_UPDATED,
)

State = Literal["open", "answered", "expired", "canceled"]
Sort = Literal["asked", "escalated", "answered", "expired", "canceled"]
#: What happens when the deadline passes: the question fails, has its default answer, or is shown to others.
OnDeadline = Literal["fail", "default", "escalate"]

_ENDS: Final[dict[str, Sort]] = {
    QUESTION_ANSWERED: "answered",
    QUESTION_EXPIRED: "expired",
    QUESTION_CANCELED: "canceled",
}
#: What an event says of its question, by its type. Ark's executors ask for approvals in their streams.
_SORTS: Final[dict[str, Sort]] = {
    QUESTION_ASKED: "asked",
    APPROVAL_REQUEST: "asked",
    QUESTION_ESCALATED: "escalated",
    APPROVAL_RESPONSE: "answered",
    **_ENDS,
}
#: What the state of an A2A task says of the question that it stands for; any other state: it goes on, answered.
_TASK_SORTS: Final[dict[str, Sort]] = {
    "input_required": "asked",
    "auth_required": "asked",
    "canceled": "canceled",
    "failed": "canceled",
    "rejected": "canceled",
}
#: Sources whose questions are answered where they were asked: the broker only shows them.
_ELSEWHERE: Final = frozenset({"approval", "a2a", "elicitation"})
_URI: Final = "ark://questions/"


class Question(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One question. Times are nanoseconds since the epoch."""

    id: str
    state: State = "open"
    #: True once somebody said what is asked; an answer may come to be known first.
    told: bool = False
    session_id: str | None = None
    query: str | None = None
    namespace: str | None = None
    trace_id: str | None = None
    asked_by: str | None = None
    #: Through which door it came: `api`, `mcp`, `a2a`, `approval`, `elicitation`, or the type of the event.
    source: str | None = None
    text: str | None = None
    context: str | None = None
    #: JSON Schema of the answer.
    schema: dict[str, Any] | None = None
    options: list[Any] | None = None
    blocking: bool = True
    #: The answer is not stored; who waits for it gets it while the process that took it lives.
    secret: bool = False
    deadline: int | None = None
    on_deadline: OnDeadline = "fail"
    default: Any = None
    escalated_at: int | None = None
    asked_at: int = 0
    ended_at: int | None = None
    answer: Any = None
    answered_by: str | None = None
    reason: str | None = None

    @property
    def uri(self) -> str:
        """`ark://questions/<id>`"""
        return _URI + self.id

    @property
    def is_answerable(self) -> bool:
        """False for one that is answered where it was asked: an approval of Ark's, an A2A task that needs input."""
        return self.source not in _ELSEWHERE

    @property
    def is_open(self) -> bool:
        """True while it may be answered."""
        return self.state == "open"


def sort_of(event: Event) -> Sort | None:
    """What the event says of the question whose id it carries; None for an event of no question."""
    if event.question_id is None:
        return None
    if event.type == TASK_UPDATED:
        return _TASK_SORTS.get(event.task_state or "", "answered")
    return _SORTS.get(event.type)


def is_waited_for(event: Event) -> bool:
    """True for the asking of a question that its query cannot go on without."""
    body = _body(event)
    return (
        sort_of(event) == "asked" and body.get("blocking") is not False and body.get("priority") in (None, "blocking")
    )


def apply(question: Question | None, event: Event) -> Question | None:
    """The question after one more of its events, in the order of the log; applying one again changes nothing.

    None for a task that goes on and never asked.
    """
    sort = sort_of(event)
    if sort is None or (question is None and event.type == TASK_UPDATED and sort != "asked"):
        return question
    found = question or Question(id=event.question_id or "")
    found.session_id = event.session_id or found.session_id
    found.query = event.query or found.query
    found.namespace = found.namespace or event.namespace
    found.trace_id = found.trace_id or event.trace_id
    match sort:
        case "asked":
            if not found.told or (event.type == TASK_UPDATED and event.time > (found.ended_at or MAX_INT64)):
                _tell(found, event)
        case "escalated":
            found.escalated_at = found.escalated_at or event.time
        case "answered" | "expired" | "canceled" if found.is_open and event.time >= found.asked_at:
            _end(found, event, sort)
    return found


def _end(question: Question, event: Event, state: State) -> None:
    body = _body(event)
    question.state, question.ended_at = state, event.time
    question.answer = None if question.secret else _shallow(body.get("answer", body.get("action")))
    question.answered_by = _text(body.get("answeredBy"))
    question.reason = _text(body.get("reason")) or (event.error if state != "answered" else None)


def _tell(question: Question, event: Event) -> None:
    body = _body(event)
    question.told, question.state, question.ended_at = True, "open" if question.told else question.state, None
    question.asked_at = event.time
    question.asked_by = _text(body.get("askedBy") or body.get("asked_by") or body.get("agentName")) or event.agent
    question.context = _text(body.get("context"))
    question.blocking = body.get("blocking") is not False and body.get("priority") in (None, "blocking")
    if event.type == APPROVAL_REQUEST:
        _tell_approval(question, body)
        return
    question.source = "a2a" if event.type == TASK_UPDATED else _text(body.get("source")) or "event"
    asked = body.get("text") or body.get("question") or body.get("input") or body.get("message")
    question.text = _text(asked) if event.type != TASK_UPDATED else _task_text(body)
    schema, options = _shallow(body.get("schema")), _shallow(body.get("options"))
    question.schema = schema if isinstance(schema, dict) else None
    question.options = options if isinstance(options, list) else None
    question.secret = body.get("secret") is True
    deadline = body.get("deadline")
    question.deadline = deadline if isinstance(deadline, int) and not isinstance(deadline, bool) else None
    if body.get("onDeadline") in ("fail", "default", "escalate"):
        question.on_deadline = body["onDeadline"]
    question.default = _shallow(body.get("default"))


def _tell_approval(question: Question, body: dict[str, Any]) -> None:
    """Ark: `{"taskId", "toolCalls", "timeout", "onTimeout", "agentName", "agentContext"?}`."""
    question.source = "approval"
    calls = body.get("toolCalls")
    names = [_text(_name_of(call)) for call in calls] if isinstance(calls, list) else []
    question.text = "Approve " + (", ".join(name for name in names if name) or "the tool calls") + "?"
    question.context = _text(body.get("agentContext") or calls)
    question.options = ["approved", "rejected"]


def _name_of(call: object) -> object:
    if not isinstance(call, dict):
        return None
    function = call.get("function")
    return function.get("name") if isinstance(function, dict) else call.get("name") or call.get("toolName")


def _task_text(body: dict[str, Any]) -> str | None:
    """What the agent said with the state of its task."""
    for holder in (body, body.get("task"), body.get("statusUpdate"), body.get("result")):
        status = holder.get("status") if isinstance(holder, dict) else None
        message = status.get("message") if isinstance(status, dict) else None
        parts = message.get("parts") if isinstance(message, dict) else None
        texts = [part["text"] for part in parts or () if isinstance(part, dict) and isinstance(part.get("text"), str)]
        if texts:
            return _text("\n".join(texts))
    return None


def question_json(question: Question) -> dict[str, object]:
    """As the API shows it; absent is what nobody said."""
    found: dict[str, object] = {
        "id": question.id,
        "uri": question.uri,
        "state": question.state,
        "session": question.session_id,
        "query": question.query,
        "namespace": question.namespace,
        "traceId": question.trace_id,
        "askedBy": question.asked_by,
        "source": question.source,
        "text": question.text,
        "context": question.context,
        "schema": question.schema,
        "options": question.options,
        "blocking": question.blocking,
        "secret": question.secret or None,
        "deadline": None if question.deadline is None else rfc3339(question.deadline),
        "onDeadline": None if question.deadline is None else question.on_deadline,
        "escalatedAt": None if question.escalated_at is None else rfc3339(question.escalated_at),
        "askedAt": rfc3339(question.asked_at) if question.asked_at else None,
        "endedAt": None if question.ended_at is None else rfc3339(question.ended_at),
        "answeredBy": question.answered_by,
        "reason": question.reason,
        "answerable": None if question.is_answerable else False,
    }
    shown = {key: value for key, value in found.items() if value is not None}
    if question.state == "answered" and not question.secret:
        shown["answer"] = question.answer
    return shown


def _body(event: Event) -> dict[str, Any]:
    try:
        body = orjson.loads(event.body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(body, dict):
        return {}
    data = body.get("data")
    return {**body, **data} if isinstance(data, dict) else body


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        value = _shallow(value)
    return (value if isinstance(value, str) else orjson.dumps(value, default=str).decode())[:8_192]


def _shallow(value: Any) -> Any:
    """The value, where it can be written as JSON again: what is read may be nested deeper than that."""
    if isinstance(value, dict | list):
        try:
            orjson.dumps(value)
        except TypeError:
            return "(nested too deep)"
    return value
