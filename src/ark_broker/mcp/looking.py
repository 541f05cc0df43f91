"""Tools that look at what other agents did: sessions, events, conversations. What they return is cut and marked."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from msgspec import Meta, Struct

from ark_broker.api.encode import page_json
from ark_broker.api.services import Services
from ark_broker.api.v1.sessions import conversation_of, list_page, session_view
from ark_broker.log.read import SessionFilter
from ark_broker.log.scope import WHOLE_LOG, Scope
from ark_broker.mcp.asking import Name
from ark_broker.model import Event
from ark_broker.model.errors import NotFound
from ark_broker.model.vocabulary import SessionStatus

#: Events that one search looks at, at most; `next` goes on.
_MOST_LOOKED_AT: Final = 20_000
_PAGE: Final = 1_000

_Text = Annotated[str, Meta(min_length=1, max_length=200)]


class GetSession(Struct, rename="camel", forbid_unknown_fields=True):
    """Arguments of `get_session`."""

    session: Annotated[Name, Meta(description="The session's id, or its URI: ark://sessions/…")]
    query: Annotated[Name | None, Meta(description="Only this query.")] = None


class ListSessions(Struct, rename="camel", forbid_unknown_fields=True):
    """Arguments of `list_sessions`."""

    status: Annotated[SessionStatus | None, Meta(description="Only sessions in this state.")] = None
    agent: Annotated[Name | None, Meta(description="Only sessions that this agent took part in.")] = None
    namespace: Annotated[Name | None, Meta(description="Only sessions of this namespace.")] = None
    text: Annotated[_Text | None, Meta(description="Text to look for in ids, query names and agents.")] = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 20
    cursor: Annotated[
        Annotated[str, Meta(max_length=1000)] | None, Meta(description="`nextCursor` of the page before.")
    ] = None


class SearchEvents(Struct, rename="camel", forbid_unknown_fields=True):
    """Arguments of `search_events`."""

    session: Annotated[Name | None, Meta(description="Only events of this session; without it, of all.")] = None
    query: Annotated[Name | None, Meta(description="Only events of this query.")] = None
    types: Annotated[
        Annotated[list[Name], Meta(max_length=20)] | None,
        Meta(description='Only events of these types, such as "tool.failed" or "llm.request".'),
    ] = None
    errors_only: Annotated[bool, Meta(description="Only events that carry an error.")] = False
    text: Annotated[_Text | None, Meta(description="Text in the event, upper and lower case alike.")] = None
    after: Annotated[int, Meta(ge=0, description="Position to go on after: `next` of the answer before.")] = 0
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class GetConversation(Struct, rename="camel", forbid_unknown_fields=True):
    """Arguments of `get_conversation`."""

    session: Annotated[Name, Meta(description="The session's id.")]
    query: Annotated[Name | None, Meta(description="Only this query.")] = None


async def get_session(services: Services, wanted: GetSession) -> object:
    """The prototype's view. Raises NotFound."""
    session_id = wanted.session.removeprefix("ark://sessions/")
    view: dict[str, Any] = orjson.loads(await session_view(services, session_id))
    if wanted.query is not None:
        if wanted.query not in view["queries"]:
            raise NotFound(f"no query {wanted.query!r} in session {session_id!r}")
        view["queries"] = {wanted.query: view["queries"][wanted.query]}
    return view


async def list_sessions(services: Services, wanted: ListSessions) -> object:
    """One page of summaries, newest activity first."""
    conditions = SessionFilter(wanted.status, wanted.namespace, wanted.agent, text=wanted.text)
    return await list_page(services, conditions, wanted.cursor, wanted.limit)


async def get_conversation(services: Services, wanted: GetConversation) -> object:
    """OpenAI messages. Raises NotFound."""
    found = await conversation_of(services, wanted.session, wanted.query)
    found.pop("messages", None)  # the same again, over all conversations
    return found


async def search_events(services: Services, wanted: SearchEvents) -> object:
    """`{"items", "next", "more"}`: those that fit, in the order of the stream. Raises NotFound."""
    reader = services.reader
    scope, after = WHOLE_LOG, wanted.after
    if wanted.session is not None:
        scope = Scope("session", wanted.session)
        after = max(after, await reader.gone_at(wanted.session))
    elif wanted.query is not None:
        scope = Scope("query", wanted.query)
    found: list[Event] = []
    looked_at, more = 0, True
    needle = None if wanted.text is None else wanted.text.lower()
    async with reader.snapshot() as connection:
        if wanted.session is not None and await reader.session(wanted.session, connection) is None:
            raise NotFound(f"no session {wanted.session!r}")
        while more and len(found) < wanted.limit and looked_at < _MOST_LOOKED_AT:
            page = await reader.page(
                scope, after, _PAGE, types=wanted.types or (), query=wanted.query, connection=connection
            )
            looked_at += max(len(page.events), 1 if not page.more else _PAGE)
            after, more = page.next, page.more
            for event in page.events:
                if _fits(event, needle, errors_only=wanted.errors_only):
                    found.append(event)
                    if len(found) == wanted.limit:
                        more, after = True, scope.position(event) or after
                        break
    document: object = orjson.loads(page_json(found, {"next": after, "more": more}))
    return document


def _fits(event: Event, needle: str | None, *, errors_only: bool) -> bool:
    if errors_only and event.error is None and event.status != "error":
        return False
    if needle is None:
        return True
    named = (event.type, event.agent, event.tool, event.query, event.error, event.session_id)
    return (
        any(needle in text.lower() for text in named if text) or needle in event.body.decode(errors="replace").lower()
    )
