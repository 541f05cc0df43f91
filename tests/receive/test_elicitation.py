"""MCP results that want input, relayed by a host: each request is a question, and each response its answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ark_broker.model import Event
from ark_broker.receive.custom import decode_events
from ark_broker.sessions.questions import Question, apply, question_json

SCHEMA = {"type": "object", "properties": {"size": {"type": "integer"}}}
WANTS = {
    "resultType": "input_required",
    "requestState": "abc",
    "inputRequests": {
        "size": {"method": "elicitation/create", "params": {"message": "What size?", "requestedSchema": SCHEMA}},
        "login": {"method": "elicitation/create", "params": {"mode": "url", "message": "Log in", "url": "https://x"}},
    },
}
GIVES = {
    "requestState": "abc",
    "inputResponses": {
        "size": {"action": "accept", "content": {"size": 3}},
        "login": {"action": "decline"},
    },
}
PLACE = {"sessionId": "s1", "query": "q1", "type": "mcp.result"}


def decode(value: object) -> list[Event]:
    return decode_events(orjson.dumps(value), "application/json", {}).events


def questions(*values: dict[str, Any]) -> dict[str, dict[str, object]]:
    found: dict[str, Question | None] = {}
    for value in values:
        for event in decode(value):
            assert event.question_id is not None
            found[event.question_id] = apply(found.get(event.question_id), event)
    return {name.rpartition(":")[2]: question_json(question) for name, question in found.items() if question}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda content: PLACE | content,
        lambda content: PLACE | {"data": content},
        lambda content: PLACE | {"result": content, "jsonrpc": "2.0", "id": 7},
        lambda content: PLACE | {"params": content, "jsonrpc": "2.0", "id": 8},
        lambda content: PLACE | {"data": {"result": content}},
    ],
    ids=["beside", "data", "result", "params", "data.result"],
)
def test_each_request_is_a_question_that_its_response_answers(wrap: Any) -> None:
    asked = questions(wrap(WANTS))
    assert {name: (each["text"], each["state"], each["source"]) for name, each in asked.items()} == {
        "size": ("What size?", "open", "elicitation"),
        "login": ("Log in", "open", "elicitation"),
    }
    assert asked["size"]["schema"] == SCHEMA
    assert asked["login"]["context"] == "https://x"
    assert asked["size"]["answerable"] is False
    assert (asked["size"]["session"], asked["size"]["query"]) == ("s1", "q1")

    over = questions(wrap(WANTS), wrap(GIVES))
    assert (over["size"]["state"], over["size"]["answer"]) == ("answered", {"size": 3})
    assert (over["login"]["state"], over["login"]["answer"]) == ("answered", "decline")


def test_the_same_message_is_the_same_questions_and_keeps_what_was_sent() -> None:
    message = PLACE | WANTS | {"id": "m1"}
    one, other = decode(message), decode(message)
    assert [event.id for event in one] == [event.id for event in other]
    assert len({event.id for event in one}) == 2
    for event in one:
        assert orjson.loads(event.body).items() >= {key: message[key] for key in message if key != "type"}.items()


@pytest.mark.parametrize(
    "content",
    [
        {"resultType": "complete", "inputRequests": {"a": {}}},
        {"resultType": "input_required"},
        {"resultType": "input_required", "inputRequests": []},
        {"resultType": "input_required", "inputRequests": {"a": "?"}},
        {"inputResponses": {}},
        {"inputResponses": "yes"},
    ],
)
def test_what_asks_nothing_is_an_event_like_any_other(content: dict[str, Any]) -> None:
    (event,) = decode(PLACE | content)
    assert (event.type, event.question_id) == ("mcp.result", None)
