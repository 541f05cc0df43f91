"""Which session and query does an event belong to?

Producers name them on some events only. Every key that joins events (today: the trace, and the query's
name) has a Link to a session and query. An event that names its session makes links; one that does not is
resolved through them. What cannot be resolved yet is stored unassigned, and adopted when its link appears.

    explicit   the event names its session
    trace      another event of its trace did
    query      another event of its query did
    trace-root nobody did, and the trace's root has ended (or the trace went quiet): `trace:<trace id>`

The last one is provisional: a link that turns up later moves it. Two sessions that were both named are
never merged: the first one named keeps the trace, an event that names the other stays there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from ark_broker.model import Event
from ark_broker.model.vocabulary import TRACE_PREFIX, is_provisional, provisional

EXPLICIT = "explicit"
BY_TRACE = "trace"
BY_QUERY = "query"
BY_TRACE_ROOT = "trace-root"

_QUERY_PREFIX = "query:"


class Link(msgspec.Struct):
    """Where events under one key belong. `session_id` None: not known yet."""

    session_id: str | None = None
    query: str | None = None


@dataclass(frozen=True, slots=True)
class AdoptWaiting:
    """Stored events under `key` have no session; the key's link has one now."""

    key: str


@dataclass(frozen=True, slots=True)
class MoveSession:
    """The provisional session `old` turned out to be part of `new`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class NameQuery:
    """Events of the trace are in the session under its provisional query; now the query has a name."""

    session_id: str
    trace_id: str


Adoption = AdoptWaiting | MoveSession | NameQuery


def trace_key(trace_id: str) -> str:
    """Key of a trace's link; equal to the name of its provisional session."""
    return TRACE_PREFIX + trace_id


def query_key(query: str) -> str:
    """Key of a named query's link. The name alone: producers of chunks know no namespace."""
    return _QUERY_PREFIX + query


def query_of_key(key: str) -> str | None:
    """The query's name, for a key made by `query_key`."""
    return key[len(_QUERY_PREFIX) :] if key.startswith(_QUERY_PREFIX) else None


def keys_of(events: Iterable[Event]) -> set[str]:
    """Every key that `Correlator` needs the links of, to place these events."""
    keys: set[str] = set()
    for event in events:
        if event.trace_id is not None:
            keys.add(trace_key(event.trace_id))
        if event.query is not None and not is_provisional(event.query):
            keys.add(query_key(event.query))
    return keys


@dataclass(slots=True)
class Correlator:
    """Places one batch of events. `links` holds what is known of their keys, and is updated in place."""

    links: dict[str, Link]
    #: Keys whose link was made, changed or used: to be written back.
    touched: set[str] = field(default_factory=set)
    #: What the new links mean for events stored earlier, in the order to carry them out.
    adoptions: list[Adoption] = field(default_factory=list)
    #: Keys that nobody had before this batch: no stored event can be waiting under them.
    _fresh: set[str] = field(default_factory=set)

    def place(self, events: Sequence[Event]) -> None:
        """Set `session_id`, `query` and `correlated_by` of each event, as far as they can be known."""
        unnamed = []
        for event in events:
            if event.session_id is not None:
                event.correlated_by = EXPLICIT
                self.learn(event, event.session_id)
            else:
                unnamed.append(event)
        if unnamed:
            for event in unnamed:
                self.learn(event, self._known_session(event))
            for event in unnamed:
                if event.is_trace_root and self._known_session(event) is None:
                    self.learn(event, provisional(event.trace_id or ""))
            for event in unnamed:
                self._assign_session(event)
        for event in events:
            self._assign_query(event)

    def learn(self, event: Event, session_id: str | None) -> None:
        """Record that the event's keys belong to `session_id` (None: to a session not known yet)."""
        named = event.query if event.query is not None and not is_provisional(event.query) else None
        if event.trace_id is not None:
            self._link_trace(event.trace_id, session_id, named)
        if named is not None:
            self._link_query(named, session_id, explicit=event.correlated_by == EXPLICIT)

    def decide_trace(self, trace_id: str) -> None:
        """The trace has been quiet for long and named no session: it becomes its own."""
        link = self.links.get(trace_key(trace_id))
        if link is not None and link.session_id is None:
            self._resolve(trace_key(trace_id), link, provisional(trace_id))

    def _known_session(self, event: Event) -> str | None:
        session = None
        if event.trace_id is not None and (link := self.links.get(trace_key(event.trace_id))):
            session = link.session_id
        if (
            (session is None or is_provisional(session))
            and event.query is not None
            and (link := self.links.get(query_key(event.query)))
        ):
            session = link.session_id or session
        return session

    def _link_trace(self, trace_id: str, session_id: str | None, query: str | None) -> None:
        key = trace_key(trace_id)
        self.touched.add(key)
        link = self.links.get(key)
        if link is None:
            self._create(key, session_id, query)
            return
        before = link.session_id
        self._resolve(key, link, session_id)
        if query is not None and link.query is None and session_id in (None, link.session_id):
            link.query = query
            if before is not None and before == link.session_id and key not in self._fresh:
                self.adoptions.append(NameQuery(before, trace_id))

    def _link_query(self, query: str, session_id: str | None, *, explicit: bool) -> None:
        key = query_key(query)
        self.touched.add(key)
        link = self.links.get(key)
        if link is None:
            self._create(key, session_id, query)
        elif explicit and link.session_id is not None and not is_provisional(link.session_id):
            # A name may be used again, in another session: what comes next belongs to the newer one.
            link.session_id = session_id
        else:
            self._resolve(key, link, session_id)

    def _create(self, key: str, session_id: str | None, query: str | None) -> None:
        self.links[key] = Link(session_id, query)
        self._fresh.add(key)

    def _resolve(self, key: str, link: Link, session_id: str | None) -> None:
        """Give the link its session where it has none, or a real one where it has a provisional one."""
        if session_id is None or link.session_id == session_id:
            return
        if link.session_id is None:
            link.session_id = session_id
            self.touched.add(key)
            if key not in self._fresh:
                self.adoptions.append(AdoptWaiting(key))
        elif is_provisional(link.session_id) and not is_provisional(session_id):
            self._move(link.session_id, session_id)

    def _move(self, old: str, new: str) -> None:
        for key, link in self.links.items():
            if link.session_id == old:
                link.session_id = new
                self.touched.add(key)
        self.adoptions.append(MoveSession(old, new))

    def _assign_session(self, event: Event) -> None:
        by_trace = self.links.get(trace_key(event.trace_id)) if event.trace_id is not None else None
        by_query = self.links.get(query_key(event.query)) if event.query is not None else None
        for link, rule in ((by_trace, BY_TRACE), (by_query, BY_QUERY)):
            if link is not None and link.session_id is not None:
                event.session_id = link.session_id
                event.correlated_by = BY_TRACE_ROOT if is_provisional(link.session_id) else rule
                return

    def _assign_query(self, event: Event) -> None:
        if event.query is None and event.session_id is not None and event.trace_id is not None:
            event.query = self.query_for(event.trace_id, event.session_id)

    def query_for(self, trace_id: str, session_id: str) -> str:
        """The query that an event of the trace belongs to, when it names none itself."""
        link = self.links.get(trace_key(trace_id))
        if link is not None and link.query is not None and link.session_id == session_id:
            return link.query
        return provisional(trace_id)
