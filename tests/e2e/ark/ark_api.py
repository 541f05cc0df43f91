"""ark-api's proxy to the broker: `/v1/broker/…` as dashboard and CLI call it, and the older conversation routes.

It relays JSON as it is parsed (an answer that is no JSON is its own failure), and a watch line by line: every line that
is not blank, followed by a blank one. An event must therefore be one `data:` line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final, Literal

import httpx
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from tests.e2e.ark.remote import run_program, serve
from tests.support.process import free_port
from tests.support.waiting import until

_JSON_TIMEOUT: Final = 30.0
#: A watch has no end: only connecting has one.
_WATCH_TIMEOUT: Final = httpx.Timeout(30.0, read=None)
_STORES: Final = {
    "traces": "/traces",
    "events": "/events",
    "messages": "/messages",
    "chunks": "/stream",
    "sessions": "/sessions",
}

Params = dict[str, str]


class Memories:
    """What the Memory resources say: name → `status.lastResolvedAddress`."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}

    async def resolve(self, memory: str, address: str) -> None:
        """As the controller does when a Memory is reconciled."""
        self.addresses[memory] = address


class UnavailableError(Exception):
    """No such Memory, or it has no address yet."""


async def broker_address(request: Request, memory: str = "default") -> str:
    """Where the Memory's broker is. Raises UnavailableError."""
    memories: Memories = request.app.state.memories
    if memory not in memories.addresses:
        raise UnavailableError(memory)
    return memories.addresses[memory]


Broker = Annotated[str, Depends(broker_address)]
Limit = Annotated[int, Query(ge=1)]
Flag = Annotated[bool, Query()]
FromBeginning = Annotated[bool, Query(alias="from-beginning")]


def validate_path_segment(value: str) -> str:
    """The segment, where it is one. Raises 400 for what could lead elsewhere."""
    if not value or "/" in value or "\\" in value or ".." in value:
        raise HTTPException(400, f"Invalid path segment: {value!r}")
    return value


def params_of(*, from_beginning: bool = False, **given: object) -> Params:
    """Query parameters of the call to the broker; without those that are not set."""
    found = {name: str(value) for name, value in given.items() if value is not None}
    return found | {"from-beginning": "true"} if from_beginning else found


# -- relays ------------------------------------------------------------------------------------------------------------


async def relay_json(method: str, address: str, path: str, params: Mapping[str, str] | None = None) -> Response:
    """The broker's answer with its status. Its body must be JSON: ValueError otherwise, which is a 500 here."""
    async with httpx.AsyncClient(timeout=_JSON_TIMEOUT) as client:
        response = await client.request(method, f"{address}{path}", params=dict(params or {}))
    return JSONResponse(response.json(), response.status_code)


def relay_watch(address: str, path: str, params: Mapping[str, str]) -> Response:
    """The broker's stream, line by line."""
    return StreamingResponse(
        _lines(f"{address}{path}", params), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )


async def _lines(url: str, params: Mapping[str, str]) -> AsyncIterator[str]:
    async with (
        httpx.AsyncClient(timeout=_WATCH_TIMEOUT) as client,
        client.stream("GET", url, params=dict(params)) as response,
    ):
        if response.status_code != 200:
            body = (await response.aread()).decode()
            yield f"data: {json.dumps({'error': _parsed(body)})}\n\n"
            return
        async for line in response.aiter_lines():
            if line.strip():
                yield f"{line}\n\n"


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


async def relay(address: str, path: str, params: Params, *, watch: bool) -> Response:
    """Whichever of the two was asked for."""
    if watch:
        # Limit and cursor go along.
        return relay_watch(address, path, params | {"watch": "true"})
    return await relay_json("GET", address, path, params)


# -- routes ------------------------------------------------------------------------------------------------------------


async def get_traces(
    broker: Broker,
    limit: Limit = 100,
    cursor: int | None = None,
    session_id: str | None = None,
    from_beginning: FromBeginning = False,
    watch: Flag = False,
) -> Response:
    params = params_of(limit=limit, cursor=cursor, session_id=session_id, from_beginning=from_beginning)
    return await relay(broker, "/traces", params, watch=watch)


async def get_trace(
    trace_id: str, broker: Broker, from_beginning: FromBeginning = False, watch: Flag = False
) -> Response:
    path = f"/traces/{validate_path_segment(trace_id)}"
    return await relay(broker, path, params_of(from_beginning=from_beginning), watch=watch)


async def get_messages(
    broker: Broker,
    limit: Limit = 100,
    cursor: int | None = None,
    conversation_id: str | None = None,
    query_id: str | None = None,
    watch: Flag = False,
) -> Response:
    params = params_of(limit=limit, cursor=cursor, conversation_id=conversation_id, query_id=query_id)
    return await relay(broker, "/messages", params, watch=watch)


async def get_events(
    broker: Broker,
    limit: Limit = 100,
    cursor: int | None = None,
    session_id: str | None = None,
    watch: Flag = False,
) -> Response:
    params = params_of(limit=limit, cursor=cursor, session_id=session_id)
    return await relay(broker, "/events", params, watch=watch)


async def get_query_events(
    query_id: str,
    broker: Broker,
    limit: Limit = 100,
    cursor: int | None = None,
    from_beginning: FromBeginning = False,
    watch: Flag = False,
) -> Response:
    path = f"/events/{validate_path_segment(query_id)}"
    params = params_of(limit=limit, cursor=cursor, from_beginning=from_beginning)
    return await relay(broker, path, params, watch=watch)


async def get_chunks(
    broker: Broker,
    limit: Limit = 100,
    cursor: int | None = None,
    query_id: Annotated[str | None, Query(alias="query-id")] = None,
    watch: Flag = False,
) -> Response:
    if watch and query_id is not None:
        return relay_watch(broker, f"/stream/{validate_path_segment(query_id)}", {"from-beginning": "true"})
    return await relay(broker, "/stream", params_of(limit=limit, cursor=cursor), watch=watch)


async def get_sessions(
    broker: Broker,
    limit: int | None = None,
    cursor: int | None = None,
    status: str | None = None,
    date_from: str | None = None,
    date_to: str | None = None,
    search: str | None = None,
    sort: str | None = None,
    order: str | None = None,
    watch: Flag = False,
) -> Response:
    params = params_of(
        limit=limit,
        cursor=cursor,
        status=status,
        dateFrom=date_from,
        dateTo=date_to,
        search=search,
        sort=sort,
        order=order,
    )
    return await relay(broker, "/sessions", params, watch=watch)


async def get_session(session_id: str, broker: Broker) -> Response:
    return await relay_json("GET", broker, f"/sessions/{validate_path_segment(session_id)}")


async def delete_store(
    store: Literal["traces", "events", "messages", "chunks", "sessions"], broker: Broker
) -> Response:
    return await relay_json("DELETE", broker, _STORES[store])


# -- conversations, which older pages call -----------------------------------------------------------------------------


async def list_conversations(broker: Broker) -> dict[str, object]:
    async with httpx.AsyncClient(timeout=_JSON_TIMEOUT) as client:
        answer = (await client.get(f"{broker}/conversations")).raise_for_status().json()
    return {"items": [{"conversationId": name} for name in answer.get("conversations") or []]}


async def list_messages(broker: Broker, conversation: str | None = None, query: str | None = None) -> dict[str, object]:
    """One page, as this route ever read; each message must be an object."""
    params = params_of(conversation_id=conversation, query_id=query)
    async with httpx.AsyncClient(timeout=_JSON_TIMEOUT) as client:
        answer = (await client.get(f"{broker}/messages", params=params)).raise_for_status().json()
    for item in answer["items"]:
        if not isinstance(item["message"], dict):
            raise TypeError(f"no object: {item['message']!r}")
    names = ("timestamp", "conversation_id", "query_id", "message", "sequence")
    return {"items": [{name: item[name] for name in names} for item in answer["items"]]}


async def delete_conversations(
    broker: Broker, conversation_id: str | None = None, query_id: str | None = None
) -> Response:
    """All of them, one, or the messages of one query in it. What is gone already is no error; a 500 is one."""
    path = "/conversations"
    if conversation_id is not None:
        path += f"/{validate_path_segment(conversation_id)}"
    if query_id is not None:
        path += f"/queries/{validate_path_segment(query_id)}/messages"
    async with httpx.AsyncClient(timeout=_JSON_TIMEOUT) as client:
        response = await client.delete(f"{broker}{path}")
    if response.status_code != 404:
        response.raise_for_status()
    return Response(status_code=204)


async def _unavailable(_request: Request, error: Exception) -> Response:
    message = f"Memory service '{error}' not available"
    return JSONResponse({"error": {"message": message, "type": "service_unavailable"}}, 503)


def create_app(memories: Memories) -> FastAPI:
    """The proxy."""
    app = FastAPI(title="ark-api", openapi_url=None)
    app.state.memories = memories
    app.add_exception_handler(UnavailableError, _unavailable)
    for path, endpoint in (
        ("/v1/broker/traces", get_traces),
        # `:path`, so that a segment with a slash in it is refused by name rather than not found.
        ("/v1/broker/traces/{trace_id:path}", get_trace),
        ("/v1/broker/messages", get_messages),
        ("/v1/broker/events", get_events),
        ("/v1/broker/events/{query_id:path}", get_query_events),
        ("/v1/broker/chunks", get_chunks),
        ("/v1/broker/sessions", get_sessions),
        ("/v1/broker/sessions/{session_id:path}", get_session),
        ("/v1/conversations", list_conversations),
        ("/v1/messages", list_messages),
    ):
        app.add_api_route(path, endpoint, methods=["GET"], response_model=None)
    for path in (
        "/v1/conversations",
        "/v1/conversations/{conversation_id}",
        "/v1/conversations/{conversation_id}/queries/{query_id}/messages",
    ):
        app.add_api_route(path, delete_conversations, methods=["DELETE"], response_model=None)
    app.add_api_route("/v1/broker/{store}", delete_store, methods=["DELETE"], response_model=None)
    return app


async def main() -> None:
    memories = Memories()
    port = free_port()
    config = uvicorn.Config(create_app(memories), port=port, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())

    async def url() -> str:
        """Its address, once it listens."""

        async def started() -> bool:
            assert not serving.done(), "it ended while it started"
            return server.started

        await until(started)
        return f"http://127.0.0.1:{port}"

    await serve({"url": url, "resolve": memories.resolve})
    server.should_exit = True
    await serving


if __name__ == "__main__":
    run_program(main)
