"""`/stream/{query}`: chunks in, chunks out, as Ark's executors and dashboards use it. `/stream`: those of all queries.

Where generations of Ark's broker differ, `ARK_BROKER_ARK_COMPAT` says which one to be.
"""

from __future__ import annotations

import re
from math import inf
from typing import Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ark_broker.api.ark import chunks, lists, parameters
from ark_broker.api.ark.purge import purge
from ark_broker.api.errors import error_response, request_id_of, respond_to
from ark_broker.api.paths import checked_name, json_response, path_name
from ark_broker.api.services import Deps, Services, services_for
from ark_broker.api.sse import DONE, KEEP_ALIVE, LiveStream, frame
from ark_broker.log.scope import Scope as LogScope
from ark_broker.log.tail import Burst, Format, Item
from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.model.timestamps import rfc3339_milliseconds
from ark_broker.model.vocabulary import LLM_ERROR, STREAM_COMPLETED

#: What a reader of an unknown query may ask to wait, in seconds, at most.
_LONGEST_WAIT: Final = 300
#: How long the end of a stream is held back for chunks that its marker has overtaken.
_LAST_CHUNKS_SECONDS: Final = 0.1
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class StreamEndpoint:
    """A plain ASGI endpoint: names in the path are decoded segment by segment, and the POST never ends early."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request, services_for(scope))
        except Exception as error:  # noqa: BLE001 - answered in the house's shape
            response = respond_to(request, error)
        await response(scope, receive, send)

    async def _respond(self, request: Request, services: Services) -> Response:
        match request.method, [path_name(each, "query") for each in request.scope["path"].split("/")[2:]]:
            case "POST", [query]:
                return await chunks.ingest(request, services, checked_name(query, "query"))
            case "POST", [query, "complete"]:
                return await chunks.complete(services, checked_name(query, "query"))
            case "GET", [query]:
                return await read(request, services, checked_name(query, "query"))
        return error_response(404, "NOT_FOUND", "Not found", request_id_of(request))


router = APIRouter(tags=["ark: stream"])

_EVERY: Final = LogScope("log", "", "chunks")


def _stored(event: Event, position: int) -> bytes:
    """`{"sequenceNumber", "timestamp", "data": {"queryId", "chunk", "complete"?}}`"""
    head = orjson.dumps({"sequenceNumber": position, "timestamp": rfc3339_milliseconds(event.time)})[:-1]
    data = b'{"queryId":' + orjson.dumps(event.query or "") + b',"chunk":' + event.body
    data += b',"complete":true}' if event.type == STREAM_COMPLETED else b"}"
    return head + b',"data":' + data + b"}"


def _bare(event: Event, _position: int) -> bytes:
    return event.body


@router.get(
    "/stream",
    summary="Read or watch the chunks of all queries",
    openapi_extra=parameters.documented("limit", "cursor", "watch", "Last-Event-ID"),
)
async def list_chunks(request: Request, services: Deps) -> Response:
    cursor = parameters.loose_cursor(request)
    if parameters.text(request, "watch") == "true":
        return await lists.watch(request, services, _EVERY, lists.feed_format("ark-chunk", _bare), cursor)
    return await lists.page(services, _EVERY, _stored, after=cursor or 0, limit=parameters.limit(request))


@router.delete("/stream", summary="Remove the chunks of all queries")
async def delete_chunks(request: Request, services: Deps) -> Response:
    await purge(request, services, "chunks")
    return json_response({"status": "success", "message": "Stream data purged"})


_NOTABLE: Final = frozenset({STREAM_COMPLETED, LLM_ERROR})


def _encode_chunk(item: Item, position: int) -> bytes:
    if not isinstance(item, Event) or item.kind != "chunk" or item.type == STREAM_COMPLETED:
        return b""
    return frame(item.body, position=position)


#: The chunk as it was posted. Ark's clients read `data:` lines, and pass over any other.
CHUNKS_ONLY: Final = Format("ark-chunks", _encode_chunk, lambda item: isinstance(item, Event) and item.type in _NOTABLE)


async def read(request: Request, services: Services, query: str) -> Response:
    """`GET /stream/{query}`: chunks as they come (`from-beginning=true`: the stored ones first), then `[DONE]`."""
    from_beginning = parameters.flag(request, "from-beginning")
    is_newest = services.settings.ark_compat == "c"
    wait = _number(request, "wait-for-query", 0, ignore=is_newest)
    _number(request, "max-chunk-size", 1)
    scope = LogScope("query", query, "chunks")
    end = await services.reader.end_of_stream(query)
    # A completion marker ends the stream only where nothing follows: the same name is streamed again after
    # an approval pause. What is before this position is history, and does not end it.
    settled = end.query_seq if end is not None else 0
    after = await lists.resumed_after(request, services, 0 if from_beginning else None)
    consumer = _ArkReader(services, scope, settled, wait, is_patient=not is_newest)
    return LiveStream(
        services,
        scope,
        CHUNKS_ONLY,
        after,
        lists.CONNECTED,
        inspect=consumer.inspect,
        on_silence=consumer.on_silence,
        patience=consumer.patience,
        farewell=b"",
    ).response()


class _ArkReader:
    """When one reader's stream is over: a marker, an error chunk, or silence for too long.

    A patient one waits without end, unless it said how long: and then for the first chunk only.
    """

    def __init__(
        self, services: Services, scope: LogScope, settled: int, wait: int | None, *, is_patient: bool
    ) -> None:
        self._scope = scope
        self._settled = settled
        self._idle = inf if is_patient else services.settings.stream_idle_seconds
        self._wait = None if wait is None else max(1, min(wait, _LONGEST_WAIT))
        self._seen = False
        self._over = False

    def inspect(self, burst: Burst) -> tuple[bytes, bool]:
        self._seen = self._seen or bool(burst.data)
        if burst.notable:
            for number, item in enumerate(burst.items):
                position = self._position(item)
                if not isinstance(item, Event) or position < self._settled or not _ends(item):
                    continue
                if position > self._settled and item.type == STREAM_COMPLETED:
                    # The last chunks may be behind it, on their way to another replica.
                    self._over = True
                else:
                    frames = [_encode_chunk(each, self._position(each)) for each in burst.items[: number + 1]]
                    return b"".join([*frames, DONE]), True
        return burst.data, False

    def _position(self, item: Item) -> int:
        return self._scope.position(item) or 0 if isinstance(item, Event) else 0

    def patience(self) -> float:
        return self._limit

    @property
    def _limit(self) -> float:
        if self._over:
            return _LAST_CHUNKS_SECONDS
        return self._idle if self._seen or self._wait is None else min(self._idle, self._wait)

    def on_silence(self, seconds: float) -> tuple[bytes, bool]:
        if seconds < self._limit:
            return KEEP_ALIVE, False
        if self._over:
            return DONE, True
        waited = self._wait is not None and not self._seen
        message = (
            "Request timeout waiting for streaming query response" if waited else "Streaming query response timed out"
        )
        error = {"error": {"message": message, "type": "timeout_error", "code": "timeout"}}
        return frame(orjson.dumps(error)) + DONE, True


def _ends(event: Event) -> bool:
    if event.type == STREAM_COMPLETED:
        return True
    if event.type != LLM_ERROR:
        return False
    error = orjson.loads(event.body).get("error")
    return isinstance(error, dict) and isinstance(error.get("message"), str) and isinstance(error.get("type"), str)


def _number(request: Request, name: str, least: int, *, ignore: bool = False) -> int | None:
    """A whole number; with `ignore`, None for what is none."""
    value = parameters.text(request, name)
    if value is None:
        return None
    if not _WHOLE_NUMBER.fullmatch(value) or int(value) < least:
        if ignore:
            return None
        raise BadInput(f"Invalid input: expected a whole number of at least {least}", name)
    return int(value)
