"""Times and durations as the API writes them: RFC 3339 in UTC to the nanosecond, and milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS: Final = 1_000_000_000


def rfc3339(nanoseconds: int) -> str:
    """Nanoseconds since the Unix epoch as `2024-01-15T10:30:00Z`.

    The fraction has as many digits as it needs: none, 3, 6 or 9. Any signed 64-bit value has such a form.
    """
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    if fraction == 0:
        return text + "Z"
    if fraction % 1_000_000 == 0:
        return f"{text}.{fraction // 1_000_000:03}Z"
    if fraction % 1_000 == 0:
        return f"{text}.{fraction // 1_000:06}Z"
    return f"{text}.{fraction:09}Z"


def rfc3339_milliseconds(nanoseconds: int) -> str:
    """The same with three digits always: `2024-01-15T10:30:00.000Z`, as JavaScript writes it."""
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]}.{fraction // 1_000_000:03}Z"


def milliseconds(nanoseconds: int) -> int | float:
    """A duration in milliseconds: a whole number where it is one."""
    whole, rest = divmod(nanoseconds, 1_000_000)
    return nanoseconds / 1_000_000 if rest else whole
