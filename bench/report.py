"""Rows of the table that `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure beside what it is measured against."""

    what: str
    reached: str
    against: str
    ratio: str
    goal: str
    good: bool


def ratio_row(what: str, figure: float, limit: float, unit: str, goal: float) -> Row:
    """A rate as a share of a limit measured in the same run."""
    share = figure / limit
    return Row(what, f"{figure:,.0f} {unit}", f"{limit:,.0f} {unit}", f"{share:.2f}", f"≥ {goal}", share >= goal)


def show(rows: list[Row]) -> bool:
    """Print the table; True where every goal is reached."""
    table = Table(title="ark-broker benchmarks", show_lines=False)
    for name in ("what", "reached", "against", "ratio", "goal", ""):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.what, row.reached, row.against, row.ratio, row.goal, "✔" if row.good else "✘")
    Console(width=150).print(table)
    return all(row.good for row in rows)
