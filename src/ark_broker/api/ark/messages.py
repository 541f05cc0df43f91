"""Stored messages: `/messages`, `/conversations`, `/queries/{name}/messages`, `/memory-status`."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
import orjson
from fastapi import APIRouter, Request
from sqlalchemy import ColumnElement
from starlette.responses import Response, StreamingResponse

from ark_broker.api.ark import lists, parameters
from ark_broker.api.ark.purge import purge
from ark_broker.api.paths import json_response, path_name
from ark_broker.api.services import Deps, Services
from ark_broker.log import ark, removal
from ark_broker.log.read import Stride
from ark_broker.log.scope import Scope
from ark_broker.log.tables import events
from ark_broker.model import Event
from ark_broker.model.errors import BadInput, NotFound
from ark_broker.model.timestamps import rfc3339_milliseconds
from ark_broker.model.vocabulary import MESSAGES_DELETED
from ark_broker.receive.ark import decode_messages, message_of

router = APIRouter(tags=["ark: messages"])

_EVERY: Final = Scope("log", "", "messages")
_ENCODER: Final = msgspec.json.Encoder()
#: Bytes read at once, about.
_STEP_BYTES: Final = 1024 * 1024
_CONVERSATIONS: Final = 1_000


def record(event: Event, position: int) -> bytes:
    """`{"timestamp", "conversation_id", "query_id", "message", "sequence"}`"""
    return _ENCODER.encode(
        {
            "timestamp": rfc3339_milliseconds(event.time),
            "conversation_id": event.conversation_id or "",
            "query_id": event.query or "",
            "message": message_of(event),
            "sequence": position,
        }
    )


@router.post(
    "/messages",
    summary="Store messages of a query",
    description='`{"conversation_id", "query_id", "messages": […], "ttl_seconds"?}`; `query_id` is the name of the '
    "query. The answer has no body.",
)
async def post_messages(request: Request, services: Deps) -> Response:
    headers = request.headers
    async with services.intake.body(
        request.receive, headers.get("content-encoding"), headers.get("content-length")
    ) as body:
        attempt = headers.get("idempotency-key")
        decoded = decode_messages(body, now=time.time_ns(), attempt=attempt)
        appended = await services.append("messages", decoded, fresh=not attempt)
    if appended.refused:
        raise BadInput(appended.refused[0][1], f"messages.{appended.refused[0][0]}")
    return Response(status_code=200)


@router.get(
    "/messages",
    summary="Read or watch messages",
    openapi_extra=parameters.documented("conversation_id", "query_id", "limit", "cursor", "watch", "Last-Event-ID"),
)
async def get_messages(request: Request, services: Deps) -> Response:
    conversation = parameters.filled(request, "conversation_id")
    query = parameters.filled(request, "query_id")
    cursor = parameters.strict_cursor(request)
    scope = _EVERY
    if conversation is not None:
        scope = Scope("conversation", conversation, "messages")
    elif query is not None:
        scope = Scope("query", query, "messages")
    if parameters.flag(request, "watch"):
        form = lists.feed_format(f"ark-message:{query}", record, lambda event: query in (None, event.query))
        return await lists.watch(request, services, scope, form, cursor)
    limit = parameters.limit(request)
    both = query if conversation is not None else None
    return await lists.page(services, scope, record, after=cursor or 0, limit=limit, query=both)


@router.post("/conversations", summary="Make an id for a conversation", status_code=201)
async def post_conversation() -> Response:
    return json_response({"conversation_id": str(uuid.uuid4())}, 201)


@router.get("/conversations", summary="Ids of the conversations that have messages")
async def get_conversations(services: Deps) -> Response:
    return StreamingResponse(_conversations(services), media_type="application/json")


async def _conversations(services: Services) -> AsyncIterator[bytes]:
    yield b'{"conversations":['
    after, separator, found = "", b"", [""]
    while found:
        async with services.reader.snapshot() as connection:
            found = await ark.conversation_ids(connection, after, _CONVERSATIONS)
        if found:
            yield separator + orjson.dumps(found)[1:-1]
            after, separator = found[-1], b","
    yield b"]}"


@router.get("/conversations/{conversation_id}", summary="All messages of a conversation")
async def get_conversation(conversation_id: str, services: Deps) -> Response:
    name = path_name(conversation_id, "conversation_id")
    scope = Scope("conversation", name, "messages")
    first = await services.reader.page(scope, 0, 1)
    if not first.events:
        raise NotFound("Conversation not found")
    return StreamingResponse(_whole_conversation(services, scope), media_type="application/json")


async def _whole_conversation(services: Services, scope: Scope) -> AsyncIterator[bytes]:
    yield b'{"conversation_id":' + orjson.dumps(scope.name) + b',"messages":['
    separator, after, more = b"", 0, True
    stride = Stride(_STEP_BYTES)
    while more:
        rows = stride.rows
        page = await services.reader.page(scope, after, rows)
        if page.events:
            yield separator + b",".join(record(event, event.seq) for event in page.events)
            separator = b","
        stride.took(page.events)
        after, more = page.next, page.more or len(page.events) == rows
    yield b"]}"


@router.delete("/conversations/{conversation_id}", summary="Remove a conversation's messages")
async def delete_conversation(conversation_id: str, services: Deps) -> Response:
    name = path_name(conversation_id, "conversation_id")
    await _remove(services, Scope("conversation", name, "messages").where, {"conversationId": name})
    return _success(f"Conversation {name} deleted")


@router.delete("/conversations/{conversation_id}/queries/{query}/messages", summary="Remove a query's messages in it")
async def delete_query_in_conversation(conversation_id: str, query: str, services: Deps) -> Response:
    conversation, name = path_name(conversation_id, "conversation_id"), path_name(query, "query")
    where = [*Scope("conversation", conversation, "messages").where, events.c.query == name]
    await _remove(services, where, {"conversationId": conversation, "query": name})
    return _success(f"Query {name} messages deleted from conversation {conversation}")


@router.delete("/queries/{query}/messages", summary="Remove a query's messages")
async def delete_query_messages(query: str, services: Deps) -> Response:
    name = path_name(query, "query")
    await _remove(services, Scope("query", name, "messages").where, {"query": name})
    return _success(f"Query {name} messages deleted")


@router.delete("/conversations", summary="Remove all messages")
async def delete_conversations(request: Request, services: Deps) -> Response:
    await purge(request, services, "messages")
    return _success("All conversations deleted")


@router.delete("/messages", summary="Remove all messages")
async def delete_messages(request: Request, services: Deps) -> Response:
    await purge(request, services, "messages")
    return _success("Memory purged")


@router.get("/memory-status", summary="How many messages there are, by conversation")
async def memory_status(services: Deps) -> Response:
    async with services.reader.snapshot() as connection:
        rows = await ark.memory_status(connection)
    conversations = {
        conversation: {"message_count": messages, "query_count": queries} for conversation, messages, queries in rows
    }
    total = sum(messages for _, messages, _ in rows)
    return json_response({"total_conversations": len(rows), "total_messages": total, "conversations": conversations})


async def _remove(services: Services, where: Sequence[ColumnElement[bool]], content: dict[str, object]) -> None:
    await removal.remove(services.writer.operate, where, MESSAGES_DELETED, content)


def _success(message: str) -> Response:
    return json_response({"status": "success", "message": message})
