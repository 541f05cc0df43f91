"""Which session and query does an event belong to?

Producers name them on some events only. Every key that joins events (`sessions.keys`) has a Link to a session and
query. An event that names its session makes links; one that does not is resolved through them, the most trusted key
first. What cannot be resolved yet is stored unassigned, and adopted when its link appears.

    explicit      the event names its session
    baggage       the W3C baggage that came with it does
    operator      somebody said so (`POST /v1/links`)
    trace, …      the rule of the key through which it was found, see `sessions.keys`
    conversation  the conversation's session; the conversation's own id where nobody named any other
    trace-root    nobody did, and the trace's root has ended (or the trace went quiet): `trace:<trace id>`

The last two are guesses: a session that is named later takes over what was put under them. Two sessions that were
both named are never merged: the first one named keeps the trace, an event that names the other stays there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ark_broker.model.vocabulary import BAGGAGE, EXPLICIT, IMPORTED, OPERATOR, is_provisional, provisional
from ark_broker.sessions.keys import (
    BY_CONVERSATION,
    BY_TRACE_ROOT,
    Group,
    is_call,
    is_sticky,
    names_query,
    rule_of,
    trace_key,
)

#: Rules by which somebody named the session, rather than that it was found.
NAMED = frozenset({EXPLICIT, BAGGAGE, OPERATOR, IMPORTED})


class Link(msgspec.Struct):
    """Where events under one key belong. `session_id` None: not known yet."""

    session_id: str | None = None
    query: str | None = None
    #: The trace that the key was seen with last; of a conversation, which has many, the first.
    trace_id: str | None = None
    #: How the session was found: `correlated_by` of the event that gave it.
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class AdoptWaiting:
    """Stored events under `key` have no session; the key's link has one now."""

    key: str


@dataclass(frozen=True, slots=True)
class MoveSession:
    """The session `old`, which was a guess, turned out to be part of `new`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Rehome:
    """Events under `key` were put into the session `old` by a guess that was wrong: they belong to `new`."""

    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class NameQuery:
    """Events under the key are in the session under no query, or a provisional one; now the query has a name."""

    session_id: str
    key: str


Adoption = AdoptWaiting | MoveSession | Rehome | NameQuery


@dataclass(slots=True)
class Correlator:
    """Places one batch of events. `links` holds what is known of their keys, and is updated in place."""

    links: dict[str, Link]
    #: Sessions that only a conversation's id stands for: nobody named them.
    guessed: set[str] = field(default_factory=set)
    #: Keys whose link was made, changed or used: to be written back.
    touched: set[str] = field(default_factory=set)
    #: What the new links mean for events stored earlier, in the order to carry them out.
    adoptions: list[Adoption] = field(default_factory=list)
    #: Keys that nobody had before this batch: no stored event can be waiting under them.
    _fresh: set[str] = field(default_factory=set)
    #: Tool calls whose id is all that an event of the batch has to be placed by.
    _calls_asked_for: set[str] = field(default_factory=set)

    def place(self, groups: Sequence[Group]) -> None:
        """Set `session_id`, `query` and `correlated_by` of each event, as far as they can be known."""
        self._calls_asked_for = {
            key for group in groups if group.session_id is None for key in group.keys if is_call(key)
        }
        unnamed = []
        for group in groups:
            if group.session_id is not None:
                self.guessed.discard(group.session_id)
            else:
                unnamed.append(group)
        for group in groups:
            if group.session_id is not None:
                rule = group.rule
                for event in group.events:
                    event.correlated_by = rule
                self.learn(group, group.session_id, rule)
        if unnamed:
            self._place_unnamed(unnamed)
        for group in groups:
            session_id = group.events[0].session_id
            if group.query is None and session_id is not None:
                query = self.query_for(group, session_id)
                for event in group.events:
                    event.query = query

    def _place_unnamed(self, groups: Sequence[Group]) -> None:
        left = self._resolve_all(groups)
        for group in left:
            if self._known(group) is not None:
                continue
            if group.conversation_id is not None:
                self.guessed.add(group.conversation_id)
                self.learn(group, group.conversation_id, BY_CONVERSATION)
            elif group.has_root:
                self.learn(group, provisional(group.trace_id or ""), BY_TRACE_ROOT)
        self._resolve_all(left)
        for group in groups:
            found = self._known(group)
            if found is None:
                continue
            session_id, rule = found
            for event in group.events:
                event.session_id, event.correlated_by = session_id, rule

    def _resolve_all(self, groups: Sequence[Group]) -> list[Group]:
        """Learn from what is known, until nothing new follows; returns the groups that are left unknown.

        One group may be known through another's keys, in whatever order they come.
        """
        left = list(groups)
        while left:
            still = []
            for group in left:
                found = self._known(group)
                self.learn(group, *(found or (None, None)))
                if found is None:
                    still.append(group)
            if len(still) == len(left):
                return still
            left = still
        return left

    def learn(self, group: Group, session_id: str | None, rule: str | None) -> None:
        """Record that the group's keys belong to `session_id` (None: to a session not known yet)."""
        query = group.query
        if query is None and session_id is not None:
            query = self._linked_query(group, session_id)
        for key in group.all_keys:
            if session_id is None and key in group.more_keys:
                continue
            link = self.links.get(key)
            if link is None and session_id is not None and is_call(key) and key not in self._calls_asked_for:
                # Whoever comes with nothing but the call's id finds it in the log; a link is for those who wait.
                continue
            named = query if names_query(key) else None
            self.touched.add(key)
            if link is None:
                self.links[key] = Link(session_id, named, group.trace_id, rule)
                self._fresh.add(key)
                continue
            self._resolve(key, link, session_id, rule)
            if group.trace_id is not None and names_query(key) and session_id in (None, link.session_id):
                link.trace_id = group.trace_id
            if named is not None and link.query != named and session_id in (None, link.session_id):
                self._name_query(key, link, named, explicit=group.query is not None)

    def decide_trace(self, trace_id: str) -> None:
        """The trace has been quiet for long and named no session: it becomes its own."""
        key = trace_key(trace_id)
        link = self.links.get(key)
        if link is not None and link.session_id is None:
            self.touched.add(key)
            self._resolve(key, link, provisional(trace_id), BY_TRACE_ROOT)

    def decree(self, key: str, session_id: str, query: str | None) -> Link:
        """An operator says where the key belongs: that holds for what comes, and for what was guessed before."""
        link = self.links.setdefault(key, Link())
        self.touched.add(key)
        old, known_query = link.session_id, link.query
        link.session_id, link.rule = session_id, OPERATOR
        link.query = query if query is not None else known_query if old == session_id else None
        if old is None:
            self.adoptions.append(AdoptWaiting(key))
        elif old != session_id or (query is not None and query != known_query):
            self.adoptions.append(Rehome(key, old, session_id))
        return link

    def _known(self, group: Group) -> tuple[str, str] | None:
        """(session, rule) of the most trusted key whose session is no guess; else of one whose session is."""
        guess = last_resort = None
        for key in group.keys:
            link = self.links.get(key)
            if link is None or link.session_id is None:
                continue
            if is_provisional(link.session_id) and link.rule not in NAMED:
                last_resort = last_resort or (link.session_id, BY_TRACE_ROOT)
                continue
            rule = BY_CONVERSATION if link.rule == BY_CONVERSATION else rule_of(key)
            if link.session_id not in self.guessed:
                return link.session_id, rule
            guess = guess or (link.session_id, rule)
        return guess or last_resort

    def _resolve(self, key: str, link: Link, session_id: str | None, rule: str | None) -> None:
        """Give the link its session where it has none, a real one where it had a guess, or the latest."""
        old = link.session_id
        if session_id is None:
            return
        if old == session_id:
            if rule in NAMED and link.rule != OPERATOR:
                link.rule = rule
        elif old is None:
            link.session_id, link.rule = session_id, rule
            if key not in self._fresh:
                self.adoptions.append(AdoptWaiting(key))
        elif is_provisional(old) and link.rule not in NAMED:
            if not is_provisional(session_id):
                self._move(old, session_id, rule)
        elif is_provisional(session_id) or link.rule == OPERATOR:
            return
        elif old in self.guessed and session_id not in self.guessed:
            self._move(old, session_id, rule)
        elif session_id in self.guessed and old not in self.guessed:
            return
        elif not is_sticky(key):
            link.session_id, link.query, link.rule = session_id, None, rule
        elif rule in NAMED and link.rule not in NAMED:
            link.session_id, link.query, link.rule = session_id, None, rule
            if key not in self._fresh:
                self.adoptions.append(Rehome(key, old, session_id))

    def _move(self, old: str, new: str, rule: str | None) -> None:
        for key, link in self.links.items():
            if link.session_id == old:
                link.session_id, link.rule = new, rule
                self.touched.add(key)
        self.guessed.discard(old)
        self.adoptions.append(MoveSession(old, new))

    def _name_query(self, key: str, link: Link, query: str, *, explicit: bool) -> None:
        if link.query is not None and (is_sticky(key) or not explicit):
            return
        before, link.query = link.query, query
        if before is None and link.session_id is not None and key not in self._fresh:
            self.adoptions.append(NameQuery(link.session_id, key))

    def stored(self) -> None:
        """The batch is in the log: from here on its events, too, may be waiting under a key."""
        self._fresh.clear()

    def _linked_query(self, group: Group, session_id: str) -> str | None:
        for key in group.keys:
            link = self.links.get(key)
            if link is not None and link.query is not None and link.session_id == session_id:
                return link.query
        return None

    def query_for(self, group: Group, session_id: str) -> str | None:
        """The query that the group's events belong to, when they name none themselves."""
        found = self._linked_query(group, session_id)
        if found is None and group.trace_id is not None:
            return provisional(group.trace_id)
        return found
