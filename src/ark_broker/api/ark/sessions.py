"""Sessions as Ark's dashboard reads them: `/sessions`, `/sessions/{id}`, `/sessions/queries/{name}`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, cast, get_args

import orjson
from fastapi import APIRouter, Request
from sqlalchemy import select
from starlette.responses import Response, StreamingResponse

from ark_broker.api.ark import lists, parameters
from ark_broker.api.ark.purge import purge
from ark_broker.api.paths import json_response, path_name
from ark_broker.api.services import Deps, Services
from ark_broker.api.sse import frame
from ark_broker.log import removal
from ark_broker.log.ark import COUNT_LIMIT, ArkFilter, Sort, WholeSession, list_sessions, whole_session, whole_sessions
from ark_broker.log.confine import in_order
from ark_broker.log.read import SessionChange
from ark_broker.log.scope import Scope
from ark_broker.log.tables import ark_sessions
from ark_broker.log.tail import Format, Item
from ark_broker.model.errors import BadInput, NotFound
from ark_broker.model.names import shown
from ark_broker.receive.ark import decode_session_event
from ark_broker.sessions.ark_view import list_row, session_json

router = APIRouter(tags=["ark: sessions"])

_PAGE: Final = 100
#: Nobody pages so far; beyond it there is nothing.
_MAX_OFFSET: Final = 3 * COUNT_LIMIT * 100


@router.get(
    "/sessions",
    summary="Read or watch sessions",
    description='With `limit` or `cursor` (an offset) a page; without either `{"sessions": {id: session}}`, all of '
    "them. Each frame of a watch is a whole session.",
    openapi_extra=parameters.documented(
        "limit",
        "cursor",
        "watch",
        "session_id",
        "status",
        "dateFrom",
        "dateTo",
        "search",
        "sort",
        "order",
        "Last-Event-ID",
    ),
)
async def get_sessions(request: Request, services: Deps) -> Response:
    conditions = ArkFilter(
        status=parameters.choice(request, "status", "active", "idle", "error"),
        since=_no_date_is_never(parameters.moment(request, "dateFrom")),
        until=parameters.moment(request, "dateTo"),
        text=parameters.filled(request, "search"),
    )
    sort = cast("Sort | None", parameters.choice(request, "sort", *get_args(Sort)))
    descending = parameters.choice(request, "order", "asc", "desc") != "asc"
    if parameters.flag(request, "watch"):
        scope = Scope("sessions", parameters.filled(request, "session_id") or "")
        return await lists.watch(request, services, scope, _FRAMES, 0)
    if not (parameters.filled(request, "limit") or parameters.filled(request, "cursor")):
        return StreamingResponse(_all_sessions(services, conditions), media_type="application/json")
    limit = parameters.limit(request) if parameters.filled(request, "limit") else parameters.DEFAULT_LIMIT
    offset = parameters.loose_cursor(request) if parameters.filled(request, "cursor") else None
    async with services.reader.snapshot() as connection:
        page = await list_sessions(
            connection,
            conditions,
            sort or "date",
            descending=descending or sort is None,
            offset=min(offset or 0, _MAX_OFFSET),
            limit=limit,
        )
    return json_response(
        {
            "items": [session_json(item.summary, item.queries) for item in page.items],
            "total": sum(page.counts.values()),
            "hasMore": page.more,
            **({"nextCursor": (offset or 0) + len(page.items)} if page.more else {}),
            "statusCounts": page.counts,
        }
    )


def _no_date_is_never(since: int | None) -> int | None:
    """What is no date matches no session."""
    return 2**62 if since == -1 else since


async def _all_sessions(services: Services, conditions: ArkFilter) -> AsyncIterator[bytes]:
    yield b'{"sessions":{'
    last, separator = "", b""
    while True:
        async with services.reader.snapshot() as connection:
            name = in_order(connection, ark_sessions)
            ids = select(ark_sessions.c.id).where(*conditions.where, name > last)
            if conditions.text:
                ids = ids.where(ark_sessions.c.search.contains(conditions.text.lower(), autoescape=True))
            chosen = list((await connection.execute(ids.order_by(name).limit(_PAGE))).scalars())
            found = await whole_sessions(connection, chosen)
        if found:
            yield separator + b",".join(_member(item) for item in found)
            separator = b","
        if len(chosen) < _PAGE:
            break
        last = shown(chosen[-1]) if services.grant.is_limited else chosen[-1]
    yield b"}}"


def _member(item: WholeSession) -> bytes:
    return orjson.dumps(item.summary.id) + b":" + orjson.dumps(session_json(item.summary, item.queries))


def _encode(item: Item, position: int) -> bytes:
    if not isinstance(item, SessionChange) or item.summary is None or list_row(item.summary) is None:
        return b""
    content = {"sessionId": item.id, "session": session_json(item.summary, item.queries)}
    return frame(orjson.dumps(content), position=position)


_FRAMES: Final = Format("ark-sessions", _encode, whole=True)


@router.get("/sessions/{session_id}", summary="One session, whole")
async def get_session(session_id: str, services: Deps) -> Response:
    name = path_name(session_id, "session_id")
    async with services.reader.snapshot() as connection:
        found = await whole_session(connection, name)
    if found is None:
        raise NotFound("Session not found")
    return json_response(session_json(found.summary, found.queries))


@router.post("/sessions", summary="Report on a query of a session", status_code=201)
async def post_session(request: Request, services: Deps) -> Response:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        event = decode_session_event(body, attempt=headers.get("idempotency-key"))
        appended = await services.append("operations", [] if event is None else [event])
    if appended.refused:
        raise BadInput(appended.refused[0][1], "body")
    return json_response({"status": "success"}, 201)


@router.delete("/sessions/queries/{query}", summary="Take a query out of its sessions")
async def delete_query(query: str, services: Deps) -> Response:
    name = path_name(query, "query")
    removed = await removal.unlist_query(services.writer.operate, name)
    message = f"Query {name} removed from {removed} session(s)"
    return json_response({"status": "success", "message": message, "removed": removed})


@router.delete("/sessions", summary="Take all sessions out of the list")
async def delete_sessions(request: Request, services: Deps) -> Response:
    await purge(request, services, "sessions")
    return json_response({"status": "success", "message": "Sessions purged"})
