"""The OTLP messages as one table: field by field its names in protobuf and JSON, and its kind.

Three go by it, so that they cannot disagree: `from_protobuf`, `from_json`, and `rebuild`. Fields stand in the order of
their numbers, which is the order protobuf lists them in, so that both encodings come to the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from google.protobuf.message import Message as ProtobufMessage
from opentelemetry.proto.common.v1.common_pb2 import EntityRef, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ark_broker.receive.fields import camel

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
    """One message type. `fields` are in the order of their numbers."""

    protobuf: type[ProtobufMessage]
    fields: tuple[Field, ...]


def _field(name: str, kind: FieldKind, of: Message | EnumNames | None = None) -> Field:
    return Field(name, camel(name), kind, of)


_SPAN_KINDS: Final = EnumNames(dict(Span.SpanKind.items()))
_STATUS_CODES: Final = EnumNames(dict(Status.StatusCode.items()))
_SEVERITIES: Final = EnumNames(dict(SeverityNumber.items()))

ENTITY: Final = Message(
    EntityRef,
    (
        _field("schema_url", "text"),
        _field("type", "text"),
        _field("id_keys", "texts"),
        _field("description_keys", "texts"),
    ),
)
RESOURCE: Final = Message(
    Resource,
    (
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
        _field("entity_refs", "messages", ENTITY),
    ),
)
SCOPE: Final = Message(
    InstrumentationScope,
    (
        _field("name", "text"),
        _field("version", "text"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
    ),
)
SPAN_EVENT: Final = Message(
    Span.Event,
    (
        _field("time_unix_nano", "u64"),
        _field("name", "text"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
    ),
)
SPAN_LINK: Final = Message(
    Span.Link,
    (
        _field("trace_id", "id"),
        _field("span_id", "id"),
        _field("trace_state", "text"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
        _field("flags", "u32"),
    ),
)
STATUS: Final = Message(Status, (_field("message", "text"), _field("code", "enum", _STATUS_CODES)))
SPAN: Final = Message(
    Span,
    (
        _field("trace_id", "id"),
        _field("span_id", "id"),
        _field("trace_state", "text"),
        _field("parent_span_id", "id"),
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
        _field("flags", "u32"),
    ),
)
LOG_RECORD: Final = Message(
    LogRecord,
    (
        _field("time_unix_nano", "u64"),
        _field("severity_number", "enum", _SEVERITIES),
        _field("severity_text", "text"),
        _field("body", "any"),
        _field("attributes", "attributes"),
        _field("dropped_attributes_count", "u32"),
        _field("flags", "u32"),
        _field("trace_id", "id"),
        _field("span_id", "id"),
        _field("observed_time_unix_nano", "u64"),
        _field("event_name", "text"),
    ),
)
