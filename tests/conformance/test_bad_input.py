"""Input that means harm, or might as well: refused clearly, or stored; never a 5xx, never at a neighbour's cost."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import orjson
import psutil
import pytest
import zstandard

from tests.support.otlp import JSON, PROTOBUF, json_span, json_traces, status, traces
from tests.support.process import Broker, StartBroker
from tests.support.waiting import wait_until

LIMIT = 16 * 2**20
MIB = 2**20


@pytest.fixture
def limited(start_broker: StartBroker, sqlite_url: str) -> Broker:
    """A broker that takes bodies of 16 MiB."""
    return start_broker(sqlite_url, max_body_bytes=LIMIT)


@contextmanager
def watched(broker: Broker) -> Iterator[None]:
    """Fails where the broker takes more than twice its body limit of memory, or stops answering, meanwhile."""
    process = psutil.Process(broker.pid)
    before = most = process.memory_info().rss
    answers: list[int] = []
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        with httpx.Client(base_url=broker.url, timeout=30) as client:
            while not over.is_set() or not answers:
                answers.append(client.get("/health").status_code)
                most = max(most, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert set(answers) == {200}
    assert most - before < 2 * LIMIT, f"{(most - before) / MIB:.0f} MiB"


def send(broker: Broker, content: bytes, headers: dict[str, str], path: str = "/v1/traces") -> httpx.Response:
    return httpx.post(f"{broker.url}{path}", content=content, headers=headers, timeout=60)


def bombs() -> list[tuple[str, bytes]]:
    """Half a megabyte that becomes half a gigabyte, in every encoding."""
    deflate = zlib.compressobj(9, wbits=-15)
    zeros = bytes(MIB)
    raw = b"".join(deflate.compress(zeros) for _ in range(512)) + deflate.flush()
    gzipped = zlib.compressobj(9, wbits=31)
    packed = b"".join(gzipped.compress(zeros) for _ in range(512)) + gzipped.flush()
    stream = zstandard.ZstdCompressor(level=1).compressobj()
    zstd = b"".join(stream.compress(zeros) for _ in range(512)) + stream.flush()
    return [("deflate", raw), ("gzip", packed), ("zstd", zstd), ("gzip", gzip.compress(zeros) * 512)]


def test_s1_bombs_take_no_memory(limited: Broker) -> None:
    made = bombs()
    with watched(limited):
        for encoding, content in made:
            for path in ("/v1/traces", "/v1/events"):
                headers = PROTOBUF if path == "/v1/traces" else JSON
                response = send(limited, content, headers | {"Content-Encoding": encoding}, path)
                assert response.status_code == 413, (encoding, path)
        line = send(limited, made[1][1], {"Content-Encoding": "gzip"}, "/stream/q1")
        assert line.status_code == 413
        packed = gzip.compress(made[1][1])
        assert send(limited, packed, PROTOBUF | {"Content-Encoding": "gzip, gzip"}).status_code == 415
        assert send(limited, made[1][1] + b"junk", PROTOBUF | {"Content-Encoding": "gzip"}).status_code == 413
        assert send(limited, gzip.compress(b"") + b"junk", PROTOBUF | {"Content-Encoding": "gzip"}).status_code == 400
    assert send(limited, traces().SerializeToString(), PROTOBUF).status_code == 200


def strange_json() -> list[tuple[str, bytes, set[int]]]:
    """Name, body, statuses that are right."""

    def value(text: bytes) -> bytes:
        span = orjson.dumps(json_traces(json_span(attributes=[{"key": "k", "value": {"stringValue": "@"}}])))
        return span.replace(b'{"stringValue":"@"}', text)

    nested = b'{"arrayValue":{"values":[' * 100_000 + b"]}}" * 100_000
    shallow = b'{"arrayValue":{"values":[' * 50 + b"]}}" * 50
    many = [json_span(attributes=[]) | {"spanId": f"{n:016x}"} for n in range(1, 60_000)]
    wide = json_span(attributes=[{"key": str(n), "value": {"intValue": n}} for n in range(200_000)])
    return [
        ("nested lists", b"[" * 100_000, {400}),
        ("nested objects", b'{"resourceSpans":' * 100_000, {400}),
        ("nested values", value(nested), {400}),
        ("nested values below the parser's limit", value(shallow), {400}),
        ("unknown field nested", b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", {400}),
        ("NaN", value(b'{"doubleValue":NaN}'), {400}),
        ("Infinity", value(b'{"doubleValue":Infinity}'), {400}),
        ("1e308", value(b'{"doubleValue":1e308}'), {200}),
        ("1e999", value(b'{"doubleValue":1e999}'), {200, 400}),
        ("1e999 as an integer", value(b'{"intValue":1e999}'), {400}),
        ("an integer of 100,000 digits", value(b'{"intValue":' + b"9" * 100_000 + b"}"), {400}),
        ("a text integer of 100,000 digits", value(b'{"intValue":"' + b"9" * 100_000 + b'"}'), {400}),
        ("a byte order mark", b"\xef\xbb\xbf{}", {400}),
        ("a lone surrogate", value(b'{"stringValue":"\\ud800"}'), {400}),
        ("a lone surrogate as a key", value(b'{"\\udfff":1}'), {400}),
        ("raw surrogate bytes", value(b'{"stringValue":"\xed\xa0\x80"}'), {400}),
        ("duplicate keys", value(b'{"intValue":1,"intValue":2}'), {200}),
        ("duplicate lists", b'{"resourceSpans":[],"resourceSpans":[7]}', {400}),
        ("a huge string", value(b'{"stringValue":"' + b"x" * (12 * MIB) + b'"}'), {200}),
        ("very many spans", orjson.dumps(json_traces(*many)), {200}),
        ("very many attributes", orjson.dumps(json_traces(wide)), {200}),
        ("very many empty groups", b'{"resourceSpans":[' + b"{}," * 1_000_000 + b"{}]}", {200, 413}),
    ]


def test_s2_strange_json_is_refused_or_stored(limited: Broker) -> None:
    cases = strange_json()
    with watched_health(limited):
        for name, body, right in cases:
            response = send(limited, body, JSON)
            assert response.status_code in right, (name, response.text[:300])
            answer = response.json()
            if name == "very many attributes":
                assert answer["partialSuccess"]["rejectedSpans"] == "1"
    assert '"level": "error"' not in limited.logs
    assert "Traceback" not in limited.logs


@contextmanager
def watched_health(broker: Broker) -> Iterator[None]:
    """Fails where `/health` does not answer meanwhile."""
    over = threading.Event()
    answers: list[int] = []

    def watch() -> None:
        with httpx.Client(base_url=broker.url, timeout=30) as client:
            while not over.is_set() or not answers:
                answers.append(client.get("/health").status_code)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert set(answers) == {200}


def test_s2_deep_protobuf_is_refused(limited: Broker) -> None:
    for depth in (41, 60, 95, 5_000):
        value = b""
        for _ in range(depth):
            value = field(5, field(1, value))
        span = traces().resource_spans[0].scope_spans[0].spans[0].SerializeToString()
        span += field(9, field(1, b"k") + field(2, value))
        response = send(limited, field(1, field(2, field(2, span))), PROTOBUF)
        assert (response.status_code, status(response.content).code) == (400, 3), depth


def field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, prefix = len(content), bytearray([number << 3 | 2])
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(prefix) + bytes([length]) + content


def test_s11_what_cannot_be_read_is_not_logged(start_broker: StartBroker, sqlite_url: str) -> None:
    broker = start_broker(sqlite_url, log_level="debug")
    secret = "sk-very-secret-0451"
    for path, content, headers in (
        ("/v1/traces", f'{{"resourceSpans":"{secret}"'.encode(), JSON),
        ("/v1/traces", f'{{"resourceSpans":["{secret}"]}}'.encode(), JSON),
        ("/v1/traces", b"\xff\xff" + secret.encode(), PROTOBUF),
        ("/v1/traces", secret.encode(), PROTOBUF | {"Content-Encoding": "gzip"}),
        ("/v1/logs", secret.encode(), PROTOBUF),
        ("/v1/metrics", secret.encode(), JSON),
        ("/v1/events", f'{{"type":7,"x":"{secret}"}}'.encode(), JSON),
        ("/v1/events", secret.encode(), JSON),
    ):
        assert send(broker, content, headers, path).status_code == 400, path
    rejected = send(broker, f"{secret}\n{{".encode(), {}, "/stream/q1").json()
    assert rejected["chunks_rejected"] == 2
    httpx.get(f"{broker.url}/health", headers={"X-Request-ID": "the-last"}, timeout=60)
    wait_until(lambda: "the-last" in broker.logs)

    assert secret not in broker.logs
