"""Events as flowing text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from ark_broker.cli.render.chat import chat
from ark_broker.cli.render.flow import Flow, Piece, text_of_chunk
from tests.cli.hostile import HOSTILE
from tests.cli.render.test_printable import is_safe


def chunk(text: str, query: str = "q1", **fields: Any) -> dict[str, Any]:
    body = {"choices": [{"delta": {"content": text}}]}
    return {"seq": 1, "id": "1", "kind": "chunk", "type": "llm.chunk", "query": query, "body": body, **fields}


def event(kind: str, query: str = "q1", **fields: Any) -> dict[str, Any]:
    return {"seq": 1, "id": "1", "kind": "event", "type": kind, "query": query, "body": {"type": kind}, **fields}


def joined(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def shown(*events: dict[str, Any], with_session: bool = False) -> str:
    flow = Flow(with_session=with_session)
    return "".join(joined(flow.event(each)) for each in events) + joined(flow.finish())


def test_chunks_flow_into_one_text_and_what_comes_between_begins_a_line() -> None:
    found = shown(
        event("query.started"), chunk("Hel"), chunk("lo\nyou"), event("query.waiting"), chunk("Good"), chunk("bye")
    )

    assert found == (
        "q1 [event] query.started\nq1 [stream] Hello\n    you\nq1 [event] query.waiting\nq1 [stream] Goodbye\n"
    )


def test_two_streams_at_once_do_not_mix() -> None:
    found = shown(chunk("a"), chunk("b"), chunk("x", "q2"), chunk("c"))

    assert found == "q1 [stream] ab\nq2 [stream] x\nq1 [stream] c\n"


def test_everything_names_the_session_too() -> None:
    assert shown(event("query.started", sessionId="s1"), with_session=True) == "s1 q1 [event] query.started\n"


def test_a_tool_call_shows_what_it_was_given_and_gave() -> None:
    span = {
        "span": {
            "attributes": [
                {"key": "tool.input", "value": {"stringValue": "weather NYC"}},
                {"key": "tool.output", "value": {"stringValue": "72F sunny"}},
            ]
        }
    }

    found = shown(event("tool.result", tool="web_search", duration=710, body=span) | {"kind": "span"})

    assert found == 'q1 [tool] web_search("weather NYC") -> "72F sunny" (710ms)\n'


def test_what_failed_is_marked() -> None:
    flow = Flow()
    [where, said] = flow.event(event("tool.failed", tool="web_search", error="timed out"))

    assert (where.text + said.text, said.mood) == ("q1 [tool] web_search ERROR timed out\n", "error")
    broken = {
        "seq": 1,
        "kind": "chunk",
        "type": "llm.error",
        "query": "q1",
        "body": {"choices": [], "error": {"message": "rate limit"}},
    }
    assert joined(flow.event(broken)) == "q1 [stream] ERROR rate limit\n"


def test_a_query_s_frames_read_the_same() -> None:
    flow = Flow()
    frames = [
        {"type": "event", "event": {"type": "query.started", "queryName": "q1"}},
        {"choices": [{"delta": {"content": "Hi"}}]},
        {"type": "event", "event": {"type": "tool.called", "tool": "t", "input": {"n": 1}}},
    ]

    assert "".join(joined(flow.frame("q1", each)) for each in frames) == (
        'q1 [event] query.started\nq1 [stream] Hi\nq1 [tool] t({"n": 1})\n'
    )


@pytest.mark.parametrize("delta", [None, {}, {"role": "assistant"}, {"content": None}, {"content": 3}])
def test_a_chunk_without_text_says_nothing(delta: Any) -> None:
    assert text_of_chunk({"choices": [{"delta": delta}]}) == ""
    assert text_of_chunk({"choices": []}) == ""
    assert text_of_chunk({}) == ""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_only_shown(text: str) -> None:
    fields = dict.fromkeys(("tool", "error", "agent", "model", "questionId", "taskId", "taskState", "sessionId"), text)
    events = [
        event(kind, text, body={"message": text, "input": text, "output": text}, **fields)
        for kind in ("tool.result", "agent.started", "question.asked", "task.updated", "llm.request", text)
    ]

    found = shown(chunk(text, text), chunk(text, text), *events, with_session=True)
    said = {
        "role": text,
        "name": text,
        "content": text,
        "tool_calls": [{"function": {"name": text, "arguments": text}}],
    }
    talk = joined(chat({"messages": [said, said | {"role": "tool"}], "truncated": True}))

    assert is_safe(found)
    assert is_safe(talk)


def test_a_chat_has_tool_calls_where_they_were_made() -> None:
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": '{"q": 1}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "assistant", "content": [{"type": "text", "text": "Sunny.\nEnjoy."}, {"type": "image_url"}]},
    ]

    assert joined(chat({"messages": messages})) == (
        "user: Weather?\n"
        'assistant: calls search({"q": 1})\n'
        "tool: search -> sunny\n"
        "assistant: Sunny.\n  Enjoy.[image_url]\n"
    )


@pytest.mark.parametrize(
    "frame",
    [
        *(7, "text", [], None, True, {"choices": 7}, {"choices": [7]}, {"choices": [{"delta": 7}]}),
        *({"choices": [{"delta": {"content": 5}}]}, {"type": "event", "event": 7}),
    ],
)
def test_a_frame_that_is_no_chunk_has_nothing_to_show(frame: Any) -> None:
    assert joined(Flow().frame("q1", frame)) == text_of_chunk(frame) == ""


@pytest.mark.parametrize("ts", [5, {}, "", "never", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_event_that_a_producer_made_up_is_shown_as_far_as_it_can_be(ts: Any) -> None:
    made_up = {"type": 7, "ts": ts, "duration": "long", "agent": {}, "tool": [1], "error": {}}
    assert joined(Flow().frame("q1", {"type": "event", "event": made_up})).endswith("q1 [event] 7\n")
