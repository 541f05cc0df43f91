"""What is open with a token ends with it: streams, long posts, calls that wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from ark_broker.access.grants import Grant, VerifierUnavailable
from ark_broker.access.tokens import StoredToken
from ark_broker.api.gate import Gate
from ark_broker.api.guarded import Guarded
from ark_broker.log.tokens import TokenStore
from tests.api.access.conftest import Locked
from tests.api.access.teams import listening
from tests.support.api import Api
from tests.support.mcp import HEADERS as MCP
from tests.support.mcp import call
from tests.support.waiting import until

#: Streams of each sort: ours, Ark's, and those that wait for what is not there yet.
STREAMS = (
    ("/v1/stream", {}),
    ("/v1/events/stream", {}),
    ("/v1/sessions/s1/stream", {}),
    ("/v1/queries/q1/stream", {}),
    ("/sessions", {"watch": "true"}),
    ("/messages", {"watch": "true"}),
    ("/events", {"watch": "true"}),
    ("/traces", {"watch": "true"}),
    ("/stream", {"watch": "true"}),
    ("/stream/q1", {"from-beginning": "true"}),
)


async def token_of(locked: Locked, permissions: list[str], **more: Any) -> tuple[str, str]:
    """A new token, and its id."""
    text = await locked.token(permissions, **more)
    return text, text.split("_")[1]


async def ended(task: asyncio.Task[Any]) -> Any:
    """Its result, once it has one."""

    async def over() -> bool:
        return task.done()

    await until(over, what="it to end")
    return task.result()


async def read_to_the_end(who: httpx.AsyncClient, path: str, params: dict[str, str]) -> bytes:
    async with who.stream("GET", path, params=params, timeout=60) as response:
        assert response.status_code == 200
        return await response.aread()


async def all_open(locked: Locked, count: int) -> None:
    async def enough() -> bool:
        return locked.api.services.tail.follower_count == count

    await until(enough, what=f"{count} streams to be open")


@pytest.mark.parametrize("how", ["revoked", "rotated away"])
async def test_every_stream_ends_with_its_token_and_nobody_elses_does(locked: Locked, how: str) -> None:
    text, token_id = await token_of(locked, ["read"])
    who = await locked.holder(text)
    async with listening((await locked.person("read")).http, "/v1/stream") as other:
        reading = [asyncio.create_task(read_to_the_end(who.http, path, params)) for path, params in STREAMS]
        await all_open(locked, len(STREAMS) + 1)
        if how == "revoked":
            assert (await locked.operator.http.delete(f"/v1/tokens/{token_id}")).status_code == 200
        else:
            rotated = await locked.operator.http.post(f"/v1/tokens/{token_id}/rotate", json={"graceSeconds": 0})
            assert rotated.status_code == 200, rotated.text
        # Each ends as a whole answer: no reader is told of a broken connection.
        for task in reading:
            await ended(task)
        await all_open(locked, 1)
        await locked.operator.events({"type": "note", "sessionId": "later"})
        await other.until("later")
    assert (await who.http.get("/v1/sessions")).status_code == 401


async def test_a_rotation_with_grace_ends_nothing(locked: Locked) -> None:
    text, token_id = await token_of(locked, ["read"])
    who = await locked.holder(text)
    async with listening(who.http, "/v1/stream") as heard:
        await locked.operator.http.post(f"/v1/tokens/{token_id}/rotate", json={"graceSeconds": 600})
        await locked.operator.events({"type": "note", "sessionId": "later"})
        await heard.until("later")


async def test_a_stream_by_ticket_ends_with_the_token_it_was_got_with(locked: Locked) -> None:
    text, token_id = await token_of(locked, ["read"])
    ticket = (await (await locked.holder(text)).http.post("/v1/tickets")).json()["ticket"]
    nobody = await locked.holder("")
    reading = asyncio.create_task(read_to_the_end(nobody.http, "/v1/stream", {"ticket": ticket}))
    await all_open(locked, 1)
    await locked.operator.http.delete(f"/v1/tokens/{token_id}")
    await ended(reading)


async def test_a_call_that_waits_and_a_post_that_goes_on_end_too(locked: Locked) -> None:
    text, token_id = await token_of(locked, ["ingest", "read"])
    who = await locked.holder(text)
    posted = asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        yield b'{"choices":[]}\n'
        posted.set()
        # A client that sends hears of an answer once it sends more.
        while True:
            await asyncio.sleep(0.05)
            yield b"\n"

    async def post() -> int:
        return (await who.http.post("/stream/q1", content=lines())).status_code

    waiting = asyncio.create_task(
        who.http.post("/mcp", json=call("ask_question", {"text": "?", "waitSeconds": 50}), headers=MCP)
    )
    posting = asyncio.create_task(post())

    async def both_are_there() -> bool:
        events = (await locked.operator.get("/v1/events"))["items"]
        return {"question.asked", "llm.control"} <= {event["type"] for event in events}

    await until(both_are_there)
    await locked.operator.http.delete(f"/v1/tokens/{token_id}")
    with contextlib.suppress(httpx.HTTPError):
        assert await ended(posting) == 401
    with contextlib.suppress(httpx.HTTPError):
        await ended(waiting)


# -- a token that nobody here revokes: the gate looks after it -------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000_000_000_000

    def __call__(self) -> int:
        return self.now


class Door:
    """A gate in front of one endless stream."""

    def __init__(self, gate: Gate) -> None:
        async def endless(_request: Any) -> StreamingResponse:
            async def body() -> AsyncIterator[bytes]:
                yield b": here\n\n"
                await asyncio.Event().wait()

            return StreamingResponse(body(), media_type="text/event-stream")

        self.app = Starlette(routes=[Route("/v1/stream", endless)])
        self.app.state.gate = gate
        self.guarded = Guarded(self.app)

    async def read(self, token: str) -> list[dict[str, Any]]:
        """All that is sent, to the end."""
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "app": self.app,
            "method": "GET",
            "path": "/v1/stream",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {token}".encode())],
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "state": {},
        }
        await self.guarded(scope, receive, send)  # type: ignore[arg-type]
        return sent


async def made(gate: Gate, **more: Any) -> str:
    token = StoredToken(
        id="", name="n", hash=b"", permissions=frozenset({"read"}), namespaces=None, created_at=0, **more
    )
    return await gate.tokens.create(token)


async def test_a_token_that_expires_ends_its_streams(api: Api) -> None:
    clock = Clock()
    gate = Gate(TokenStore(api.services.database), enabled=True, clock=clock, looked_after_seconds=0.01)
    reading = asyncio.create_task(Door(gate).read(await made(gate, expires_at=clock.now + 1_000)))

    async def is_open() -> bool:
        return len(gate.visits) == 1

    await until(is_open)
    clock.now += 1_000
    sent = await ended(reading)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body", "http.response.body"]
    assert (sent[-1]["body"], sent[-1]["more_body"]) == (b"", False)
    assert len(gate.visits) == 0
    await gate.close()


async def test_a_token_that_another_replica_revoked_ends_its_streams(api: Api) -> None:
    """As soon as this one has forgotten what it knew of it."""
    monotonic = [0]
    store = TokenStore(api.services.database)
    gate = Gate(store, enabled=True, looked_after_seconds=0.01, monotonic=lambda: monotonic[0])
    text = await made(gate)
    reading = asyncio.create_task(Door(gate).read(text))

    async def is_open() -> bool:
        return len(gate.visits) == 1

    await until(is_open)
    await Gate(store, enabled=True).tokens.revoke(text.split("_")[1])
    monotonic[0] = 10_000_000_001
    await ended(reading)
    await gate.close()


async def test_one_token_is_asked_after_once_for_all_of_its_streams(api: Api) -> None:
    asked = []

    class Counting:
        async def verify(self, token: str) -> Grant:
            asked.append(token)
            return Grant(name="n", permissions=frozenset({"read"}), namespaces=None)

    gate = Gate(TokenStore(api.services.database), enabled=True, verifiers=(Counting(),), looked_after_seconds=3600)
    door = Door(gate)
    reading = [asyncio.create_task(door.read("theirs")) for _ in range(50)]

    async def all_are_open() -> bool:
        return len(gate.visits) == 50

    await until(all_are_open)
    asked.clear()
    await gate.visits.look_after()
    assert asked == ["theirs"]
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    await gate.close()


async def test_a_token_of_an_issuer_that_allows_something_else_by_now_ends_its_streams(api: Api) -> None:
    allowed: list[Grant | Exception] = [Grant(name="n", permissions=frozenset({"read"}), namespaces=frozenset({"a"}))]

    class Changing:
        async def verify(self, _token: str) -> Grant:
            if isinstance(allowed[0], Exception):
                raise allowed[0]
            return allowed[0]

    gate = Gate(TokenStore(api.services.database), enabled=True, verifiers=(Changing(),), looked_after_seconds=3600)
    reading = asyncio.create_task(Door(gate).read("theirs"))

    async def is_open() -> bool:
        return len(gate.visits) == 1

    await until(is_open)
    before = allowed[0]
    assert isinstance(before, Grant)
    # Who cannot be asked has said nothing.
    allowed[0] = VerifierUnavailable("down")
    await gate.visits.look_after()
    await asyncio.sleep(0)
    assert not reading.done()
    allowed[0] = Grant(name="n", permissions=frozenset({"read"}), namespaces=frozenset({"b"}))
    await gate.visits.look_after()
    await ended(reading)
    await gate.close()
