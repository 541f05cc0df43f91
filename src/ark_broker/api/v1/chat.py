"""Attach an OpenAI client to a query: `POST /v1/chat/completions` with the model `query/<name>`, and `GET /v1/models`.

Nothing is asked of a model here: what the query's agent streams, or has streamed, is read as if it were answered now.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from ark_broker.api.errors import message_of, request_id_of, retry_headers, status_of
from ark_broker.api.paths import MAX_NAME, json_response, path_name
from ark_broker.api.services import Deps, Services
from ark_broker.api.v1.attach import Asked, Attachment, completion_of, failure_json, openai_error
from ark_broker.api.v1.queries import resolve
from ark_broker.log.read import SessionFilter
from ark_broker.model.errors import ArkBrokerError, BadInput, Conflict, NotFound
from ark_broker.sessions.attached import MODEL_PREFIX, model_of

router = APIRouter(tags=["openai"])

#: Sessions whose queries `GET /v1/models` lists, and how many it lists at most.
_RECENT_SESSIONS: Final = 100
_MOST_MODELS: Final = 1_000
_SECOND: Final = 1_000_000_000
_FIELDS: Final = ("namespace", "session")

_REQUEST_EXAMPLE: Final = {
    "model": "query/query-001",
    "messages": [],
    "stream": True,
    "events": False,
    "session": "session-abc",
}
_COMPLETION_EXAMPLE: Final = {
    "id": "chatcmpl-query-001",
    "object": "chat.completion",
    "created": 1705314600,
    "model": "query/query-001",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "72F and sunny."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 52, "completion_tokens": 6, "total_tokens": 58},
}
_MODEL_EXAMPLE: Final = {"id": "query/query-001", "object": "model", "created": 1705314600, "owned_by": "default"}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": _REQUEST_EXAMPLE}},
    }
}


@router.post(
    "/v1/chat/completions",
    summary="Attach an OpenAI client to a query",
    description="`model` is `query/<name or uid>`; `messages` and settings of the model are not looked at. With "
    "`stream` the query's chunks come from the beginning, then as they are produced, and `[DONE]`; without it the "
    "answer is one `chat.completion` once the query has ended. Beside OpenAI's own fields: `session` and `namespace` "
    "(or in `metadata`) where a name stands for several queries, `events` for the query's other events between the "
    'chunks, `from: "now"` to leave out what was streamed before. A query that failed ends in an error.',
    responses={
        200: {
            "content": {
                "application/json": {"example": _COMPLETION_EXAMPLE},
                "text/event-stream": {"schema": {"type": "string"}},
            }
        },
        404: {"description": "No such query, or a model that is none"},
        409: {"description": "Several queries have that name: `candidates` lists them"},
    },
    openapi_extra=_BODY,
)
async def create_chat_completion(request: Request, services: Deps) -> Response:
    try:
        return await _attach(request, services)
    except ArkBrokerError as error:
        return _refusal(request, error)


async def _attach(request: Request, services: Services) -> Response:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        asked = _asked(body)
    found = await resolve(services, asked.query, asked.namespace, asked.session)
    attachment = await Attachment.to(services, asked, found)
    if asked.stream:
        return attachment.response()
    waiting = asyncio.create_task(attachment.wait())
    leaving = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            return Response(status_code=400)
        waiting.result()
    finally:
        waiting.cancel()
        leaving.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)
    failure = await attachment.failure()
    if failure is not None:
        return openai_error(500, failure_json(failure), request_id_of(request))
    return json_response(await completion_of(attachment))


async def _gone(request: Request) -> None:
    """Returns when the client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _asked(body: bytes) -> Asked:
    """What the request asks for. Raises BadInput, and NotFound for a model that is no query."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadInput("is not JSON", "body") from None
    if not isinstance(content, dict):
        raise BadInput("must be an object", "body")
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise BadInput("must be a string: query/<name>", "model")
    metadata = content.get("metadata")
    names = {name: _name(content, metadata if isinstance(metadata, dict) else {}, name) for name in _FIELDS}
    options = content.get("stream_options")
    origin = content.get("from", "start")
    if origin not in ("start", "now"):
        raise BadInput("must be start or now", "from")
    return Asked(
        query=_query_of(model),
        namespace=names["namespace"],
        session=names["session"],
        stream=_flag(content, "stream"),
        events=_flag(content, "events"),
        usage=_flag(options, "include_usage") if isinstance(options, dict) else False,
        from_now=origin == "now",
    )


def _query_of(model: str) -> str:
    """The query's name or uid. Raises NotFound."""
    name = model.removeprefix(MODEL_PREFIX)
    if name == model or not name or len(name) > MAX_NAME or "\x00" in name:
        raise NotFound(f"the model {model[:MAX_NAME]!r} does not exist: here a model is query/<name>")
    return name


def _flag(content: dict[str, Any], name: str) -> bool:
    value = content.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise BadInput("must be true or false", name)
    return value


def _name(content: dict[str, Any], metadata: dict[str, Any], name: str) -> str | None:
    value = content.get(name, metadata.get(name))
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > MAX_NAME or "\x00" in value:
        raise BadInput(f"must be a string of 1 to {MAX_NAME} characters", name)
    return value


def _refusal(request: Request, error: ArkBrokerError) -> Response:
    """The error as OpenAI's clients know it."""
    status = status_of(error)
    content: dict[str, object] = {
        "message": message_of(error),
        "type": "server_error" if status >= 500 else "invalid_request_error",
        "param": getattr(error, "field", None),
        "code": None,
    }
    if isinstance(error, NotFound):
        content |= {"param": "model", "code": "model_not_found"}
    if isinstance(error, Conflict):
        content |= {"param": "model", "code": "ambiguous_model", "candidates": error.candidates}
    return openai_error(status, content, request_id_of(request), retry_headers(error))


@router.get(
    "/v1/models",
    summary="Recent queries, as models to attach to",
    description="The queries of the hundred sessions with the latest activity, the named ones: ids are `query/<name>`.",
    responses={200: {"content": {"application/json": {"example": {"object": "list", "data": [_MODEL_EXAMPLE]}}}}},
)
async def list_models(services: Deps) -> Response:
    found, _ = await services.reader.session_list(SessionFilter(), None, _RECENT_SESSIONS)
    models: dict[str, dict[str, object]] = {}
    for row in found:
        session = row.summary
        for name in session.query_names:
            if len(models) < _MOST_MODELS:
                models.setdefault(name, _model(name, session.first_activity, session.namespace))
    return json_response({"object": "list", "data": list(models.values())})


@router.get(
    "/v1/models/{model}",
    summary="One query, as a model to attach to",
    description="By `query/<name>`, its slash as `%2F`, or by the name alone.",
    responses={
        200: {"content": {"application/json": {"example": _MODEL_EXAMPLE}}},
        404: {"description": "No such query, or a model that is none"},
    },
)
async def get_model(model: str, request: Request, services: Deps) -> Response:
    try:
        name = path_name(model, "model").removeprefix(MODEL_PREFIX)
        found = await resolve(services, name, None, None)
    except ArkBrokerError as error:
        return _refusal(request, error)
    summary = None if found is None else found[0]
    started = time.time_ns() if summary is None else summary.started_at
    return json_response(_model(name, started, None if summary is None else summary.namespace))


def _model(name: str, began: int | None, namespace: str | None) -> dict[str, object]:
    return {
        "id": model_of(name),
        "object": "model",
        "created": (began or 0) // _SECOND,
        "owned_by": namespace or "ark-broker",
    }
