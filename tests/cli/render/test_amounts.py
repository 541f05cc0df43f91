"""Durations, figures, times, values, and `/metrics`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ark_broker.cli.render import amounts
from ark_broker.cli.render.metrics import families
from ark_broker.cli.render.overview import Overview
from ark_broker.cli.render.values import plain, quoted


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"), (0.004, "0.004ms"), (710.4, "710ms"), (999.6, "1.0s"), (1200, "1.2s"), (59_960, "1m"),
        (125_000, "2m 5s"), (3_600_000, "1h"), (11_400_000, "3h 10m"), (187_200_000, "2d 4h"), (-1200, "-1.2s"),
    ],
)  # fmt: skip
def test_durations_are_short(milliseconds: float, text: str) -> None:
    assert amounts.duration(milliseconds) == text


def test_figures_are_short() -> None:
    assert [amounts.count(n) for n in (0, 952, 9_999, 12_345, 4_500_000)] == ["0", "952", "9999", "12.3k", "4.5M"]
    assert [amounts.dollars(n) for n in (None, 0, 0.00666, 12.3)] == ["", "$0.00", "$0.0067", "$12.30"]
    assert amounts.tokens({"input": 118, "output": 52}) == "118/52"


def test_times_with_nanoseconds_are_read_and_others_are_no_times() -> None:
    now = datetime(2024, 1, 15, 10, 31, tzinfo=UTC)

    assert amounts.age("2024-01-15T10:30:00.857684300Z", now) == "59s"
    assert amounts.age("2024-01-12T10:30:00Z", now) == "3d"
    assert amounts.offset("2024-01-15T10:30:01.2Z", "2024-01-15T10:30:00Z") == "+1.2s"
    assert amounts.moment("yesterday") is None
    assert amounts.clock(None) == "--:--:--"


def test_values_are_quoted_as_json_and_cut() -> None:
    assert quoted("a\n\x1b") == '"a\\n\\u001b"'
    assert quoted({"k": [1, None]}) == '{"k": [1, null]}'
    assert len(quoted("x" * 10**7)) <= 103
    assert len(quoted(list(range(1000)))) == 100
    assert plain("a\nb") == "a b"


def test_samples_of_one_name_are_added_up() -> None:
    text = '# HELP x y\nx{a="1 2"} 2.0\nx{a="2"} 3\ny 1e3\nz NaN\nbroken\n'

    assert families(text) == {"x": 5.0, "y": 1000.0}


def test_rates_are_what_came_between_two_looks() -> None:
    overview = Overview("http://x")

    def look(head: int, events: int) -> dict[str, object]:
        return {
            "head": head,
            "sessions": [{"id": "s1", "status": "active", "counts": {"events": events}}],
            "questions": [],
        }

    overview.take(look(100, 10), 0.0)
    assert overview.summary().startswith("1 running, 0 waiting · - events/s")
    overview.take(look(120, 14), 2.0)
    assert "10.0 events/s" in overview.summary()
    assert overview.session_rows()[0][4] == "2.0"
    overview.lose("gone")
    assert (overview.problem, overview.rate, len(overview.sessions)) == ("gone", None, 1)
