"""What a query and a session add to the figures over time: functions of their summaries.

A query counts in the minute in which it began, with all that it used, so that the cost of a query, or the errors among
queries, are of the same ones. Its own figures are those of the agent and the model that it is mostly about; what its
model calls used is by the agent and the model of each call. Tokens that are only counted by chunks are taken in once
the query has ended: until then somebody may say how many they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ark_broker.sessions.ledger import MEASURE_STEP, MEASURES, PLACE, Booked, Measure, Row
from ark_broker.sessions.parts import Pair, slot_of
from ark_broker.sessions.phase import TERMINAL
from ark_broker.sessions.summary import QuerySummary, SessionSummary
from ark_broker.sessions.tally import NOTHING

_NS_PER_MS: Final = 1_000_000
_NS_PER_MINUTE: Final = 60_000_000_000
_CALLS: Final = PLACE["model_calls"]
_OUTPUT: Final = PLACE["output_tokens"]
#: Phases by the figure that counts queries in them.
_PHASES: Final = {name.removeprefix("queries_"): place for name, place in PLACE.items() if name.startswith("queries_")}
_STATUSES: Final = {
    name.removeprefix("sessions_"): place for name, place in PLACE.items() if name.startswith("sessions_")
}


def book_query(query: QuerySummary, session: SessionSummary) -> Booked:
    """What the query adds, as far as is known: what it has booked, where that is the same. Its `tally` is settled."""
    phase = query.phase
    ended = query.duration if phase in TERMINAL else None
    first_token = query.time_to_first_token
    tally = query.tally
    used = tally.told
    output = 0 if ended is None and tally.is_output_counted else used.output
    minute = (query.started_at or 0) // _NS_PER_MINUTE
    namespace = query.namespace or session.namespace or ""
    agent = query.agent or ""
    seen: list[int | str | None] = [
        *(minute, namespace, agent, phase, ended, first_token),
        *(used.model_calls, used.tool_calls, used.input, output, used.cost, len(query.models)),
    ]
    held = query.booked
    if held is not None and held.seen == seen:
        return held
    rows = tally.rows(agent)
    model = _main_model(query, rows)
    # What no model call reported by itself.
    rest = [used.model_calls, used.input, output, used.cost]
    for row in rows.values():
        for number, place in enumerate(_REST):
            rest[number] -= row.figures[place]
    own = rows.get((agent, model))
    if own is None:
        own = rows[agent, model] = Row(agent, model)
    for number, place in enumerate(_REST):
        own.figures[place] += rest[number]
    own.figures[PLACE["tool_calls"]] += used.tool_calls
    own.figures[PLACE["queries"]] += 1
    own.figures[_PHASES["running" if phase == "pending" else phase]] += 1
    _add_duration(own, "query", ended)
    _add_duration(own, "first_token", first_token)
    return Booked(minute, namespace, list(rows.values()), seen)


#: The figures that model calls report, and that may be known in another way, in the order of `seen`.
_REST: Final = (_CALLS, PLACE["input_tokens"], _OUTPUT, PLACE["cost"])


def book_session(session: SessionSummary) -> Booked:
    """What the session adds beside its queries: itself, by status, and what its events of no query used."""
    minute = (session.first_activity or 0) // _NS_PER_MINUTE
    namespace, agent, status = session.namespace or "", session.agent or "", session.status
    model = session.models[0] if session.models else ""
    used = NOTHING if session.own is None else session.own.told
    seen: list[int | str | None] = [
        *(minute, namespace, agent, model, status),
        *(used.model_calls, used.tool_calls, used.input, used.output, used.cost),
    ]
    held = session.booked
    if held is not None and held.seen == seen:
        return held
    row = Row(agent, model)
    figures = row.figures
    figures[PLACE["sessions"]] = 1
    if status != "idle":
        figures[_STATUSES[status]] = 1
    for place, value in zip(_REST, (used.model_calls, used.input, used.output, used.cost), strict=True):
        figures[place] = value
    figures[PLACE["tool_calls"]] = used.tool_calls
    return Booked(minute, namespace, [row], seen)


def _add_duration(row: Row, measure: Measure, nanoseconds: int | None) -> None:
    if nanoseconds is not None:
        milliseconds = nanoseconds // _NS_PER_MS
        row.figures[PLACE[f"{measure}_ms"]] += milliseconds
        code = MEASURES[measure] * MEASURE_STEP + slot_of(milliseconds)
        row.durations[code] = row.durations.get(code, 0) + 1


def _main_model(query: QuerySummary, rows: Mapping[Pair, Row]) -> str:
    """The model that produced most; where no call was reported, one that an event named."""
    if len(rows) == 1:
        best = next(iter(rows))[1]
    else:
        best = max(
            rows, key=lambda pair: (rows[pair].figures[_OUTPUT], rows[pair].figures[_CALLS], pair), default=("", "")
        )[1]
    return best or (query.models[0] if query.models else "")
