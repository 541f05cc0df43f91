"""Points in time on the command line: an age (`10m`) or a time (`2024-01-15T10:30:00Z`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

Since = Annotated[str | None, typer.Option(metavar="AGE|TIME", help="Active since: 10m, 2h, 3d, or RFC 3339.")]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def since_time(text: str | None, option: str) -> str | None:
    """The point in time in RFC 3339, for the API; None for None. Raises BadParameter for what is neither."""
    found = point_in_time(text, option)
    return None if found is None else found.isoformat().replace("+00:00", "Z")


def point_in_time(text: str | None, option: str) -> datetime | None:
    """The same as a datetime in UTC. A time without an offset is local."""
    if text is None:
        return None
    try:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text)
        if match is not None:
            return datetime.now(UTC) - timedelta(seconds=float(match[1]) * _UNITS[match[2]])
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither an age (10m, 2h, 3d) nor a time (2024-01-15T10:30:00Z)", param_hint=option
        ) from None
