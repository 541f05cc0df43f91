"""How Ark's controller and executor, which are written in Go, speak to the broker.

`Emitter` for events, `Memory` for messages, `ChunkWriter` for one query's chunks, `Finalizer` for what a deleted query
leaves behind.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_plus

import httpx

#: Events that may be on their way at once; another one is dropped.
_MOST_IN_FLIGHT: Final = 64
_EMIT_TIMEOUT: Final = 5.0
_MEMORY_TIMEOUT: Final = 30.0
_COMPLETE_TIMEOUT: Final = 10.0
_MOST_PAGES: Final = 1_000
_JSON: Final = {"Content-Type": "application/json"}
_KEEP_ALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *([(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)] if hasattr(socket, "TCP_KEEPIDLE") else []),
]


@dataclass
class Query:
    """The Query resource, as far as the broker hears of it."""

    name: str
    uid: str
    session: str
    agent: str = "weather"
    namespace: str = "default"
    #: Empty until one is made.
    conversation: str = ""
    #: `spec.ttl` in seconds; None for none.
    ttl: int | None = None

    def ark(self) -> dict[str, str]:
        """The `ark` member of its chunks."""
        return {"query": self.uid, "session": self.session, "target": f"agent/{self.agent}", "agent": self.agent}


def now() -> str:
    """RFC3339Nano."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


@dataclass
class Emitter:
    """Posts operation events, each on its own; nobody waits for them, and none is sent twice."""

    broker: str
    #: Bodies of those that the broker answered with 201.
    accepted: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=_EMIT_TIMEOUT, verify=False)
        self._on_their_way: set[asyncio.Task[None]] = set()

    def emit(self, query: Query, reason: str, message: str = "", **data: str) -> None:
        """Send it, or drop it where too many are on their way."""
        if len(self._on_their_way) >= _MOST_IN_FLIGHT:
            self.dropped += 1
            return
        task = asyncio.create_task(self._post(event_body(query, reason, message, data)))
        self._on_their_way.add(task)
        task.add_done_callback(self._on_their_way.discard)

    async def _post(self, body: dict[str, Any]) -> None:
        try:
            response = await self._client.post(f"{self.broker}/events", content=json.dumps(body), headers=_JSON)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        if response.status_code == 201:
            self.accepted.append(body)
        else:
            self.failures.append(f"{response.status_code} {response.text[:500]}")

    async def drain(self) -> None:
        """Wait until nothing is on its way."""
        while self._on_their_way:
            await asyncio.wait(self._on_their_way)

    async def close(self) -> None:
        await self.drain()
        await self._client.aclose()


def event_body(query: Query, reason: str, message: str, extra: dict[str, str]) -> dict[str, Any]:
    """An operation event; every value of `data` is a string."""
    time = now()
    data = {
        "queryId": query.uid,
        "queryName": query.name,
        "queryNamespace": query.namespace,
        "sessionId": query.session,
        "message": message,
        "timestamp": time,
        **({"conversationId": query.conversation} if query.conversation else {}),
        **({} if reason.endswith("Start") else {"durationMs": "12.34"}),
        **extra,
    }
    return {
        "timestamp": time,
        "eventType": "Warning" if reason.endswith("Error") else "Normal",
        "reason": reason,
        "message": f"{message} (timestamp: {time})",
        **({} if query.ttl is None else {"ttl_seconds": query.ttl}),
        "data": data,
    }


class CannotReadHistoryError(Exception):
    """The conversation so far could not be decoded; the executor goes on without it."""


class Memory:
    """Messages of conversations. No call is repeated."""

    def __init__(self, broker: str, headers: dict[str, str] | None = None) -> None:
        self._broker = broker
        # What `spec.headers` of the Memory resource adds to calls about messages.
        self._headers = {"User-Agent": "ark-memory-client/1.0"}
        self._message_headers = headers or {}

    async def create_conversation(self) -> str:
        """A new conversation's id."""
        response = await self._request("POST", "/conversations", headers=_JSON)
        found: str = response.json()["conversation_id"]
        return found

    async def history(self, conversation: str, limit: int = 100) -> list[Any]:
        """All messages, page by page. Raises CannotReadHistoryError where the cursor does not advance."""
        messages: list[Any] = []
        params = {"conversation_id": conversation, "limit": str(limit)}
        for _ in range(_MOST_PAGES):
            page = (await self._request("GET", "/messages", params=params, headers=self._message_headers)).json()
            messages += [item["message"] for item in page["items"]]
            if not page["hasMore"]:
                return messages
            following = page.get("nextCursor")
            if not isinstance(following, int) or following <= int(params.get("cursor", "-1")):
                raise CannotReadHistoryError(f"nextCursor {following!r} after {params.get('cursor')!r}")
            params["cursor"] = str(following)
        raise CannotReadHistoryError(f"more than {_MOST_PAGES} pages")

    async def first_page(self, conversation: str) -> list[Any]:
        """As 0.1.67 reads: one page, whose `nextCursor` must be a string where there is one."""
        params = {"conversation_id": conversation}
        page = (await self._request("GET", "/messages", params=params, headers=self._message_headers)).json()
        if not isinstance(page.get("nextCursor", ""), str):
            raise CannotReadHistoryError("json: cannot unmarshal number into Go struct field nextCursor of type string")
        return [item["message"] for item in page["items"]]

    async def add(self, query: Query, messages: list[dict[str, Any]]) -> None:
        """Store messages of the query; nothing is sent where there are none."""
        if not messages:
            return
        body: dict[str, Any] = {
            "conversation_id": query.conversation,
            "query_id": query.name,
            "messages": messages,
        }
        if query.ttl is not None:
            body["ttl_seconds"] = query.ttl
        await self._request("POST", "/messages", content=json.dumps(body), headers=_JSON | self._message_headers)

    async def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, which must be any 2xx."""
        async with httpx.AsyncClient(timeout=_MEMORY_TIMEOUT, headers=self._headers, verify=False) as client:
            response = await client.request(method, f"{self._broker}{path}", **request)
            return response.raise_for_status()


class ChunkWriter:
    """One query's chunks: one POST, opened at the first chunk, which stays open as long as the query runs.

    As with a pipe in Go, a write returns when its line has been handed to the connection. `complete` ends the pipe and
    says `/complete` at once: the answer to the POST is not waited for.
    """

    def __init__(self, broker: str, query: str) -> None:
        self._base = f"{broker}/stream/{quote_plus(query)}"
        self._pipe: asyncio.Queue[bytes | None] = asyncio.Queue()
        transport = httpx.AsyncHTTPTransport(socket_options=_KEEP_ALIVE, verify=False)
        self._client = httpx.AsyncClient(timeout=None, transport=transport)  # a query may take hours
        self._post: asyncio.Task[httpx.Response] | None = None
        #: The chunks that were written.
        self.written: list[dict[str, Any]] = []

    async def write(self, chunk: dict[str, Any]) -> None:
        """Send one chunk. Raises RuntimeError once the broker has refused the stream."""
        if self._post is None:
            headers = {"Content-Type": "application/x-ndjson"}
            self._post = asyncio.create_task(self._client.post(self._base, content=self._lines(), headers=headers))
        self._pipe.put_nowait(json.dumps(chunk, ensure_ascii=False).encode() + b"\n")
        taken = asyncio.create_task(self._pipe.join())
        await asyncio.wait({taken, self._post}, return_when=asyncio.FIRST_COMPLETED)
        if not taken.done():
            taken.cancel()
            raise RuntimeError(f"the stream is closed: {self._post}")
        self.written.append(chunk)

    async def _lines(self) -> AsyncIterator[bytes]:
        while (line := await self._pipe.get()) is not None:
            yield line
            # The connection asks for the next when it has this one.
            self._pipe.task_done()

    async def complete(self) -> dict[str, Any]:
        """End the pipe, say `/complete`; then the answers to both: status, body and failure of each."""
        self._pipe.put_nowait(None)
        async with httpx.AsyncClient(timeout=_COMPLETE_TIMEOUT, verify=False) as client:
            completed = await client.post(f"{self._base}/complete", content="{}", headers=_JSON)
        streamed = None if self._post is None else await self._post
        await self._client.aclose()
        for answer in (completed, streamed):
            if answer is not None and answer.status_code not in (200, 202):
                raise RuntimeError(f"refused: {answer.status_code} {answer.text[:500]}")
        return {
            "completed": completed.json(),
            "streamed": None if streamed is None else streamed.json(),
        }


class Finalizer:
    """What the controller calls when a Query is deleted. While any of it is to be tried again, the Query stays."""

    def __init__(self, broker: str) -> None:
        self._broker = broker

    async def run(self, query: Query) -> dict[str, str]:
        """Path → `done`, `skipped` (the broker does not have the route) or `retry`."""
        paths = (
            f"/queries/{quote_plus(query.name)}/messages",
            f"/events/{quote_plus(query.uid)}",
            f"/sessions/queries/{quote_plus(query.name)}",
        )
        headers = {"User-Agent": "ark-controller/1.0"}
        async with httpx.AsyncClient(timeout=_MEMORY_TIMEOUT, headers=headers, verify=False) as client:
            return {path: await self._delete(client, path) for path in paths}

    async def _delete(self, client: httpx.AsyncClient, path: str) -> str:
        try:
            response = await client.delete(f"{self._broker}{path}")
        except httpx.HTTPError:
            return "retry"
        if response.is_success:
            return "done"
        return "skipped" if response.status_code in (404, 405) else "retry"
