"""Server-sent events: where a stream starts, its frames, and the loop that writes them.

Every `/v1` stream begins with `event: hello`, which tells the reader where it really starts, and whether
that is where it asked to. Frames of events carry `id: <position>`; a reader that comes back with it in
`Last-Event-ID` (or `?after=`) goes on behind it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import orjson
from sse_starlette import EventSourceResponse
from starlette.requests import Request

from ark_broker.access.grants import Grant
from ark_broker.api.services import Services
from ark_broker.log.confine import meant, unqualified
from ark_broker.log.read import Head
from ark_broker.log.scope import QUALIFIED, Scope
from ark_broker.log.tail import Burst, Follower, Format, Item
from ark_broker.model import Event
from ark_broker.model.errors import BadInput

KEEP_ALIVE: Final = b": keep-alive\n\n"
DONE: Final = b"data: [DONE]\n\n"
#: Milliseconds that an EventSource waits before it comes back.
_RETRY_MS: Final = 1_000
#: After a shutdown readers come back over this many milliseconds, not all at once.
_RETRY_SPREAD_MS: Final = 3_000
#: Ends of lines to Unicode (LINE SEPARATOR, PARAGRAPH SEPARATOR, NEXT LINE), and how JSON may write them. In UTF-8 no
#: other character has these bytes in it, and in JSON they stand in strings only.
_LINE_ENDS: Final = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
#: Seconds.
_CLOCK_GRAIN: Final = 0.002
_MAX_CURSOR_DIGITS: Final = 19
_MAX_LOG_ID: Final = 64


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins, and whether the reader thereby sees everything after its cursor."""

    after: int
    recovered: bool = True
    reason: str | None = None


def frame(data: bytes, *, position: int | None = None, event: str | None = None) -> bytes:
    """One SSE frame of JSON, on a single line: also for readers who take more than CR and LF for its end."""
    if b"\r" in data or b"\n" in data:
        # A producer's own white space: in a string of JSON both are escaped.
        data = data.replace(b"\r", b" ").replace(b"\n", b" ")
    if not data.isascii():
        for raw, escaped in _LINE_ENDS:
            data = data.replace(raw, escaped)
    lines = [b"id: %d\n" % position] if position is not None else []
    if event is not None:
        lines.append(b"event: " + event.encode() + b"\n")
    return b"".join([*lines, b"data: ", data, b"\n\n"])


def hello(head: Head, start: Start, extra: Mapping[str, object] | None = None) -> bytes:
    """The first frame of a stream."""
    content: dict[str, object] = {
        **(extra or {}),
        "log": head.log_id,
        "from": start.after,
        "head": head.seq,
        "recovered": start.recovered,
    }
    if start.reason is not None:
        content["reason"] = start.reason
    return b"retry: %d\n" % _RETRY_MS + frame(orjson.dumps(content), event="hello")


def goodbye() -> bytes:
    """The last frame before a shutdown: come back soon, not all of you together."""
    retry = _RETRY_MS + random.randrange(_RETRY_SPREAD_MS)
    return b"retry: %d\n" % retry + frame(b'{"reason":"shutdown"}', event="reconnect")


def where_to_start(request: Request, head: Head, *, gone_at: int = 0, default: str = "start") -> Start:
    """Start position from `Last-Event-ID`, `?after=`, or `?from=start|now`. Raises BadInput for garbage.

    A cursor of another log (`?log=` or `<log>:<position>` says whose it is, or it lies beyond this log's
    end) starts from the beginning: the reader has seen nothing of this one.
    """
    query = request.query_params
    # An EventSource that has seen no id yet may send the header empty; an empty parameter is a mistake.
    cursor = request.headers.get("last-event-id") or query.get("after", query.get("last_event_id"))
    log_id = query.get("log")
    if cursor is None:
        origin = query.get("from", default)
        if origin not in {"start", "now"}:
            raise BadInput("must be start or now", "from")
        return Start(head.seq if origin == "now" else gone_at)
    own, separator, digits = cursor.rpartition(":")
    if separator:
        log_id = own
    if len(own) > _MAX_LOG_ID or not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_CURSOR_DIGITS):
        raise BadInput("must be a position: the `id:` of a frame", "after")
    after = int(digits)
    if log_id is not None and log_id != head.log_id:
        return Start(gone_at, recovered=False, reason="other-log")
    if after > head.seq:
        return Start(gone_at, recovered=False, reason="future")
    if 0 < after < head.floor:
        return Start(after, recovered=False, reason="retention")
    if 0 < after < gone_at:
        return Start(gone_at, recovered=False, reason="deleted")
    return Start(max(after, gone_at))


def seen_by(grant: Grant, frames: Format) -> Format:
    """The format, for somebody who sees some namespaces only. Readers of the same ones share the bytes."""
    if grant.namespaces is None:
        return frames

    key = f"{frames.key}\x1f{','.join(sorted(grant.namespaces))}"
    return replace(frames, key=key, admits=lambda item: grant.sees(item.namespace), seen=_unqualified)


def _unqualified(item: Item) -> Item:
    return unqualified(item) if isinstance(item, Event) else item.unqualified()


async def as_scope(services: Services, scope: Scope) -> Scope:
    """The stream, for somebody who sees some namespaces only: by the name that it has there."""
    namespaces = services.grant.namespaces
    if namespaces is None or not scope.name or scope.kind not in QUALIFIED:
        return scope
    name, within = meant(scope.name, tuple(sorted(namespaces)))
    if len(within) > 1 and scope.kind != "question":
        # Of several that they have, it is the one that they would look up.
        row = await services.reader.session(scope.name)
        within = within if row is None else (row.summary.namespace or "",)
    return replace(scope, name=name, within=within)


#: Looks at a burst that is about to be written; returns what to write instead of its data, and whether to end.
Inspect = Callable[[Burst], tuple[bytes, bool]]


@dataclass(slots=True)
class LiveStream:
    """One reader's stream: greeting, then bursts as they come, comments when nothing does."""

    services: Services
    scope: Scope
    format: Format
    after: int
    greeting: bytes
    inspect: Inspect | None = None
    #: Called when nothing came for `heartbeat_seconds`; returns what to write, and whether to end.
    on_silence: Callable[[float], tuple[bytes, bool]] | None = None
    #: Seconds of silence after which `on_silence` is asked, where that is sooner than the heartbeat.
    patience: Callable[[], float] | None = None
    farewell: bytes | None = None

    def response(self) -> EventSourceResponse:
        """The response that writes the stream."""
        return EventSourceResponse(
            self._frames(),
            headers={"Cache-Control": "no-cache"},
            ping=0,
            sep="\n",
            # Ours end by themselves, on the same signal; the library only has to wait for them.
            shutdown_event=None,
            shutdown_grace_period=self.services.settings.shutdown_seconds,
        )

    async def _frames(self) -> AsyncIterator[bytes]:
        services = self.services
        services.metrics.subscribers.inc()
        try:
            scope = await as_scope(services, self.scope)
            with services.tail.follow(scope, seen_by(services.grant, self.format), self.after) as follower:
                yield self.greeting
                async for data in self._bursts(follower):
                    yield data
            if services.tail.closing.is_set():
                yield goodbye() if self.farewell is None else self.farewell
        finally:
            services.metrics.subscribers.dec()

    async def _bursts(self, follower: Follower) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        silent_since = spoken_at = written_at = clock()
        while not self.services.tail.closing.is_set():
            patience = self._patience()
            burst = await follower.next(max(0.0, spoken_at + patience - clock()))
            if burst is None:
                if clock() < spoken_at + patience:
                    continue
                # A clock may wake us a moment before the time that it was asked for.
                data, over = self._silence(clock() - silent_since + _CLOCK_GRAIN)
                spoken_at = clock()
            else:
                data, over = (burst.data, False) if self.inspect is None else self.inspect(burst)
                if burst.items:
                    silent_since = spoken_at = clock()
                if not data and self.on_silence is None and clock() - written_at >= self._patience():
                    # Much happens, and nothing of it is for this reader: it has to hear that the stream lives.
                    data = KEEP_ALIVE
                # A reader that does not read is held up at the next line, and holds nothing but what it is to get.
                del burst
            if data:
                written_at = clock()
                yield data
            if over:
                return

    def _patience(self) -> float:
        """Seconds of silence after which something is said."""
        heartbeat = self.services.settings.heartbeat_seconds
        return heartbeat if self.patience is None else min(heartbeat, self.patience())

    def _silence(self, seconds: float) -> tuple[bytes, bool]:
        if self.services.tail.closing.is_set():
            return b"", True
        if self.on_silence is not None:
            return self.on_silence(seconds)
        return KEEP_ALIVE, False
