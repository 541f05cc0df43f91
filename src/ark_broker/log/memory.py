"""What the writer remembers between commits: links and summaries it would otherwise read again.

Every commit, by whichever process, moves the head. So what was remembered at head `n` still holds exactly
when the next transaction finds the head at `n`; otherwise somebody else wrote, and all of it is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.tables import GONE, contents, events, links, queries, sessions, waiting
from ark_broker.sessions.ark_view import ListRow
from ark_broker.sessions.correlate import Link
from ark_broker.sessions.keys import call_key, call_of_key
from ark_broker.sessions.summary import QuerySummary, SessionSummary

_QUERY: Final = msgspec.msgpack.Decoder(QuerySummary)
_SESSION: Final = msgspec.msgpack.Decoder(SessionSummary)
#: Bind parameters in one IN list.
_PAGE: Final = 500
#: How exact `links.last_seen` is. A row that every commit rewrites would be all dead versions soon.
_LINK_SEEN_NANOSECONDS: Final = 1_000_000_000
_Key = TypeVar("_Key")


def decode_session(state: bytes) -> SessionSummary:
    """The summary in `sessions.state`."""
    return _SESSION.decode(state)


def decode_query(state: bytes) -> QuerySummary:
    """The summary in `queries.state`."""
    return _QUERY.decode(state)


class Memory:
    """Links and summaries by key, as of the head `at`."""

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._starts = 0
        self.at = -1
        self.links: dict[str, Link] = {}
        self.sessions: dict[str, SessionSummary] = {}
        #: Position of the session's deletion; 0 for most.
        self.gone: dict[str, int] = {}
        #: Whose the deleted sessions were, of those that had a namespace: their names stay theirs.
        self.owners: dict[str, str] = {}
        self.queries: dict[str, dict[str, QuerySummary]] = {}
        #: Links as they were written last, and when (ns).
        self._written: dict[str, tuple[Link, int]] = {}
        #: What is written in Ark's list of sessions; None for one that is not in it.
        self._rows: dict[str, ListRow | None] = {}
        #: Whether events wait under a tool call's id; None: not looked yet.
        self.calls_wait: bool | None = None
        #: Keys of pieces that are stored already (`log.contents`).
        self.contents: set[bytes] = set()

    def forget(self) -> None:
        """Drop everything: another process committed, or a transaction failed half-way."""
        self.at = -1
        self.calls_wait = None
        for kept in (self.links, self.sessions, self.gone, self.owners, self.queries):
            kept.clear()
        for more in (self.contents, self._written, self._rows):
            more.clear()

    def start(self, prior: int) -> None:
        """Begin a transaction that found the head at `prior`."""
        self._starts += 1
        crowded = len(self.links) + len(self.sessions) + len(self.contents) > self._limit
        if self._starts % 64 == 0:
            crowded = crowded or sum(map(len, self.queries.values())) > self._limit
        if prior != self.at or crowded:
            self.forget()

    async def load_links(self, connection: AsyncConnection, keys: Iterable[str]) -> None:
        """Make `links` hold every link that exists under `keys`."""
        for page in _pages(key for key in keys if key not in self.links):
            self.links |= await fetch_links(connection, select_links().where(links.c.key.in_(page)))

    async def load_calls(self, connection: AsyncConnection, keys: Iterable[str]) -> None:
        """Of these keys of tool calls, make `links` hold what the log itself knows: the latest event with that id."""
        for key in keys:
            if key not in self.links and (found := await link_of_call(connection, key)) is not None:
                self.links[key] = found

    async def somebody_waits_for_calls(self, connection: AsyncConnection) -> bool:
        """True where events wait under a tool call's id: usually nobody does, and nobody has to be looked for."""
        if self.calls_wait is None:
            found = select(waiting.c.seq).where(waiting.c.key >= call_key(""), waiting.c.key < "call;").limit(1)
            self.calls_wait = (await connection.execute(found)).scalar_one_or_none() is not None
        return self.calls_wait

    def is_link_news(self, key: str, link: Link, now: int) -> bool:
        """True where the link has to be written: it changed, or its row says for too long that it was not used."""
        written = self._written.get(key)
        if written is not None and written[0] == link and now - written[1] < _LINK_SEEN_NANOSECONDS:
            return False
        self._written[key] = (msgspec.structs.replace(link), now)
        return True

    def is_row_news(self, session_id: str, row: ListRow | None) -> bool:
        """True where the session's row in Ark's list has to be written, or taken away."""
        known = session_id in self._rows and self._rows[session_id] == row
        self._rows[session_id] = row
        return not known

    async def load_sessions(self, connection: AsyncConnection, ids: Iterable[str]) -> None:
        """Make `sessions` hold a summary for each of `ids`: the stored one, or an empty one."""
        missing = [session_id for session_id in ids if session_id not in self.sessions]
        for page in _pages(missing):
            rows = await connection.execute(
                select(
                    sessions.c.id, sessions.c.status, sessions.c.namespace, sessions.c.gone_seq, sessions.c.state
                ).where(sessions.c.id.in_(page))
            )
            for session_id, status, namespace, gone_seq, state in rows:
                self.gone[session_id] = gone_seq
                if status != GONE:
                    self.sessions[session_id] = decode_session(state)
                elif namespace is not None:
                    self.owners[session_id] = namespace
        for session_id in missing:
            self.sessions.setdefault(session_id, SessionSummary(id=session_id))

    async def load_queries(self, connection: AsyncConnection, keys: Iterable[tuple[str, str]]) -> None:
        """Make `queries[session]` hold the summaries that exist of the (session, name) pairs."""
        missing = [key for key in keys if key[1] not in self.queries.setdefault(key[0], {})]
        for page in _pages(missing):
            rows = await connection.execute(
                select(queries.c.session_id, queries.c.name, queries.c.state).where(
                    tuple_(queries.c.session_id, queries.c.name).in_(page)
                )
            )
            for session_id, name, state in rows:
                self.queries[session_id][name] = decode_query(state)

    async def unknown_contents(self, connection: AsyncConnection, keys: Iterable[bytes]) -> list[bytes]:
        """Those of `keys` that are not stored; from here on they count as stored."""
        missing = [key for key in keys if key not in self.contents]
        for page in _pages(missing):
            rows = await connection.execute(select(contents.c.key).where(contents.c.key.in_(page)))
            self.contents.update(rows.scalars())
        unknown = [key for key in missing if key not in self.contents]
        self.contents.update(unknown)
        return unknown

    def forget_links(self) -> None:
        """Many links were deleted: what is needed is read again."""
        self.links.clear()
        self._written.clear()

    def forget_link(self, key: str) -> None:
        """The link is no more."""
        self.links.pop(key, None)
        self._written.pop(key, None)

    def owner_of(self, session_id: str) -> str | None:
        """The namespace that the session has, or had when it was deleted; of one that is loaded."""
        summary = self.sessions.get(session_id)
        return (None if summary is None else summary.namespace) or self.owners.get(session_id)

    def drop_session(self, session_id: str) -> str | None:
        """The session is no more: deleted, or moved into another. Returns whose it was."""
        owner = self.owner_of(session_id)
        if owner is not None:
            self.owners[session_id] = owner
        self.sessions.pop(session_id, None)
        self._rows.pop(session_id, None)
        self.queries.pop(session_id, None)
        return owner


def select_links() -> Select[Any]:
    """Links as `fetch_links` reads them."""
    return select(links.c.key, links.c.session_id, links.c.query, links.c.trace_id, links.c.rule)


async def fetch_links(connection: AsyncConnection, statement: Select[Any]) -> dict[str, Link]:
    """Links by key, of a `select_links()`, in its order."""
    return {key: Link(*values) for key, *values in await connection.execute(statement)}


async def link_of_call(connection: AsyncConnection, key: str) -> Link | None:
    """Where the latest event with that tool call id belongs, for a key of one; None where no such event is placed."""
    known = (
        select(events.c.session_id, events.c.query, events.c.trace_id, events.c.correlated_by)
        .join(sessions, sessions.c.id == events.c.session_id)
        .where(events.c.tool_call_id == call_of_key(key), events.c.session_seq > sessions.c.gone_seq)
        .order_by(events.c.seq.desc())
        .limit(1)
    )
    row = (await connection.execute(known)).one_or_none()
    if row is None:
        return None
    trace_id = None if row.trace_id is None else row.trace_id.hex()
    return Link(row.session_id, row.query, trace_id, row.correlated_by)


def _pages(keys: Iterable[_Key]) -> Iterator[list[_Key]]:
    every = list(keys)
    for start in range(0, len(every), _PAGE):
        yield every[start : start + _PAGE]
