"""The parser of event streams: WHATWG HTML § 9.2.6, however the bytes are cut."""

from __future__ import annotations

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.client.sse import Frame, SseParser

#: What a stream is made of, and what may be mistaken for it.
_PIECES = st.sampled_from(
    [
        "data: one", "data:two", "data", "data:", "data: {\"a\":1}", "data:  two spaces", "event: hello", "event:",
        "id: 7", "id:", "id", "id: a\0b", "retry: 100", "retry: x", "retry:", ": a comment", ":", "unknown: field",
        " data: not a field", "data\u2028: x", "data: a\u2028b\u0085c\x0bd\x0ce\x1cf", "data: ü€😀",
        "Data: case", "\ufeff",
    ]
)  # fmt: skip
_ENDS = st.sampled_from(["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n"])
_STREAMS = st.lists(st.tuples(_PIECES, _ENDS), max_size=30).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


def parse(*pieces: bytes) -> list[Frame]:
    """Frames of a stream that comes in these pieces."""
    parser = SseParser()
    return [frame for piece in pieces for frame in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        # The examples of the specification.
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
            [("message", "first event", "1"), ("message", "second event", "")],
        ),
        ("data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
        ("data:test\n\ndata: test\n\n", [("message", "test", ""), ("message", "test", "")]),
        # The rest of its rules.
        ("\ufeffdata: a\n\n", [("message", "a", "")]),
        ("\ufeff\ufeffdata: a\n\n", []),
        ("event: x\n\ndata: a\n\n", [("message", "a", "")]),
        ("id: 1\n\ndata: a\n\n", [("message", "a", "1")]),
        ("id: 1\ndata: a\n\nid: a\0b\ndata: b\n\n", [("message", "a", "1"), ("message", "b", "1")]),
        ("event: x\rdata: a\r\rdata: b\r\n\r\n", [("x", "a", ""), ("message", "b", "")]),
        ("data: a: b\n\n", [("message", "a: b", "")]),
    ],
)
def test_frames_are_those_of_the_specification(stream: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(frame.event, frame.data, frame.id) for frame in parse(stream.encode())] == expected


def test_retry_takes_digits_only() -> None:
    parser = SseParser()
    parser.feed(b"retry: 100\n")
    assert parser.retry == 100
    for wrong in ("-1", "1.5", "", "x", "\u0661"):
        parser.feed(f"retry: {wrong}\n".encode())
    assert parser.retry == 100


def test_the_last_id_is_that_of_a_whole_frame() -> None:
    parser = SseParser()
    parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")
    assert parser.last_id == "1"
    parser.feed(b"\n")
    assert parser.last_id == "2"


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert parse(b"data: a\xffb\xf0\x9f\n\n") == [Frame("message", "a\ufffdb\ufffd", "")]


@given(stream=_STREAMS, data=st.data())
def test_however_the_bytes_are_cut_the_frames_are_the_same(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(*pieces) == parse(stream)
    assert parse(*(stream[at : at + 1] for at in range(len(stream)))) == parse(stream)


@given(stream=_STREAMS)
def test_frames_are_those_of_another_implementation(stream: bytes) -> None:
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    theirs = [
        Frame(frame.event, frame.data, frame.id)
        for frame in EventSource(response).iter_sse()
        # It also gives frames without data, which the specification wants dropped, and leaves a BOM where it stands.
        if frame.data
    ]
    ours = [frame for frame in parse(stream) if frame.data]
    if not stream.startswith("\ufeff".encode()):
        assert ours == theirs
