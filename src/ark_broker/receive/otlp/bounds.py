"""What an unusually large record is made of, counted before a parser builds anything of it.

The parsers take tens to hundreds of bytes for a field of two: a few MiB of empty values would become a few hundred.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ark_broker.receive.otlp.canonical import MAX_VALUES, TooManyValues

#: An attribute is four fields: the pair, its key, its value, and what that holds.
_MAX_FIELDS: Final = 5 * MAX_VALUES
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_JSON_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


def check_protobuf(body: bytes, descriptor: Any) -> None:
    """Raise TooManyValues for an encoded message with too many fields, in itself and all that it contains.

    Bytes that are no such message raise ValueError or IndexError, or nothing: judging them is the parser's business.
    """
    fields = 0
    waiting = [(0, len(body), descriptor)]
    while waiting:
        at, end, of = waiting.pop()
        messages = {field.number: field.message_type for field in of.fields if field.message_type is not None}
        while at < end:
            fields += 1
            if fields > _MAX_FIELDS:
                raise TooManyValues
            number, wire, start, at = read_field(body, at, end)
            inner = messages.get(number)
            if inner is not None and wire == _BYTES and start < at:
                waiting.append((start, at, inner))


def check_json(raw: bytes) -> None:
    """Raise TooManyValues for JSON text with too many items and members."""
    # Commas in texts count at first; only where that is too many is it worth looking at where they are.
    if raw.count(b",") > _MAX_FIELDS and _JSON_STRING.sub(b"", raw).count(b",") > _MAX_FIELDS:
        raise TooManyValues


def read_field(body: bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """The field at `at`: its number, wire type, and where its content starts and ends.

    Raises ValueError or IndexError where there is none that ends before `end`.
    """
    tag, at = _varint(body, at)
    wire, start = tag & 7, at
    if wire == _BYTES:
        length, start = _varint(body, at)
        at = start + length
    elif wire == _VARINT:
        _, at = _varint(body, at)
    elif wire in (_FIXED64, _FIXED32):
        at += 8 if wire == _FIXED64 else 4
    else:
        raise ValueError(wire)
    if at > end:
        raise ValueError(at)
    return tag >> 3, wire, start, at


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(shift)
