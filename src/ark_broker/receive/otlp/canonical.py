"""Canonical OTLP/JSON of resources, scopes, spans and log records: what an event's body is made of.

Lower-case hex ids, 64-bit integers as decimal strings, enums as numbers, members with default values left out, and
always in the same order: the same data has the same bytes, whichever encoding it came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import orjson

from ark_broker.receive.otlp.attributes import Attribute


class SpanScalars(Protocol):
    """Fields of a span that are no messages: a `wire.Span`, or what a JSON span was read into."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    trace_state: str
    flags: int
    name: str
    kind: int
    start_time_unix_nano: int
    end_time_unix_nano: int
    dropped_attributes_count: int
    dropped_events_count: int
    dropped_links_count: int


class EventScalars(Protocol):
    """Fields of a span's event that are no messages."""

    time_unix_nano: int
    name: str
    dropped_attributes_count: int


class LinkScalars(Protocol):
    """Fields of a span's link that are no messages."""

    trace_id: bytes
    span_id: bytes
    trace_state: str
    flags: int
    dropped_attributes_count: int


class LogScalars(Protocol):
    """Fields of a log record that are no messages."""

    time_unix_nano: int
    observed_time_unix_nano: int
    severity_number: int
    severity_text: str
    dropped_attributes_count: int
    flags: int
    trace_id: bytes
    span_id: bytes
    event_name: str




def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _attributes(attributes: Sequence[Attribute]) -> bytes:
    return b",".join([fragment for fragment, _ in attributes])


def _object(members: list[bytes]) -> bytes:
    return b"{" + b",".join(members) + b"}"


def _member(members: list[bytes], name: bytes, value: bytes) -> None:
    members.append(b'"' + name + b'":' + value)


def _number(members: list[bytes], name: bytes, value: int) -> None:
    if value:
        members.append(b'"%b":%d' % (name, value))


def _text(members: list[bytes], name: bytes, value: str) -> None:
    if value:
        members.append(b'"' + name + b'":' + orjson.dumps(value))


def _list(members: list[bytes], name: bytes, items: bytes) -> None:
    if items:
        members.append(b'"' + name + b'":[' + items + b"]")


def resource_json(attributes: Sequence[Attribute], dropped: int, entity_refs: Sequence[dict[str, object]]) -> bytes:
    """A Resource."""
    members: list[bytes] = []
    _list(members, b"attributes", _attributes(attributes))
    _number(members, b"droppedAttributesCount", dropped)
    _list(members, b"entityRefs", b",".join([orjson.dumps(reference) for reference in entity_refs]))
    return _object(members)


def scope_json(name: str, version: str, attributes: Sequence[Attribute], dropped: int) -> bytes:
    """An InstrumentationScope."""
    members: list[bytes] = []
    _text(members, b"name", name)
    _text(members, b"version", version)
    _list(members, b"attributes", _attributes(attributes))
    _number(members, b"droppedAttributesCount", dropped)
    return _object(members)


def owner_json(resource: bytes | None, resource_url: str, scope: bytes | None, scope_url: str) -> bytes:
    """What stands before the record in a body: the opening brace, resource and scope, and a comma."""
    members: list[bytes] = []
    if resource is not None:
        _member(members, b"resource", resource)
    _text(members, b"resourceSchemaUrl", resource_url)
    if scope is not None:
        _member(members, b"scope", scope)
    _text(members, b"scopeSchemaUrl", scope_url)
    return b"".join([b"{", *[member + b"," for member in members]])


def span_event_json(event: EventScalars, attributes: Sequence[Attribute]) -> bytes:
    """A Span.Event."""
    members: list[bytes] = []
    if event.time_unix_nano:
        members.append(b'"timeUnixNano":"%d"' % event.time_unix_nano)
    _text(members, b"name", event.name)
    _list(members, b"attributes", _attributes(attributes))
    _number(members, b"droppedAttributesCount", event.dropped_attributes_count)
    return _object(members)


def span_link_json(link: LinkScalars, attributes: Sequence[Attribute]) -> bytes:
    """A Span.Link."""
    members: list[bytes] = []
    _text(members, b"traceId", link.trace_id.hex())
    _text(members, b"spanId", link.span_id.hex())
    _text(members, b"traceState", link.trace_state)
    _list(members, b"attributes", _attributes(attributes))
    _number(members, b"droppedAttributesCount", link.dropped_attributes_count)
    _number(members, b"flags", link.flags)
    return _object(members)


def status_json(code: int, message: str) -> bytes:
    """A Status."""
    members: list[bytes] = []
    _text(members, b"message", message)
    _number(members, b"code", code)
    return _object(members)


def span_body(
    owner: bytes,
    span: SpanScalars,
    attributes: Sequence[Attribute],
    events: Sequence[bytes],
    links: Sequence[bytes],
    status: bytes | None,
) -> bytes:
    """The body of a span's event. `owner` comes from owner_json; the hot path, so written in one go."""
    head = f'"span":{{"traceId":"{span.trace_id.hex()}","spanId":"{span.span_id.hex()}"'
    if span.trace_state:
        head += f',"traceState":{_quoted(span.trace_state)}'
    if span.parent_span_id:
        head += f',"parentSpanId":"{span.parent_span_id.hex()}"'
    if span.flags:
        head += f',"flags":{span.flags}'
    if span.name:
        head += f',"name":{_quoted(span.name)}'
    if span.kind:
        head += f',"kind":{span.kind}'
    if span.start_time_unix_nano:
        head += f',"startTimeUnixNano":"{span.start_time_unix_nano}"'
    if span.end_time_unix_nano:
        head += f',"endTimeUnixNano":"{span.end_time_unix_nano}"'
    parts = [owner, head.encode()]
    if attributes:
        parts += (b',"attributes":[', _attributes(attributes), b"]")
    if span.dropped_attributes_count:
        parts.append(b',"droppedAttributesCount":%d' % span.dropped_attributes_count)
    if events:
        parts += (b',"events":[', b",".join(events), b"]")
    if span.dropped_events_count:
        parts.append(b',"droppedEventsCount":%d' % span.dropped_events_count)
    if links:
        parts += (b',"links":[', b",".join(links), b"]")
    if span.dropped_links_count:
        parts.append(b',"droppedLinksCount":%d' % span.dropped_links_count)
    if status is not None:
        parts += (b',"status":', status)
    parts.append(b"}}")
    return b"".join(parts)


def log_body(owner: bytes, record: LogScalars, body: bytes | None, attributes: Sequence[Attribute]) -> bytes:
    """The body of a log record's event. `body` is the record's own, an AnyValue."""
    members: list[bytes] = []
    if record.time_unix_nano:
        members.append(b'"timeUnixNano":"%d"' % record.time_unix_nano)
    if record.observed_time_unix_nano:
        members.append(b'"observedTimeUnixNano":"%d"' % record.observed_time_unix_nano)
    _number(members, b"severityNumber", record.severity_number)
    _text(members, b"severityText", record.severity_text)
    if body is not None:
        _member(members, b"body", body)
    _list(members, b"attributes", _attributes(attributes))
    _number(members, b"droppedAttributesCount", record.dropped_attributes_count)
    _number(members, b"flags", record.flags)
    _text(members, b"traceId", record.trace_id.hex())
    _text(members, b"spanId", record.span_id.hex())
    _text(members, b"eventName", record.event_name)
    return owner + b'"logRecord":' + _object(members) + b"}"
