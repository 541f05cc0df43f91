"""Queries: one by name or uid, and the prototype's consumer view of it as a live stream."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ark_broker.api.paths import json_response, path_name
from ark_broker.api.services import Deps, Services
from ark_broker.api.sse import DONE, KEEP_ALIVE, LiveStream, hello, where_to_start
from ark_broker.api.v1.frames import belongs, consumer_format
from ark_broker.api.v1.sessions import Name
from ark_broker.log.scope import Scope
from ark_broker.log.tail import Burst
from ark_broker.model import Event
from ark_broker.model.errors import Conflict, NotFound
from ark_broker.receive.conventions.describe import describe
from ark_broker.sessions.completions import StreamEnd
from ark_broker.sessions.summary import QuerySummary
from ark_broker.sessions.view import ViewBuilder, query_summary_json

router = APIRouter(tags=["queries"])

_VIEW_EVENTS = 20_000
_PAGE = 5_000
#: Seconds that a finished query's stream stays open: a span that says `query.completed` may overtake the last
#: chunks, which come by another connection.
GRACE_SECONDS = 2.0


async def resolve(
    services: Services, name_or_uid: str, namespace: str | None, session_id: str | None
) -> tuple[QuerySummary, int] | None:
    """The one query meant; None for one of which only events without a session are known.

    Raises Conflict with the candidates where the name stands for several, NotFound where for none.
    """
    found = await services.reader.find_queries(name_or_uid, namespace, session_id)
    by_uid = [row for row in found if row[0].uid == name_or_uid]
    candidates = by_uid or found
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise Conflict(
            f"{name_or_uid!r} names several queries: say which by namespace, session or uid",
            [{"session": q.session_id, "namespace": q.namespace, "name": q.name, "uid": q.uid} for q, _ in candidates],
        )
    if namespace is None and session_id is None and await services.reader.has_waiting_query(name_or_uid):
        return None
    raise NotFound(f"no query {name_or_uid!r}")


@router.get(
    "/v1/queries/{query}",
    summary="One query, by name or uid",
    description="An ambiguous name is a 409 that lists the candidates; `namespace` or `session` decides.",
    responses={409: {"description": "Several queries have that name"}},
)
async def get_query(query: str, services: Deps, namespace: Name = None, session: Name = None) -> Response:
    query = path_name(query, "query")
    found = await resolve(services, query, namespace, session)
    name, session_id = (query, None) if found is None else (found[0].name, found[0].session_id)
    builder = ViewBuilder(session_id or "", describe)
    async with services.reader.snapshot() as connection:
        head = await services.reader.head(connection)
        after, count, more = 0, 0, True
        while more and count < _VIEW_EVENTS:
            page = await services.reader.page(Scope("query", name), after, _PAGE, connection=connection)
            for event in page.events:
                if belongs(event, session_id, namespace) and (session_id is None or event.session_id == session_id):
                    builder.add(event)
            after, more, count = page.next, page.more, count + len(page.events)
    view = builder.build()["queries"]
    assert isinstance(view, dict)
    content: dict[str, object] = {"name": name, **view.get(name, {}), "seq": head.seq, "log": head.log_id}
    if found is not None:
        content = query_summary_json(found[0]) | content
    if more:
        content["truncated"] = True
    return json_response(content)


@router.get(
    "/v1/queries/{query}/stream",
    summary="Follow a query as a consumer (SSE)",
    description='OpenAI chunks as they were posted, with `{"type":"event","event":{…}}` between them in the order of '
    "the log, then `data: [DONE]`. `events=false` leaves the chunks alone. A query that does not exist yet may be "
    "followed: the stream waits for it.",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def stream_query(
    request: Request,
    query: str,
    services: Deps,
    namespace: Name = None,
    session: Name = None,
    events: Annotated[bool, Query(description="Whether to write events between the chunks.")] = True,
) -> Response:
    query = path_name(query, "query")
    try:
        found = await resolve(services, query, namespace, session)
    except NotFound:
        found = None
    name = query if found is None else found[0].name
    session_id = session if found is None else found[0].session_id
    head = await services.reader.head()
    start = where_to_start(request, head)
    # To an OpenAI client the greeting is a chunk without choices, as some services send one first.
    shape: dict[str, object] = (
        {} if events else {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": []}
    )
    last = await _last_position(services, name, found)
    consumer = _Consumer(session_id, namespace, last, nothing_left=0 < last <= start.after)
    return LiveStream(
        services,
        Scope("query", name),
        consumer_format(events=events, session_id=session_id, namespace=namespace),
        start.after,
        hello(head, start, shape),
        inspect=consumer.inspect,
        on_silence=consumer.on_silence,
        patience=consumer.patience,
    ).response()


async def _last_position(services: Services, name: str, found: tuple[QuerySummary, int] | None) -> int:
    """Where the stream of a query ends that is over already; 0 for one that is not."""
    last_chunk = await services.reader.last_chunk(name)
    ended = StreamEnd()
    if last_chunk is not None:
        ended.add(last_chunk)
    over = ended.over or (found is not None and found[0].phase in ("done", "error", "canceled"))
    return await services.reader.last_position(Scope("query", name)) if over else 0


class _Consumer:
    """Knows when a consumer's stream is over, and says `[DONE]` once."""

    def __init__(self, session_id: str | None, namespace: str | None, last: int, *, nothing_left: bool) -> None:
        self._nothing_left = nothing_left
        self._session_id = session_id
        self._namespace = namespace
        #: For a query that was over when the reader came: its last position then.
        self._last = last
        self._end = StreamEnd()

    def inspect(self, burst: Burst) -> tuple[bytes, bool]:
        for item in burst.items:
            if isinstance(item, Event) and belongs(item, self._session_id, self._namespace):
                self._end.add(item)
        if burst.last < self._last:
            return burst.data, False
        if self._last or (self._end.over and not self._end.open_chunks):
            return burst.data + DONE, True
        return burst.data, False

    def patience(self) -> float:
        if self._nothing_left:
            return 0.0
        return GRACE_SECONDS if self._end.over else 3600.0

    def on_silence(self, _seconds: float) -> tuple[bytes, bool]:
        return (DONE, True) if self._nothing_left or self._end.over else (KEEP_ALIVE, False)
