"""Chunk streams: lines from any cuts, and what each kind of chunk becomes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.model.errors import BadInput, TooLarge
from ark_broker.receive.chunks import ChunkReader, LineSplitter, completion_event
from tests.support.events import NOON


def clock() -> Iterator[int]:
    return itertools.count(NOON)


def reader(connection: str = "c1") -> ChunkReader:
    return ChunkReader("q1", "stream-1", connection, clock().__next__)


def read(chunk: object) -> Event:
    event = reader().read(orjson.dumps(chunk))
    assert event is not None
    return event


def choice(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}], "model": "gpt-4o"}


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


@given(st.lists(st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.lists(st.integers(0)))
def test_lines_are_the_same_however_the_bytes_are_cut(lines: list[bytes], places: list[int]) -> None:
    splitter = LineSplitter(8)
    found = [line for piece in cut(b"\n".join(lines), places) for line in splitter.feed(piece)]
    last = splitter.finish()
    assert [*found, last or b""] == (lines or [b""])
    assert splitter.finish() is None


@given(st.lists(st.integers(0)), st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")))
def test_a_line_that_is_too_long_is_refused_however_it_is_cut(places: list[int], tail: bytes) -> None:
    def feed_all() -> None:
        splitter = LineSplitter(10)
        for piece in cut(b"short\n12345678901" + tail + b"\nmore\n", places):
            splitter.feed(piece)

    with pytest.raises(TooLarge, match="longer than 10 bytes"):
        feed_all()


def test_a_line_without_an_end_is_refused_before_it_is_held() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"1234567890") == []
    with pytest.raises(TooLarge):
        splitter.feed(b"1")


def test_a_line_of_exactly_the_limit_passes() -> None:
    assert LineSplitter(3).feed(b"abc\nabc\n") == [b"abc", b"abc"]


@pytest.mark.parametrize(
    ("chunk", "kind"),
    [
        (choice(content="Hello"), "llm.chunk"),
        (choice(tool_calls=[{"id": "1"}]), "llm.chunk"),
        (choice(reasoning_content="hm"), "llm.chunk"),
        (choice(refusal="no"), "llm.chunk"),
        ({"choices": [{"delta": {}}, {"delta": {"content": "second"}}]}, "llm.chunk"),
        (choice(content="x") | {"usage": {"prompt_tokens": 1}}, "llm.chunk"),
        (choice(role="assistant"), "llm.control"),
        (choice(role="assistant", content=""), "llm.control"),
        ({"choices": [{"delta": {}, "finish_reason": "stop"}]}, "llm.control"),
        ({"choices": []}, "llm.control"),
        ({"choices": [{}, 5, {"delta": None}]}, "llm.control"),
        ({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}, "llm.usage"),
        ({"error": {"message": "no"}}, "llm.error"),
        (choice(content="x") | {"error": "no"}, "llm.error"),
        ({"type": "step.done"}, "step.done"),
        ({"type": "session.deleted"}, "llm.control"),
        ({"type": "x", "choices": []}, "llm.control"),
        ({"type": 5}, "llm.control"),
        ({}, "llm.control"),
        ([], "llm.control"),
        ("text", "llm.control"),
        (5, "llm.control"),
        (False, "llm.control"),
    ],
)
def test_the_type_says_what_the_chunk_carries(chunk: object, kind: str) -> None:
    event = read(chunk)
    assert (event.kind, event.type, event.query, event.stream_id) == ("chunk", kind, "q1", "stream-1")


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 0}, (7, 0)),
        ({"prompt_tokens": "7", "completion_tokens": 2.0}, (7, 2)),
        ({"prompt_tokens": -1, "completion_tokens": None}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": 2**64 - 1}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_tokens_come_from_the_usage(usage: object, counts: tuple[int | None, int | None]) -> None:
    event = read({"choices": [], "usage": usage})
    assert (event.input_tokens, event.output_tokens) == counts


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"message": "rate limit", "code": 429}, "rate limit"),
        ({"message": {"a": 1}}, '{"a":1}'),
        ({"code": 429}, '{"code":429}'),
        ("gone", "gone"),
        (False, "false"),
    ],
)
def test_an_error_chunk_says_why(error: object, text: str) -> None:
    event = read({"error": error})
    assert (event.status, event.error) == ("error", text)


def test_the_ark_member_says_where_the_chunk_belongs() -> None:
    ark = {"session": "s1", "agent": "researcher", "model": "m", "query": "8d1c", "team": "t"}
    event = read(choice(content="x") | {"ark": ark})
    assert (event.session_id, event.agent, event.model, event.query_uid) == ("s1", "researcher", "m", "8d1c")
    assert event.query == "q1"
    assert read({"ark": {"query": "q1", "session": "", "agent": 5}}).query_uid is None
    assert read({"ark": ["session"]}).session_id is None


def test_the_model_is_taken_and_cut() -> None:
    assert read({"model": "m" * 300}).model == "m" * 256
    assert read({"model": 5}).model is None


@pytest.mark.parametrize(
    "line",
    [b'{"b":1,  "a":1.50, "u":"\\u00e9"}', b"[1.0]", b'"x"', b'{"big":123456789012345678901234567890}'],
)
def test_the_body_is_the_line_as_it_was_sent(line: bytes) -> None:
    event = reader().read(b"  " + line + b"\r")
    assert event is not None
    assert event.body == line


@pytest.mark.parametrize("line", [b"", b"  ", b"\r", b"null", b" null\r"])
def test_a_blank_line_and_null_are_no_chunk(line: bytes) -> None:
    assert reader().read(line) is None


@pytest.mark.parametrize(
    "line", [b"x", b"{", b"{}{}", b'{"a":\xff}', b"data: {}", b"[DONE]", b"[" * 5_000, b'"\\ud800"']
)
def test_what_is_no_json_is_refused(line: bytes) -> None:
    with pytest.raises(BadInput, match="not JSON"):
        reader().read(line)


def test_line_numbers_count_every_line_and_keep_equal_chunks_apart() -> None:
    chunks = reader()
    first = chunks.read(b"{}")
    assert chunks.read(b"") is None
    with pytest.raises(BadInput):
        chunks.read(b"x")
    second = chunks.read(b"{}")
    assert chunks.line_number == 4
    assert first is not None
    assert second is not None
    assert (first.id != second.id, first.time < second.time) == (True, True)
    assert reader().read(b"{}") == first
    other = reader("c2").read(b"{}")
    assert other is not None
    assert other.id != first.id


def test_the_completion_is_an_event_of_its_own() -> None:
    event = completion_event("q1", "stream-1", NOON)
    assert (event.kind, event.type, event.body, event.query) == ("chunk", "stream.completed", b'"[DONE]"', "q1")
    assert completion_event("q1", "stream-1", NOON).id == event.id
    assert completion_event("q1", "stream-1", NOON + 1).id != event.id
    assert completion_event("q2", "stream-1", NOON).id != event.id
