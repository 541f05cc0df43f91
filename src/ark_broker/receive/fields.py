"""Values as the log's columns can hold them: bounded, and free of what a database refuses.

The original stays in the event's body, as it was sent.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import orjson

#: Names and ids, in characters. Two of them in UTF-8 must fit one row of a PostgreSQL index.
MAX_NAME: Final = 256
MAX_TEXT: Final = 4_096
#: Tokens of one call. Who reports more reports nonsense, and sums of it fit no database.
MAX_TOKENS: Final = 10**12


_MAX_MILLISECONDS: Final = 1e12


@lru_cache(maxsize=256)
def camel(name: str) -> str:
    """`session_id` as JSON spells it: `sessionId`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def as_name(value: object) -> str:
    """A name or id: text, cut to `MAX_NAME`."""
    # Nearly all are short and plain; this is asked several times a span.
    if isinstance(value, str) and len(value) <= MAX_NAME and value.isascii() and "\x00" not in value:
        return value
    return _clean(value, MAX_NAME)


def as_text(value: object) -> str:
    """Free text, such as an error: cut to `MAX_TEXT`."""
    return _clean(value, MAX_TEXT)


def _clean(value: object, limit: int) -> str:
    text = value if isinstance(value, str) else _as_json(value)
    if len(text) > limit:
        text = text[:limit]
    # PostgreSQL text cannot hold NUL, UTF-8 cannot hold half a surrogate pair.
    if "\x00" in text or not text.isascii():
        text = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return text


def _as_json(value: object) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return orjson.dumps(value, default=str).decode()


def as_count(value: object) -> int | None:
    """A number of tokens; None for what cannot be one."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= 19 else None
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value


def as_cost(value: object) -> float | None:
    """US dollars; None for what cannot be an amount."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


# -- of events in other programs' words: what cannot be a field is left to the body, for the event is theirs --------


def name(value: object) -> str | None:
    """A name or id; None for what is neither text nor a number, and for nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return as_name(value)


def duration(value: object) -> float | None:
    """Milliseconds, as a number or text; None for what cannot be a length of time."""
    found = as_cost(value)
    return found if found is not None and 0 <= found < _MAX_MILLISECONDS else None
