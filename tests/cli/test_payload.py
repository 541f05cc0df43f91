"""What `ark-broker send` makes of bytes."""

from __future__ import annotations

import gzip
import json

import pytest

from ark_broker.cli.payload import PayloadError, read_payload
from tests.support.otlp import traces

EVENT = {"type": "x"}
SPANS = {"resourceSpans": []}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(EVENT), f"[{json.dumps(EVENT)}]", f"{json.dumps(EVENT)}\n", f"\n {json.dumps(EVENT)}",
    ],
)  # fmt: skip
def test_events_are_an_object_or_several(content: str) -> None:
    assert read_payload(content.encode(), None).events == [EVENT]
    assert read_payload(gzip.compress(content.encode()), None).events == [EVENT]


def test_lines_are_events_or_otlp_each_by_itself() -> None:
    lines = "\n".join(json.dumps(each) for each in (EVENT, SPANS, {"resourceLogs": []}, EVENT))

    found = read_payload(lines.encode(), None)

    assert found.events == [EVENT, EVENT]
    assert [(json.loads(body), kind, signal) for body, kind, signal in found.requests] == [
        (SPANS, "application/json", "traces"),
        ({"resourceLogs": []}, "application/json", "logs"),
    ]


def test_protobuf_is_traces_unless_said_otherwise() -> None:
    body = traces({"name": "x", "number": 1}).SerializeToString()

    [(sent, kind, signal)] = read_payload(gzip.compress(body), None).requests

    assert (sent, kind, signal) == (body, "application/x-protobuf", "traces")
    assert read_payload(b"\n\x00", "logs").requests[0][2] == "logs"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b" \n", b"hello", b"{", b'{"a": 1}\nnope', b"[1]", b"\x1f\x8bbroken", b"\xff\xff\xff\xff", b'"text"'),
        *(b'{"cost": NaN}', b'{"cost": -Infinity}', b'{"cost": 1e999}', b"[" * 100_000),
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(PayloadError):
        read_payload(content, None)
