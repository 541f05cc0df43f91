"""Durations, amounts, times: short, and the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_DAY = 86_400.0


def duration(milliseconds: float) -> str:
    """`710ms`, `1.2s`, `2m 5s`, `3h 10m`, `2d 4h`."""
    if milliseconds < 0:
        return f"-{duration(-milliseconds)}"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}ms" if milliseconds >= 1 or milliseconds == 0 else f"{milliseconds:.2g}ms"
    seconds = milliseconds / 1_000
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, name, part, part_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit}{name} {rest}{part_name}" if rest else f"{whole // unit}{name}"
    raise AssertionError(milliseconds)


def count(number: float) -> str:
    """`952`, `12.3k`, `4.5M`."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size * (10 if name == "k" else 1):
            return f"{number / size:.1f}{name}"
    return f"{number:g}"


def dollars(cost: float | None) -> str:
    """`$0.0067`, `$12.30`; nothing where no cost is known."""
    if cost is None:
        return ""
    return f"${cost:.2f}" if cost >= 1 or cost == 0 else f"${cost:.4f}"


def tokens(found: Mapping[str, Any] | None) -> str:
    """Tokens in and out: `118/52`."""
    if not found:
        return ""
    return f"{count(found.get('input', 0))}/{count(found.get('output', 0))}"


def moment(text: object) -> datetime | None:
    """The time that an RFC 3339 text with up to nine digits says, in UTC; None for what is none."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def clock(text: object) -> str:
    """The time of day here: `14:51:09`; dashes where nobody said."""
    found = moment(text)
    try:
        return "--:--:--" if found is None else found.astimezone().strftime("%H:%M:%S")
    except OverflowError:  # the first, or last, day that there is
        return "--:--:--"


def age(text: str | None, now: datetime) -> str:
    """How long ago: `3s`, `12m`, `5h`, `8d`."""
    found = moment(text)
    if found is None:
        return ""
    seconds = max(0.0, (now - found).total_seconds())
    for size, name in ((_DAY, "d"), (3_600.0, "h"), (60.0, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{name}"
    return f"{seconds:.0f}s"


def offset(text: str | None, since: str | None) -> str:
    """How long after `since`: `+1.2s`; nothing where one of them is not known."""
    later, earlier = moment(text), moment(since)
    if later is None or earlier is None:
        return ""
    return f"+{duration((later - earlier).total_seconds() * 1_000)}"
