"""A session as Ark's clients read it: whole, in their words.

Where Ark's own events told of the session, by what they told (`sessions.ark`); any other session by its summaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from ark_broker.model.names import shown
from ark_broker.model.timestamps import rfc3339_milliseconds
from ark_broker.model.vocabulary import Phase, is_provisional
from ark_broker.sessions.ark import ArkQuery, ArkSession
from ark_broker.sessions.summary import QuerySummary, SessionSummary

#: What Ark puts before the names of its sessions.
_SESSION_PREFIX: Final = "session-"
#: Phases that Ark has no word for.
_PHASES: Final[dict[Phase, Phase]] = {"waiting": "running", "pending": "running"}

_SECOND: Final = 1_000_000_000
#: Characters of the text that a search looks into.
MAX_SEARCH: Final = 16_384

Json = dict[str, object]


class Told(msgspec.Struct, frozen=True):
    """One query as it is shown, whoever told of it."""

    name: str
    query: ArkQuery


class ListRow(msgspec.Struct, frozen=True):
    """What the list of sessions is sorted and filtered by; `activity` in nanoseconds."""

    id: str
    name: str
    status: str
    activity: int
    conversations: int
    search: str
    namespace: str | None


def list_row(session: SessionSummary) -> ListRow | None:
    """None for a session that is not listed: nobody has named it, or any query of it."""
    if session.ark is None and (session.unlisted or not session.query_names or is_provisional(session.id)):
        return None
    header = header_of(session)
    # A row that every commit rewrites costs more than a second of it is worth; Ark's own events always count.
    activity = header.active if session.ark is not None else header.active // _SECOND * _SECOND
    search = "\n".join((shown(session.id), *session.agents, *session.tools)).lower()[:MAX_SEARCH]
    return ListRow(
        id=session.id,
        name=short_name(shown(session.id)),
        status=header.status,
        activity=activity,
        conversations=len(session.conversations),
        search=search,
        namespace=session.namespace,
    )


def session_json(session: SessionSummary, queries: Iterable[QuerySummary]) -> Json:
    """The whole session, of the summaries of all of its queries."""
    header, told = header_of(session), told_of(session, queries)
    return _session_json(session.id, header, told)


def header_of(session: SessionSummary) -> ArkSession:
    """What Ark's events tell of the session; where none does, what everything else tells."""
    if session.ark is not None:
        return session.ark
    phases: dict[Phase, int] = {}
    for phase, count in session.phases.items():
        known = _PHASES.get(phase, phase)
        phases[known] = phases.get(known, 0) + count
    last: Phase = "done" if session.last_ended is None else session.last_ended[3]
    return ArkSession(session.first_activity or 0, session.last_activity or 0, phases, (0, "", last))


def told_of(session: SessionSummary, queries: Iterable[QuerySummary]) -> list[Told]:
    """The queries that are shown, in the order in which they came."""
    if session.ark is not None:
        told = [Told(query.name, query.ark) for query in queries if query.ark is not None and query.ark.first]
        return sorted(told, key=lambda each: each.query.first)
    named = [query for query in queries if not is_provisional(query.name) and not query.unlisted]
    named.sort(key=lambda query: (query.first_activity or 0, query.name))
    return [Told(query.name, _otherwise_told(query)) for query in named]


def _session_json(session_id: str, header: ArkSession, queries: Sequence[Told]) -> Json:
    conversations = _conversations(queries)
    return {
        "sessionId": session_id,
        "name": short_name(session_id),
        "status": header.status,
        "errorCount": header.phases.get("error", 0),
        "createdAt": rfc3339_milliseconds(header.created),
        "lastActivity": rfc3339_milliseconds(header.active),
        "queries": {told.name: _query_json(told) for told in queries},
        "conversations": conversations,
        "participants": _participants(conversations),
    }


def short_name(session_id: str) -> str:
    """The id without what Ark puts before it."""
    return session_id.removeprefix(_SESSION_PREFIX)


def _query_json(told: Told) -> Json:
    query = told.query
    found: dict[str, Any] = {
        "name": told.name,
        "namespace": query.namespace,
        "conversationId": query.conversation,
        "agent": query.agent,
        "team": query.team,
        "tool": query.tool,
        "targetType": query.target_type or "agent",
        "phase": query.phase,
        "error": query.error,
        "createdAt": rfc3339_milliseconds(query.created),
        "completedAt": None if query.ended is None else rfc3339_milliseconds(query.ended),
        "lastActivity": rfc3339_milliseconds(query.active),
    }
    return {key: value for key, value in found.items() if value is not None}


def _conversations(queries: Iterable[Told]) -> list[Json]:
    """Queries by conversation, in the order in which the conversations began; those without one are left out."""
    found: dict[str, list[ArkQuery]] = {}
    for told in queries:
        if told.query.conversation is not None:
            found.setdefault(told.query.conversation, []).append(told.query)
    return [_conversation_json(name, members) for name, members in found.items()]


def _conversation_json(conversation_id: str, queries: list[ArkQuery]) -> Json:
    participants = list(dict.fromkeys(filter(None, (query.team or query.agent or query.tool for query in queries))))
    target_type = queries[0].target_type
    began = min(query.created for query in queries)
    return {
        "conversationId": conversation_id,
        "name": participants[0] if participants else conversation_id,
        "participants": participants,
        # Where no messages are stored, each query stands for one, as it always did.
        "messageCount": sum(query.messages for query in queries) or len(queries),
        "duration": _duration(began, [query.ended for query in queries]),
        "startTime": rfc3339_milliseconds(began),
        "participantType": target_type if target_type in ("team", "tool") else "agent",
        "errorCount": sum(query.phase == "error" for query in queries),
    }


def _duration(began: int, ends: Sequence[int | None]) -> str:
    """From the first start to the last end: `2m 5s`; `ongoing` while one of them has not ended."""
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return "ongoing"
    minutes, seconds = divmod(max(0, max(known) - began) // 1_000_000_000, 60)
    return f"{minutes}m {seconds}s" if minutes else f"{seconds}s"


def _participants(conversations: Iterable[Json]) -> list[Json]:
    """One for each name that a conversation goes by."""
    found: dict[object, Json] = {}
    for conversation in conversations:
        name = conversation["name"]
        found.setdefault(name, {"id": name, "name": name, "type": conversation["participantType"]})
    return list(found.values())


def _otherwise_told(query: QuerySummary) -> ArkQuery:
    """A query that no event of Ark told of."""
    return ArkQuery(
        first=1,
        created=query.started_at or 0,
        active=query.last_activity or 0,
        phase=_PHASES.get(query.phase, query.phase),
        ended=query.ended_at,
        error=query.error,
        namespace=query.namespace,
        conversation=query.conversations[0] if query.conversations else None,
        agent=query.agents[0] if query.agents else None,
    )
