"""Correlation for those who ask: where does this MCP session, trace, task or tool call belong? And who corrects it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from ark_broker.api.paths import NameText, checked_name, json_response
from ark_broker.api.services import Deps
from ark_broker.model.errors import BadInput, NotFound
from ark_broker.receive.context import parse_traceparent
from ark_broker.receive.otlp.records import valid_trace_id
from ark_broker.sessions.correlate import Link
from ark_broker.sessions.keys import (
    call_key,
    conversation_key,
    kind_of,
    mcp_keys,
    own_keys,
    query_key,
    task_key,
    trace_key,
    uid_key,
)

router = APIRouter(tags=["correlation"])

_NOTHING = "give at least one of traceId, queryUid, query, taskId, mcpSessionId, contextId, conversationId, toolCallId"
_EXAMPLE = {
    "session": "session-abc",
    "query": "query-001",
    "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
    "rule": "trace",
    "key": "mcp:mcp-xyz",
    "link": "bWNwOm1jcC14eXo",
    "namedBy": "explicit",
}

Name = Annotated[NameText | None, Query()]


class LinkIn(BaseModel):
    """What `POST /v1/links` takes: one key or several of the same thing, and where they belong."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    session: str
    query: str | None = None
    trace_id: str | None = None
    query_uid: str | None = None
    task_id: str | None = None
    mcp_session_id: str | None = None
    mcp_server: str | None = None
    context_id: str | None = None
    conversation_id: str | None = None
    tool_call_id: str | None = Field(default=None)


def _keys(
    *,
    trace_id: str | None = None,
    query_uid: str | None = None,
    query: str | None = None,
    task_id: str | None = None,
    mcp_session_id: str | None = None,
    mcp_server: str | None = None,
    context_id: str | None = None,
    conversation_id: str | None = None,
    tool_call_id: str | None = None,
) -> list[str]:
    """Keys of what was given, most trusted first. Raises BadInput."""
    keys = []
    if trace_id:
        if not valid_trace_id(trace_id.lower()):
            raise BadInput("must be 32 hex digits, not all zero", "traceId")
        keys.append(trace_key(trace_id.lower()))
    single = ((query_uid, uid_key), (query, query_key), (task_id, task_key))
    keys += [make(value) for value, make in single if value]
    if mcp_session_id:
        keys += mcp_keys(mcp_session_id, mcp_server)
    keys += [conversation_key(value) for value in (context_id, conversation_id) if value]
    if tool_call_id:
        keys.append(call_key(tool_call_id))
    return list(dict.fromkeys(keys))


@router.get(
    "/v1/correlate",
    summary="Which session and query does this belong to?",
    description="For a tool server that was called and cannot tell by whom. Give what you have; of several the most "
    "trusted that is known decides. `rule` is the key that decided, `namedBy` how its session was found. 404 where "
    "nothing is known of any of them; `session` is null where it is known, but nobody has named its session yet.",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
async def correlate(
    services: Deps,
    trace_id: Annotated[NameText | None, Query(alias="traceId")] = None,
    traceparent: Annotated[NameText | None, Query(description="W3C header; its trace id counts.")] = None,
    query_uid: Annotated[NameText | None, Query(alias="queryUid")] = None,
    query: Name = None,
    task_id: Annotated[NameText | None, Query(alias="taskId")] = None,
    mcp_session_id: Annotated[NameText | None, Query(alias="mcpSessionId")] = None,
    mcp_server: Annotated[NameText | None, Query(alias="mcpServer")] = None,
    context_id: Annotated[NameText | None, Query(alias="contextId", description="A2A context.")] = None,
    conversation_id: Annotated[NameText | None, Query(alias="conversationId")] = None,
    tool_call_id: Annotated[NameText | None, Query(alias="toolCallId")] = None,
) -> Response:
    if traceparent and not trace_id:
        parent = parse_traceparent(traceparent)
        if parent is None:
            raise BadInput("is no W3C traceparent", "traceparent")
        trace_id = parent.trace_id
    keys = _keys(
        trace_id=trace_id,
        query_uid=query_uid,
        query=query,
        task_id=task_id,
        mcp_session_id=mcp_session_id,
        mcp_server=mcp_server,
        context_id=context_id,
        conversation_id=conversation_id,
        tool_call_id=tool_call_id,
    )
    if not keys:
        raise BadInput(_NOTHING, "query")
    # Of a namespace its own keys are asked first.
    asked = [each for key in keys for own in sorted(services.grant.namespaces or ()) for each in own_keys(key, own)]
    asked = list(dict.fromkeys([*asked, *keys]))
    found = await services.reader.links(asked)
    key = _deciding(asked, found)
    if key is None:
        raise NotFound(f"nothing is known of {', '.join(keys)}")
    return json_response(_answer(key, found))


def _deciding(keys: Sequence[str], found: dict[str, Link]) -> str | None:
    known = [key for key in keys if key in found]
    settled = [key for key in known if found[key].session_id is not None]
    return next(iter(settled or known), None)


def _answer(key: str, found: dict[str, Link]) -> dict[str, object]:
    """The link that decided; its query where it has one, else that of another key of the same session."""
    link = found[key]
    same = [other for other in found.values() if other.session_id == link.session_id]
    query = link.query or next((other.query for other in same if other.query is not None), None)
    trace = link.trace_id or next((other.trace_id for other in same if other.trace_id is not None), None)
    return {**_link_json(key, link), "query": query, "trace": trace}


def _link_json(key: str, link: Link) -> dict[str, object]:
    return {
        "link": _link_id(key),
        "key": key,
        "session": link.session_id,
        "query": link.query,
        "trace": link.trace_id,
        "rule": "waiting" if link.session_id is None else kind_of(key),
        "namedBy": link.rule,
    }


@router.get("/v1/links", summary="Links of a session, by key")
async def list_links(
    services: Deps,
    session: Annotated[NameText, Query()],
    after: Annotated[NameText, Query(description="Key after which to read.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    found = await services.reader.links_of(session, after, limit + 1)
    items = [_link_json(key, link) for key, link in list(found.items())[:limit]]
    content: dict[str, Any] = {"items": items}
    if len(found) > limit:
        content["next"] = items[-1]["key"]
    return json_response(content)


@router.post(
    "/v1/links",
    summary="Say where something belongs",
    description="Corrects a wrong guess. What comes later under the key belongs there; what is stored under it and "
    "did not name its session itself moves there, once, at a new position. Leaves a `link.created` event.",
    status_code=201,
)
async def create_link(body: LinkIn, services: Deps) -> Response:
    given = body.model_dump(exclude_none=True)
    for name, value in given.items():
        checked_name(value, to_camel(name))
    session = given.pop("session")
    query = given.pop("query", None)
    keys = _keys(**given) or ([query_key(query)] if query else [])
    if "mcp_server" in given and "mcp_session_id" in given:
        # Another server's session may have the same id: only this server's is spoken of.
        keys.remove(mcp_keys(given["mcp_session_id"])[0])
    if not keys:
        raise BadInput(_NOTHING, "body")
    commit = await services.writer.create_links(keys, session, query)
    found = await services.reader.links(keys)
    items = [_link_json(key, found[key]) for key in keys if key in found]
    return json_response({"links": items, "moved": len(commit.adopted), "seq": commit.head}, 201)


@router.delete(
    "/v1/links/{link_id}",
    summary="Forget a link",
    description="What comes later is not placed by it any more. What is stored stays where it is. Leaves a "
    "`link.deleted` event.",
)
async def delete_link(link_id: str, services: Deps) -> Response:
    key = _key_of(link_id)
    commit = await services.writer.delete_link(key)
    return json_response({"link": link_id, "key": key, "deleted": True, "seq": commit.head})


def _link_id(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _key_of(link_id: str) -> str:
    try:
        key = base64.urlsafe_b64decode(link_id + "=" * (-len(link_id) % 4)).decode()
    except (ValueError, binascii.Error):
        key = ""
    if not key or "\x00" in key or len(key) > 1_000:
        raise BadInput("is no id of a link: see `link` in GET /v1/correlate", "link_id")
    return key
