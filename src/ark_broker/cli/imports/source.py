"""What every reader gives: records, and what it had to skip, of one store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from ark_broker.receive.legacy import Record, Store

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

    store: Store

    @property
    def label(self) -> str:
        """What to call it in front of people."""

    @property
    def size(self) -> int:
        """How much there is to read: bytes of a file, rows of a table."""

    @property
    def done(self) -> int:
        """How much of that is read."""

    def items(self) -> AsyncGenerator[Record | Skipped, None]:
        """All of it, in its order, in bounded memory. Raises SourceBroken, OSError."""
