"""Large requests in pieces, so that no single call holds the interpreter for long.

A request is cut between spans (or log records): each piece is a whole request with the same resource and scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
import orjson

from ark_broker.model.errors import BadInput, TooLarge
from ark_broker.receive.otlp.bounds import check_json, check_protobuf, read_field
from ark_broker.receive.otlp.canonical import TooManyValues
from ark_broker.receive.otlp.encoding import parse_json

#: A piece's size, at most, where the spans in it are smaller.
PIECE_BYTES: Final = 512 * 1024

#: Field numbers on the way down: request → resource → scope → record. The same for traces and logs.
_PATH: Final = (1, 2, 2)
_BYTES: Final = 2


class Cutter:
    """Cuts requests. A record of too many values is left out, and `reject` is told why."""

    def __init__(self, max_records: int, reject: Callable[[str], None]) -> None:
        self._max_records = max_records
        self._reject = reject

    def protobuf(self, body: bytes, descriptor: Any, path: Sequence[int] = _PATH) -> Iterator[bytes]:
        """The request in pieces of about `PIECE_BYTES`, in order. What cannot be cut comes whole, for the parser.

        Raises BadInput where a resource or scope has too many values, TooLarge for too many records.
        """
        if len(body) <= PIECE_BYTES:
            yield body
            return
        of = descriptor.fields_by_number[path[0]].message_type
        try:
            rest, children = self._split(body, path[0])
            if len(rest) > PIECE_BYTES:
                check_protobuf(rest, descriptor)
        except (IndexError, ValueError):
            yield body
            return
        except TooManyValues as error:
            raise BadInput(str(error), "resource") from None
        size = _piece_size(rest)
        piece, held = bytearray(rest), 0
        for child in children:
            for part in self._protobuf_parts(child, of, path[1:]):
                if held and held + len(part) > size:
                    yield bytes(piece)
                    piece, held = bytearray(rest), 0
                piece += _tagged(path[0], part)
                held += len(part)
        yield bytes(piece)

    def _protobuf_parts(self, child: bytes, descriptor: Any, path: Sequence[int]) -> Iterator[bytes]:
        if path:
            yield from self.protobuf(child, descriptor, path)
        elif len(child) <= PIECE_BYTES:
            yield child
        else:
            try:
                check_protobuf(child, descriptor)
            except TooManyValues as error:
                self._reject(str(error))
                return
            except (IndexError, ValueError):
                pass  # the parser says what is wrong with it
            yield child

    def _split(self, body: bytes, number: int) -> tuple[bytes, list[bytes]]:
        """Fields other than `number` as they stand, and the contents of each field `number`."""
        rest = bytearray()
        children: list[bytes] = []
        at, end, fields = 0, len(body), 0
        while at < end:
            fields += 1
            if fields > self._max_records + 10:
                raise TooLarge(f"more than {self._max_records} records in one request: send smaller batches", "body")
            begin = at
            found, wire, start, at = read_field(body, at, end)
            if found == number and wire == _BYTES:
                children.append(body[start:at])
            else:
                rest += body[begin:at]
        return bytes(rest), children

    def json(self, body: bytes, keys: Sequence[Sequence[str]]) -> Iterator[Any]:
        """The JSON request as values of about `PIECE_BYTES` of text each, in order.

        `keys` has the names of the list on each level, camelCase and snake_case. Raises BadInput, TooLarge.
        """
        if len(body) <= PIECE_BYTES:
            yield parse_json(body)
            return
        for raw in self._raw_pieces(body, keys):
            yield parse_json(raw)

    def _raw_pieces(self, body: bytes, keys: Sequence[Sequence[str]]) -> Iterator[bytes]:
        fields = _decode_object(body)
        key = next((name for name in keys[0] if name in fields), None)
        if key is None:
            # No list on this level: which names it has is all that matters, and costs nothing to parse.
            yield b"{" + b",".join(orjson.dumps(name) + b":null" for name in fields) + b"}"
            return
        children = _decode_list(bytes(fields.pop(key)))
        if len(children) > self._max_records:
            raise TooLarge(f"more than {self._max_records} records in one request: send smaller batches", "body")
        rest = b"".join(orjson.dumps(name) + b":" + bytes(value) + b"," for name, value in fields.items())
        if len(rest) > PIECE_BYTES:
            try:
                check_json(rest)
            except TooManyValues as error:
                raise BadInput(str(error), "resource") from None
        size = _piece_size(rest)
        parts: list[bytes] = []
        held = 0
        for child in children:
            for part in self._raw_parts(bytes(child), keys[1:]):
                if parts and held + len(part) > size:
                    yield _joined(rest, key, parts)
                    parts, held = [], 0
                parts.append(part)
                held += len(part)
        yield _joined(rest, key, parts)

    def _raw_parts(self, child: bytes, keys: Sequence[Sequence[str]]) -> Iterator[bytes]:
        if len(child) <= PIECE_BYTES:
            yield child
        elif keys:
            yield from self._raw_pieces(child, keys)
        else:
            try:
                check_json(child)
            except TooManyValues as error:
                self._reject(str(error))
                return
            yield child


def _piece_size(rest: bytes) -> int:
    """Every piece repeats the resource and scope: where they are large, there must be few pieces."""
    return max(PIECE_BYTES, 4 * len(rest))


def _tagged(number: int, content: bytes) -> bytes:
    length = len(content)
    prefix = bytearray([number << 3 | _BYTES])
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + content


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
