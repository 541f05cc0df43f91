"""Requests that are wrong below HTTP's own level, or slow on purpose: a 4xx, or the end of the connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from ark_broker.api.connection import MAX_HEAD_BYTES, MAX_HEADERS, GuardedHttp
from tests.support.api import Api, StartApi
from tests.support.process import Broker, StartBroker
from tests.support.sse import listen

POST = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def talk(broker: Broker, *parts: bytes) -> bytes:
    """What the broker answers until it closes the connection; nothing where it was reset while we wrote."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=30) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:
            pass
        return answer


def test_s4_malformed_requests_are_refused(start_broker: StartBroker, sqlite_url: str) -> None:
    broker = start_broker(sqlite_url)
    get = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    many = b"".join(b"X-%d: a\r\n" % number for number in range(1000))
    for name, request, statuses in (
        ("a long header", get + b"X: " + b"a" * 70_000 + b"\r\n\r\n", {b"431"}),
        ("a header without end", get + b"X: " + b"a" * 20_000_000, {b"431"}),
        ("a long path", b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n", {b"431"}),
        ("1,000 headers", get + many + b"\r\n", {b"431"}),
        ("100,000 headers", get + many * 100 + b"\r\n", {b"431"}),
        ("no length", POST + b"\r\n{}", {b"400"}),
        ("length in words", POST + b"Content-Length: two\r\n\r\n{}", {b"400"}),
        ("negative length", POST + b"Content-Length: -2\r\n\r\n{}", {b"400"}),
        ("length beyond numbers", POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}", {b"400"}),
        ("two lengths", POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {b"400"}),
        (
            "two framings",
            POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            {b"400"},
        ),
        ("a chunk without size", POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n", {b"400"}),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", {b"400"}),
        ("a header with a line break", get + b"X : \r\n y\r\n\r\n", {b"400"}),
    ):
        answer = talk(broker, request)
        assert answer == b"" or answer.split(b" ")[1] in statuses, (name, answer[:200])
        assert httpx.get(f"{broker.url}/health", timeout=60).status_code == 200, name
    chunked = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b" 200 " in talk(broker, chunked + b'2;name=value;other="quoted"\r\n{}\r\n0;last\r\n\r\n')
    assert b" 413 " in talk(broker, POST + b"Connection: close\r\nContent-Length: 999999999\r\n\r\n")
    # Only the first bytes of what was promised, then the end.
    with socket.create_connection(("127.0.0.1", broker.port)) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n{")
    broker.wait_ready()
    assert '"level": "error"' not in broker.logs


async def test_the_largest_head_that_is_taken(start_api: StartApi) -> None:
    async with start_api() as api:
        long = {"x-long": "a" * (MAX_HEAD_BYTES - 1_000)}
        assert (await api.http.get("/health", headers=long)).status_code == 200
        many = {f"x-{number}": "a" for number in range(MAX_HEADERS - 10)}
        assert (await api.http.get("/health", headers=many)).status_code == 200


async def raw(api: Api, request: bytes) -> bytes:
    """Send, and read until the broker closes the connection."""
    port = api.http.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_s4_a_head_that_does_not_arrive_is_given_up(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedHttp, "head_seconds", 0.1)
    async with start_api() as api:
        for slow in (b"", b"GET /health HTTP/1.1\r\nHost: x\r\n", b"GET /health HTTP/1.1\r\n\r\nGET /he"):
            answer = await raw(api, slow)
            assert answer.endswith(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        async with listen(api.http, "/v1/stream") as frames:
            # An open stream is no slow request.
            await frames.hello()
            await raw(api, b"")
            await api.events({"type": "x", "sessionId": "s1"})
            assert (await frames.next()).json()["session"]["id"] == "s1"


async def test_s4_a_body_that_stops_is_given_up_but_a_stream_of_chunks_is_not(start_api: StartApi) -> None:
    async with start_api() as api:
        api.services.intake.patience = 0.1
        request = b"Connection: close\r\nContent-Length: 100\r\n\r\n{"
        assert b" 400 " in await raw(api, POST + request)
        assert b" 400 " in await raw(api, POST.replace(b"/v1/traces", b"/v1/events") + request)
        given_up = asyncio.Event()

        async def content() -> AsyncIterator[bytes]:
            yield b'{"n":1}\n'
            await given_up.wait()
            yield b'{"n":2}\n'

        post = asyncio.create_task(api.http.post("/stream/q1", content=content()))
        await raw(api, POST + request)
        given_up.set()
        assert (await post).json()["chunks_received"] == 2
