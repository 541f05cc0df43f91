"""Events to rows and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ark_broker.log.tables import events
from ark_broker.model import Event

#: Columns of `events`, in the table's order; each has the name of the Event's field.
COLUMNS: Final[tuple[str, ...]] = tuple(column.name for column in events.columns)
_HEX: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
#: Columns without the body, for readers that only count and sort.
LIGHT_COLUMNS: Final = tuple(column for column in events.columns if column.name != "body")


def to_columns(batch: Sequence[Event]) -> list[list[Any]]:
    """One list a column, in the order of `COLUMNS`: the shape that `unnest` takes."""
    columns: list[list[Any]] = []
    for name in COLUMNS:
        values = [getattr(event, name) for event in batch]
        if name in _HEX:
            values = [None if value is None else bytes.fromhex(value) for value in values]
        columns.append(values)
    return columns


def from_rows(rows: Iterable[Sequence[Any]], *, body: bool = True) -> list[Event]:
    """Rows that were selected in the order of `COLUMNS` (without the body where `body` is False)."""
    names = COLUMNS if body else tuple(column.name for column in LIGHT_COLUMNS)
    result = []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        for name in _HEX:
            if values[name] is not None:
                values[name] = values[name].hex()
        if not body:
            values["body"] = b""
        result.append(Event(**values))
    return result
