"""Reads of the figures over time. Every statement is one range of the tables' key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    Table,
    Text,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.rollups import WIDTHS
from ark_broker.log.tables import durations, rollups
from ark_broker.sessions.ledger import FIGURES, MEASURES, Measure

#: Names that are shown apart; all the others are one.
MOST_NAMES: Final = 20
#: Stands for the others. No name has a control character in it.
OTHERS: Final = "\x1f"

#: Rows taken at once.
_PAGE: Final = 2_000

By = Literal["agent", "model"]


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: bars of `bucket` seconds in [since, until), which are multiples of it. None is any."""

    since: int
    until: int
    bucket: int
    namespace: str | None = None
    agent: str | None = None
    model: str | None = None

    @property
    def width(self) -> int:
        """The widest figures that the bars can be made of."""
        return max(width for width in WIDTHS if self.bucket % width == 0)


@dataclass(slots=True)
class Figures:
    """Sums, and the number of durations in each slot."""

    sums: list[int] = field(default_factory=lambda: [0] * len(FIGURES))
    slots: dict[Measure, dict[int, int]] = field(default_factory=lambda: {measure: {} for measure in MEASURES})

    def add(self, other: Figures) -> None:
        """Count the other's in."""
        self.sums = [mine + more for mine, more in zip(self.sums, other.sums, strict=True)]
        for measure, slots in other.slots.items():
            for slot, number in slots.items():
                self.add_slot(measure, slot, number)

    def add_slot(self, measure: Measure, slot: int, number: int) -> None:
        """Count durations."""
        held = self.slots[measure]
        held[slot] = held.get(slot, 0) + number

    def __getitem__(self, name: str) -> int:
        return self.sums[FIGURES.index(name)]


#: Figures by name, and of each by the beginning of the bar.
Groups = dict[str, dict[int, Figures]]


async def read_groups(connection: AsyncConnection, window: Window, by: By) -> Groups:
    """Figures by agent, or by model, over time: those of the busiest names apart, of the others together (OTHERS)."""
    weight = func.sum(cast(rollups.c.queries, Double) + cast(rollups.c.model_calls, Double))
    name = rollups.c[by]
    busiest = select(name).where(*_conditions(rollups, window)).group_by(name).order_by(weight.desc(), name)
    names = list((await connection.execute(busiest.limit(MOST_NAMES))).scalars())
    groups: Groups = {}
    measures = {number: measure for measure, number in MEASURES.items()}

    def figures(found: str, at: int) -> Figures:
        return groups.setdefault(found, {}).setdefault(int(at), Figures())

    # Of integers, SQLite refuses a sum that is too large. Numbers of this type are exact as far as JSON's are.
    sums = [func.sum(cast(rollups.c[each], Double)) for each in FIGURES]
    async for rows in _pages(connection, _by_bar(rollups, window, by, names, [], sums)):
        for found, at, *values in rows:
            # What went to another agent or model, when more was known, has left a row of nothing.
            if any(values):
                figures(found, at).sums = [int(value) for value in values]
    parts = [durations.c.measure, durations.c.slot]
    numbers = [func.sum(cast(durations.c.number, Double))]
    async for rows in _pages(connection, _by_bar(durations, window, by, names, parts, numbers)):
        for found, at, measure, slot, number in rows:
            if number:
                figures(found, at).add_slot(measures[measure], slot, int(number))
    return groups


async def _pages(connection: AsyncConnection, statement: Select[Any]) -> AsyncIterator[Sequence[Sequence[Any]]]:
    """The rows, in pieces: there may be half a million, and others have work for this thread too."""
    async with connection.stream(statement) as result:
        async for rows in result.partitions(_PAGE):
            yield rows
            await asyncio.sleep(0)


def _by_bar(
    table: Table, window: Window, by: By, names: Sequence[str], parts: Sequence[Any], sums: Sequence[Any]
) -> Select[Any]:
    """The sums by name, beginning of the bar, and further columns."""
    bucket = literal_column(str(window.bucket), Integer)
    at = (table.c.at - table.c.at % bucket).label("bar")
    name = case((table.c[by].in_(names), table.c[by]), else_=literal_column(f"'{OTHERS}'", Text)).label("name")
    return select(name, at, *parts, *sums).where(*_conditions(table, window)).group_by("name", "bar", *parts)


def _conditions(table: Table, window: Window) -> Iterator[ColumnElement[bool]]:
    yield table.c.width == window.width
    yield table.c.at >= window.since
    yield table.c.at < window.until
    for column, wanted in (("namespace", window.namespace), ("agent", window.agent), ("model", window.model)):
        if wanted is not None:
            yield table.c[column] == wanted
