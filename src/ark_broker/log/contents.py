"""Long content that repeats, stored once.

Every call of a model sends the whole conversation again, so a session's spans repeat each other at growing length. A
long body is cut where a message begins (and where resource and scope end), and pieces that are long enough are stored
by their hash; the row keeps what lies between, and the hashes. Joined again they are the body, byte for byte.

Pieces belong to their session: they go when it is deleted, and nothing is shared between sessions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import msgspec
import zstandard
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.confine import is_confined, unqualified
from ark_broker.log.rows import from_rows
from ark_broker.log.tables import contents
from ark_broker.model import Event

#: Bodies below this stay whole: most do.
MIN_BODY: Final = 4_096
#: Pieces below this stay where they are: a reference and a row cost about a hundred bytes.
MIN_PIECE: Final = 768
#: First byte of a stored body that has references. No JSON document begins with it.
_MARK: Final = b"\x00"
#: Where pieces begin: a message, however deep it is quoted in JSON strings; the record after its resource and scope.
_BOUNDARY: Final = re.compile(rb'(?=\{\\*"(?:role|parts)\\*":)|(?<=,)(?="(?:span|logRecord)":\{)')
_PAGE: Final = 500

_PARTS: Final = msgspec.msgpack.Decoder(list[tuple[bool, bytes]])


@dataclass(frozen=True, slots=True)
class Split:
    """A body as it is stored, and the pieces it refers to, by their keys."""

    stored: bytes
    pieces: Mapping[bytes, bytes]


def split(body: bytes, owner: str) -> Split | None:
    """Cut a body; None where it stays whole. `owner` keeps equal pieces of different owners apart."""
    if len(body) < MIN_BODY:
        return None
    pieces: dict[bytes, bytes] = {}
    parts: list[tuple[bool, bytes]] = []
    for piece in _BOUNDARY.split(body):
        if len(piece) >= MIN_PIECE:
            key = blake2b(piece, digest_size=16, key=blake2b(owner.encode(), digest_size=32).digest()).digest()
            pieces[key] = piece
            parts.append((True, key))
        elif parts and not parts[-1][0]:
            parts[-1] = (False, parts[-1][1] + piece)
        else:
            parts.append((False, piece))
    if not pieces:
        return None
    return Split(_MARK + msgspec.msgpack.encode(parts), pieces)


def is_split(stored: bytes) -> bool:
    """True for a stored body that refers to pieces."""
    return stored[:1] == _MARK


def references(stored: bytes) -> list[bytes]:
    """Keys of the pieces that a stored body needs."""
    return [content for is_reference, content in _PARTS.decode(stored[1:]) if is_reference]


def join(stored: bytes, pieces: Mapping[bytes, bytes]) -> bytes:
    """The body that `split` was given."""
    parts = _PARTS.decode(stored[1:])
    return b"".join(pieces[content] if is_reference else content for is_reference, content in parts)


def compress(piece: bytes) -> bytes:
    """A piece as it is stored."""
    return zstandard.ZstdCompressor(level=3).compress(piece)


async def load_pieces(connection: AsyncConnection, keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """Pieces by key."""
    found: dict[bytes, bytes] = {}
    every = sorted(set(keys))
    inflate = zstandard.ZstdDecompressor()
    for start in range(0, len(every), _PAGE):
        page = every[start : start + _PAGE]
        rows = await connection.execute(select(contents.c.key, contents.c.data).where(contents.c.key.in_(page)))
        for key, data in rows:
            found[key] = inflate.decompress(data)
    return found


async def fetch_events(connection: AsyncConnection, statement: Select[Any]) -> list[Event]:
    """Events of a `select(events)`, their bodies whole."""
    found = from_rows((await connection.execute(statement)).all())
    await make_whole(connection, found)
    return [unqualified(event) for event in found] if is_confined(connection) else found


async def make_whole(connection: AsyncConnection, batch: Sequence[Event]) -> None:
    """Put the pieces back into the bodies that refer to them."""
    cut = [event for event in batch if is_split(event.body)]
    if cut:
        pieces = await load_pieces(connection, (key for event in cut for key in references(event.body)))
        for event in cut:
            event.body = join(event.body, pieces)
