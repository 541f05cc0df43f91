"""The tables of the log. The same on both dialects; `alembic/versions` creates them.

log_head ── one row: who this log is, and the last position given out
events   ── the log itself, append only but for correlation (session, query and their positions)
packs    ── chunks of finished streams, many to a row
contents ── pieces of long bodies, once each, by their hash
links    ── key → (session, query): how an event that names no session finds one
waiting  ── key → position of an event without a session, to be found when the key's link appears
sessions ── one summary row a session, kept in step with the log by the writer's transaction
queries  ── one summary row a query of a session, likewise
questions ── one row a question: what waits for an answer, and what came of it
rollups  ── figures over time by namespace, agent and model, for each width of time; `durations` likewise, by slot
ark_sessions ── what the list of sessions that Ark's clients read is sorted and filtered by
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    and_,
    literal_column,
)

from ark_broker.sessions.ledger import FIGURES

metadata: Final = MetaData()

# On SQLite only INTEGER PRIMARY KEY is the row's own id; a BIGINT key would cost a second tree.
_position = BigInteger().with_variant(Integer(), "sqlite")

log_head: Final = Table(
    "log_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("log_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # Highest position that retention removed: a cursor below it may have missed something.
    Column("floor", BigInteger, nullable=False),
)

events: Final = Table(
    "events",
    metadata,
    Column("seq", _position, primary_key=True, autoincrement=False),
    Column("session_seq", BigInteger),
    Column("query_seq", BigInteger),
    Column("id", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("duration", BigInteger),
    Column("recorded_at", BigInteger, nullable=False),
    Column("session_id", Text),
    Column("namespace", Text),
    Column("query", Text),
    Column("query_uid", Text),
    Column("conversation_id", Text),
    Column("agent", Text),
    Column("model", Text),
    Column("provider", Text),
    Column("user_id", Text),
    Column("trace_id", LargeBinary),
    Column("span_id", LargeBinary),
    Column("parent_span_id", LargeBinary),
    Column("tool", Text),
    Column("tool_call_id", Text),
    Column("mcp_server", Text),
    Column("mcp_session_id", Text),
    Column("task_id", Text),
    Column("task_state", Text),
    Column("question_id", Text),
    Column("stream_id", Text),
    Column("phase", Text),
    Column("status", Text),
    Column("error", Text),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost", Float),
    Column("cost_by", Text),
    Column("correlated_by", Text),
    # When the producer wants it forgotten, in the broker's clock.
    Column("expires_at", BigInteger),
    Column("body", LargeBinary, nullable=False),
)
Index("events_id", events.c.id, unique=True)
Index("events_session", events.c.session_id, events.c.session_seq)
Index("events_query", events.c.query, events.c.query_seq)
Index("events_trace", events.c.trace_id, events.c.seq)
# Who comes with nothing but a tool call's id finds its session here.
Index(
    "events_call",
    events.c.tool_call_id,
    events.c.seq,
    postgresql_where=events.c.tool_call_id.is_not(None),
    sqlite_where=events.c.tool_call_id.is_not(None),
)
# Adopted rows only: what a replica that catches up must deliver again, at the new position.
for _name, _column in (("session", events.c.session_seq), ("query", events.c.query_seq)):
    Index(
        f"events_{_name}_adopted",
        _column,
        postgresql_where=_column != events.c.seq,
        sqlite_where=_column != events.c.seq,
    )

Index(
    "events_question",
    events.c.question_id,
    events.c.seq,
    postgresql_where=events.c.question_id.is_not(None),
    sqlite_where=events.c.question_id.is_not(None),
)
# Who may see some namespaces only pages through these.
Index(
    "events_namespace",
    events.c.namespace,
    events.c.seq,
    postgresql_where=events.c.namespace.is_not(None),
    sqlite_where=events.c.namespace.is_not(None),
)
Index(
    "events_expiring",
    events.c.expires_at,
    postgresql_where=events.c.expires_at.is_not(None),
    sqlite_where=events.c.expires_at.is_not(None),
)


def _is_kind(kind: str) -> ColumnElement[bool]:
    # A literal: with a parameter in its place neither planner could tell that a partial index holds the rows.
    return events.c.kind == literal_column(f"'{kind}'")


#: Streams of one sort of event, and which rows belong to them (`log.scope`).
FEEDS: Final = {
    "messages": _is_kind("message"),
    "operations": and_(_is_kind("event"), events.c.query_uid.is_not(None)),
    "chunks": _is_kind("chunk"),
    "spans": _is_kind("span"),
}
for _feed, _by, _columns in (
    ("messages", "", (events.c.seq,)),
    ("messages", "_conversation", (events.c.conversation_id, events.c.seq)),
    ("messages", "_query", (events.c.query, events.c.query_seq)),
    ("operations", "", (events.c.seq,)),
    ("operations", "_uid", (events.c.query_uid, events.c.seq)),
    ("operations", "_session", (events.c.session_id, events.c.session_seq)),
    ("chunks", "", (events.c.seq,)),
    ("spans", "", (events.c.seq,)),
):
    Index(f"events_{_feed}{_by}", *_columns, postgresql_where=FEEDS[_feed], sqlite_where=FEEDS[_feed])

# Markers of finished streams: what is to be packed.
Index(
    "events_completed",
    events.c.seq,
    postgresql_where=events.c.type == "stream.completed",
    sqlite_where=events.c.type == "stream.completed",
)

packs: Final = Table(
    "packs",
    metadata,
    # Each position is that of the first or last of the packed events in that stream.
    Column("first_seq", _position, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("first_session_seq", BigInteger, nullable=False),
    Column("last_session_seq", BigInteger, nullable=False),
    Column("query", Text, nullable=False),
    Column("first_query_seq", BigInteger, nullable=False),
    Column("last_query_seq", BigInteger, nullable=False),
    Column("events", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
Index("packs_last", packs.c.last_seq)
Index("packs_session", packs.c.session_id, packs.c.last_session_seq)
Index("packs_query", packs.c.query, packs.c.last_query_seq)

contents: Final = Table(
    "contents",
    metadata,
    # A hash of the session and the piece.
    Column("key", LargeBinary, primary_key=True),
    Column("session_id", Text, nullable=False),
    # Position of the session's last deletion when the piece was stored: the next one takes it along.
    Column("epoch", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
Index("contents_session", contents.c.session_id, contents.c.epoch)

links: Final = Table(
    "links",
    metadata,
    # `trace:<trace id>`, `query:<name>`, `task:<id>`, …: see `sessions.correlate`.
    Column("key", Text, primary_key=True),
    # NULL while nothing named a session: events under this key wait unassigned.
    Column("session_id", Text),
    Column("query", Text),
    # The trace that the key was seen with last.
    Column("trace_id", Text),
    # How the session was found: the `correlated_by` of the event that gave it, or `operator`.
    Column("rule", Text),
    # When the key was last used, in the broker's clock: what has been quiet for long is decided, and later forgotten.
    Column("last_seen", BigInteger, nullable=False),
)
Index("links_session", links.c.session_id)
Index("links_seen", links.c.last_seen)
Index(
    "links_unassigned",
    links.c.last_seen,
    postgresql_where=links.c.session_id.is_(None),
    sqlite_where=links.c.session_id.is_(None),
)

waiting: Final = Table(
    "waiting",
    metadata,
    # Compared byte by byte, so that all keys of a kind are one range.
    Column("key", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
)
Index("waiting_seq", waiting.c.seq)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    # `active`, `waiting`, `idle`, `error`; or `gone` for one that was deleted or moved into another.
    Column("status", Text, nullable=False),
    Column("namespace", Text),
    Column("last_activity", BigInteger, nullable=False),
    # Position of its last change: the cursor of whoever follows the list of sessions.
    Column("seq", BigInteger, nullable=False),
    # Position of the deletion: events at or below it are not part of the session any more.
    Column("gone_seq", BigInteger, nullable=False),
    Column("search", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
Index("sessions_activity", sessions.c.last_activity, sessions.c.id)
Index("sessions_status", sessions.c.status, sessions.c.last_activity, sessions.c.id)
Index("sessions_namespace", sessions.c.namespace, sessions.c.last_activity, sessions.c.id)
Index("sessions_seq", sessions.c.seq)

queries: Final = Table(
    "queries",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("namespace", Text),
    Column("uid", Text),
    Column("phase", Text, nullable=False),
    Column("last_activity", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
Index("queries_name", queries.c.name)
Index("queries_uid", queries.c.uid)

questions: Final = Table(
    "questions",
    metadata,
    Column("id", Text, primary_key=True),
    # `open`, `answered`, `expired`, `canceled`.
    Column("state", Text, nullable=False),
    Column("session_id", Text),
    Column("query", Text),
    Column("asked_at", BigInteger, nullable=False),
    # When something has to happen to it, in the broker's clock; NULL for one that is over, or may wait for ever.
    Column("deadline", BigInteger),
    # Position of its last change.
    Column("seq", BigInteger, nullable=False),
    Column("state_body", LargeBinary, nullable=False),
    Column("namespace", Text),
)
Index("questions_namespace", questions.c.namespace, questions.c.asked_at, questions.c.id)
Index("questions_state", questions.c.state, questions.c.asked_at, questions.c.id)
Index("questions_session", questions.c.session_id, questions.c.asked_at, questions.c.id)
Index("questions_asked", questions.c.asked_at, questions.c.id)
Index(
    "questions_deadline",
    questions.c.deadline,
    postgresql_where=questions.c.deadline.is_not(None),
    sqlite_where=questions.c.deadline.is_not(None),
)

ark_sessions: Final = Table(
    "ark_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    # The id without what Ark puts before it: what its dashboard sorts by.
    Column("name", Text, nullable=False),
    # `active`, `idle` or `error`, and the last activity (ns), as Ark's clients have them (`sessions.ark`).
    Column("status", Text, nullable=False),
    Column("activity", BigInteger, nullable=False),
    Column("conversations", Integer, nullable=False),
    Column("search", Text, nullable=False),
    Column("namespace", Text),
)
Index("ark_sessions_activity", ark_sessions.c.activity, ark_sessions.c.id)
Index("ark_sessions_status", ark_sessions.c.status, ark_sessions.c.activity, ark_sessions.c.id)
Index("ark_sessions_name", ark_sessions.c.name, ark_sessions.c.id)
Index("ark_sessions_conversations", ark_sessions.c.conversations, ark_sessions.c.activity, ark_sessions.c.id)

_BY_TIME: Final = (
    # Seconds: a minute, an hour, a day; and when it begins, in seconds since the epoch.
    ("width", Integer),
    ("at", BigInteger),
    # "" for those that nobody named.
    ("namespace", Text),
    ("agent", Text),
    ("model", Text),
)

rollups: Final = Table(
    "rollups",
    metadata,
    *(Column(_name, _type, primary_key=True, autoincrement=False) for _name, _type in _BY_TIME),
    *(Column(_name, BigInteger, nullable=False) for _name in FIGURES),
    sqlite_with_rowid=False,
)

durations: Final = Table(
    "durations",
    metadata,
    *(Column(_name, _type, primary_key=True, autoincrement=False) for _name, _type in _BY_TIME),
    # What lasted so long, and the slot (`sessions.parts`).
    Column("measure", SmallInteger, primary_key=True, autoincrement=False),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: `sessions.status` of a row that only says that the session is no more.
GONE: Final = "gone"

cursors: Final = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    # Everything up to here has been delivered, or is a dead letter.
    Column("position", BigInteger, nullable=False),
    # The process that delivers, and until when it may (ns): another takes over after that.
    Column("owner", Text),
    Column("lease_until", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # What is shown of it: counts, the last error.
    Column("state", LargeBinary, nullable=False),
)

dead_letters: Final = Table(
    "dead_letters",
    metadata,
    Column("cursor", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    # The event as it was to be delivered: the log may forget it meanwhile.
    Column("content", LargeBinary, nullable=False),
)

webhooks: Final = Table(
    "webhooks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    # An `access.tokens.StoredToken`: of the secret it has a hash.
    Column("content", LargeBinary, nullable=False),
    # Of a ticket: who got it, and when it is good for nothing. No other token has these.
    Column("owner", Text),
    Column("expires_at", BigInteger),
)
_IS_TICKET: Final = tokens.c.owner.is_not(None)
Index("tokens_tickets", tokens.c.owner, tokens.c.expires_at, postgresql_where=_IS_TICKET, sqlite_where=_IS_TICKET)
