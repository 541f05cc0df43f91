"""Durations in slots, and what is read from them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.sessions.parts import MAX_SLOT, percentile, slot_of, slot_start


@given(st.integers(0, 2**40))
def test_a_duration_lies_in_its_slot(duration: int) -> None:
    slot = slot_of(duration)
    assert slot_start(slot) <= duration
    assert slot == MAX_SLOT or duration < slot_start(slot + 1)


def test_slots_are_quarters_of_octaves() -> None:
    assert [slot_of(each) for each in (0, 1, 2, 3, 4, 5, 7, 8)] == [0, 1, 5, 7, 9, 10, 12, 13]
    assert [slot_start(slot_of(each)) for each in (1_000, 1_023, 1_024, 1_279)] == [896, 896, 1024, 1024]


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_a_percentile_is_near_the_true_one(durations: list[int], share: float) -> None:
    ordered = sorted(durations)
    true = ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]
    found = percentile(Counter(map(slot_of, durations)), share)
    assert found is not None
    assert found == pytest.approx(true, rel=0.26)


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({3: 0}, 0.5) is None
