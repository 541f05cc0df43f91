"""Large requests in pieces, so that no single call holds the interpreter for long.

A request is cut between spans (or log records): each piece is a whole request with the same resource and scope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import orjson

from ark_broker.model.errors import BadInput
from ark_broker.receive.otlp.encoding import parse_json

#: A piece's size, at most, where the spans in it are smaller.
PIECE_BYTES: Final = 2 * 2**20

#: Field numbers on the way down: request → resource → scope → record. The same for traces and logs.
_PATH: Final = (1, 2, 2)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def protobuf_pieces(body: bytes, path: Sequence[int] = _PATH) -> Iterator[bytes]:
    """The request in pieces of about `PIECE_BYTES`, in order. What cannot be cut comes whole: the parser judges it."""
    if len(body) <= PIECE_BYTES:
        yield body
        return
    try:
        rest, children = _split(body, path[0])
    except (IndexError, ValueError):
        yield body
        return
    piece = bytearray(rest)
    held = 0
    for child in children:
        inner = (
            protobuf_pieces(child, path[1:]) if len(child) > PIECE_BYTES and len(path) > 1 else iter((bytes(child),))
        )
        for part in inner:
            if held and held + len(part) > PIECE_BYTES:
                yield bytes(piece)
                piece, held = bytearray(rest), 0
            piece += _tagged(path[0], part)
            held += len(part)
    yield bytes(piece)


def _split(body: bytes, number: int) -> tuple[bytes, list[bytes]]:
    """Fields other than `number` as they stand, and the contents of each field `number`."""
    rest = bytearray()
    children: list[bytes] = []
    at, end = 0, len(body)
    while at < end:
        start = at
        tag, at = _varint(body, at)
        wire = tag & 7
        if wire == _BYTES:
            length, at = _varint(body, at)
            content_at, at = at, at + length
        elif wire == _VARINT:
            _, at = _varint(body, at)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(wire)
        if at > end:
            raise ValueError(at)
        if tag >> 3 == number and wire == _BYTES:
            children.append(body[content_at:at])
        else:
            rest += body[start:at]
    return bytes(rest), children


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


def _tagged(number: int, content: bytes) -> bytes:
    length = len(content)
    prefix = bytearray([number << 3 | _BYTES])
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + content


def json_pieces(body: bytes, keys: Sequence[Sequence[str]]) -> Iterator[Any]:
    """The JSON request as values of about `PIECE_BYTES` of text each, in order.

    `keys` has the names of the list on each level, camelCase and snake_case.
    """
    if len(body) <= PIECE_BYTES:
        yield parse_json(body)
        return
    for raw in _raw_pieces(body, keys):
        yield parse_json(raw)


def _raw_pieces(body: bytes, keys: Sequence[Sequence[str]]) -> Iterator[bytes]:
    fields = _decode_object(body)
    key = next((name for name in keys[0] if name in fields), None)
    if key is None:
        yield body
        return
    children = _decode_list(bytes(fields.pop(key)))
    rest = b"".join(orjson.dumps(name) + b":" + bytes(value) + b"," for name, value in fields.items())
    held: list[bytes] = []
    size = 0
    for child in children:
        raw = bytes(child)
        for part in _raw_pieces(raw, keys[1:]) if len(keys) > 1 and len(raw) > PIECE_BYTES else (raw,):
            if held and size + len(part) > PIECE_BYTES:
                yield _joined(rest, key, held)
                held, size = [], 0
            held.append(part)
            size += len(part)
    yield _joined(rest, key, held)


def _joined(rest: bytes, key: str, children: list[bytes]) -> bytes:
    return b"{" + rest + orjson.dumps(key) + b":[" + b",".join(children) + b"]}"


def _decode_object(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput(f"not a JSON object: {str(error)[:200]}", "body") from None


def _decode_list(raw: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw] | None) or []
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadInput(f"not a JSON array: {str(error)[:200]}", "body") from None
