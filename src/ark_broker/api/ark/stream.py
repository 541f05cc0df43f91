"""`/stream/{query}`: chunks in, chunks out, as Ark's executors and dashboards use it."""

from __future__ import annotations

import re
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ark_broker.api.ark import chunks
from ark_broker.api.errors import error_response, request_id_of, respond_to
from ark_broker.api.paths import checked_name, raw_segments
from ark_broker.api.services import Services, services_of
from ark_broker.api.sse import DONE, KEEP_ALIVE, LiveStream, frame
from ark_broker.log.scope import Scope as LogScope
from ark_broker.log.tail import Burst, Format, Item
from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.model.vocabulary import LLM_ERROR, STREAM_COMPLETED

#: What a reader of an unknown query may ask to wait, in seconds, at most.
_LONGEST_WAIT: Final = 300
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class StreamEndpoint:
    """A plain ASGI endpoint: names in the path are decoded segment by segment, and the POST never ends early."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request, services_of(scope["app"].state))
        except Exception as error:  # noqa: BLE001 - answered in the house's shape
            response = respond_to(request, error)
        await response(scope, receive, send)

    async def _respond(self, request: Request, services: Services) -> Response:
        match request.method, raw_segments(request):
            case "POST", [_, query]:
                return await chunks.ingest(request, services, checked_name(query, "query"))
            case "POST", [_, query, "complete"]:
                return await chunks.complete(services, checked_name(query, "query"))
            case "GET" | "HEAD", [_, query]:
                return await read(request, services, checked_name(query, "query"))
            case _, [_, _] | [_, _, "complete"]:
                return self._not_allowed(request)
        return error_response(404, "NOT_FOUND", "Not found", request_id_of(request))

    @staticmethod
    def _not_allowed(request: Request) -> Response:
        allowed = "POST" if request.url.path.rstrip("/").endswith("/complete") else "GET, HEAD, POST"
        return error_response(
            405, "METHOD_NOT_ALLOWED", f"allowed: {allowed}", request_id_of(request), headers={"Allow": allowed}
        )


_NOTABLE: Final = frozenset({STREAM_COMPLETED, LLM_ERROR})


def _encode_chunk(item: Item, _position: int) -> bytes:
    if not isinstance(item, Event) or item.kind != "chunk" or item.type == STREAM_COMPLETED:
        return b""
    return frame(item.body)


#: The chunk as it was posted, and nothing else: Ark's clients split on blank lines and parse what is left.
CHUNKS_ONLY: Final = Format("ark-chunks", _encode_chunk, lambda item: isinstance(item, Event) and item.type in _NOTABLE)


async def read(request: Request, services: Services, query: str) -> Response:
    """`GET /stream/{query}`: chunks as they come (`from-beginning=true`: the stored ones first), then `[DONE]`."""
    from_beginning = _flag(request, "from-beginning")
    wait = _number(request, "wait-for-query", 0)
    _number(request, "max-chunk-size", 1)
    last = await services.reader.last_chunk(query)
    # A completion marker ends the stream only where nothing follows: the same name is streamed again after
    # an approval pause. What is before this position is history, and does not end it.
    settled = (last.query_seq or 0) if last is not None else 0
    consumer = _ArkReader(services, settled, wait)
    after = 0 if from_beginning else services.tail.head
    return LiveStream(
        services,
        LogScope("query", query),
        CHUNKS_ONLY,
        after,
        b": connected\n\n",
        inspect=consumer.inspect,
        on_silence=consumer.on_silence,
        patience=consumer.patience,
        farewell=b"",
    ).response()


class _ArkReader:
    """When one reader's stream is over: a marker, an error chunk, or silence for too long."""

    def __init__(self, services: Services, settled: int, wait: int | None) -> None:
        self._settled = settled
        self._idle = services.settings.stream_idle_seconds
        self._wait = None if wait is None else max(1, min(wait, _LONGEST_WAIT))
        self._seen = False

    def inspect(self, burst: Burst) -> tuple[bytes, bool]:
        self._seen = self._seen or bool(burst.data)
        if burst.notable:
            for number, item in enumerate(burst.items):
                if isinstance(item, Event) and (item.query_seq or 0) >= self._settled and _ends(item):
                    frames = [_encode_chunk(before, 0) for before in burst.items[: number + 1]]
                    return b"".join([*frames, DONE]), True
        return burst.data, False

    def patience(self) -> float:
        return self._limit

    @property
    def _limit(self) -> float:
        return self._idle if self._seen or self._wait is None else min(self._idle, self._wait)

    def on_silence(self, seconds: float) -> tuple[bytes, bool]:
        if seconds < self._limit:
            return KEEP_ALIVE, False
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


def _flag(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "false")
    if value not in {"true", "false"}:
        raise BadInput('Invalid option: expected one of "true"|"false"', name)
    return value == "true"


def _number(request: Request, name: str, least: int) -> int | None:
    value = request.query_params.get(name)
    if value is None:
        return None
    if not _WHOLE_NUMBER.fullmatch(value) or int(value) < least:
        raise BadInput(f"Invalid input: expected a whole number of at least {least}", name)
    return int(value)
