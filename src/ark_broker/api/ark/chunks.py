"""Completion chunks in: `POST /stream/{query}` (NDJSON, as it arrives) and `POST /stream/{query}/complete`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from ark_broker.api.intake import body_chunks
from ark_broker.api.paths import json_response
from ark_broker.api.services import Services
from ark_broker.log.read import StreamEnd
from ark_broker.model import Event, event_id
from ark_broker.model.errors import BadInput, NotFound, Overloaded
from ark_broker.model.vocabulary import STREAM_COMPLETED
from ark_broker.receive.chunks import ChunkReader, LineSplitter, completion_event
from ark_broker.receive.inflate import Decoder, decoder

_log = structlog.get_logger(__name__)

#: Lines handed to the log at once, at most: what one read brings is more only for a producer that is far ahead.
_BATCH_LINES: Final = 1_000
#: How long a completion waits for the end of the stream's POST.
_LAST_CHUNKS_SECONDS: Final = 1.0
#: A POST that is shorter has no completion on another replica that overtook it.
_SURELY_ALONE_SECONDS: Final = 0.5


@dataclass(slots=True)
class _Ingest:
    """What one POST has brought so far."""

    received: int = 0
    rejected: int = 0
    first_error: str | None = None

    def reject(self, line_number: int, error: BadInput) -> None:
        self.rejected += 1
        if self.first_error is None:
            self.first_error = f"line {line_number}: {error}"

    def answer(self, query: str) -> dict[str, object]:
        found: dict[str, object] = {
            "status": "stream_processed",
            "query": query,
            "chunks_received": self.received,
        }
        if self.rejected:
            found |= {"chunks_rejected": self.rejected, "error": self.first_error}
        return found


def monotonic_clock() -> Callable[[], int]:
    """Wall-clock nanoseconds that never repeat or step back: chunks of one stream keep their order in `time`."""
    last = 0

    def now() -> int:
        nonlocal last
        last = max(last + 1, time.time_ns())
        return last

    return now


async def ingest(request: Request, services: Services, query: str) -> Response:
    """Store each line as soon as it is here; answer when the body ends and all of it is committed.

    The connection may stay open for hours. One batch is committed at a time: what arrives meanwhile waits in
    the socket, which is how a producer that is too fast is slowed down.
    """
    counts = _Ingest()
    connection = request.headers.get("idempotency-key") or uuid.uuid4().hex
    reader = ChunkReader(query, query, f"{query}\n{connection}", monotonic_clock())
    began_at, began = services.tail.head, time.monotonic()
    try:
        with services.streams.open(services.grant, query) as stream:
            async for lines in _line_batches(request.receive, request.headers, services):
                events = _read(reader, lines, counts)
                if events:
                    await append_patiently(services, events)
        if stream.completed or time.monotonic() - began > _SURELY_ALONE_SECONDS:
            await _complete_again(services, query, began_at)
    except ClientDisconnect:
        _log.info("chunk producer went away", query=query, chunks=counts.received)
        return Response(status_code=400)
    finally:
        if counts.rejected:
            services.metrics.refused.labels("chunks", "invalid").inc(counts.rejected)
    return json_response(counts.answer(query))


def _read(reader: ChunkReader, lines: Sequence[bytes], counts: _Ingest) -> list[Event]:
    events = []
    for line in lines:
        try:
            event = reader.read(line)
        except BadInput as error:
            counts.reject(reader.line_number, error)
            continue
        if line.strip():
            counts.received += 1
        if event is not None:
            events.append(event)
    return events


async def _line_batches(receive: Receive, headers: Headers, services: Services) -> AsyncIterator[Sequence[bytes]]:
    """Complete lines as they come in; the last one counts without its newline too."""
    limit = services.settings.max_line_bytes
    splitter = LineSplitter(limit)
    encoding = headers.get("content-encoding")
    # A stream has no size of its own to limit, only its lines have.
    inflate: Decoder = decoder(encoding, 2**62)
    async for chunk in body_chunks(receive):
        for piece in inflate.pieces(chunk):
            lines = splitter.feed(piece)
            for start in range(0, len(lines), _BATCH_LINES):
                yield lines[start : start + _BATCH_LINES]
    rest = splitter.feed(inflate.finish())
    last = splitter.finish()
    yield [*rest, last] if last is not None else rest


async def append_patiently(services: Services, events: Sequence[Event]) -> None:
    """Commit; where the database is away or the queue full, try again for a while.

    Ark's executor fails the whole query when its stream is refused, so a stream waits longer than a request
    that its sender would repeat. Chunks have their ids already: trying again stores none of them twice.
    """
    deadline = time.monotonic() + services.settings.chunk_retry_seconds
    delay = 0.05
    while True:
        try:
            await services.append("chunks", events)
        except Overloaded:
            if time.monotonic() + delay > deadline or services.readiness.draining:
                raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)
        else:
            return


async def _complete_again(services: Services, query: str, after: int) -> None:
    """Where the completion came before the last chunks of its stream, here or on another replica, mark that end too."""
    if await services.reader.completed_since(query, after):
        await _mark(services, query, await services.reader.end_of_stream(query))


async def complete(services: Services, query: str) -> Response:
    """Mark the stream complete, once: also where no chunk ever came, so that whoever waits for one ends.

    Chunks that are on their way here get a moment to arrive first.
    """
    await services.streams.ended(services.grant, query, _LAST_CHUNKS_SECONDS)
    end = await services.reader.end_of_stream(query)
    if end is None and services.settings.ark_compat != "c":
        raise NotFound("Stream not found")
    status = "completed" if await _mark(services, query, end) else "already_completed"
    return json_response({"status": status, "query": query})


async def _mark(services: Services, query: str, end: StreamEnd | None) -> bool:
    """Have a marker at the stream's end; False where there is one."""
    if end is not None and end.completed:
        return False
    marker = completion_event(query, query, time.time_ns())
    # Two calls at once make one marker: its id is that of the point in the stream that it ends.
    marker.id = event_id(STREAM_COMPLETED, query, end.seq if end is not None else 0)
    await append_patiently(services, [marker])
    services.streams.completed(services.grant, query)
    return True
