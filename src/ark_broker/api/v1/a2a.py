"""`/v1/a2a`: where A2A agents push notifications of their tasks, and where producers relay the streams they read."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import SecretStr
from starlette.responses import Response

from ark_broker.api.paths import NameText, json_response
from ark_broker.api.services import Deps, Services
from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.receive.a2a import Defaults
from ark_broker.receive.a2a_frames import decode_frames, decode_notification

router = APIRouter(tags=["a2a"])

_JSON: Final = "application/json"
_A2A_JSON: Final = "application/a2a+json"
_TASK: Final = {"taskId": "task-7", "contextId": "context-3"}
_WORKING: Final[dict[str, Any]] = {
    "statusUpdate": {
        **_TASK,
        "status": {"state": "TASK_STATE_WORKING", "timestamp": "2024-01-15T10:30:00.000Z"},
    }
}
_ARTIFACT: Final[dict[str, Any]] = {
    "artifactUpdate": {
        **_TASK,
        "artifact": {"artifactId": "answer", "parts": [{"text": "It is 18 degrees."}]},
        "lastChunk": True,
    }
}
_OLD_TASK: Final[dict[str, Any]] = {
    "kind": "task",
    "id": "task-7",
    "contextId": "context-3",
    "status": {"state": "input-required", "timestamp": "2024-01-15T10:30:00"},
}
_STORED: Final = {"200": {"content": {_JSON: {"example": {"stored": 1, "duplicates": 0, "head": 42}}}}}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}, "responses": _STORED}


# A coroutine: FastAPI would send a plain function through its thread pool, for every request.
async def _where(
    session: Annotated[NameText | None, Query(description="Session of what names none.")] = None,
    query: Annotated[NameText | None, Query(description="Query of what names none.")] = None,
    namespace: Annotated[NameText | None, Query(description="Namespace of the query.")] = None,
    agent: Annotated[NameText | None, Query(description="The agent whose task it is.")] = None,
) -> Defaults:
    return Defaults(session or None, query or None, namespace or None, agent or None)


Where = Annotated[Defaults, Depends(_where)]


@router.post(
    "/v1/a2a/notifications",
    summary="Receive a push notification of an A2A task",
    description="The URL to put into a task's push notification config, with what should be known of the task as "
    "parameters. Takes the body of A2A 1.0 (`StreamResponse`) and of 0.3 (a `Task`, or any object with a `kind`). "
    "Answered once it is stored; a notification that is delivered again is stored once. Where `ARK_BROKER_A2A_TOKEN` "
    "is set, the config must have it as its `token`, or as credentials of the scheme `Bearer`.",
    status_code=200,
    responses={401: {"description": "The token is missing, or another one"}},
    openapi_extra=_body(
        {
            _A2A_JSON: {"schema": {"type": "object"}, "example": _WORKING},
            _JSON: {"schema": {"type": "object"}, "example": _OLD_TASK},
        }
    ),
)
async def post_a2a_notification(request: Request, services: Deps, where: Where) -> Response:
    _check_token(request, getattr(services.settings, "a2a_token", None))
    return await _store(request, services, where, decode_notification)


@router.post(
    "/v1/a2a/events",
    summary="Store frames of an A2A stream",
    description="For a program that reads an agent's stream and passes it on: one frame, an array of them, NDJSON, or "
    "the stream as it came (`text/event-stream`). Frames of A2A 1.0 and 0.3, bare or in JSON-RPC responses, are told "
    "apart by their shape. A request is stored whole, or refused with the place of the first problem.",
    status_code=200,
    openapi_extra=_body(
        {
            _JSON: {"schema": {"oneOf": [{"type": "object"}, {"type": "array"}]}, "example": [_WORKING, _ARTIFACT]},
            _A2A_JSON: {"schema": {"type": "object"}, "example": _WORKING},
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/event-stream": {"schema": {"type": "string"}},
        }
    ),
)
async def post_a2a_events(request: Request, services: Deps, where: Where) -> Response:
    return await _store(request, services, where, decode_frames)


async def _store(request: Request, services: Services, where: Defaults, decode: Callable[..., list[Event]]) -> Response:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        decoded = decode(body, headers.get("content-type"), headers, where, now=time.time_ns())
        appended = await services.append("a2a", decoded)
    if appended.refused:
        index, reason = appended.refused[0]
        services.metrics.refused.labels("a2a", "invalid").inc(len(appended.refused))
        raise BadInput(reason, f"[{index}]")
    return json_response({"stored": appended.stored, "duplicates": appended.duplicates, "head": services.tail.head})


def _check_token(request: Request, expected: SecretStr | str | None) -> None:
    """Raise HTTPException 401 where a token is expected, and neither of A2A's headers has it.

    0.3 sends it as `X-A2A-Notification-Token`, 1.0 as the credentials of `Authorization`; every other byte of a wrong
    token is compared, too.
    """
    secret = expected.get_secret_value() if isinstance(expected, SecretStr) else expected
    if not secret:
        return
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    given = [request.headers.get("x-a2a-notification-token", ""), credentials if scheme.lower() == "bearer" else ""]
    # Starlette reads header bytes as Latin-1.
    matches = [hmac.compare_digest(token.strip().encode("latin-1"), secret.encode()) for token in given]
    if not any(matches):
        raise HTTPException(401, "the notification token is missing or wrong", {"WWW-Authenticate": "Bearer"})
