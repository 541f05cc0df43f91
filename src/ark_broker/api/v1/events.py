"""`POST /v1/events` takes custom events; `GET /v1/events` reads the whole log, `/v1/events/stream` follows it."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ark_broker.api.encode import page_json
from ark_broker.api.paths import NameText, json_response
from ark_broker.api.services import Deps
from ark_broker.api.sse import LiveStream, hello, where_to_start
from ark_broker.api.v1.frames import event_format
from ark_broker.log.scope import WHOLE_LOG
from ark_broker.model.errors import BadInput
from ark_broker.receive.custom import decode_events

_log = structlog.get_logger(__name__)

router = APIRouter(tags=["events"])

After = Annotated[int, Query(ge=0, le=2**63 - 1, description="Position after which to read.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most items on the page.")]
Types = Annotated[
    list[NameText] | None,
    Query(alias="type", max_length=50, description="Only events of this type; may be given several times."),
]

_EXAMPLE = {
    "type": "approval.granted",
    "sessionId": "session-abc",
    "query": "query-001",
    "id": "approval-17",
    "approvedBy": "ops",
}


@router.post(
    "/v1/events",
    summary="Store custom events",
    description="One JSON object, an array of them, NDJSON, or CloudEvents 1.0 (structured, batch, binary). "
    "Fields of the Event vocabulary are taken; everything else stays in the body.",
    status_code=200,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": _EXAMPLE},
                "application/x-ndjson": {"schema": {"type": "string"}},
                "application/cloudevents+json": {
                    "schema": {"type": "object"},
                    "example": {
                        "specversion": "1.0",
                        "id": "17",
                        "source": "/approvals",
                        "type": "approval.granted",
                        "data": _EXAMPLE,
                    },
                },
                "application/cloudevents-batch+json": {"schema": {"type": "array"}},
            },
        },
        "responses": {
            "200": {"content": {"application/json": {"example": {"stored": 1, "duplicates": 0, "head": 42}}}}
        },
    },
)
async def post_events(request: Request, services: Deps) -> Response:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        decoded = decode_events(body, headers.get("content-type"), headers)
        appended = await services.append("events", decoded.events)
    if appended.refused:
        index, reason = appended.refused[0]
        services.metrics.refused.labels("events", "invalid").inc(len(appended.refused))
        raise BadInput(reason, f"[{index}]")
    return json_response({"stored": appended.stored, "duplicates": appended.duplicates, "head": services.tail.head})


@router.get(
    "/v1/events",
    summary="Read the whole log",
    description="Events in the order of the log. Go on with `after` = `next` while `more` is true; with a type "
    "filter a page may be short, or empty, while `more` is true.",
)
async def get_events(services: Deps, after: After = 0, limit: Limit = 100, types: Types = None) -> Response:
    async with services.reader.snapshot() as connection:
        head = await services.reader.head(connection)
        page = await services.reader.page(WHOLE_LOG, after, limit, types=types or (), connection=connection)
    content = page_json(page.events, {"next": page.next, "more": page.more, "seq": head.seq, "log": head.log_id})
    return Response(content, media_type="application/json")


@router.get(
    "/v1/events/stream",
    summary="Follow the whole log (SSE)",
    description="From now, unless `from=start` or a cursor (`Last-Event-ID`, `after`) says otherwise.",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def stream_events(request: Request, services: Deps, types: Types = None) -> Response:
    head = await services.reader.head()
    start = where_to_start(request, head, default="now")
    live = LiveStream(services, WHOLE_LOG, event_format(types or ()), start.after, hello(head, start))
    return live.response()
