"""Summaries of queries and sessions, kept beside the log: each is a fold over the events it is about.

`fold` is what the log's writer calls for every event that joins a session. All of it is commutative, so the
summaries do not depend on the order in which events arrive: sums of whole numbers, earliest and latest values
(ties go by the value), and sets that keep their smallest members. An event is to be added once; the log has
each id once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from ark_broker.model import MAX_INT64, Event
from ark_broker.model.names import shown
from ark_broker.model.vocabulary import LLM_CHUNK, QUERY_STARTED, TASK_UPDATED, Phase, SessionStatus, is_provisional
from ark_broker.sessions.ark import ArkQuery, ArkSession, arrival_of, names_conversation, news_of
from ark_broker.sessions.correlate import NAMED
from ark_broker.sessions.footprint import MAX_NAMES, Dated, Footprint, earlier, include, value_of
from ark_broker.sessions.ledger import Booked
from ark_broker.sessions.phase import PhaseEvidence, evidence_class
from ark_broker.sessions.pulse import Pulse
from ark_broker.sessions.questions import is_waited_for, sort_of
from ark_broker.sessions.tally import NOTHING, Tally, Usage, dollars

#: Traces of one query that are kept.
MAX_TRACES: Final = 20
#: States of an A2A task in which it waits for somebody.
_INTERRUPTED: Final = frozenset({"input_required", "auth_required"})
#: Stands before an agent's name in a session's search text: nobody types it, so no other name looks like an agent.
AGENT_MARK: Final = "\x1f"
#: Characters of a session's search text.
MAX_SEARCH: Final = 16_384
#: Ranks of an A2A task's first state and of those that end it; of any other it is 2.
_TASK_RANKS: Final = {"submitted": 1, "completed": 3, "failed": 3, "canceled": 3, "rejected": 3}


class TaskState(NamedTuple):
    """The latest that is known of an A2A task; `updated` in nanoseconds since the epoch."""

    state: str
    agent: str | None
    updated: int


class QuerySummary(Footprint, kw_only=True, omit_defaults=True):
    """One query of a session."""

    session_id: str
    name: str
    evidence: PhaseEvidence = msgspec.field(default_factory=PhaseEvidence)
    tally: Tally = msgspec.field(default_factory=Tally)
    first_started: int | None = None
    #: The earliest that was seen of each.
    first_uid: Dated | None = None
    first_trace: Dated | None = None
    #: Earliest time by trace, of all others that it was seen in: a query that waited may go on in a new one.
    later_traces: dict[str, int] = msgspec.field(default_factory=dict)
    #: As the first trace; what a chunk says (1) counts less than what anything else does (0).
    first_stream: tuple[int, int, str] | None = None
    #: Text of the latest evidence that the query failed, and the span that says so.
    last_error: tuple[int, str, str] | None = None
    #: A2A tasks by id, each with the latest state that was seen: "" for none.
    tasks: dict[str, Dated] = msgspec.field(default_factory=dict)
    #: The agent that each is with, the latest seen.
    task_agents: dict[str, Dated] = msgspec.field(default_factory=dict)
    streams: list[str] = msgspec.field(default_factory=list)
    #: Time of the first chunk with something the model produced.
    first_token: int | None = None
    #: MCP session ids by server, the latest seen of each.
    mcp: dict[str, Dated] = msgspec.field(default_factory=dict)
    #: Questions by id: whether it was asked and is waited for, and whether it is over.
    questions: dict[str, tuple[bool, bool]] = msgspec.field(default_factory=dict)
    #: What of it is in the figures over time (`sessions.bookings`); None for nothing yet.
    booked: Booked | None = None
    #: What Ark's own events tell of it, in the order in which they came.
    ark: ArkQuery | None = None
    #: Taken out of the list that Ark's clients see; an event of Ark brings it back.
    unlisted: bool = False

    def add(self, event: Event) -> None:
        """Fold one event in, which must not have been added before."""
        self.note(event)
        time = event.time
        chunk = event.kind == "chunk"
        if event.query_uid is not None:
            self.first_uid = earlier(self.first_uid, time, event.query_uid)
        if event.trace_id is not None:
            self._add_trace(time, event.trace_id)
        if event.stream_id is not None:
            stream = (1 if chunk else 0, time, event.stream_id)
            if self.first_stream is None or stream < self.first_stream:
                self.first_stream = stream
            if event.stream_id not in self.streams:
                include(self.streams, event.stream_id)
        if event.question_id is not None and event.type != TASK_UPDATED and (sort := sort_of(event)) is not None:
            over = sort in ("answered", "expired", "canceled")
            self._add_question(event.question_id, waits=is_waited_for(event), over=over)
        if chunk:
            self.evidence.seen = True
            if event.type == LLM_CHUNK and (self.first_token is None or time < self.first_token):
                self.first_token = time
        else:
            self._add_outcome(event)
        self.tally.count(event)

    def _add_trace(self, time: int, trace_id: str) -> None:
        first = self.first_trace
        if first is None or first[1] == trace_id:
            self.first_trace = earlier(first, time, trace_id)
            return
        if (time, trace_id) < first:
            self.later_traces.pop(trace_id, None)
            self.first_trace, (time, trace_id) = (time, trace_id), first
        if time < self.later_traces.get(trace_id, MAX_INT64):
            self.later_traces[trace_id] = time
            if len(self.later_traces) >= MAX_TRACES:
                del self.later_traces[max(self.later_traces, key=lambda each: (self.later_traces[each], each))]

    def _add_outcome(self, event: Event) -> None:
        self.evidence.add(event)
        if event.task_id is not None:
            self._add_task(event.task_id, (event.end, event.task_state or ""))
            if event.agent is not None and event.task_id in self.tasks:
                agent = (event.end, event.agent)
                self.task_agents[event.task_id] = max(self.task_agents.get(event.task_id, agent), agent)
        if event.mcp_session_id is not None:
            self._add_mcp_session(event.mcp_server or event.tool or "mcp", (event.time, event.mcp_session_id))
        if event.type == QUERY_STARTED and (self.first_started is None or event.time < self.first_started):
            self.first_started = event.time
        if event.error and evidence_class(event) in ("error", "root_error"):
            found = (event.end, event.error, event.span_id or "")
            self.last_error = found if self.last_error is None else max(self.last_error, found)

    def _add_task(self, task_id: str, found: Dated) -> None:
        held = self.tasks.get(task_id)
        if held is None or (_task_rank(found[1]), found) > (_task_rank(held[1]), held):
            self.tasks[task_id] = found
            if len(self.tasks) > MAX_NAMES:
                dropped = max(self.tasks)
                del self.tasks[dropped]
                self.task_agents.pop(dropped, None)

    def _add_question(self, question_id: str, *, waits: bool, over: bool) -> None:
        waited, ended = self.questions.get(question_id, (False, False))
        self.questions[question_id] = (waited or waits, ended or over)
        if len(self.questions) > MAX_NAMES:
            # Those that are over first: they are waited for no more.
            del self.questions[max(self.questions, key=lambda each: (self.questions[each][1], each))]

    def _add_mcp_session(self, server: str, found: Dated) -> None:
        held = self.mcp.get(server)
        if held is None or found > held:
            self.mcp[server] = found
            if len(self.mcp) > MAX_NAMES:
                del self.mcp[max(self.mcp)]

    @property
    def phase(self) -> Phase:
        """See PhaseEvidence. A query that runs is waiting while one of its questions is open, or a task needs input."""
        phase = self.evidence.phase
        if phase not in ("running", "pending"):
            return phase
        asks = any(waits and not over for waits, over in self.questions.values())
        return "waiting" if asks or any(state in _INTERRUPTED for _, state in self.tasks.values()) else phase

    @property
    def uid(self) -> str | None:
        """The first that an event named."""
        return value_of(self.first_uid)

    @property
    def trace_id(self) -> str | None:
        """The trace of the earliest event that has one."""
        return value_of(self.first_trace)

    @property
    def trace_ids(self) -> list[str]:
        """The traces that it was seen in, by the earliest event of each; the first `MAX_TRACES`."""
        later = sorted(self.later_traces, key=lambda each: (self.later_traces[each], each))
        return later if self.first_trace is None else [self.first_trace[1], *later]

    @property
    def stream_id(self) -> str | None:
        """The stream of the earliest event that names one; of the earliest chunk where no other does."""
        return None if self.first_stream is None else self.first_stream[2]

    @property
    def mcp_sessions(self) -> dict[str, str]:
        """MCP session id by server."""
        return {server: self.mcp[server][1] for server in sorted(self.mcp)}

    @property
    def error(self) -> str | None:
        """Why it failed; a later success clears it."""
        return None if self.phase == "done" or self.last_error is None else self.last_error[1]

    @property
    def error_span(self) -> str | None:
        """Span id of what failed, where a span says so."""
        return None if self.error is None or self.last_error is None else self.last_error[2] or None

    @property
    def task_ids(self) -> list[str]:
        """A2A tasks, by id."""
        return sorted(self.tasks)

    @property
    def task_states(self) -> dict[str, TaskState]:
        """A2A tasks by id, of those that have said their state."""
        return {
            task_id: TaskState(state, value_of(self.task_agents.get(task_id)), updated)
            for task_id, (updated, state) in sorted(self.tasks.items())
            if state
        }

    @property
    def time_to_first_token(self) -> int | None:
        """Nanoseconds from the start to the first streamed token; None where nothing was streamed."""
        started = self.started_at
        return None if self.first_token is None or started is None else max(0, self.first_token - started)

    @property
    def usage(self) -> Usage:
        """See Tally."""
        return self.tally.shown

    @property
    def tool_calls(self) -> int:
        """See Tally."""
        return self.tally.shown.tool_calls

    @property
    def input_tokens(self) -> int:
        """See Tally."""
        return self.tally.shown.input

    @property
    def output_tokens(self) -> int:
        """See Tally."""
        return self.tally.shown.output

    @property
    def cost(self) -> float | None:
        """US dollars, see Tally; None where nobody named a price."""
        return dollars(self.tally.shown.cost)

    @property
    def started_at(self) -> int | None:
        """When the first `query.started` was, in nanoseconds; without one, the first activity."""
        return self.first_activity if self.first_started is None else self.first_started

    @property
    def ended_at(self) -> int | None:
        """In nanoseconds; None unless the phase is a final one."""
        return self.evidence.ended_at

    @property
    def duration(self) -> int | None:
        """Nanoseconds from start to end; None while it has not ended."""
        ended, started = self.ended_at, self.started_at
        return None if ended is None or started is None else max(0, ended - started)


class SessionSummary(Footprint, kw_only=True, omit_defaults=True):
    """One session. What it used is what its queries did, and its events that are of no query."""

    id: str
    #: True where an event named it; a session that nobody named may turn out to be part of another.
    named: bool = False
    usage: Usage = NOTHING
    tools: list[str] = msgspec.field(default_factory=list)
    #: Names of its queries, those of provisional ones left out: they come and go.
    query_names: list[str] = msgspec.field(default_factory=list)
    #: Queries in each phase; phases without any are left out.
    phases: dict[Phase, int] = msgspec.field(default_factory=dict)
    #: (time, named, name, phase) of the query whose latest report of an end is the latest. Named ones win ties:
    #: so the one that a provisional query becomes part of takes its place exactly.
    last_ended: tuple[int, bool, str, Phase] | None = None
    #: What events of no query used.
    own: Tally | None = None
    #: How busy it was when.
    pulse: Pulse = msgspec.field(default_factory=Pulse)
    #: What of it is in the figures over time (`sessions.bookings`); None for nothing yet.
    booked: Booked | None = None
    #: What Ark's own events tell of it, in the order in which they came; None where there are none.
    ark: ArkSession | None = None
    #: Taken out of the list that Ark's clients see; an event of Ark brings it back.
    unlisted: bool = False

    def add(self, event: Event) -> None:
        """Fold in one event that joined the session, all but what depends on its query (see `fold`)."""
        self.note(event)
        self.pulse.add(event.time)
        if not self.named and event.correlated_by in NAMED:
            self.named = True
        if event.tool is not None:
            include(self.tools, event.tool)

    def add_usage(self, change: Usage, sign: int = 1) -> None:
        """What it used changed by so much."""
        if change is not NOTHING:
            self.usage = self.usage.plus(change, sign)

    def query_changed(self, name: str, before: Phase | None, after: Phase | None, last_end: int = -1) -> None:
        """One of its queries went from phase `before` to `after`; None: it was not there, or is no more.

        `last_end` is its latest report of an end (`PhaseEvidence.last_end`).
        """
        if before != after:
            if before is not None:
                self.phases[before] -= 1
                if not self.phases[before]:
                    del self.phases[before]
            if after is not None:
                self.phases[after] = self.phases.get(after, 0) + 1
        if after is None:
            if self.last_ended is not None and self.last_ended[2] == name:
                self.last_ended = None
        elif last_end >= 0:
            found = (last_end, not is_provisional(name), name)
            if self.last_ended is None or found >= self.last_ended[:3]:
                self.last_ended = (*found, after)

    @property
    def status(self) -> SessionStatus:
        """`active` while a query runs, else `waiting` while one waits, else by how the last one ended."""
        if "running" in self.phases or "pending" in self.phases:
            return "active"
        if "waiting" in self.phases:
            return "waiting"
        return "error" if self.last_ended is not None and self.last_ended[3] == "error" else "idle"

    @property
    def participants(self) -> list[str]:
        """Agents and tools that took part."""
        return sorted({*self.agents, *self.tools})

    @property
    def query_count(self) -> int:
        """Queries in any phase."""
        return sum(self.phases.values())

    @property
    def error_count(self) -> int:
        """Queries in phase `error`."""
        return self.phases.get("error", 0)

    @property
    def cost(self) -> float | None:
        """US dollars; None where nobody named a price."""
        return dollars(self.usage.cost)

    @property
    def tool_calls(self) -> int:
        """Of all queries."""
        return self.usage.tool_calls

    @property
    def input_tokens(self) -> int:
        """Of all queries."""
        return self.usage.input

    @property
    def output_tokens(self) -> int:
        """Of all queries."""
        return self.usage.output

    @property
    def search(self) -> str:
        """Text to search for names in, lower case: a line each for the id, the agents (marked) and the queries."""
        text = "\n"
        for line in (shown(self.id), *(AGENT_MARK + agent for agent in self.agents), *self.query_names):
            if len(text) + len(line) < MAX_SEARCH:
                text += line.lower() + "\n"
        return text


def _task_rank(state: str) -> int:
    """What counts before the time at which a task's state was reported.

    An event that only names the task says nothing of its state. A task never leaves a state that ends it, and is
    submitted but once: agents report that without a time, so that it may seem to be the latest.
    """
    return 0 if not state else _TASK_RANKS.get(state, 2)


def fold(session: SessionSummary, queries: dict[str, QuerySummary], event: Event) -> None:
    """Add an event that joined the session to it and to its query, which is made where there is none yet.

    `queries` must hold the summary of the event's query, if there is one; others may be missing. What was used is
    added to the session by `settle`.
    """
    session.add(event)
    if event.query is not None:
        _fold_query(session, queries, event.query, event)
        if event.kind in ("event", "message"):
            _fold_ark(session, queries[event.query], event)
    else:
        own = session.own or Tally()
        own.count(event)
        if own != Tally():
            session.own = own


def settle(session: SessionSummary, queries: Iterable[QuerySummary]) -> None:
    """Add to the session what these queries, and its events of no query, used since they were settled last."""
    for query in queries:
        session.add_usage(query.tally.settle())
    if session.own is not None:
        session.add_usage(session.own.settle())


def move_query_events(
    session: SessionSummary, queries: dict[str, QuerySummary], from_name: str, events: Iterable[Event]
) -> None:
    """Take the provisional query `from_name` out of the session; its events belong to named queries now.

    `events` are all of its events, each with the query it belongs to. They stay in the session, and are not
    counted in it again. Raises KeyError where `queries` does not hold the provisional query.
    """
    old = queries.pop(from_name)
    session.add_usage(old.tally.told, -1)
    session.query_changed(from_name, old.phase, None)
    for event in events:
        if event.query is not None:
            _fold_query(session, queries, event.query, event)


def _fold_query(session: SessionSummary, queries: dict[str, QuerySummary], name: str, event: Event) -> None:
    query = queries.get(name)
    before: Phase | None = None
    if query is None:
        query = queries[name] = QuerySummary(session_id=session.id, name=name)
        if not is_provisional(name):
            include(session.query_names, name)
    elif event.question_id is None and event.task_id is None and (event.kind == "chunk" or not evidence_class(event)):
        # Says nothing about the phase, which is most events.
        query.add(event)
        return
    else:
        before = query.phase
    query.add(event)
    session.query_changed(name, before, query.phase, query.evidence.last_end)


def _fold_ark(session: SessionSummary, query: QuerySummary, event: Event) -> None:
    """What the event means for the session that Ark's clients read. An event without a position is not stored yet."""
    position = event.session_seq or event.seq
    if not position:
        return
    news = news_of(event)
    if news is not None:
        told = query.ark = query.ark or ArkQuery()
        before = told.phase if told.first else None
        told.add(news, position, arrival_of(event))
        header = session.ark = session.ark or ArkSession(created=told.created)
        header.query_changed(query.name, before, told)
    elif names_conversation(event):
        told = query.ark = query.ark or ArkQuery()
        told.conversation = told.conversation or event.conversation_id
        told.messages += event.kind == "message"
    else:
        return
    if session.ark is not None:
        session.ark.active = max(session.ark.active, arrival_of(event))
