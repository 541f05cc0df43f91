"""JSON that is read to be written again: nothing else in it may change, and nothing in it may stay unseen."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import orjson

#: An integer of more digits is kept as text: orjson reads and writes 64 bits.
_MAX_DIGITS: Final = 18


class Unreadable(Exception):  # noqa: N818 - reads as what it says
    """Not JSON, or nested too deep to be written again."""


class Number:
    """A number as it is written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def read(text: bytes) -> tuple[Any, list[Any]]:
    """The document, and objects of those members that another of the same name hides. Raises Unreadable.

    Numbers that would not be written as they stand here are `Number`s.
    """
    try:
        found = orjson.loads(text)
        if _is_written_as(found, text):
            return found, []
        return _read_exactly(text.decode())
    except (ValueError, RecursionError):
        raise Unreadable from None


def write(document: Any) -> bytes:
    """The document as JSON. Raises Unreadable."""
    try:
        return orjson.dumps(document, default=_as_written)
    except TypeError:
        raise Unreadable from None


def _is_written_as(document: Any, text: bytes) -> bool:
    try:
        return orjson.dumps(document) == text
    except TypeError:
        return False


def _read_exactly(text: str) -> tuple[Any, list[Any]]:
    hidden: list[Any] = []

    def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            last = {key: place for place, (key, _) in enumerate(pairs)}
            hidden.extend({key: value} for place, (key, value) in enumerate(pairs) if last[key] != place)
        return found

    document = json.loads(
        text, object_pairs_hook=as_object, parse_float=Number, parse_int=_integer, parse_constant=_refuse
    )
    return document, hidden


def _integer(text: str) -> int | Number:
    return int(text) if len(text) <= _MAX_DIGITS and text != "-0" else Number(text)


def _as_written(value: object) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
