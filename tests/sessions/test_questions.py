"""Questions as a fold: the first end in the order of the log counts, and applying an event again changes nothing."""

from __future__ import annotations

import msgspec
import orjson
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.sessions.questions import Question, apply, question_json
from tests.support.events import make

ENDS = {"question.answered": "answered", "question.expired": "expired", "question.canceled": "canceled"}


def event(number: int, kind: str) -> Event:
    body = {"text": "Deploy?", "askedBy": "coder"} if kind == "question.asked" else {"answer": number, "reason": "r"}
    return make(number, type=kind, time=1_000, question_id="q", body=orjson.dumps(body))


HISTORIES = st.lists(st.sampled_from(["question.asked", "question.escalated", *ENDS]), max_size=8).map(
    lambda kinds: [event(number, kind) for number, kind in enumerate(kinds)]
)


def fold(events: list[Event]) -> Question | None:
    found: Question | None = None
    for each in events:
        found = apply(found, each)
    return found


@given(HISTORIES)
def test_the_first_end_counts_whatever_comes_later(events: list[Event]) -> None:
    found = fold(events)
    if found is None:
        assert events == []
        return
    first = next((each for each in events if each.type in ENDS), None)
    assert found.state == ("open" if first is None else ENDS[first.type])
    if first is not None and first.type == "question.answered":
        assert found.answer == orjson.loads(first.body)["answer"]
    assert (found.text == "Deploy?") is any(each.type == "question.asked" for each in events)


@given(HISTORIES, st.data())
def test_an_event_that_is_applied_again_changes_nothing(events: list[Event], data: st.DataObject) -> None:
    once = fold(events)
    again = data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else []
    assert msgspec.to_builtins(fold([*events, *again])) == msgspec.to_builtins(once)


@given(HISTORIES)
def test_a_question_survives_storage(events: list[Event]) -> None:
    found = fold(events)
    if found is not None:
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Question)
        assert question_json(stored) == question_json(found)


def test_what_is_nested_too_deep_to_be_written_again_harms_nobody() -> None:
    deep = b"[" * 400 + b"]" * 400
    body = b'{"text":' + deep + b',"options":[' + deep + b'],"schema":{"a":' + deep + b'},"default":' + deep + b"}"
    asked = make(1, type="question.asked", time=1, question_id="q", body=body)
    answered = make(2, type="question.answered", time=2, question_id="q", body=b'{"answer":' + deep + b"}")
    found = fold([asked, answered])
    assert found is not None
    assert orjson.dumps(question_json(found))
    assert (found.state, found.text, found.answer) == ("answered", "(nested too deep)", "(nested too deep)")
