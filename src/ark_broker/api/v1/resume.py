"""`/v1/queries/{query}/resume`: the state of a query, for an executor that goes on with it; and its schema."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from ark_broker.api.paths import json_response, path_name
from ark_broker.api.services import Deps
from ark_broker.api.v1.frames import belongs
from ark_broker.api.v1.queries import resolve
from ark_broker.api.v1.sessions import Name
from ark_broker.log.questions import list_questions
from ark_broker.log.read import Stride, visible
from ark_broker.log.scope import Scope
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.conventions.exchange import exchange
from ark_broker.sessions.questions import question_json
from ark_broker.sessions.resume import Resume

router = APIRouter(tags=["queries"])

#: Events that the state is folded from, at most: a long answer alone has ten thousand chunks.
MAX_EVENTS: Final = 200_000
_QUESTIONS: Final = 200
_PAGE_BYTES: Final = 4 * 1024 * 1024
_PAGE_EVENTS: Final = 2_000
#: JSON Schema of the answer.
SCHEMA: Final = files("ark_broker.api.v1").joinpath("schemas/resume.json").read_bytes()

_EXAMPLE = {
    "version": 1,
    "name": "query-001",
    "session": "session-abc",
    "phase": "running",
    "conversationId": "conversation-1",
    "messages": [
        {"role": "user", "content": "What is the weather in NYC?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call-1", "type": "function", "function": {"name": "web_search", "arguments": '{"q":"NYC"}'}}
            ],
        },
    ],
    "pendingToolCalls": [
        {
            "id": "call-1",
            "type": "function",
            "function": {"name": "web_search", "arguments": '{"q":"NYC"}'},
            "state": "started",
            "inMessages": True,
            "startedAt": "2024-01-15T10:30:01Z",
        }
    ],
    "openQuestions": [],
    "mcpSessions": {"search": "mcp-xyz"},
    "tasks": {},
    "contexts": [],
    "trace": {
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "rootSpanId": "00f067aa0ba902b7",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    },
    "lastSeq": 41,
    "seq": 42,
    "log": "2d1c3b44-8b0f-4a51-9d0e-3f5f0a0c7a11",
}


@router.get(
    "/v1/queries/{query}/resume",
    summary="What an executor needs to go on with a query",
    description="Messages up to the last whole one, what the model was saying when it was cut off, calls of tools "
    "without a result, open questions, MCP sessions, A2A tasks and the trace. The shape is a contract: "
    "`GET /v1/schemas/resume.json`. An ambiguous name is a 409 that lists the candidates; `namespace` or `session` "
    "decides.",
    responses={
        200: {"content": {"application/json": {"example": _EXAMPLE}}},
        409: {"description": "Several queries have that name"},
    },
)
async def get_resume(query: str, services: Deps, namespace: Name = None, session: Name = None) -> Response:
    query = path_name(query, "query")
    found = await resolve(services, query, namespace, session)
    name, session_id = (query, None) if found is None else (found[0].name, found[0].session_id)
    state = Resume(session_id, name, exchange, describe)
    async with services.reader.snapshot() as connection:
        head = await services.reader.head(connection)
        stride = Stride(_PAGE_BYTES, _PAGE_EVENTS)
        after, count, more = 0, 0, True
        while more and count < MAX_EVENTS:
            page = await services.reader.page(Scope("query", name), after, stride.rows, connection=connection)
            stride.took(page.events)
            for event in visible(page.events):
                if belongs(event, session_id, namespace) and (session_id is None or event.session_id == session_id):
                    state.add(event)
            after, more, count = page.next, page.more, count + len(page.events)
        questions = await list_questions(
            connection, state="open", session_id=session_id, query=name, before=None, limit=_QUESTIONS
        )
    # It may take a while for a large query, and others are to be served meanwhile.
    content = await asyncio.to_thread(state.build)
    content |= {"openQuestions": [question_json(each) for each in questions], "seq": head.seq, "log": head.log_id}
    if more:
        content["truncated"] = True
    return json_response(content)


@router.get(
    "/v1/schemas/resume.json",
    summary="JSON Schema of what `/v1/queries/{query}/resume` answers",
    response_class=Response,
    responses={200: {"content": {"application/schema+json": {"example": {"title": "Resume", "type": "object"}}}}},
)
async def get_resume_schema() -> Response:
    return Response(SCHEMA, media_type="application/schema+json")
