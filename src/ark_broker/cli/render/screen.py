"""The screen of `ark-broker top`, for rich."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ark_broker.cli.output import STYLES
from ark_broker.cli.render.overview import SESSION_COLUMNS, Overview
from ark_broker.cli.render.printable import printable
from ark_broker.cli.render.summaries import QUESTION_COLUMNS, Cell

#: Lines that are neither sessions nor questions.
_OTHER_LINES = 7


def screen(overview: Overview, height: int) -> RenderableType:
    """Fits into `height` lines: what is left over is counted."""
    room = max(2, height - _OTHER_LINES)
    for_questions = min(len(overview.questions), max(1, room // 3))
    parts: list[RenderableType] = [
        Text(f"ark-broker top · {printable(overview.url)}", style="bold", no_wrap=True, overflow="ellipsis"),
        Text(overview.summary(), no_wrap=True, overflow="ellipsis"),
    ]
    if overview.problem:
        problem = f"trying again: {printable(overview.problem)}"
        parts.append(Text(problem, style=STYLES["error"], no_wrap=True, overflow="ellipsis"))
    parts += [Text(), _table(SESSION_COLUMNS, overview.session_rows(), room - for_questions, "AGENTS")]
    if overview.questions:
        parts += [Text(), _table(QUESTION_COLUMNS, overview.question_rows(), for_questions, "TEXT")]
    parts.append(Text("q ends", style=STYLES["quiet"]))
    return Group(*parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], most: int, wide: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1 if name == wide else None)
    shown = rows if len(rows) <= most else rows[: max(0, most - 1)]
    for row in shown:
        table.add_row(*(Text(cell) if isinstance(cell, str) else Text(cell[0], STYLES[cell[1]]) for cell in row))
    if len(shown) < len(rows):
        table.add_row(Text(f"… {len(rows) - len(shown)} more", STYLES["quiet"]))
    return table
