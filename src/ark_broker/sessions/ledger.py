"""Figures over time: what a query, or a session, adds to them, and what one commit changes of them.

Every query and session remembers what of it is in the figures (`Booked`). When it changes, the difference is written:
so nothing counts twice, whatever is delivered again, and what moves, or is removed, is taken out where it was put in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

#: The figures that are summed, in the order in which they are kept. Costs in billionths of a dollar.
FIGURES: Final = (
    "sessions",
    "sessions_active",
    "sessions_waiting",
    "sessions_error",
    "queries",
    "queries_running",
    "queries_waiting",
    "queries_done",
    "queries_error",
    "queries_canceled",
    "model_calls",
    "model_errors",
    "tool_calls",
    "input_tokens",
    "output_tokens",
    "cost",
    # Sums of durations, in milliseconds.
    "query_ms",
    "first_token_ms",
    "model_ms",
)
#: Where each of them is in a row.
PLACE: Final = {name: place for place, name in enumerate(FIGURES)}
#: Durations that are counted by slot, and the number of each.
Measure = Literal["query", "first_token", "model"]
MEASURES: Final[dict[Measure, int]] = {"query": 0, "first_token": 1, "model": 2}
#: A duration is counted under its measure's number, times this, and its slot.
MEASURE_STEP: Final = 200


class Row(msgspec.Struct, array_like=True, gc=False):
    """Figures of one agent and model; "" where nobody named one."""

    agent: str
    model: str
    figures: list[int] = msgspec.field(default_factory=lambda: [0] * len(FIGURES))
    #: How many durations are in a slot, by `measure_and_slot`.
    durations: dict[int, int] = msgspec.field(default_factory=dict)


def measure_and_slot(code: int) -> tuple[int, int]:
    """The measure's number, and the slot, of a key of `Row.durations`."""
    return divmod(code, MEASURE_STEP)


class Booked(msgspec.Struct, array_like=True, gc=False):
    """All that one query, or session, adds to the figures, in the minute (since the epoch) in which it began."""

    minute: int
    namespace: str
    rows: list[Row]
    #: What the rows were made from: while it is the same they are too.
    seen: list[int | str | None] = msgspec.field(default_factory=list)


#: Minute, namespace, agent, model.
Key = tuple[int, str, str, str]


@dataclass(slots=True)
class Ledger:
    """What a commit changes of the figures."""

    figures: dict[Key, list[int]] = field(default_factory=dict)
    durations: dict[tuple[Key, int], int] = field(default_factory=dict)

    def replace(self, before: Booked | None, after: Booked | None) -> None:
        """`after` is to be counted from now on, and `before` no more."""
        if before is not None:
            self._add(before, -1)
        if after is not None:
            self._add(after, 1)

    def changes(self) -> Iterable[tuple[Key, list[int]]]:
        """Figures to be added where something changes."""
        return ((key, figures) for key, figures in sorted(self.figures.items()) if any(figures))

    def duration_changes(self) -> Iterable[tuple[Key, int, int]]:
        """(key, code, count) to be added, likewise."""
        return ((key, code, count) for (key, code), count in sorted(self.durations.items()) if count)

    def _add(self, booked: Booked, sign: int) -> None:
        for row in booked.rows:
            key = (booked.minute, booked.namespace, row.agent, row.model)
            held = self.figures.get(key)
            if held is None:
                held = self.figures[key] = [0] * len(FIGURES)
            for place, value in enumerate(row.figures):
                if value:
                    held[place] += sign * value
            for code, count in row.durations.items():
                at = (key, code)
                self.durations[at] = self.durations.get(at, 0) + sign * count
