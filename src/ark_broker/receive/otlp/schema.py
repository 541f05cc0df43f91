"""The OTLP messages as one table: field by field its names in protobuf and JSON, and its kind.

Three readers go by it, so that they cannot disagree: protobuf → canonical JSON, any sender's JSON → canonical JSON
(both in `canonical`), and canonical JSON → protobuf (in `rebuild`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

FieldKind = Literal["text", "texts", "u32", "u64", "enum", "id", "any", "attributes", "message", "messages"]


@dataclass(frozen=True, eq=False)
class EnumNames:
    """Numbers of an enum's names, which JSON senders may use although the specification forbids it."""

    numbers: dict[str, int]


@dataclass(frozen=True, eq=False)
class Field:
    """One field. `of` is the message's table, or the enum's names, where the kind has one."""

    name: str
    key: str
    kind: FieldKind
    of: Message | EnumNames | None = None


@dataclass(frozen=True, eq=False)
class Message:
    """One message type."""

    fields: tuple[Field, ...]


def _field(name: str, kind: FieldKind, of: Message | EnumNames | None = None) -> Field:
    first, *rest = name.split("_")
    return Field(name, first + "".join(word.capitalize() for word in rest), kind, of)


_SPAN_KINDS: Final = EnumNames(dict(Span.SpanKind.items()))
_STATUS_CODES: Final = EnumNames(dict(Status.StatusCode.items()))
_SEVERITIES: Final = EnumNames(dict(SeverityNumber.items()))

ENTITY: Final = Message(
    (
        _field("schema_url", "text"),
        _field("type", "text"),
        _field("id_keys", "texts"),
        _field("description_keys", "texts"),
    )
)
RESOURCE: Final = Message(
    (
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
        _field("entity_refs", "messages", ENTITY),
    )
)
SCOPE: Final = Message(
    (
        _field("name", "text"),
        _field("version", "text"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
    )
)
SPAN_EVENT: Final = Message(
    (
        _field("time_unix_nano", "u64"),
        _field("name", "text"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
    )
)
SPAN_LINK: Final = Message(
    (
        _field("trace_id", "id"),
        _field("span_id", "id"),
        _field("trace_state", "text"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
        _field("flags", "u32"),
    )
)
STATUS: Final = Message((_field("message", "text"), _field("code", "enum", _STATUS_CODES)))
SPAN: Final = Message(
    (
        _field("trace_id", "id"),
        _field("span_id", "id"),
        _field("trace_state", "text"),
        _field("parent_span_id", "id"),
        _field("flags", "u32"),
        _field("name", "text"),
        _field("kind", "enum", _SPAN_KINDS),
        _field("start_time_unix_nano", "u64"),
        _field("end_time_unix_nano", "u64"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
        _field("events", "messages", SPAN_EVENT),
        _field("dropped_events_count", "u32"),
        _field("links", "messages", SPAN_LINK),
        _field("dropped_links_count", "u32"),
        _field("status", "message", STATUS),
    )
)
LOG_RECORD: Final = Message(
    (
        _field("time_unix_nano", "u64"),
        _field("observed_time_unix_nano", "u64"),
        _field("severity_number", "enum", _SEVERITIES),
        _field("severity_text", "text"),
        _field("body", "any"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
        _field("flags", "u32"),
        _field("trace_id", "id"),
        _field("span_id", "id"),
        _field("event_name", "text"),
    )
)
