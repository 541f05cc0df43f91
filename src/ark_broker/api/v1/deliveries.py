"""What the broker sends out: `/v1/deliveries` and its dead letters, `/v1/webhooks`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ark_broker.api.encode import EventOut, event_out
from ark_broker.api.paths import json_response, path_name
from ark_broker.api.services import Deps, Services
from ark_broker.deliver.deliveries import Deliveries, DeliveryStatus, KnownRule
from ark_broker.deliver.guard import Refused
from ark_broker.deliver.rules import rule_json
from ark_broker.model.errors import BadInput
from ark_broker.model.timestamps import rfc3339

router = APIRouter(tags=["deliveries"])

_ENCODER: Final = msgspec.json.Encoder()
_WEBHOOK: Final = {
    "name": "oncall",
    "url": "https://hooks.example.com/ark",
    "when": {"types": ["query.failed"], "namespaces": ["prod"]},
}
_DELIVERY: Final = {
    "name": "otlp:langfuse-cloud.langfuse.com",
    "to": "https://cloud.langfuse.com",
    "position": 41,
    "lag": 0,
    "delivered": 40,
    "rejected": 0,
    "dead": 1,
    "deadLetters": 1,
    "failures": 0,
    "gaps": 0,
    "missed": 0,
    "lastSuccessAt": "2024-01-15T10:30:00Z",
    "here": True,
}


class _Resend(msgspec.Struct, forbid_unknown_fields=True):
    seqs: Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]], msgspec.Meta(max_length=1_000)] | None = (
        None
    )
    all: bool = False


class _LetterOut(msgspec.Struct, kw_only=True):
    seq: int
    at: str
    reason: str
    event: EventOut


@router.get(
    "/v1/deliveries",
    summary="How far upstreams and webhooks are",
    description="`lag` is in positions of the log; `failures` are tries since the last success. `missed`: positions "
    "that retention removed before they were looked at, at most.",
    responses={200: {"content": {"application/json": {"example": {"items": [_DELIVERY]}}}}},
)
async def get_deliveries(request: Request) -> Response:
    deliveries = _deliveries(request)
    await deliveries.look()
    letters = await deliveries.count_dead()
    return json_response({"items": [_json(each, letters.get(each.name, 0)) for each in deliveries.status()]})


@router.get(
    "/v1/deliveries/{name}/dead",
    summary="Dead letters: what a receiver will never take",
    description="By position; `after` = `next` goes on.",
)
async def get_dead_letters(
    name: str,
    request: Request,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    found = await _deliveries(request).dead_letters(path_name(name, "name"), after=after, limit=limit + 1)
    page = found[:limit]
    items = [
        _LetterOut(seq=letter.seq, at=rfc3339(letter.at), reason=letter.reason, event=event_out(letter.event))
        for letter in page
    ]
    content = {"items": items, "next": page[-1].seq if page else after, "more": len(found) > limit}
    return Response(_ENCODER.encode(content), media_type="application/json")


@router.post(
    "/v1/deliveries/{name}/resend",
    summary="Send dead letters again",
    description='`{"seqs": [41]}`, or `{"all": true}`: up to 1,000 in one request; `remaining` were not tried, or have '
    "to wait because the receiver is away. What is taken is a dead letter no more.",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}, "example": {"seqs": [41]}}},
        }
    },
)
async def post_resend(name: str, request: Request, services: Deps) -> Response:
    try:
        wanted = msgspec.json.decode(await _body(request, services), type=_Resend)
    except msgspec.ValidationError as error:
        raise BadInput(str(error)[:300], "seqs" if "seqs" in str(error) else "body") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None
    if (wanted.seqs is None) is not wanted.all:
        raise BadInput('give either "seqs" or "all": true', "seqs")
    found = await _deliveries(request).resend(path_name(name, "name"), wanted.seqs)
    content: dict[str, object] = {"delivered": found.delivered, "dead": found.dead, "remaining": found.remaining}
    if found.message:
        content["message"] = found.message
    return json_response(content)


@router.get(
    "/v1/webhooks",
    summary="Webhooks, by name",
    description="Without secrets; of a URL only where it leads. `source`: `settings`, or `api`.",
)
async def get_webhooks(request: Request) -> Response:
    return json_response({"items": [_rule_json(known) for known in await _deliveries(request).rules()]})


@router.post(
    "/v1/webhooks",
    summary="Add a webhook",
    description="Rules are described in docs/delivery.md. Without a `secret` one is made; the answer has it, once.",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}, "example": _WEBHOOK}},
        }
    },
)
async def post_webhook(request: Request, services: Deps) -> Response:
    try:
        known, secret = await _deliveries(request).add_rule(await _body(request, services))
    except Refused as error:
        raise BadInput(str(error), "url") from None
    return json_response(_rule_json(known) | ({} if secret is None else {"secret": secret}), 201)


@router.delete(
    "/v1/webhooks/{name}",
    summary="Remove a webhook",
    description="With its position and its dead letters. Other replicas stop within seconds.",
)
async def delete_webhook(name: str, request: Request) -> Response:
    name = path_name(name, "name")
    await _deliveries(request).remove_rule(name)
    return json_response({"name": name, "deleted": True})


def _deliveries(request: Request) -> Deliveries:
    deliveries = request.app.state.deliveries
    assert isinstance(deliveries, Deliveries)
    return deliveries


async def _body(request: Request, services: Services) -> bytes:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        return body


def _rule_json(known: KnownRule) -> dict[str, Any]:
    found = rule_json(known.rule) | {"source": "settings" if known.created_at is None else "api"}
    return found if known.created_at is None else found | {"createdAt": rfc3339(known.created_at)}


def _json(status: DeliveryStatus, letters: int) -> dict[str, object]:
    state = status.state
    times = {
        "lastErrorAt": state.last_error_at,
        "lastSuccessAt": state.last_success_at,
        "pausedUntil": state.paused_until if state.failures else None,
    }
    return {
        "name": status.name,
        "to": status.label,
        "position": status.position,
        "lag": status.lag,
        "delivered": state.delivered,
        "rejected": state.rejected,
        "dead": state.dead,
        "deadLetters": letters,
        "failures": state.failures,
        "gaps": state.gaps,
        "missed": state.missed,
        **({"lastError": state.last_error} if state.last_error else {}),
        **{name: rfc3339(time) for name, time in times.items() if time is not None},
        "here": status.here,
    }
