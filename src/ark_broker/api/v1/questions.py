"""Questions: `/v1/questions`. Ask, wait, answer, call off."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ark_broker.api.paths import NameText, json_response, path_name
from ark_broker.api.services import Deps
from ark_broker.log.questions import list_questions
from ark_broker.model.errors import BadInput
from ark_broker.questions.ask import MAX_TEXT, asked_event, decode_ask
from ark_broker.receive.context import NONE, context_of
from ark_broker.receive.fields import MAX_NAME
from ark_broker.sessions.questions import question_json

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

router = APIRouter(tags=["questions"])

_EXAMPLE = {
    "text": "Approve production deploy?",
    "session": "session-abc",
    "query": "query-002",
    "options": ["yes", "no"],
    "timeoutSeconds": 3600,
}


class _Answer(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    answer: Any
    answered_by: str | None = None


class _Cancel(msgspec.Struct, forbid_unknown_fields=True):
    reason: str | None = None


@router.post(
    "/v1/questions",
    summary="Ask a question",
    description="The query waits until it is answered, called off, or its deadline passes. With an `Idempotency-Key` "
    "it is asked once, however often it is sent.",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}, "example": _EXAMPLE}},
        }
    },
)
async def post_question(request: Request, services: Deps) -> Response:
    body = await _body(request, services)
    event = asked_event(decode_ask(body), _attempt(request))
    context = context_of(request.headers)
    if context != NONE:
        context.apply(event)
    await services.append("questions", [event])
    question = await services.desk.get(event.question_id or "")
    return json_response(question_json(question), 201)


@router.get(
    "/v1/questions",
    summary="Questions, newest first",
    description="What waits for somebody: `?state=open`. `cursor` = `nextCursor` goes on.",
)
async def get_questions(
    services: Deps,
    state: Literal["open", "answered", "expired", "canceled"] | None = None,
    session: NameText | None = None,
    query: NameText | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: NameText | None = None,
) -> Response:
    async with services.reader.snapshot() as connection:
        head = await services.reader.head(connection)
        found = await list_questions(
            connection, state=state, session_id=session, query=query, before=_position(cursor), limit=limit + 1
        )
    content: dict[str, object] = {"items": [question_json(each) for each in found[:limit]], "seq": head.seq}
    if len(found) > limit:
        content["nextCursor"] = f"{found[limit - 1].asked_at}:{found[limit - 1].id}"
    return json_response(content)


@router.get(
    "/v1/questions/{question_id}",
    summary="One question, or wait for its answer",
    description="`wait=60`: the answer is given as soon as it is there; ask again after that, also after a restart.",
)
async def get_question(question_id: str, services: Deps, wait: Annotated[float, Query(ge=0, le=300)] = 0) -> Response:
    question, answer = await services.desk.wait(path_name(question_id, "question_id"), wait)
    content = question_json(question)
    if question.secret and question.state == "answered" and answer is not None:
        content["answer"] = answer
    return json_response(content)


@router.post(
    "/v1/questions/{question_id}/answer",
    summary="Answer a question",
    description='`{"answer": …, "answeredBy"?}`. The first answer counts; a later one is a 409 that has the first.',
)
async def post_answer(question_id: str, request: Request, services: Deps) -> Response:
    given = _decoded(await _body(request, services), _Answer)
    _check_text(given.answered_by, "answeredBy", MAX_NAME)
    name = path_name(question_id, "question_id")
    question = await services.desk.answer(name, given.answer, given.answered_by, _attempt(request))
    return json_response(question_json(question))


@router.post("/v1/questions/{question_id}/cancel", summary="Call a question off")
async def post_cancel(question_id: str, request: Request, services: Deps) -> Response:
    given = _decoded(await _body(request, services) or b"{}", _Cancel)
    _check_text(given.reason, "reason", MAX_TEXT)
    question = await services.desk.cancel(path_name(question_id, "question_id"), given.reason)
    return json_response(question_json(question))


async def _body(request: Request, services: Deps) -> bytes:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        return body


def _decoded(body: bytes, of: type[_Struct]) -> _Struct:
    try:
        return msgspec.convert(orjson.loads(body), type=of)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None
    except msgspec.ValidationError as error:
        raise BadInput(str(error)[:300], "body") from None


def _check_text(value: str | None, field: str, most: int) -> None:
    if value is not None and (len(value) > most or "\x00" in value):
        raise BadInput(f"must have at most {most} characters, no NUL", field)


def _attempt(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    _check_text(key, "Idempotency-Key", MAX_NAME)
    return key


def _position(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    at, _, name = cursor.partition(":")
    if not (at.isascii() and at.isdigit() and len(at) <= 19):
        raise BadInput("must be `nextCursor` of the page before", "cursor")
    return int(at), name
