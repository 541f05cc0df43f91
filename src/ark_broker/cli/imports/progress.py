"""How far an import is, on a terminal; elsewhere nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ark_broker.cli.imports.source import Source


@contextmanager
def progress(sources: Sequence[Source]) -> Iterator[Callable[[Source], None]]:
    """Shows a bar a source while the block runs; gives what is to be called when a source has come further."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        tasks = {id(source): shown.add_task(source.label, total=source.size or None, start=False) for source in sources}

        def progressed(source: Source) -> None:
            shown.start_task(tasks[id(source)])
            shown.update(tasks[id(source)], completed=source.done)

        yield progressed
