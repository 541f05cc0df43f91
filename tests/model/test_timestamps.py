from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import MAX_INT64
from ark_broker.model.timestamps import milliseconds, rfc3339

NOON = 1_705_314_600_000_000_000


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (NOON, "2024-01-15T10:30:00Z"),
        (NOON + 500_000_000, "2024-01-15T10:30:00.500Z"),
        (NOON + 7_000_000, "2024-01-15T10:30:00.007Z"),
        (NOON + 7_000, "2024-01-15T10:30:00.000007Z"),
        (NOON + 1_000_007_000, "2024-01-15T10:30:01.000007Z"),
        (NOON + 7, "2024-01-15T10:30:00.000000007Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (MAX_INT64, "2262-04-11T23:47:16.854775807Z"),
        (-MAX_INT64 - 1, "1677-09-21T00:12:43.145224192Z"),
    ],
)
def test_a_time_has_as_many_fraction_digits_as_it_needs(nanoseconds: int, text: str) -> None:
    assert rfc3339(nanoseconds) == text


@given(st.integers(-MAX_INT64 - 1, MAX_INT64))
def test_no_nanosecond_is_lost(nanoseconds: int) -> None:
    whole, _, fraction = rfc3339(nanoseconds).removesuffix("Z").partition(".")
    seconds = (datetime.fromisoformat(whole).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        seconds=1
    )
    assert seconds * 10**9 + int(fraction.ljust(9, "0") or 0) == nanoseconds


@given(st.integers(0, MAX_INT64), st.integers(0, MAX_INT64))
def test_times_within_a_second_grid_sort_as_their_text_does(first: int, second: int) -> None:
    first, second = first // 10**9 * 10**9, second // 10**9 * 10**9
    assert (first < second) == (rfc3339(first) < rfc3339(second))


@pytest.mark.parametrize(
    ("nanoseconds", "expected"), [(0, 0), (1_200_000_000, 1200), (1_500_000, 1.5), (1, 0.000001), (999_999, 0.999999)]
)
def test_milliseconds_are_a_whole_number_where_they_can_be(nanoseconds: int, expected: float) -> None:
    found = milliseconds(nanoseconds)
    assert found == expected
    assert isinstance(found, int) == (nanoseconds % 1_000_000 == 0)
