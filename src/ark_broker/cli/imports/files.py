"""The files of Ark's own broker, read in bounded memory: one JSON document a store, or an item a line.

messages.json       {"items": [{"sequenceNumber", "timestamp", "data"}, …], "nextSequence": N}
messages.jsonl      {"nextSequence": N}, then an item a line; the last may be torn
sessions.json       {"sessions": {<session>: {"queries": {<query>: {…}}}}}
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final

import ijson
import orjson
from ijson.common import JSONError

from ark_broker.cli.imports.source import Skipped, SourceBroken
from ark_broker.model.errors import BadInput
from ark_broker.receive.conventions.parts import nests_too_deep
from ark_broker.receive.legacy import Record, Store, record_of, session_records

#: Names of the files, as the old chart sets them, without their suffix.
FILES: Final[dict[str, Store]] = {
    "events": "events",
    "sessions": "sessions",
    "messages": "messages",
    "completionchunks": "chunks",
    "oteltraces": "spans",
}
#: Bytes of one item, at most: so much of a broken file is held in memory.
MAX_ITEM: Final = 64 * 2**20
_PIECE: Final = 64 * 2**10
#: How a document begins. In a file of lines the first member stands alone on its line, or is an item's.
_DOCUMENT: Final = re.compile(rb'\s*\{\s*(?:"(?:items|sessions)"\s*:|"nextSequence"\s*:\s*\d+\s*,|\})')


def store_of(path: Path) -> Store | None:
    """The store that the file's name stands for; None for any other file."""
    return FILES.get(path.stem.lower()) if path.suffix.lower() in (".json", ".jsonl") else None


def find_files(directory: Path) -> tuple[list[Path], list[Path]]:
    """The stores' files in a directory, and those passed over: a `.json` beside the `.jsonl` that was made of it."""
    known = sorted(path for path in directory.iterdir() if path.is_file() and store_of(path))
    newer = {path.stem.lower() for path in known if path.suffix.lower() == ".jsonl"}
    old = [path for path in known if path.suffix.lower() == ".json" and path.stem.lower() in newer]
    return [path for path in known if path not in old], old


class FileSource:
    """One file of one store."""

    def __init__(self, path: Path, store: Store) -> None:
        self.store: Store = store
        self.label = str(path)
        self._path = path
        self._file: Counted | None = None

    @property
    def size(self) -> int:
        return self._path.stat().st_size

    @property
    def done(self) -> int:
        return 0 if self._file is None else self._file.taken

    async def items(self) -> AsyncGenerator[Record | Skipped, None]:
        with self._path.open("rb") as file:
            self._file = Counted(file)
            for item in self._read(file, self._file):
                yield item

    def _read(self, file: BinaryIO, counted: Counted) -> Iterator[Record | Skipped]:
        beginning = file.read(_PIECE)
        file.seek(0)
        if not beginning.strip():
            return iter(())
        if self.store == "sessions":
            return _sessions(counted)
        if _DOCUMENT.match(beginning):
            return _document(counted, self.store)
        return _lines(counted, self.store)


class Counted:
    """A file that counts what is read, and refuses to go on where one item does not end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._item_began = 0
        self._piece_began = 0
        self.taken = 0

    @property
    def place(self) -> str:
        """Where the piece is that was read last."""
        if self._piece_began == self.taken:
            return f"at its end, byte {self.taken:,}"
        return f"between bytes {self._piece_began:,} and {self.taken:,}"

    def item_ended(self) -> None:
        self._item_began = self.taken

    def read(self, size: int = -1) -> bytes:
        if self.taken - self._item_began > MAX_ITEM:
            raise SourceBroken(f"an item that begins near byte {self._item_began:,} is larger than {MAX_ITEM:,} bytes")
        piece = self._file.read(_PIECE if size < 0 else size)
        if size:
            self._piece_began = self.taken
        self.taken += len(piece)
        return piece

    def lines(self) -> Iterator[bytes | None]:
        """Each line with its newline; None for one that is too long to be held."""
        while line := self._file.readline(MAX_ITEM):
            self.taken += len(line)
            if len(line) < MAX_ITEM or line.endswith(b"\n"):
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = self._file.readline(_PIECE)
                self.taken += len(line)
            yield None


def _lines(file: Counted, store: Store) -> Iterator[Record | Skipped]:
    for number, line in enumerate(file.lines(), 1):
        if line is None:
            yield Skipped(f"line {number}", "invalid", f"longer than {MAX_ITEM:,} bytes")
            continue
        if not line.strip():
            continue
        try:
            item = orjson.loads(line)
        except (orjson.JSONDecodeError, RecursionError) as error:
            why, reason = ("invalid", f"not JSON: {error}") if line.endswith(b"\n") else ("torn", "the file ends in it")
            yield Skipped(f"line {number}", why, reason)  # type: ignore[arg-type]
            continue
        if isinstance(item, dict) and item.keys() == {"nextSequence"}:
            continue
        yield _record(store, item, number, f"line {number}")


def _document(file: Counted, store: Store) -> Iterator[Record | Skipped]:
    for number, item in enumerate(_parsed(file, ijson.items(file, "items.item", buf_size=_PIECE)), 1):
        yield _record(store, item, number, f"item {number}")


def _sessions(file: Counted) -> Iterator[Record | Skipped]:
    for session_id, session in _parsed(file, ijson.kvitems(file, "sessions", buf_size=_PIECE)):
        rejected: list[Skipped] = []
        queries = session.get("queries", {}) if isinstance(session, dict) else None
        if not isinstance(queries, dict) or not session_id:
            yield Skipped(session_id, "invalid", "must be an object with queries")
            continue

        def reject(name: str, error: BadInput, session_id: str = session_id, into: Any = rejected) -> None:
            into.append(Skipped(f"{session_id}/{name}", "invalid", str(error)))

        yield from session_records(session_id, queries, reject)
        yield from rejected


def _parsed(file: Counted, values: Iterator[Any]) -> Iterator[Any]:
    """What the parser finds, in plain values. Raises SourceBroken that says where."""
    found = 0
    while True:
        try:
            value = next(values)
        except StopIteration:
            return
        except (JSONError, UnicodeDecodeError) as error:
            raise SourceBroken(f"broken {file.place}, after item {found:,}: {_first_words(error)}") from None
        found += 1
        file.item_ended()
        yield value if nests_too_deep(value) else _plain(value)


def _plain(value: Any) -> Any:
    """The parser's exact numbers as JSON has them everywhere else here: 64-bit integers and doubles."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case Decimal():
            return float(value)
        case int() if not -(2**63) <= value < 2**64:
            return float(value)
    return value


def _record(store: Store, item: object, number: int, place: str) -> Record | Skipped:
    try:
        return record_of(store, item, number)
    except BadInput as error:
        return Skipped(place, "invalid", str(error))


def _first_words(error: Exception) -> str:
    return str(error).removeprefix("b'").partition("\n")[0].partition("\\n")[0]
