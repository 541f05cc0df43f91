"""Sessions as Ark's clients read them: folded by arrival, beside a model of the rules that was written by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import Event, event_id
from ark_broker.sessions.ark import ArkQuery, ArkSession, News, news_of, phase_of, recounted
from ark_broker.sessions.ark_view import list_row, session_json
from ark_broker.sessions.summary import QuerySummary, SessionSummary, fold, settle

SECOND = 1_000_000_000
BEGAN = 1_800_000_000 * SECOND
REASONS = (
    "QueryExecutionStart",
    "QueryExecutionComplete",
    "QueryExecutionCanceled",
    "QueryExecutionError",
    "AgentExecutionStart",
    "ToolCallError",
    "LLMCallCanceled",
    "SomethingElse",
    "",
)


@dataclass
class Model:
    """One query by the rules of the contract, in the order of arrival."""

    fields: dict[str, Any] = field(default_factory=dict)
    last: int = 0

    def event(self, reason: str, data: dict[str, Any], at: int, number: int) -> None:
        if reason == "QueryExecutionComplete":
            phase = "error" if data.get("error") else "done"
        elif "Canceled" in reason:
            phase = "canceled"
        else:
            phase = "error" if "Error" in reason else "running"
        mine = self.fields
        if "phase" not in mine:
            mine |= {
                "phase": phase,
                "createdAt": at,
                "error": data.get("error"),
                "namespace": data.get("queryNamespace"),
            }
            mine["completedAt"] = None if phase == "running" else at
        elif phase == "error":
            mine |= {"phase": "error", "error": data.get("error"), "completedAt": at}
        elif phase == "canceled" and mine["phase"] != "error":
            mine |= {"phase": "canceled", "completedAt": at}
        elif phase == "done" and mine["phase"] != "canceled":
            mine |= {"phase": "done", "error": None, "completedAt": at}
        for name in ("conversationId", "agent", "team"):
            mine[name] = mine.get(name) or data.get(name)
        mine["tool"] = mine.get("tool") or data.get("tool") or data.get("toolName")
        if mine.get("targetType", "agent") == "agent":
            mine["targetType"] = data.get("targetType") or mine.get("targetType", "agent")
        self.last = number

    def message(self, conversation: str) -> None:
        self.fields["conversationId"] = self.fields.get("conversationId") or conversation


def operation(number: int, query: str, reason: str, data: dict[str, Any]) -> Event:
    body = {"reason": reason, "data": {"queryId": f"uid-{query}", "queryName": query, "sessionId": "session-a", **data}}
    return placed(
        Event(id=event_id(number), kind="event", type=reason or "event", time=1, body=orjson.dumps(body)), number, query
    )


def message(number: int, query: str, conversation: str) -> Event:
    event = Event(id=event_id(number), kind="message", type="message.added", time=1, body=b'{"message":1}')
    event.conversation_id = conversation
    return placed(event, number, query)


def placed(event: Event, number: int, query: str) -> Event:
    event.session_id, event.query = "session-a", query
    event.seq = event.session_seq = number
    event.recorded_at = BEGAN + number * SECOND
    return event


def folded(events: list[Event]) -> tuple[SessionSummary, dict[str, QuerySummary]]:
    session, queries = SessionSummary(id="session-a"), dict[str, QuerySummary]()
    for event in events:
        fold(session, queries, event)
    settle(session, queries.values())
    return session, queries


NAMES = st.sampled_from(["q1", "q2", "q3"])
DATA = st.fixed_dictionaries(
    {},
    optional={
        "error": st.sampled_from(["boom", "bang"]),
        "agent": st.sampled_from(["a1", "a2"]),
        "team": st.sampled_from(["t1", "t2"]),
        "tool": st.just("tool-1"),
        "toolName": st.sampled_from(["tool-2", "tool-3"]),
        "conversationId": st.sampled_from(["c1", "c2"]),
        "queryNamespace": st.sampled_from(["n1", "n2"]),
        "targetType": st.sampled_from(["agent", "team", "tool"]),
    },
)
STEPS = st.lists(
    st.one_of(
        st.tuples(NAMES, st.sampled_from(REASONS), DATA),
        st.tuples(NAMES, st.sampled_from(["c1", "c2", "c3"])),
    ),
    min_size=1,
    max_size=25,
)


def history(steps: list[tuple[Any, ...]]) -> list[Event]:
    return [
        operation(number, *step) if len(step) == 3 else message(number, *step) for number, step in enumerate(steps, 1)
    ]


@given(STEPS)
def test_a_session_is_what_the_rules_make_of_its_events_in_their_order(steps: list[tuple[Any, ...]]) -> None:
    model: dict[str, Model] = {}
    order: list[str] = []
    active = 0
    for number, step in enumerate(steps, 1):
        query = model.setdefault(step[0], Model())
        if len(step) == 3:
            if "phase" not in query.fields:
                order.append(step[0])
            query.event(step[1], step[2], number, number)
            active = number
        else:
            query.message(step[1])
            active = number if order else active

    session, queries = folded(history(steps))

    if not order:
        assert session.ark is None
        return
    shown: Any = session_json(session, queries.values())
    assert list(shown["queries"]) == order
    for name, found in shown["queries"].items():
        expected = dict(model[name].fields)
        for key in ("createdAt", "completedAt"):
            expected[key] = None if expected[key] is None else stamp(expected[key])
        expected["lastActivity"] = stamp(model[name].last)
        assert found == {"name": name} | {key: value for key, value in expected.items() if value is not None}
    phases = [model[name].fields["phase"] for name in order]
    latest = max(order, key=lambda name: model[name].last)
    assert shown["errorCount"] == phases.count("error")
    assert shown["status"] == (
        "active" if "running" in phases else "error" if model[latest].fields["phase"] == "error" else "idle"
    )
    assert shown["lastActivity"] == stamp(active)
    row = list_row(session)
    assert row is not None
    assert (row.status, row.name) == (shown["status"], "a")


def stamp(number: int) -> str:
    from ark_broker.model.timestamps import rfc3339_milliseconds

    return rfc3339_milliseconds(BEGAN + number * SECOND)


@given(STEPS)
def test_what_is_kept_of_a_session_is_what_its_queries_say(steps: list[tuple[Any, ...]]) -> None:
    session, queries = folded(history(steps))
    if session.ark is None:
        return

    again = recounted({name: query.ark for name, query in queries.items() if query.ark is not None}, session.ark)

    assert again is not None
    assert (again.phases, again.status) == (session.ark.phases, session.ark.status)


@given(STEPS, NAMES)
def test_without_a_query_a_session_is_as_if_it_had_never_had_it(steps: list[tuple[Any, ...]], name: str) -> None:
    session, queries = folded(history(steps))
    _, rest = folded([event for event in history(steps) if event.query != name])
    if session.ark is None:
        return

    left = recounted(
        {key: query.ark for key, query in queries.items() if query.ark is not None and key != name}, session.ark
    )

    expected = recounted({key: query.ark for key, query in rest.items() if query.ark is not None}, session.ark)
    assert (left and (left.phases, left.status)) == (expected and (expected.phases, expected.status))


# -- what joins late ---------------------------------------------------------------------------------------------------


def news(phase: str, **fields: Any) -> News:
    return News(phase=phase, **fields)  # type: ignore[arg-type]


def test_a_late_event_fills_what_is_not_known_and_moves_nothing() -> None:
    query = ArkQuery()
    query.add(news("running", agent="a1"), 10, 100)
    query.add(news("running", agent="a0", team="t0"), 5, 200)

    assert (query.agent, query.team, query.active, query.last, query.phase) == ("a1", "t0", 100, 10, "running")


def test_a_late_end_still_ends_the_query_and_does_not_make_it_the_latest() -> None:
    session, one, two = ArkSession(), ArkQuery(), ArkQuery()
    one.add(news("running"), 10, 100)
    session.query_changed("one", None, one)
    two.add(news("done"), 20, 200)
    session.query_changed("two", None, two)

    one.add(news("error"), 5, 300)
    session.query_changed("one", "running", one)

    assert (one.phase, one.last, session.status) == ("error", 10, "idle")


def test_an_end_that_was_applied_is_not_taken_back_by_an_older_one() -> None:
    query = ArkQuery()
    query.add(news("running"), 1, 1)
    query.add(news("done"), 10, 10)
    query.add(news("error", error="old"), 5, 20)

    assert (query.phase, query.error, query.ended) == ("done", None, 10)


def test_a_completion_after_an_approval_clears_the_error() -> None:
    query = ArkQuery()
    query.add(news("error", error="approval required"), 1, 1)
    query.add(news("done"), 2, 2)

    assert (query.phase, query.error) == ("done", None)


def test_only_events_that_name_session_and_query_tell_of_them() -> None:
    event = operation(1, "q1", "QueryExecutionStart", {})
    assert news_of(event) is not None
    for left_out in ("sessionId", "queryName"):
        body = orjson.loads(event.body)
        del body["data"][left_out]
        event.body = orjson.dumps(body)
        assert news_of(event) is None


def test_reasons_are_read_as_ark_reads_them() -> None:
    assert phase_of("QueryExecutionComplete", "x") == "error"
    assert phase_of("ToolCallErrorCanceled", None) == "canceled"
    assert phase_of("MemoryGetMessagesError", None) == "error"
    assert phase_of("AgentExecutionComplete", "x") == "running"
