"""What every reader gives: records, or Events as they are, and what it had to skip, of one store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from ark_broker.model import Event
from ark_broker.receive.legacy import STORES, Record, Store

#: What a source is of: a store of the old broker, or sessions that this one has exported.
Kind = Store | Literal["session"]
#: In the order to import them.
KINDS: Final[tuple[Kind, ...]] = (*STORES, "session")

#: `expired`: its time to live is over. `torn`: it was being written when the old broker ended.
Why = Literal["expired", "torn", "invalid"]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is no record. `place` is where it stands: a number of an item or line, or a name."""

    place: int | str
    why: Why
    reason: str


class SourceBroken(Exception):  # noqa: N818 - reads as what it says
    """The rest of the source cannot be read; the message says from where on. What came before it holds."""


class Source(Protocol):
    """One file or table."""

    @property
    def store(self) -> Kind:
        """What it is of."""

    @property
    def label(self) -> str:
        """What to call it in front of people."""

    @property
    def size(self) -> int:
        """How much there is to read: bytes of a file, rows of a table."""

    @property
    def done(self) -> int:
        """How much of that is read."""

    def items(self) -> AsyncGenerator[Record | Event | Skipped, None]:
        """All of it, in its order, in bounded memory. Raises SourceBroken, OSError."""
