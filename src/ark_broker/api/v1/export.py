"""`/v1/sessions/{id}/export`: a session as a file, to keep or to move into another broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from ark_broker.api.paths import path_name
from ark_broker.api.services import Deps, Services
from ark_broker.log.database import is_unavailable
from ark_broker.log.extent import extent
from ark_broker.log.read import Stride
from ark_broker.log.scope import Scope
from ark_broker.log.tail import WRITE_BYTES
from ark_broker.model import Event
from ark_broker.model.errors import NotFound
from ark_broker.model.vocabulary import RESERVED
from ark_broker.receive.otlp.request_lines import request_json
from ark_broker.receive.session_file import event_line, header_line

router = APIRouter(tags=["sessions"])

#: Seconds between tries while the database cannot serve.
_DATABASE_AWAY: Final = 0.5
_NDJSON: Final = "application/x-ndjson"
_EXAMPLE: Final = (
    '{"format":"ark-broker-session","version":1,"session":"session-abc","log":"2d1c…","events":1}\n'
    '{"id":"6f1c0e6cf2f04d5ea4a4b1d2c3e4f506","kind":"event","type":"query.started","time":1705314600000000000,'
    '"sessionId":"session-abc","query":"query-001","body":{"type":"query.started",…}}\n'
)
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {_NDJSON: {"example": _EXAMPLE}}}}

FileFormat = Literal["jsonl", "otlp"]
#: A batch of events as lines; empty for none.
Render = Callable[[Sequence[Event]], bytes]


@router.get(
    "/v1/sessions/{session_id}/export",
    summary="Export a session",
    description="`jsonl`: a header, then an event a line, as it was stored, in the order of the session. "
    "`ark-broker import` takes it into another broker. `otlp`: its spans alone, an OTLP/JSON "
    "`ExportTraceServiceRequest` a line, as the file exporter of OpenTelemetry writes them.",
    response_class=Response,
    responses=_ANSWER,
)
async def export_session(
    session_id: str,
    services: Deps,
    file_format: Annotated[FileFormat, Query(alias="format", description="What the lines are.")] = "jsonl",
) -> Response:
    session_id = path_name(session_id, "session_id")
    gone_at = await services.reader.gone_at(session_id)
    async with services.reader.snapshot() as connection:
        head = await services.reader.head(connection)
        if await services.reader.session(session_id, connection) is None:
            raise NotFound(f"no session {session_id!r}")
        found = await extent(connection, session_id, gone_at)
    if file_format == "otlp":
        lines = _lines(services, Scope("session", session_id, "spans"), gone_at, found.last, _requests)
    else:
        beginning = header_line(session_id, head.log_id, found.count)
        lines = _lines(services, Scope("session", session_id), gone_at, found.last, _events, beginning)
    suffix = ".otlp.jsonl" if file_format == "otlp" else ".jsonl"
    name = quote(f"{session_id}{suffix}", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(lines, media_type=_NDJSON, headers=headers)


def _events(batch: Sequence[Event]) -> bytes:
    # What the broker wrote about its own log is no part of what happened.
    return b"".join(event_line(event) for event in batch if event.type not in RESERVED)


def _requests(batch: Sequence[Event]) -> bytes:
    return request_json(event.body for event in batch) + b"\n" if batch else b""


async def _lines(
    services: Services, scope: Scope, after: int, until: int, render: Render, beginning: bytes = b""
) -> AsyncIterator[bytes]:
    """The stream's events in positions (after, until], a page at a time; no connection is held between two pages."""
    if beginning:
        yield beginning
    stride, more = Stride(WRITE_BYTES), True
    while more and after < until:
        try:
            page = await services.reader.page(scope, after, stride.rows)
        except Exception as error:
            # A file that breaks off is worse than one that takes longer; but nobody waits for a process that ends.
            if not is_unavailable(error) or services.tail.closing.is_set():
                raise
            await asyncio.sleep(_DATABASE_AWAY)
            continue
        stride.took(page.events)
        data = render([event for event in page.events if (scope.position(event) or 0) <= until])
        if data:
            yield data
        after, more = page.next, page.more
