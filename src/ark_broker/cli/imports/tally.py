"""What came of an import, store by store, and how it is shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from rich.table import Table

from ark_broker.cli.imports.source import KINDS, Kind, Skipped, Why

#: Invalid records named, of each store.
_NAMED: Final = 5


@dataclass
class StoreTally:
    """`read` is all records: those imported, those that the log has already, and those skipped."""

    read: int = 0
    imported: int = 0
    known: int = 0
    skipped: Counter[Why] = field(default_factory=Counter)
    #: The first records that are invalid, and what is wrong.
    named: list[Skipped] = field(default_factory=list)

    def skip(self, skipped: Skipped) -> None:
        """Count something that is not imported; it has been counted as read."""
        self.skipped[skipped.why] += 1
        if skipped.why != "expired" and len(self.named) < _NAMED:
            self.named.append(skipped)


@dataclass
class Tally:
    """All stores, and the sources that could not be read to their end."""

    stores: dict[Kind, StoreTally] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def of(self, store: Kind) -> StoreTally:
        return self.stores.setdefault(store, StoreTally())

    @property
    def stored(self) -> int:
        return sum(found.imported for found in self.stores.values())

    @property
    def succeeded(self) -> bool:
        """True where every source was read, and something in them could be."""
        found = self.stores.values()
        usable = any(tally.read > tally.skipped["invalid"] + tally.skipped["torn"] for tally in found)
        return not self.failures and (usable or not any(tally.read for tally in found))

    def table(self, *, dry_run: bool) -> Table:
        """A line a store."""
        table = Table(box=None, pad_edge=False)
        table.add_column("store")
        for name in ("read", "would import" if dry_run else "imported", "already there", "skipped"):
            table.add_column(name, justify="right")
        table.add_column("why")
        for store in KINDS:
            if store in self.stores:
                found = self.stores[store]
                why = ", ".join(f"{count:,} {name}" for name, count in sorted(found.skipped.items()) if count)
                counts = (found.read, found.imported, found.known, found.skipped.total())
                table.add_row(store, *(f"{count:,}" for count in counts), why)
        return table

    def problems(self) -> list[str]:
        """A line for each of the first invalid records: store, place, reason."""
        return [
            f"{store}, {skipped.place}: {skipped.reason}"
            for store in KINDS
            if store in self.stores
            for skipped in self.stores[store].named
        ]
