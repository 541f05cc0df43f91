"""Query parameters as Ark's programs have always been able to write them: JavaScript's idea of a number included."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from starlette.requests import Request

from ark_broker.model import MAX_INT64
from ark_broker.model.errors import BadInput, BadPage

MAX_LIMIT: Final = 1_000
DEFAULT_LIMIT: Final = 100
_LEADING_INTEGER: Final = re.compile(r"\s*([+-]?\d{1,30})")
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_MAX_TEXT: Final = 1_000


def limit(request: Request) -> int:
    """Items on a page: 100 unless `limit` says otherwise, 1,000 at most. Raises BadPage."""
    value = text(request, "limit")
    if value is None:
        return DEFAULT_LIMIT
    match = _LEADING_INTEGER.match(value)
    if match is None or int(match[1]) <= 0:
        raise BadPage("limit must be a positive integer", "limit")
    if int(match[1]) > MAX_LIMIT:
        raise BadPage(f"limit cannot exceed {MAX_LIMIT}", "limit")
    return int(match[1])


def loose_cursor(request: Request) -> int | None:
    """`cursor` of `/stream` and `/sessions`: digits, whatever follows them. Raises BadPage."""
    value = text(request, "cursor")
    if value is None:
        return None
    match = _LEADING_INTEGER.match(value)
    if match is None or int(match[1]) < 0:
        raise BadPage("cursor must be a non-negative integer", "cursor")
    return min(int(match[1]), MAX_INT64)


def strict_cursor(request: Request) -> int | None:
    """`cursor` of messages, events and traces: a whole number. Raises BadInput, BadPage."""
    value = text(request, "cursor")
    if value is None:
        return None
    if value == "":
        raise BadPage("cursor must be a non-negative integer", "cursor")
    number = float(value) if _NUMBER.fullmatch(value) else math.nan
    if math.isnan(number):
        raise BadInput("Invalid input: expected number, received NaN", "cursor")
    if math.isinf(number) or not number.is_integer():
        raise BadInput("Invalid input: expected int, received number", "cursor")
    if number < 0:
        raise BadInput("Too small: expected number to be >=0", "cursor")
    exact = value.strip().removeprefix("+")
    return min(int(exact) if exact.isascii() and exact.isdigit() else int(number), MAX_INT64)


def flag(request: Request, name: str) -> bool:
    """`true` or `false`, and nothing else; false where it is absent. Raises BadInput."""
    value = text(request, name)
    if value not in (None, "true", "false"):
        raise BadInput('Invalid option: expected one of "true"|"false"', name)
    return value == "true"


def choice(request: Request, name: str, *words: str) -> str | None:
    """One of the words; None where the parameter is absent. Raises BadInput."""
    value = text(request, name)
    if value is not None and value not in words:
        expected = "|".join(f'"{word}"' for word in words)
        raise BadInput(f"Invalid option: expected one of {expected}", name)
    return value


def text(request: Request, name: str) -> str | None:
    """The parameter; None where it is absent. Raises BadInput where it is given twice, or cannot be looked for."""
    values = request.query_params.getlist(name)
    if not values:
        return None
    if len(values) > 1:
        raise BadInput("Invalid input: expected string, received array", name)
    if "\x00" in values[0]:
        raise BadInput("must not have NUL characters", name)
    if len(values[0]) > _MAX_TEXT:
        raise BadInput(f"Too big: expected string to have <={_MAX_TEXT} characters", name)
    return values[0]


def filled(request: Request, name: str) -> str | None:
    """The parameter; None where it is absent or empty, which is no filter. Raises BadInput."""
    return text(request, name) or None


def moment(request: Request, name: str) -> int | None:
    """A date in nanoseconds, in any of the forms people write; None where it is absent. -1 for what is no date."""
    value = filled(request, name)
    if value is None:
        return None
    found = _parsed(value.strip())
    if found is None:
        return -1
    return int((found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000) * 1_000_000


def _parsed(value: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        try:
            found = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError):
            return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


# -- for the documentation -----------------------------------------------------------------------------------------

_DESCRIPTIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "limit": ("Items on the page.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100}),
    "cursor": ("Go on behind this position: `nextCursor` of the page before.", {"type": "integer", "minimum": 0}),
    "watch": ("Follow live (SSE) instead of a page.", {"type": "string", "enum": ["true", "false"]}),
    "from-beginning": ("With `watch`: what is stored first.", {"type": "string", "enum": ["true", "false"]}),
    "conversation_id": ("Only this conversation's.", {"type": "string"}),
    "query_id": ("Only this query's, by its name.", {"type": "string"}),
    "session_id": ("Only this session's.", {"type": "string"}),
    "status": ("Only sessions with this status.", {"type": "string", "enum": ["active", "idle", "error"]}),
    "dateFrom": ("Only sessions active since then.", {"type": "string"}),
    "dateTo": ("Only sessions not active after that.", {"type": "string"}),
    "search": ("Text in the session's id, or the name of an agent, team or tool.", {"type": "string"}),
    "sort": ("What to sort by.", {"type": "string", "enum": ["date", "name", "conversations"]}),
    "order": ("`desc` unless given.", {"type": "string", "enum": ["asc", "desc"]}),
    "Last-Event-ID": ("With `watch`: go on behind the frame with this `id`.", {"type": "string"}),
}


def documented(*names: str) -> dict[str, Any]:
    """`openapi_extra` of a route with these parameters."""
    return {
        "parameters": [
            {
                "name": name,
                "in": "header" if name == "Last-Event-ID" else "query",
                "required": False,
                "description": _DESCRIPTIONS[name][0],
                "schema": _DESCRIPTIONS[name][1],
            }
            for name in names
        ]
    }
