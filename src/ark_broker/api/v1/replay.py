"""Replay: what a live stream of a query or a session gave, again, at the pace at which it came.

A replay shows what was stored when it was asked for, and ends. It keeps nothing between two requests: whoever pauses
goes away, and comes back with the `id:` of the last frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Query, Request
from sse_starlette import EventSourceResponse
from starlette.responses import Response

from ark_broker.api.paths import path_name
from ark_broker.api.services import Deps, Services
from ark_broker.api.sse import DONE, KEEP_ALIVE, Start, frame, goodbye, hello, where_to_start
from ark_broker.api.v1.events import Types
from ark_broker.api.v1.frames import consumer_format, event_format
from ark_broker.api.v1.queries import _last_position, resolve
from ark_broker.api.v1.sessions import Name
from ark_broker.log.database import is_unavailable
from ark_broker.log.read import Head, Stride
from ark_broker.log.scope import Scope
from ark_broker.log.tail import WRITE_BYTES, Format
from ark_broker.model import MAX_INT64, Event
from ark_broker.model.errors import BadInput, NotFound

router = APIRouter(tags=["replay"])

#: Seconds that one gap lasts at the recorded pace, at most: a query may have waited for a person overnight.
LONGEST_GAP: Final = 10.0
#: Seconds between tries while the database cannot serve.
_DATABASE_AWAY: Final = 0.5
_NANOSECONDS: Final = 1_000_000_000

SpeedName = Literal["1", "2", "10", "max"]
#: How often faster than recorded; None: without pauses.
Speed = float | None
#: Returns after so many seconds, or as soon as the event is set.
Wait = Callable[[asyncio.Event, float], Awaitable[None]]


async def wait_for(closing: asyncio.Event, seconds: float) -> None:
    """The real `Wait`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await closing.wait()


class Pace:
    """When each event of a stream is due, in seconds of the clock that the times given to `due` are from.

    An event counts as having happened at its end, for then it is reported; never after the broker stored it, whatever
    its producer's clock said. Events that came later than their time, as spans do, take no time themselves.
    """

    def __init__(self, speed: Speed, longest_gap: float = LONGEST_GAP) -> None:
        self._speed = speed
        self._longest = longest_gap / (speed or 1)
        self._reached: int | None = None
        self._due = 0.0

    def due(self, event: Event, now: float) -> float:
        """When the next event of the stream is to be shown; `now` or before: at once."""
        if self._speed is None:
            return now
        happened = min(event.end, event.recorded_at or MAX_INT64)
        if self._reached is None:
            self._reached, self._due = happened, now
        gap = max(0, happened - self._reached) / _NANOSECONDS / self._speed
        self._reached = max(self._reached, happened)
        # Who reads slowly, or was held up, does not get what he missed all at once.
        self._due = max(self._due, now - self._longest) + min(gap, self._longest)
        return self._due


@dataclass(slots=True)
class Replay:
    """One reader's replay of the stream's events in positions (after, until]."""

    services: Services
    scope: Scope
    format: Format
    after: int
    until: int
    greeting: bytes
    #: The last frame, unless the process goes away before.
    ending: bytes
    speed: Speed = None
    #: Nanoseconds since the epoch: what happened before the first event of that time or later is passed over.
    begin_at: int = 0
    wait: Wait = wait_for
    clock: Callable[[], float] = time.monotonic
    _spoken_at: float = 0.0

    def response(self) -> EventSourceResponse:
        """The response that writes the replay."""
        return EventSourceResponse(
            self.frames(),
            headers={"Cache-Control": "no-cache"},
            ping=0,
            sep="\n",
            # It ends by itself, on the same signal; the library only has to wait for it.
            shutdown_event=None,
            shutdown_grace_period=self.services.settings.shutdown_seconds,
        )

    async def frames(self) -> AsyncIterator[bytes]:
        """Greeting, frames and comments as they are due, and the end."""
        services = self.services
        services.metrics.subscribers.inc()
        try:
            yield self.greeting
            self._spoken_at = self.clock()
            async for data in self._played():
                yield data
                self._spoken_at = self.clock()
            yield goodbye() if services.tail.closing.is_set() else self.ending
        finally:
            services.metrics.subscribers.dec()

    async def _played(self) -> AsyncIterator[bytes]:
        pace = Pace(self.speed)
        closing = self.services.tail.closing
        async for batch in self._pages():
            held: list[bytes] = []
            for event, data in self._shown(batch):
                due = pace.due(event, self.clock())
                if due > self.clock() and held:
                    yield b"".join(held)
                    held = []
                async for comment in self._until(due):
                    yield comment
                if closing.is_set():
                    return
                held.append(data)
            if held:
                yield b"".join(held)
            elif self.clock() - self._spoken_at >= self.services.settings.heartbeat_seconds:
                # A filter may pass over much.
                yield KEEP_ALIVE

    async def _until(self, due: float) -> AsyncIterator[bytes]:
        """Wait until then; meanwhile comments keep proxies awake."""
        heartbeat = self.services.settings.heartbeat_seconds
        closing = self.services.tail.closing
        while (now := self.clock()) < due and not closing.is_set():
            silence_ends = self._spoken_at + heartbeat
            await self.wait(closing, max(0.0, min(due, silence_ends) - now))
            if silence_ends < due and self.clock() >= silence_ends and not closing.is_set():
                yield KEEP_ALIVE

    def _shown(self, batch: Sequence[Event]) -> Iterator[tuple[Event, bytes]]:
        """The events that the format shows, with their frames."""
        for event in batch:
            if event.time < self.begin_at:
                continue
            data = self.format.encode(event, self.scope.position(event) or 0)
            if data:
                # From here on everything, whatever clock its producer has.
                self.begin_at = 0
                yield event, data

    async def _pages(self) -> AsyncIterator[list[Event]]:
        """The stream's events, about as many at once as make one write. No connection is held between two pages."""
        closing = self.services.tail.closing
        stride = Stride(WRITE_BYTES)
        after, more = self.after, True
        while more and after < self.until and not closing.is_set():
            try:
                page = await self.services.reader.page(self.scope, after, stride.rows)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                # The reader waits with us for the database; closing on it would only bring it back sooner.
                await self.wait(closing, _DATABASE_AWAY)
                yield []
                continue
            stride.took(page.events)
            yield [event for event in page.events if (self.scope.position(event) or 0) <= self.until]
            after, more = page.next, page.more


_SPEED: Final = Query(
    description="How often faster than recorded; `max`: without pauses. A gap of more than 10 seconds counts as 10."
)
_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "Go on behind the frame with this `id`.",
        "schema": {"type": "string"},
    },
    {
        "name": "after",
        "in": "query",
        "description": "The same, where no header can be sent: a position, or `<log>:<position>`.",
        "schema": {"type": "string"},
    },
    {
        "name": "from",
        "in": "query",
        "description": "Without a cursor: `start`, or a time (RFC 3339), with the first event of which it begins.",
        "schema": {"type": "string", "default": "start"},
    },
]
_HELLO: Final = (
    'retry: 1000\nevent: hello\ndata: {"speed":"2","until":42,"log":"2d1c…","from":0,"recovered":true,…}\n\n'
)


def _documented(example: str) -> dict[str, Any]:
    answer = {"200": {"content": {"text/event-stream": {"example": _HELLO + example}}}}
    return {"parameters": _PARAMETERS, "responses": answer}


@router.get(
    "/v1/queries/{query}/replay",
    summary="Play a query again, as its consumer saw it (SSE)",
    description="The frames of `GET /v1/queries/{query}/stream` byte for byte, with the pauses that were between them. "
    "A query that is over ends with `data: [DONE]`; of one that is not, what was stored is shown, and then "
    "`event: end`: follow its stream with `?after=<last>`.",
    response_class=Response,
    openapi_extra=_documented('id: 2\ndata: {"choices":[{"delta":{"content":"Hello"}}]}\n\ndata: [DONE]\n\n'),
)
async def replay_query(
    request: Request,
    query: str,
    services: Deps,
    namespace: Name = None,
    session: Name = None,
    events: Annotated[bool, Query(description="Whether to write events between the chunks.")] = True,
    speed: Annotated[SpeedName, _SPEED] = "1",
) -> Response:
    query = path_name(query, "query")
    found = await resolve(services, query, namespace, session)
    name, session_id = (query, session) if found is None else (found[0].name, found[0].session_id)
    scope = Scope("query", name)
    head = await services.reader.head()
    start, begin_at = _start(request, head, 0)
    ended_at = await _last_position(services, name, found)
    until = ended_at or await services.reader.last_position(scope)
    shape: dict[str, object] = {"speed": speed, "until": until}
    if not events:
        # To an OpenAI client the greeting is a chunk without choices, as some services send one first.
        shape = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": []} | shape
    return Replay(
        services,
        scope,
        consumer_format(events=events, session_id=session_id, namespace=namespace),
        start.after,
        until,
        hello(head, start, shape),
        DONE if ended_at else _end(until),
        _speed(speed),
        begin_at,
    ).response()


@router.get(
    "/v1/sessions/{session_id}/replay",
    summary="Play a session again (SSE)",
    description="The frames of `GET /v1/sessions/{id}/stream` byte for byte, with the pauses that were between them. "
    "It ends with `event: end`: for what came since, follow the session's stream with `?after=<last>`.",
    response_class=Response,
    openapi_extra=_documented('id: 1\ndata: {"seq":1,"type":"query.started",…}\n\nevent: end\ndata: {"last":42}\n\n'),
)
async def replay_session(
    request: Request,
    session_id: str,
    services: Deps,
    types: Types = None,
    speed: Annotated[SpeedName, _SPEED] = "1",
) -> Response:
    session_id = path_name(session_id, "session_id")
    head = await services.reader.head()
    gone_at = await services.reader.gone_at(session_id)
    if await services.reader.session(session_id) is None:
        raise NotFound(f"no session {session_id!r}")
    scope = Scope("session", session_id)
    start, begin_at = _start(request, head, gone_at)
    until = await services.reader.last_position(scope)
    return Replay(
        services,
        scope,
        event_format(types or ()),
        start.after,
        until,
        hello(head, start, {"speed": speed, "until": until}),
        _end(until),
        _speed(speed),
        begin_at,
    ).response()


def _end(last: int) -> bytes:
    """The last frame where there is no `[DONE]`: tells an EventSource, which would come back, that this was all."""
    return frame(orjson.dumps({"last": last}), event="end")


def _speed(name: SpeedName) -> Speed:
    return None if name == "max" else float(name)


def _start(request: Request, head: Head, gone_at: int) -> tuple[Start, int]:
    """Where to start: behind a cursor, or at a time (ns). Who comes back has a cursor, and that goes before a time."""
    query = request.query_params
    origin = query.get("from", "start")
    # An EventSource that has seen no id yet may send the header empty.
    has_cursor = bool(request.headers.get("last-event-id")) or "after" in query or "last_event_id" in query
    if has_cursor or origin in ("start", "now"):
        return where_to_start(request, head, gone_at=gone_at), 0
    try:
        moment = datetime.fromisoformat(origin)
    except ValueError:
        raise BadInput("must be start, or an RFC 3339 time", "from") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return Start(gone_at), max(0, microseconds * 1_000)
