"""Sessions: the list, the prototype's view, their events, and the live streams of both."""

from __future__ import annotations

import asyncio
import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, BackgroundTasks, Query, Request
from starlette.responses import Response

from ark_broker.api.encode import page_json
from ark_broker.api.paths import NameText, SearchText, json_response, path_name
from ark_broker.api.services import Deps, Services
from ark_broker.api.sse import LiveStream, hello, where_to_start
from ark_broker.api.v1.events import After, Limit, Types
from ark_broker.api.v1.frames import event_format, session_list_format
from ark_broker.log.read import SessionFilter
from ark_broker.log.scope import SESSION_LIST, Scope
from ark_broker.model.errors import BadInput, NotFound
from ark_broker.model.vocabulary import SessionStatus
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.conventions.exchange import exchange
from ark_broker.sessions.conversation import Conversation
from ark_broker.sessions.view import ViewBuilder, summary_json

router = APIRouter(tags=["sessions"])

#: Events that one view is folded from, at most; the newest are left to `/events`.
MAX_VIEW_EVENTS = 50_000
_SSE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}

_VIEW_EXAMPLE = {
    "id": "session-abc",
    "status": "idle",
    "seq": 42,
    "queries": {
        "query-001": {
            "phase": "done",
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "mcpSessions": {"ark-broker": "mcp-xyz"},
            "streamId": "stream-001",
            "events": [
                {"type": "query.started", "ts": "2024-01-15T10:30:00Z"},
                {"type": "tool.call", "tool": "web_search", "input": "weather NYC", "output": "72F sunny"},
                {"type": "query.completed", "duration": 1200},
            ],
        }
    },
}

_CONVERSATION_EXAMPLE = {
    "id": "session-abc",
    "messages": [
        {"role": "user", "content": "What is the weather in NYC?"},
        {"role": "assistant", "content": "72F and sunny."},
    ],
    "conversations": [{"id": "conversation-1", "queries": ["query-001"], "messages": []}],
}

Name = Annotated[NameText | None, Query()]


@router.get(
    "/v1/sessions",
    summary="List sessions",
    description="Newest activity first. `cursor` is opaque: pass `nextCursor` to go on. No total is computed. "
    "Free text looks at ids, query names and agents; a page of a rare match may be short while there is a cursor.",
    responses={
        200: {"content": {"application/json": {"example": {"items": [{"id": "session-abc", "status": "active"}]}}}}
    },
)
async def list_sessions(
    services: Deps,
    status: SessionStatus | None = None,
    namespace: Name = None,
    agent: Name = None,
    query: Name = None,
    since: Annotated[datetime | None, Query(description="Last activity at or after; RFC 3339.")] = None,
    until: Annotated[datetime | None, Query(description="Last activity before; RFC 3339.")] = None,
    q: Annotated[SearchText | None, Query(max_length=200, description="Free text over names.")] = None,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    conditions = SessionFilter(status, namespace, agent, query, _ns(since), _ns(until), q)
    return json_response(await list_page(services, conditions, cursor, limit))


async def list_page(services: Services, conditions: SessionFilter, cursor: str | None, limit: int) -> dict[str, object]:
    """A page of `GET /v1/sessions`. Raises BadInput for a cursor that is none."""
    # Read before the list: whoever streams from here on misses nothing that the list does not show.
    head = await services.reader.head()
    found, following = await services.reader.session_list(conditions, _decode_cursor(cursor), limit)
    content: dict[str, object] = {
        "items": [summary_json(row.summary) | {"seq": row.seq} for row in found],
        "seq": head.seq,
        "log": head.log_id,
    }
    if following is not None:
        content["nextCursor"] = _encode_cursor(following)
    return content


@router.get(
    "/v1/stream",
    summary="Follow the list of sessions (SSE)",
    description="A frame with the summary of each session that changed: bursts of changes are one frame. From now, "
    "unless `from=start` or a cursor says otherwise: take `seq` from `GET /v1/sessions` for no gap in between.",
    response_class=Response,
    responses=_SSE,
)
async def stream_sessions(request: Request, services: Deps) -> Response:
    head = await services.reader.head()
    start = where_to_start(request, head, default="now")
    # One commit changes many sessions at one position: all of them again rather than some of them never.
    after = max(0, start.after - 1) if start.after < head.seq else start.after
    return LiveStream(services, SESSION_LIST, session_list_format(), after, hello(head, start)).response()


@router.get(
    "/v1/sessions/{session_id}",
    summary="One session, aggregated",
    description="`seq` is the position the view was read at: stream from there (`?after=`) and nothing is missed.",
    responses={200: {"content": {"application/json": {"example": _VIEW_EXAMPLE}}}},
)
async def get_session(session_id: str, services: Deps) -> Response:
    return Response(await session_view(services, path_name(session_id, "session_id")), media_type="application/json")


async def session_view(services: Services, session_id: str) -> bytes:
    """The view of `GET /v1/sessions/{id}`, encoded. Raises NotFound."""
    reader = services.reader
    builder = ViewBuilder(session_id, describe)
    gone_at = await reader.gone_at(session_id)
    async with reader.snapshot() as connection:
        head = await reader.head(connection)
        row = await reader.session(session_id, connection)
        if row is None:
            raise NotFound(f"no session {session_id!r}")
        scope = Scope("session", session_id)
        cut = _cut(await reader.each(scope, gone_at, MAX_VIEW_EVENTS, builder.add, connection=connection))
    view = await asyncio.to_thread(builder.build)
    content: dict[str, object] = summary_json(row.summary) | view | {"seq": head.seq, "log": head.log_id} | cut
    return orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)


@router.get(
    "/v1/sessions/{session_id}/conversation",
    summary="What was said in a session, as OpenAI messages",
    description="`messages` are those of all conversations, in order; `conversations` has them apart. Rebuilt from "
    "stored messages, the content of spans and streamed chunks, whichever is fullest.",
    responses={200: {"content": {"application/json": {"example": _CONVERSATION_EXAMPLE}}}},
)
async def get_conversation(
    session_id: str,
    services: Deps,
    query: Annotated[NameText | None, Query(description="Only this query.")] = None,
    conversation: Annotated[NameText | None, Query(description="Only this conversation, by its id.")] = None,
) -> Response:
    return json_response(await conversation_of(services, path_name(session_id, "session_id"), query, conversation))


async def conversation_of(
    services: Services, session_id: str, query: str | None, conversation: str | None = None
) -> dict[str, object]:
    """What `GET /v1/sessions/{id}/conversation` answers. Raises NotFound."""
    reader = services.reader
    gone_at = await reader.gone_at(session_id)
    found = Conversation(exchange)
    async with reader.snapshot() as connection:
        if await reader.session(session_id, connection) is None:
            raise NotFound(f"no session {session_id!r}")
        scope = Scope("session", session_id)
        cut = _cut(await reader.each(scope, gone_at, MAX_VIEW_EVENTS, found.add, query=query, connection=connection))
    # It may take a while for a large session, and others are to be served meanwhile.
    built = await asyncio.to_thread(found.build)
    conversations = [item for item in built if conversation is None or item.get("id") == conversation]
    messages: list[object] = []
    for item in conversations:
        each = item["messages"]
        messages += each if isinstance(each, list) else []
    return {"id": session_id, "messages": messages, "conversations": conversations} | cut


@router.get("/v1/sessions/{session_id}/events", summary="Events of a session, in the order they joined it")
async def session_events(
    session_id: str,
    services: Deps,
    after: After = 0,
    limit: Limit = 100,
    types: Types = None,
    query: Name = None,
) -> Response:
    session_id = path_name(session_id, "session_id")
    gone_at = await services.reader.gone_at(session_id)
    async with services.reader.snapshot() as connection:
        head = await services.reader.head(connection)
        if await services.reader.session(session_id, connection) is None:
            raise NotFound(f"no session {session_id!r}")
        page = await services.reader.page(
            Scope("session", session_id),
            max(after, gone_at),
            limit,
            types=types or (),
            query=query,
            connection=connection,
        )
    extra: dict[str, object] = {"next": page.next, "more": page.more, "seq": head.seq, "log": head.log_id}
    return Response(page_json(page.events, extra), media_type="application/json")


@router.get(
    "/v1/sessions/{session_id}/stream",
    summary="Follow a session (SSE)",
    description="From the start; `from=now`, or a cursor (`Last-Event-ID`, `after`), says otherwise. A session that "
    "does not exist yet may be followed: the stream waits for it.",
    response_class=Response,
    responses=_SSE,
)
async def stream_session(request: Request, session_id: str, services: Deps, types: Types = None) -> Response:
    session_id = path_name(session_id, "session_id")
    head = await services.reader.head()
    start = where_to_start(request, head, gone_at=await services.reader.gone_at(session_id))
    scope = Scope("session", session_id)
    live = LiveStream(services, scope, event_format(types or ()), start.after, hello(head, start))
    return live.response()


@router.delete(
    "/v1/sessions/{session_id}",
    summary="Delete a session",
    description="It is gone from every view at once; a `session.deleted` event stays in the log.",
)
async def delete_session(session_id: str, services: Deps, background: BackgroundTasks) -> Response:
    session_id = path_name(session_id, "session_id")
    stored = await services.reader.stored_session_id(session_id)
    if stored is None:
        raise NotFound(f"no session {session_id!r}")
    commit = await services.writer.delete_session(stored)
    background.add_task(services.maintenance.remove_session_rows, stored, commit.head)
    response = json_response({"id": session_id, "deleted": True, "seq": commit.head})
    response.background = background
    return response


def _cut(after: int | None) -> dict[str, object]:
    """What an answer says that was made of the events up to a position; None: of all of them."""
    return {} if after is None else {"truncated": True, "truncatedAfter": after}


def _ns(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000) * 1_000


def _encode_cursor(cursor: tuple[int, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(cursor)).decode().rstrip("=")


def _decode_cursor(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    try:
        activity, session_id = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(activity, int) and isinstance(session_id, str):
            return activity, session_id
    except (ValueError, TypeError, binascii.Error):
        pass
    raise BadInput("is not a cursor of this list", "cursor")
