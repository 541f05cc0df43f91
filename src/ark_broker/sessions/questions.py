"""Questions: what waits for a person, another agent or a program to answer, whoever asked.

A question is a fold over the events that carry its id. It is open until the first of them, in the order of the log,
that ends it: what comes later is in the log, and changes nothing.

    question.asked ──► open ──► answered | expired | canceled
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import orjson

from ark_broker.model import Event
from ark_broker.model.timestamps import rfc3339
from ark_broker.model.vocabulary import (
    QUESTION_ANSWERED,
    QUESTION_ASKED,
    QUESTION_CANCELED,
    QUESTION_ESCALATED,
    QUESTION_EXPIRED,
)

State = Literal["open", "answered", "expired", "canceled"]
#: What happens when the deadline passes: the question fails, has its default answer, or is shown to others.
OnDeadline = Literal["fail", "default", "escalate"]

_ENDS: Final[dict[str, State]] = {
    QUESTION_ANSWERED: "answered",
    QUESTION_EXPIRED: "expired",
    QUESTION_CANCELED: "canceled",
}
QUESTION_TYPES: Final = frozenset({QUESTION_ASKED, QUESTION_ESCALATED, *_ENDS})
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
    #: Through which door it came: `api`, `mcp`, `a2a`, `approval`, or the type of the event that told of it.
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
    def is_open(self) -> bool:
        """True while it may be answered."""
        return self.state == "open"


def is_of_question(event: Event) -> bool:
    """True for an event that tells of a question."""
    return event.question_id is not None and event.type in QUESTION_TYPES


def is_waited_for(event: Event) -> bool:
    """True for the asking of a question that its query cannot go on without."""
    return event.type == QUESTION_ASKED and _body(event).get("blocking") is not False


def is_end(event: Event) -> bool:
    """True for an event after which the question is not open any more."""
    return event.type in _ENDS


def apply(question: Question | None, event: Event) -> Question:
    """The question after one more of its events, in the order of the log; applying one again changes nothing."""
    found = question or Question(id=event.question_id or "")
    body = _body(event)
    found.session_id = event.session_id or found.session_id
    found.query = event.query or found.query
    found.namespace = found.namespace or event.namespace
    found.trace_id = found.trace_id or event.trace_id
    if event.type == QUESTION_ASKED:
        if not found.told:
            _tell(found, event, body)
    elif event.type == QUESTION_ESCALATED:
        found.escalated_at = found.escalated_at or event.time
    elif event.type in _ENDS and found.is_open:
        found.state, found.ended_at = _ENDS[event.type], event.time
        found.answer = None if found.secret else body.get("answer")
        found.answered_by = _text(body.get("answeredBy"))
        found.reason = _text(body.get("reason"))
    return found


def _tell(question: Question, event: Event, body: dict[str, Any]) -> None:
    question.told = True
    question.asked_at = event.time
    question.asked_by = _text(body.get("askedBy")) or event.agent
    question.source = _text(body.get("source")) or "event"
    question.text = _text(body.get("text") or body.get("question") or body.get("message") or body.get("input"))
    question.context = _text(body.get("context"))
    schema, options = body.get("schema"), body.get("options")
    question.schema = schema if isinstance(schema, dict) else None
    question.options = options if isinstance(options, list) else None
    question.blocking = body.get("blocking") is not False
    question.secret = body.get("secret") is True
    deadline = body.get("deadline")
    question.deadline = deadline if isinstance(deadline, int) and not isinstance(deadline, bool) else None
    if body.get("onDeadline") in ("fail", "default", "escalate"):
        question.on_deadline = body["onDeadline"]
    question.default = body.get("default")


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
    return (value if isinstance(value, str) else orjson.dumps(value, default=str).decode())[:8_192]
