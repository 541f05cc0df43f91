"""Operation events of Ark's controllers and executors: `/events`, `/events/{queryId}` (the query's UID)."""

from __future__ import annotations

import time
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from ark_broker.api.ark import lists, parameters
from ark_broker.api.ark.purge import purge
from ark_broker.api.paths import json_response, path_name
from ark_broker.api.services import Deps
from ark_broker.log import removal
from ark_broker.log.scope import Scope
from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.model.timestamps import rfc3339
from ark_broker.model.vocabulary import EVENTS_DELETED
from ark_broker.receive.ark import decode_operation
from ark_broker.receive.context import NONE, context_of

router = APIRouter(tags=["ark: events"])

_EVERY: Final = Scope("log", "", "operations")
#: Fields that an event posted elsewhere has in common with Ark's, by what Ark calls them.
_DATA: Final = {
    "queryName": "query",
    "queryNamespace": "namespace",
    "sessionId": "session_id",
    "conversationId": "conversation_id",
    "agent": "agent",
    "model": "model",
    "toolName": "tool",
    "toolId": "tool_call_id",
    "error": "error",
}


def bare(event: Event, _position: int = 0) -> bytes:
    """The event as it was posted. One that came another way, but names the query's UID, in Ark's words."""
    if b'"queryId"' in event.body:
        body = orjson.loads(event.body)
        if isinstance(body, dict) and isinstance(body.get("data"), dict) and body["data"].get("queryId"):
            return event.body
    data: dict[str, Any] = {"queryId": event.query_uid}
    for name, field in _DATA.items():
        if (value := getattr(event, field)) is not None:
            data[name] = value
    return orjson.dumps(
        {
            "data": data,
            "timestamp": rfc3339(event.time),
            "eventType": "Warning" if event.status == "error" or event.error else "Normal",
            "reason": event.type,
            "message": event.error or event.type,
        }
    )


@router.post(
    "/events",
    summary="Store an operation event",
    description='`{"reason", "data": {"queryId", …}, "ttl_seconds"?, …}`: everything but `ttl_seconds` is kept as it '
    "came. `data.queryName` and `data.sessionId` make it count in the session.",
    status_code=201,
)
async def post_event(request: Request, services: Deps) -> Response:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        attempt = headers.get("idempotency-key")
        event = decode_operation(body, now=time.time_ns(), attempt=attempt)
        context = context_of(headers)
        if context != NONE:
            context.apply(event)
        appended = await services.append("operations", [event], fresh=not attempt)
    if appended.refused:
        raise BadInput(appended.refused[0][1], "body")
    return json_response({"status": "success"}, 201)


@router.get(
    "/events",
    summary="Read or watch operation events",
    openapi_extra=parameters.documented("session_id", "limit", "cursor", "watch", "from-beginning", "Last-Event-ID"),
)
async def get_events(request: Request, services: Deps) -> Response:
    session = parameters.filled(request, "session_id")
    return await _read(request, services, _EVERY if session is None else Scope("session", session, "operations"))


@router.get(
    "/events/{query_id}",
    summary="Read or watch a query's operation events",
    openapi_extra=parameters.documented("limit", "cursor", "watch", "from-beginning", "Last-Event-ID"),
)
async def get_query_events(query_id: str, request: Request, services: Deps) -> Response:
    return await _read(request, services, Scope("uid", path_name(query_id, "query_id"), "operations"))


async def _read(request: Request, services: Deps, scope: Scope) -> Response:
    from_beginning = parameters.flag(request, "from-beginning")
    if parameters.flag(request, "watch"):
        after = lists.start_of(request, from_beginning=from_beginning)
        return await lists.watch(request, services, scope, lists.feed_format("ark-event", bare), after)
    cursor = parameters.strict_cursor(request)
    return await lists.page(services, scope, bare, after=cursor or 0, limit=parameters.limit(request))


@router.delete("/events/{query_id}", summary="Remove a query's operation events")
async def delete_query_events(query_id: str, services: Deps) -> Response:
    uid = path_name(query_id, "query_id")
    where = Scope("uid", uid, "operations").where
    await removal.remove(services.writer.operate, where, EVENTS_DELETED, {"queryUid": uid})
    return json_response({"status": "success", "message": f"Query {uid} events deleted"})


@router.delete("/events", summary="Remove all operation events")
async def delete_events(request: Request, services: Deps) -> Response:
    await purge(request, services, "events")
    return json_response({"status": "success", "message": "Event data purged"})
