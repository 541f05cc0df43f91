"""Streams of the log: what a cursor can run on, and where each event stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import ColumnElement

from ark_broker.log.tables import FEEDS, events, packs
from ark_broker.model import Event
from ark_broker.model.names import shown

Kind = Literal["log", "session", "query", "conversation", "uid", "trace", "question", "sessions"]
#: Of a stream, only one sort of event: messages, operation events of Ark, chunks (and completion markers), spans.
Feed = Literal["", "messages", "operations", "chunks", "spans"]

_COLUMNS: Final = {
    "session": events.c.session_id,
    "query": events.c.query,
    "conversation": events.c.conversation_id,
    "uid": events.c.query_uid,
    "trace": events.c.trace_id,
    "question": events.c.question_id,
}
#: Streams of what may be stored under another name than its namespace's own (`model.names`).
QUALIFIED: Final = frozenset({"session", "question", "sessions"})
_FIELDS: Final = {kind: column.name for kind, column in _COLUMNS.items()}
#: Streams with an index that holds just their events. Of the others `feed` is a filter on a longer one.
_INDEXED: Final = frozenset(
    {
        *((kind, "") for kind in ("log", "session", "query", "trace", "question")),
        *(("log", feed) for feed in FEEDS),
        *((kind, "messages") for kind in ("conversation", "query")),
        *((kind, "operations") for kind in ("uid", "session")),
        ("trace", "spans"),
    }
)


@dataclass(frozen=True, slots=True)
class Scope:
    """A stream: the log; what one session, query (by name), conversation, query UID, trace or question has of it;
    or, not of events, the list of sessions (all, or the one of that name).

    `within` namespaces: `name` is what those call it, and nothing of another one is part of the stream.
    """

    kind: Kind
    name: str = ""
    feed: Feed = ""
    within: tuple[str, ...] = ()

    def position(self, event: Event) -> int | None:
        """The event's position in this stream."""
        if self.kind == "session":
            return event.session_seq
        return event.query_seq if self.kind == "query" else event.seq

    @property
    def column(self) -> ColumnElement[int | None]:
        """The column that holds `position`."""
        match self.kind:
            case "session":
                return events.c.session_seq
            case "query":
                return events.c.query_seq
            case _:
                return events.c.seq

    @property
    def where(self) -> list[ColumnElement[bool]]:
        """Which rows belong to the stream."""
        found = [FEEDS[self.feed]] if self.feed else []
        if self.kind in _COLUMNS:
            found.append(_COLUMNS[self.kind] == (bytes.fromhex(self.name) if self.kind == "trace" else self.name))
        return found

    @property
    def is_indexed(self) -> bool:
        """False where rows of others are passed over to find the stream's own."""
        return (self.kind, self.feed) in _INDEXED

    @property
    def expires(self) -> bool:
        """True where what has expired is left out at once, before it is removed."""
        return self.feed in ("messages", "operations")

    @property
    def packed_columns(self) -> tuple[list[ColumnElement[bool]], ColumnElement[int], ColumnElement[int]] | None:
        """Which packs belong to the stream, and their first and last position in it; None where none can."""
        if self.feed not in ("", "chunks"):
            return None
        match self.kind:
            case "session":
                return [packs.c.session_id == self.name], packs.c.first_session_seq, packs.c.last_session_seq
            case "query":
                return [packs.c.query == self.name], packs.c.first_query_seq, packs.c.last_query_seq
            case "log":
                return [], packs.c.first_seq, packs.c.last_seq
            case _:
                return None


WHOLE_LOG: Final = Scope("log")
#: Not events, but the sessions that they changed.
SESSION_LIST: Final = Scope("sessions")


def scope_of(event: Event, kind: Kind, feed: Feed, within: tuple[str, ...] = ()) -> Scope | None:
    """The stream of that kind that the event is part of, if it is part of one."""
    if not _in_feed(event, feed) or (within and event.namespace not in within):
        return None
    if kind == "log":
        return Scope("log", "", feed, within)
    name = getattr(event, _FIELDS[kind]) if kind in _FIELDS else None
    if name is not None and within and kind in QUALIFIED:
        name = shown(name)
    return None if name is None else Scope(kind, name, feed, within)


def _in_feed(event: Event, feed: Feed) -> bool:
    match feed:
        case "messages":
            return event.kind == "message"
        case "operations":
            return event.kind == "event" and event.query_uid is not None
        case "chunks":
            return event.kind == "chunk"
        case "spans":
            return event.kind == "span"
    return True
