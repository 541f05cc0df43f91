"""JSON as people type it, or have it in files: only what can be sent on as JSON."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def loads(text: str | bytes) -> Any:
    """The value. Raises ValueError for what is no JSON: also for NaN, infinities, and what nests too deeply."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=finite)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def finite(text: str) -> float:
    """The number. Raises ValueError for what is none, or none that JSON can say."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON")
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
