"""Where a command writes: rich on a terminal, plain columns in a pipe or file, JSON where it is asked for.

Plain output has no colour, no boxes and no line breaks that are not the data's. `NO_COLOR` and `TERM=dumb` take the
colour from a terminal, and leave the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ark_broker.cli.render.label import Mood
from ark_broker.cli.render.printable import json_line, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="As JSON; one value a line where there are many.")]

#: How a mood looks on a terminal.
STYLES: dict[Mood, str] = {
    "plain": "",
    "quiet": "dim",
    "good": "green",
    "busy": "cyan",
    "waiting": "yellow",
    "error": "bold red",
}
#: A cell: a text, or one with its mood.
Cell = str | tuple[str, Mood]


def on_terminal() -> bool:
    """Whether somebody looks at stdout."""
    return sys.stdout.isatty()


def terminal() -> Console:
    """Rich, for stdout on a terminal: it reads no markup, and colours nothing by itself."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)


def styled(text: str, mood: Mood = "plain") -> Text:
    """A printable text that is not looked into for markup."""
    from rich.text import Text

    return Text(text, style=STYLES[mood])


def write_json(value: Any) -> None:
    """One JSON value, on a line."""
    write_line(json_line(value))


def write_line(text: str) -> None:
    """One line on stdout, seen at once also in a pipe. What stdout's encoding cannot say is escaped."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Text on stdout, seen at once. The text is printable already."""
    sys.stdout.write(_encodable(text))
    sys.stdout.flush()


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, wide: str | None = None) -> None:
    """A table with a heading on a terminal; tab-separated lines without one elsewhere.

    `wide` names the column that is cut first where the terminal is narrow.
    """
    if not on_terminal():
        for row in rows:
            write_line("\t".join(printable(_text(cell)) for cell in row))
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1 if name == wide else None)
    for row in rows:
        table.add_row(*(styled(printable(_text(cell)), _mood(cell)) for cell in row))
    terminal().print(table)


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _mood(cell: Cell) -> Mood:
    return "plain" if isinstance(cell, str) else cell[1]


def _encodable(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower().replace("-", "") == "utf8":
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)


def coloured(text: str, style: str) -> str:
    """A printable text with the escapes of that style; as it is where the terminal wants no colour.

    For text that flows: rich's own printing breaks lines and pads them.
    """
    from rich.style import Style

    console = terminal()
    if not style or console.color_system is None or console.no_color:
        return text
    return Style.parse(style).render(text)
