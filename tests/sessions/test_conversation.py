"""The conversation of a session, from whichever source tells most of it."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.receive.conventions.exchange import exchange
from ark_broker.receive.custom import decode_events
from ark_broker.sessions.conversation import Conversation
from tests.support.events import NOON

USER = {"role": "user", "content": "What is the weather in Paris?"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
}
TOOL = {"role": "tool", "content": "18 degrees", "tool_call_id": "c1"}
ANSWER = {"role": "assistant", "content": "It is 18 degrees."}


def llm(number: int, given: list[Any], gave: list[Any], **fields: Any) -> dict[str, Any]:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": orjson.dumps(given).decode(),
        "gen_ai.output.messages": orjson.dumps(gave).decode(),
    }
    known = {"name": "chat m", "id": str(number), "time": NOON + number, "query": "q1", "sessionId": "s1"}
    return known | {"attributes": attributes} | fields


def chunk(number: int, text: str) -> Event:
    return Event(
        id=bytes([number]),
        kind="chunk",
        type="llm.chunk",
        time=NOON + number,
        query="q1",
        body=orjson.dumps({"choices": [{"delta": {"content": text}}]}),
    )


def decode(*values: dict[str, Any]) -> list[Event]:
    return decode_events(orjson.dumps(values), "application/json", {}).events


def build(*events: Event) -> list[dict[str, Any]]:
    conversation = Conversation(exchange)
    for event in events:
        conversation.add(event)
    found: list[dict[str, Any]] = conversation.build()
    return found


STORY = decode(llm(1, [USER], [CALL]), llm(2, [USER, CALL, TOOL], [ANSWER]))


def test_the_last_call_of_a_query_tells_it_all() -> None:
    [found] = build(*STORY)
    assert found == {"queries": ["q1"], "messages": [USER, CALL, TOOL, ANSWER]}


@given(st.permutations(STORY))
def test_the_order_of_arrival_does_not_matter(order: list[Event]) -> None:
    assert build(*order) == build(*STORY)


def test_another_agent_that_was_asked_something_longer_is_not_the_conversation() -> None:
    long = [{"role": "user", "content": "sub"}, *[ANSWER] * 9]
    [found] = build(*STORY, *decode(llm(3, long, [ANSWER])))
    assert found["messages"] == [USER, CALL, TOOL, ANSWER]


def test_chunks_tell_the_answer_where_nothing_else_does() -> None:
    started = decode({"type": "query.started", "query": "q1", "sessionId": "s1", "input": USER["content"]})
    [found] = build(*started, chunk(2, "is 18"), chunk(1, "It "), chunk(3, " degrees."))
    assert found["messages"] == [USER, ANSWER]


def test_queries_of_one_conversation_follow_each_other_and_repeat_nothing() -> None:
    more = {"role": "user", "content": "And in Rome?"}
    later = [USER, CALL, TOOL, ANSWER, more]
    first = decode(llm(1, [USER, CALL, TOOL], [ANSWER], conversationId="c1"))
    again = decode(llm(5, later, [ANSWER], query="q2", conversationId="c1"))
    without_history = decode(llm(6, [more], [ANSWER], query="q3", conversationId="c1"))
    [found] = build(*first, *again, *without_history)
    assert found["queries"] == ["q1", "q2", "q3"]
    assert found["messages"] == [*later, ANSWER]
    assert found["id"] == "c1"
    apart = build(*decode(llm(1, [USER], [ANSWER])), *decode(llm(2, [USER], [ANSWER], query="q2")))
    assert [each["queries"] for each in apart] == [["q1"], ["q2"]]


def test_stored_messages_come_first_when_they_are_as_many() -> None:
    stored = [
        {"type": "message.added", "kind": "message", "query": "q1", "sessionId": "s1", "role": m["role"],
         "content": m["content"]}
        for m in (USER, ANSWER)
    ]  # fmt: skip
    [found] = build(*decode(*stored), *decode(llm(1, [USER], [{"role": "assistant", "content": "longer? no"}])))
    assert [message["content"] for message in found["messages"]] == [USER["content"], ANSWER["content"]]


def test_a_session_in_which_nothing_was_said_has_no_conversation() -> None:
    assert build(*decode({"type": "tool.call", "query": "q1", "sessionId": "s1"})) == []
