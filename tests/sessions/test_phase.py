"""Phase histories (reports late, twice, out of order), and that no order makes a difference."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.model.vocabulary import Phase
from ark_broker.sessions.phase import PhaseEvidence
from tests.support.events import NOON, child, make, root

#: (history as (type, time) in any order, phase, time of the end)
HISTORIES: list[tuple[list[tuple[str, int]], Phase, int | None]] = [
    ([], "pending", None),
    ([("message.added", 1)], "running", None),
    ([("query.started", 1)], "running", None),
    ([("query.started", 1), ("query.completed", 2)], "done", 2),
    ([("query.started", 1), ("query.failed", 2)], "error", 2),
    ([("query.started", 1), ("query.canceled", 2)], "canceled", 2),
    ([("query.completed", 2)], "done", 2),
    # waiting, and what ends it
    ([("query.started", 1), ("query.waiting", 2)], "waiting", None),
    ([("query.started", 1), ("query.waiting", 2), ("question.answered", 3)], "running", None),
    ([("query.waiting", 2), ("question.answered", 2)], "running", None),
    ([("query.waiting", 3), ("question.answered", 2)], "waiting", None),
    ([("query.waiting", 2), ("query.resumed", 3)], "running", None),
    ([("query.waiting", 2), ("query.resumed", 3), ("query.waiting", 4)], "waiting", None),
    ([("query.waiting", 2), ("question.answered", 3), ("query.waiting", 4)], "waiting", None),
    ([("query.waiting", 2), ("question.answered", 3), ("query.completed", 4)], "done", 4),
    # an answer alone is no start, and reopens nothing
    ([("question.answered", 3)], "running", None),
    ([("query.completed", 2), ("question.answered", 3)], "done", 2),
    ([("query.completed", 2), ("tool.call", 3), ("llm.request", 4)], "done", 2),
    # an older report never overwrites an end
    ([("query.completed", 3), ("query.waiting", 2)], "done", 3),
    ([("query.failed", 3), ("query.started", 1)], "error", 3),
    # error → running again after an approval, and a success that clears it
    ([("query.started", 1), ("query.failed", 2), ("query.started", 3)], "running", None),
    ([("query.failed", 2), ("query.resumed", 3)], "running", None),
    ([("query.completed", 2), ("query.waiting", 3)], "waiting", None),
    ([("query.started", 1), ("query.failed", 2), ("query.started", 3), ("query.completed", 4)], "done", 4),
    ([("query.failed", 2), ("query.completed", 4)], "done", 4),
    ([("query.completed", 2), ("query.failed", 4)], "error", 4),
    ([("query.canceled", 2), ("query.failed", 4)], "error", 4),
    # one and the same time
    ([("query.started", 2), ("query.waiting", 2)], "waiting", None),
    ([("query.started", 2), ("query.waiting", 2), ("query.completed", 2)], "done", 2),
    ([("query.completed", 2), ("query.canceled", 2)], "canceled", 2),
    ([("query.completed", 2), ("query.canceled", 2), ("query.failed", 2)], "error", 2),
    # clocks far off
    ([("query.started", 0), ("query.completed", 2**63 - 1)], "done", 2**63 - 1),
]


def evidence_of(events: list[Event]) -> PhaseEvidence:
    evidence = PhaseEvidence()
    for event in events:
        evidence.add(event)
    return evidence


@pytest.mark.parametrize(("history", "phase", "ended_at"), HISTORIES)
def test_a_history_has_one_phase_in_every_order_and_however_often_it_comes(
    history: list[tuple[str, int]], phase: Phase, ended_at: int | None
) -> None:
    events = [make(number, type=type_, time=time) for number, (type_, time) in enumerate(history)]
    for order in permutations(events):
        evidence = evidence_of([*order, *order])
        assert (evidence.phase, evidence.ended_at) == (phase, ended_at)


def test_evidence_counts_when_it_ended() -> None:
    started = make("a", type="query.started", time=10)
    completed = make("b", type="query.completed", time=10, duration=5)
    waiting = make("c", type="query.waiting", time=10, duration=2)
    evidence = evidence_of([completed, started, waiting])
    assert (evidence.phase, evidence.ended_at) == ("done", 15)


def test_the_end_of_a_trace_root_counts_where_no_report_does() -> None:
    assert evidence_of([child(1, 1)]).phase == "running"
    assert evidence_of([child(1, 1), root(2, 1, time=3, duration=4)]).phase == "done"
    assert evidence_of([root(2, 1, time=3, duration=4)]).ended_at == 7
    assert evidence_of([root(2, 1, status="error")]).phase == "error"
    assert evidence_of([root(2, 1, status="error", time=1), root(3, 2, time=2)]).phase == "done"


@pytest.mark.parametrize(
    ("type_", "phase"),
    [("query.started", "running"), ("query.waiting", "waiting"), ("query.canceled", "canceled")],
)
def test_a_report_beats_the_trace_root_however_late_that_ends(type_: str, phase: Phase) -> None:
    evidence = evidence_of([make(1, type=type_, time=1), root(2, 1, time=50, status="error")])
    assert evidence.phase == phase
    assert evidence.ended_at == (1 if phase == "canceled" else None)


def test_a_root_that_is_itself_a_report_is_only_that() -> None:
    assert evidence_of([root(1, 1, type="query.started", duration=5)]).phase == "running"
    assert evidence_of([root(1, 1, type="query.waiting", duration=5)]).phase == "waiting"


def test_an_event_that_is_no_span_is_no_trace_root() -> None:
    assert evidence_of([make(1, kind="event", trace_id="ab" * 16)]).phase == "running"


@pytest.mark.parametrize("outcome", [{"status": "error"}, {"error": "boom"}])
def test_a_completion_that_says_it_failed_is_an_error(outcome: dict[str, str]) -> None:
    assert evidence_of([make(1, type="query.completed", **outcome)]).phase == "error"


TYPES = [
    *("query.started", "query.waiting", "query.resumed", "query.completed", "query.failed", "query.canceled"),
    *("question.answered", "tool.call", "GET /"),
]
events = st.builds(
    lambda name, type_, time, duration, status, is_root: make(
        name,
        type=type_,
        time=NOON + time,
        duration=duration,
        status=status,
        trace_id="ab" * 16,
        span_id="cd" * 8,
        parent_span_id=None if is_root else "ef" * 8,
    ),
    st.integers(),
    st.sampled_from(TYPES),
    st.integers(0, 4),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([None, "ok", "error"]),
    st.booleans(),
)


@given(st.lists(events, max_size=10), st.data())
def test_no_order_and_no_duplicate_changes_the_evidence(history: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    shuffled = data.draw(st.permutations([*history, *again]))
    assert evidence_of(shuffled) == evidence_of(history)


@given(st.lists(events, max_size=8), st.lists(events, max_size=8))
def test_merged_evidence_is_the_evidence_of_all(first: list[Event], second: list[Event]) -> None:
    merged = evidence_of(first)
    merged.merge(evidence_of(second))
    assert merged == evidence_of([*first, *second])


@given(st.lists(events, max_size=10))
def test_evidence_survives_being_stored_and_an_end_is_known_exactly_in_a_final_phase(history: list[Event]) -> None:
    evidence = evidence_of(history)
    assert msgspec.json.decode(msgspec.json.encode(evidence), type=PhaseEvidence) == evidence
    assert (evidence.ended_at is not None) == (evidence.phase in {"done", "error", "canceled"})
    assert evidence.ended_at is None or evidence.ended_at <= evidence.last_end
