"""Events to rows and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from ark_broker.log.tables import events
from ark_broker.model import Event

#: Columns of `events`, in the table's order; each has the name of the Event's field.
COLUMNS: Final[tuple[str, ...]] = tuple(column.name for column in events.columns)
_HEX: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_FIRST_ID: Final = COLUMNS.index("trace_id")
_BEFORE: Final = attrgetter(*COLUMNS[:_FIRST_ID])
_AFTER: Final = attrgetter(*COLUMNS[_FIRST_ID + len(_HEX) : -1])


def to_rows(batch: Iterable[Event], bodies: Mapping[bytes, bytes]) -> list[tuple[Any, ...]]:
    """Rows in the order of `COLUMNS`. `bodies` has what is to be stored in place of some bodies, by event id."""
    return [
        (
            *_BEFORE(event),
            _bytes(event.trace_id),
            _bytes(event.span_id),
            _bytes(event.parent_span_id),
            *_AFTER(event),
            bodies.get(event.id, event.body),
        )
        for event in batch
    ]


def _bytes(hex_id: str | None) -> bytes | None:
    return None if hex_id is None else bytes.fromhex(hex_id)


def from_rows(rows: Iterable[Sequence[Any]]) -> list[Event]:
    """Rows that were selected in the order of `COLUMNS`."""
    result = []
    for row in rows:
        values = dict(zip(COLUMNS, row, strict=True))
        for name in _HEX:
            if values[name] is not None:
                values[name] = values[name].hex()
        result.append(Event(**values))
    return result
