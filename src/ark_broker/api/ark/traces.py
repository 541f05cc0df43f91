"""Traces as Ark's dashboard reads them: `/traces`, `/traces/{traceId}`. They come in by `POST /v1/traces`."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from ark_broker.api.ark import lists, parameters
from ark_broker.api.ark.purge import purge
from ark_broker.api.paths import json_response, path_name
from ark_broker.api.services import Deps
from ark_broker.log import ark
from ark_broker.log.scope import Scope
from ark_broker.model import Event
from ark_broker.model.errors import NotFound
from ark_broker.receive.otlp.canonical import plain_attributes

router = APIRouter(tags=["ark: traces"])

_EVERY: Final = Scope("log", "", "spans")
_HEX: Final = re.compile(r"[0-9a-f]{32}")
_KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_CODES: Final = ("UNSET", "OK", "ERROR")


def span(event: Event, _position: int = 0) -> bytes:
    """The span in the shape that Ark's dashboard knows, with its events, links and scope besides.

    Ids in hex, enums by their name, attributes as in OTLP/JSON, those of the resource as plain values.
    """
    body: dict[str, Any] = orjson.loads(event.body)
    told: dict[str, Any] = body.get("span") or {}
    found = {
        "traceId": event.trace_id,
        "spanId": event.span_id,
        "parentSpanId": event.parent_span_id or "",
        "name": told.get("name", ""),
        "kind": "SPAN_KIND_" + _named(_KINDS, told.get("kind", 0)),
        "startTimeUnixNano": told.get("startTimeUnixNano", "0"),
        "endTimeUnixNano": told.get("endTimeUnixNano", "0"),
        "attributes": told.get("attributes", []),
        "status": _status(told.get("status")),
        "resource": plain_attributes((body.get("resource") or {}).get("attributes", [])),
    }
    found |= {key: told[key] for key in ("events", "links", "traceState", "flags") if key in told}
    if body.get("scope"):
        found["scope"] = body["scope"]
    return orjson.dumps(found)


def _status(status: dict[str, Any] | None) -> dict[str, Any]:
    if not status:
        return {}
    found = {"message": status.get("message", "")}
    return found | {"code": "STATUS_CODE_" + _named(_CODES, status.get("code", 0))}


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)


@router.get(
    "/traces",
    summary="Read traces, newest first, or watch spans",
    openapi_extra=parameters.documented("limit", "cursor", "session_id", "watch", "from-beginning", "Last-Event-ID"),
)
async def get_traces(request: Request, services: Deps) -> Response:
    session = parameters.filled(request, "session_id")
    from_beginning = parameters.flag(request, "from-beginning")
    if parameters.flag(request, "watch"):
        scope = _EVERY if session is None else Scope("session", session, "spans")
        after = lists.start_of(request, from_beginning=from_beginning)
        return await lists.watch(request, services, scope, lists.feed_format("ark-span", span), after)
    cursor, limit = parameters.strict_cursor(request), parameters.limit(request)
    async with services.reader.snapshot() as connection:
        head = await services.reader.head(connection)
        page = await ark.list_traces(connection, cursor, limit, session)
    items = [_trace(trace_id, spans) for trace_id, spans in page.traces.items()]
    total = len(items) if cursor is None and page.next is None else None
    return lists.Envelope(items, page.next is not None, page.next or 0, total, head.seq).response()


@router.get(
    "/traces/{trace_id}",
    summary="Read or watch one trace's spans",
    description="The id in hex, or in base64.",
    openapi_extra=parameters.documented("cursor", "watch", "from-beginning", "Last-Event-ID"),
)
async def get_trace(trace_id: str, request: Request, services: Deps) -> Response:
    found = _hex(path_name(trace_id, "trace_id"))
    from_beginning = parameters.flag(request, "from-beginning")
    if parameters.flag(request, "watch"):
        after = lists.start_of(request, from_beginning=from_beginning)
        # A trace that cannot exist is one that nothing is known of.
        scope = Scope("trace", found or "0" * 32, "spans")
        return await lists.watch(request, services, scope, lists.feed_format("ark-span", span), after)
    async with services.reader.snapshot() as connection:
        spans = [] if found is None else await ark.spans_of_trace(connection, found)
    if not spans or found is None:
        raise NotFound("Trace not found")
    return Response(_trace(bytes.fromhex(found), spans), media_type="application/json")


def _trace(trace_id: bytes | str, spans: list[Event]) -> bytes:
    name = trace_id if isinstance(trace_id, str) else trace_id.hex()
    return b'{"traceId":"' + name.encode() + b'","spans":[' + b",".join(map(span, spans)) + b"]}"


def _hex(trace_id: str) -> str | None:
    """The id in hex, of one in hex or base64; None for what is neither."""
    if _HEX.fullmatch(trace_id.lower()):
        return trace_id.lower()
    try:
        found = base64.b64decode(trace_id.replace("-", "+").replace("_", "/") + "==", validate=False)
    except (binascii.Error, ValueError):
        return None
    return found.hex() if len(found) == 16 else None


@router.delete("/traces", summary="Remove all spans")
async def delete_traces(request: Request, services: Deps) -> Response:
    await purge(request, services, "traces")
    return json_response({"status": "success", "message": "Trace data purged"})
