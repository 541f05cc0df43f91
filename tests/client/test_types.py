"""The client's types say what the broker says."""

from __future__ import annotations

from typing import get_args

from ark_broker.client import Client, types
from ark_broker.model import vocabulary
from ark_broker.questions.ask import Ask
from ark_broker.sessions.questions import OnDeadline, Question, State, question_json
from tests.support.waiting import wait_until

PLACE = {"query": "q", "namespace": "n", "agent": "a"}


def test_words_are_the_brokers() -> None:
    assert get_args(types.SessionStatus) == get_args(vocabulary.SessionStatus)
    assert get_args(types.QuestionState) == get_args(State)
    assert get_args(types.OnDeadline) == get_args(OnDeadline)


def test_a_session_a_query_and_an_event_have_no_key_that_is_not_typed(sync_client: Client, name: str) -> None:
    place = {**PLACE, "sessionId": name}
    sync_client.send(
        {"type": "query.started", **place, "userId": "u", "input": "x"},
        {"type": "tool.call", **place, "tool": "t", "toolCallId": "c", "input": "i", "mcpServer": "m"},
        {"type": "tool.failed", **place, "tool": "t", "toolCallId": "c", "error": "no"},
        {"type": "llm.request", **place, "model": "gpt-4", "provider": "openai", "inputTokens": 3, "outputTokens": 4},
        {"type": "task.updated", **place, "taskId": "t1", "taskState": "working"},
        {"type": "query.failed", **place, "error": "no"},
    )
    session = wait_until(lambda: sync_client.session(name))
    assert session.keys() <= types.Session.__annotations__.keys()
    assert next(sync_client.sessions(search=name)).keys() <= types.SessionSummary.__annotations__.keys()
    assert sync_client.query("q", session=name).keys() <= types.Query.__annotations__.keys()
    for event in sync_client.events(name):
        assert event.keys() <= types.Event.__annotations__.keys()
    for entry in session["queries"]["q"]["events"]:
        assert entry.keys() <= types.Entry.__annotations__.keys()


def test_a_question_has_no_key_that_is_not_typed() -> None:
    full = Question(
        id="q",
        state="answered",
        session_id="s",
        query="q",
        namespace="n",
        trace_id="t",
        asked_by="a",
        source="a2a",
        text="t",
        context="c",
        schema={},
        options=[],
        deadline=1,
        escalated_at=1,
        asked_at=1,
        ended_at=1,
        answered_by="b",
        reason="r",
        answer=1,
    )
    keys = question_json(full).keys() | {"secret"}
    assert keys == types.Question.__annotations__.keys()


def test_what_may_be_asked_can_be_said() -> None:
    said = set(Client.ask.__annotations__) - {"wait", "return", "expires_in"} | {"timeout_seconds"}
    assert said == set(Ask.__struct_fields__)
