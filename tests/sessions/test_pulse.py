"""A session's activity in slices of time: bounded, complete, and the same in whatever order events come."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import MAX_INT64
from ark_broker.sessions.pulse import MAX_SLICES, Pulse
from tests.support.events import NOON

SECOND = 1_000_000_000
TIMES = st.lists(
    st.one_of(st.integers(0, MAX_INT64), st.integers(NOON, NOON + 3_600 * SECOND)), min_size=1, max_size=60
)


def pulse(times: list[int]) -> Pulse:
    found = Pulse()
    for time in times:
        found.add(time)
    return found


def test_a_short_life_has_short_slices() -> None:
    found = pulse([NOON, NOON + 1, NOON + SECOND])
    assert (found.counts[0], found.counts[-1], sum(found.counts)) == (2, 1, 3)
    assert 1 << found.shift < SECOND


def test_a_life_that_goes_on_keeps_few_slices() -> None:
    found = pulse([NOON + second * SECOND for second in range(10_000)])
    assert MAX_SLICES // 2 <= len(found.counts) <= MAX_SLICES
    assert sum(found.counts) == 10_000
    # Even activity stays even, but for the slices at the ends.
    assert max(found.counts[1:-1]) - min(found.counts[1:-1]) <= 1


def test_what_happened_before_the_first_event_is_put_in_front() -> None:
    found = pulse([NOON, NOON - 2 * SECOND])
    assert (found.counts[0], found.counts[-1]) == (1, 1)
    assert found.first << found.shift <= NOON - 2 * SECOND


@given(TIMES, st.randoms())
def test_the_order_does_not_matter(times: list[int], chance: object) -> None:
    shuffled = list(times)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    found = pulse(times)
    assert found == pulse(shuffled)
    assert sum(found.counts) == len(times)
    assert len(found.counts) <= MAX_SLICES
    assert found.first << found.shift <= min(times)
    assert max(times) < (found.first + len(found.counts)) << found.shift


@given(TIMES)
def test_it_is_stored_as_it_is(times: list[int]) -> None:
    found = pulse(times)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Pulse) == found
