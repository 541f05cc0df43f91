"""Sessions that this broker, here or elsewhere, has exported: see `receive.session_file`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Final

from ark_broker.cli.imports.files import MAX_ITEM, Counted
from ark_broker.cli.imports.source import Kind, Skipped, SourceBroken
from ark_broker.model import Event
from ark_broker.receive.session_file import MARK, Header, NotALine, read_event, read_header


def is_session_file(path: Path) -> bool:
    """True for a file whose first line says that it is one."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


def find_session_files(directory: Path) -> list[Path]:
    """The files of exported sessions in a directory, by name: any `.jsonl` that begins as one."""
    return sorted(path for path in directory.glob("*.jsonl") if path.is_file() and is_session_file(path))


class SessionFile:
    """One file with one session, or with several, one after the other."""

    def __init__(self, path: Path) -> None:
        self.store: Kind = "session"
        self.label = str(path)
        self._path = path
        self._file: Counted | None = None

    @property
    def size(self) -> int:
        return self._path.stat().st_size

    @property
    def done(self) -> int:
        return 0 if self._file is None else self._file.taken

    async def items(self) -> AsyncGenerator[Event | Skipped, None]:
        with self._path.open("rb") as file:
            self._file = Counted(file)
            for item in _items(self._file):
                yield item


#: Lines that come where a file ends too soon, in its own words.
_SHORT: Final = "the session {session!r} ends after {found:,} of {events:,} events"


def _items(file: Counted) -> Iterator[Event | Skipped]:
    header: Header | None = None
    found = 0
    for number, line in enumerate(file.lines(), 1):
        place = f"line {number}"
        if line is not None and (header is None or line.startswith(MARK)):
            _check_whole(header, found)
            try:
                header, found = read_header(line), 0
            except NotALine as error:
                raise SourceBroken(f"{place}: {error}") from None
            continue
        assert header is not None, "the first line is short, or the file would not have been taken for one of these"
        found += 1
        if line is None:
            yield Skipped(place, "invalid", f"longer than {MAX_ITEM:,} bytes")
            continue
        try:
            yield read_event(line, header.session)
        except NotALine as error:
            is_torn = not line.endswith(b"\n")
            yield Skipped(place, "torn" if is_torn else "invalid", "the file ends in it" if is_torn else str(error))
            found -= is_torn
    _check_whole(header, found)


def _check_whole(header: Header | None, found: int) -> None:
    """Raise SourceBroken where lines are missing: a download that was cut off may end with a whole line."""
    if header is not None and found < header.events:
        raise SourceBroken(_SHORT.format(session=header.session, found=found, events=header.events))
