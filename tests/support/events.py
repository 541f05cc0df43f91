"""Events for tests: only what matters has to be said."""

from __future__ import annotations

from typing import Any

from ark_broker.model import Event, event_id

#: 2024-01-15T10:30:00Z
NOON = 1_705_314_600_000_000_000


def make(name: object, **fields: Any) -> Event:
    """An event with identity `name`."""
    given: dict[str, Any] = {"id": event_id(repr(name)), "kind": "span", "type": "test", "time": NOON, "body": b"{}"}
    return Event(**(given | fields))


def trace(number: int) -> str:
    return f"{number:032x}"


def span(number: int) -> str:
    return f"{number:016x}"


def root(name: object, number: int, **fields: Any) -> Event:
    """The root span of trace `number`."""
    return make(name, **({"trace_id": trace(number), "span_id": span(1)} | fields))


def child(name: object, number: int, **fields: Any) -> Event:
    """A span below the root of trace `number`."""
    given = {"trace_id": trace(number), "span_id": span(2), "parent_span_id": span(1)}
    return make(name, **(given | fields))
