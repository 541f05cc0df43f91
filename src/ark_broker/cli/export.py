"""`ark-broker export`: a session as a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ark_broker.cli.connection import Url, connect, not_empty
from ark_broker.cli.failing import fail, one_line_failures, say
from ark_broker.cli.output import on_terminal, write_line

if TYPE_CHECKING:
    from collections.abc import Callable


class Format(StrEnum):
    """What the lines are: the broker's own, or OTLP/JSON requests."""

    JSONL = "jsonl"
    OTLP = "otlp"


def export(
    session: Annotated[str, typer.Argument(metavar="SESSION", callback=not_empty, help="Id of the session.")],
    url: Url = None,
    file_format: Annotated[
        Format, typer.Option("--format", help="`jsonl` for `ark-broker import`; `otlp`: its spans, for any receiver.")
    ] = Format.JSONL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to.", show_default="stdout")
    ] = None,
) -> None:
    """Write a session to a file, or to stdout.

    The file takes its name once it is whole: where the export breaks off, what was there stays. Progress goes to
    stderr.

        ark-broker export session-abc -o abc.jsonl

        ark-broker export session-abc --format otlp | ark-broker send - --url http://other:4318

    Exit codes: 0 done · 1 failed · 2 wrong option · 3 no such session · 4 not permitted · 5 unreachable ·
    130 Ctrl-C.
    """
    with one_line_failures(), connect(url) as client:
        # Asked for first: the client repeats no download, and a missing session is to be said as such.
        with closing(client.export(session, format=file_format.value)) as pieces:
            if output is None or str(output) == "-":
                _to_stdout(pieces)
                return
            size = _to_file(pieces, output)
        say(f"{output}: {size:,} bytes")


def _to_stdout(pieces: Iterator[bytes]) -> None:
    if on_terminal():
        # Lines are JSON: what a terminal would obey becomes JSON's own escapes.
        from ark_broker.cli.render.printable import escape_json

        for line in _lines(pieces):
            write_line(escape_json(line))
        return
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
    if rest:
        yield rest.decode("utf-8", "replace")


def _to_file(pieces: Iterator[bytes], output: Path) -> int:
    from ark_broker.cli.atomic import replace_file

    size = 0
    try:
        with replace_file(output) as opened, _progress(str(output)) as advanced:
            for piece in pieces:
                opened.write(piece)
                size += len(piece)
                advanced(len(piece))
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror or error}")
    return size


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int], None]]:
    """Tells somebody who looks at stderr how far it is."""
    if not sys.stderr.isatty():
        yield lambda _size: None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda size: bar.advance(task, size)
