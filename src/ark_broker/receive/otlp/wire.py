"""OTLP's protobuf messages as this broker reads them: one level at a time.

The field numbers are those of opentelemetry-proto. What differs is that nested messages are declared as `bytes`, which
has the same encoding (length-delimited). So

* an attribute that comes again and again (and nearly all do) is a dictionary lookup by its bytes, not a decoding;
* no call into the protobuf library works on more than one level of one message, however large the request is:
  other threads get their turn in between.

The price: a nested message that is not repeated, but sent in two pieces to be merged, counts as its last piece. No
known encoder does that.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from ark_broker.model.errors import BadInput, TooLarge

_PACKAGE: Final = "ark_broker.otlp"
_TYPES: Final[dict[str, int]] = {
    "double": 1, "int64": 3, "int32": 5, "fixed64": 6, "fixed32": 7, "bool": 8, "string": 9, "message": 11,
    "bytes": 12, "uint32": 13,
}  # fmt: skip

#: Message → field → (number, type). `*` is repeated, `?` tells absent from empty, `value.` is of the oneof "value".
_MESSAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    # TracesData, LogsData, MetricsData, and what they hold: three levels of envelopes around the records.
    "Data": {"groups": (1, "*bytes")},
    "Group": {"owner": (1, "?bytes"), "members": (2, "*bytes"), "schema_url": (3, "string")},
    "Resource": {
        "attributes": (1, "*bytes"),
        "dropped_attributes_count": (2, "uint32"),
        "entity_refs": (3, "*bytes"),
    },
    "EntityRef": {
        "schema_url": (1, "string"),
        "type": (2, "string"),
        "id_keys": (3, "*string"),
        "description_keys": (4, "*string"),
    },
    "Scope": {
        "name": (1, "string"),
        "version": (2, "string"),
        "attributes": (3, "*bytes"),
        "dropped_attributes_count": (4, "uint32"),
    },
    "Span": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "string"),
        "parent_span_id": (4, "bytes"),
        "name": (5, "string"),
        "kind": (6, "int32"),
        "start_time_unix_nano": (7, "fixed64"),
        "end_time_unix_nano": (8, "fixed64"),
        "attributes": (9, "*bytes"),
        "dropped_attributes_count": (10, "uint32"),
        "events": (11, "*bytes"),
        "dropped_events_count": (12, "uint32"),
        "links": (13, "*bytes"),
        "dropped_links_count": (14, "uint32"),
        "status": (15, "?bytes"),
        "flags": (16, "fixed32"),
    },
    "SpanEvent": {
        "time_unix_nano": (1, "fixed64"),
        "name": (2, "string"),
        "attributes": (3, "*bytes"),
        "dropped_attributes_count": (4, "uint32"),
    },
    "SpanLink": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "string"),
        "attributes": (4, "*bytes"),
        "dropped_attributes_count": (5, "uint32"),
        "flags": (6, "fixed32"),
    },
    "Status": {"message": (2, "string"), "code": (3, "int32")},
    "LogRecord": {
        "time_unix_nano": (1, "fixed64"),
        "severity_number": (2, "int32"),
        "severity_text": (3, "string"),
        "body": (5, "?bytes"),
        "attributes": (6, "*bytes"),
        "dropped_attributes_count": (7, "uint32"),
        "flags": (8, "fixed32"),
        "trace_id": (9, "bytes"),
        "span_id": (10, "bytes"),
        "observed_time_unix_nano": (11, "fixed64"),
        "event_name": (12, "string"),
    },
    "KeyValue": {"key": (1, "string"), "value": (2, "?message:AnyValue"), "key_strindex": (3, "int32")},
    "AnyValue": {
        "string_value": (1, "value.string"),
        "bool_value": (2, "value.bool"),
        "int_value": (3, "value.int64"),
        "double_value": (4, "value.double"),
        "array_value": (5, "value.bytes"),
        "kvlist_value": (6, "value.bytes"),
        "bytes_value": (7, "value.bytes"),
        "string_value_strindex": (8, "value.int32"),
    },
    "ArrayValue": {"values": (1, "*bytes")},
    "KeyValueList": {"values": (1, "*bytes")},
    # A metric is only counted: its data points, whatever they are.
    "Metric": {
        "gauge": (5, "bytes"),
        "sum": (7, "bytes"),
        "histogram": (9, "bytes"),
        "exponential_histogram": (10, "bytes"),
        "summary": (11, "bytes"),
    },
    "Points": {"points": (1, "*bytes")},
}


def _describe(name: str, fields: dict[str, tuple[int, str]]) -> descriptor_pb2.DescriptorProto:
    message = descriptor_pb2.DescriptorProto(name=name)
    if any(kind.startswith("value.") for _, kind in fields.values()):
        message.oneof_decl.add(name="value")
    for field_name, (number, kind) in fields.items():
        plain = kind.lstrip("*?").removeprefix("value.")
        type_name, _, message_name = plain.partition(":")
        field = message.field.add(name=field_name, number=number)
        field.type = _TYPES[type_name]  # type: ignore[assignment]
        field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
        if message_name:
            field.type_name = f".{_PACKAGE}.{message_name}"
        elif kind.startswith("?"):
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field_name}")
        elif kind.startswith("value."):
            field.oneof_index = 0
    return message


def _compile() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="ark_broker/otlp.proto", package=_PACKAGE, syntax="proto3")
    file.message_type.extend(_describe(name, fields) for name, fields in _MESSAGES.items())
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES: Final = _compile()

Data: Final = _CLASSES["Data"]
Group: Final = _CLASSES["Group"]
Resource: Final = _CLASSES["Resource"]
EntityRef: Final = _CLASSES["EntityRef"]
Scope: Final = _CLASSES["Scope"]
Span: Final = _CLASSES["Span"]
SpanEvent: Final = _CLASSES["SpanEvent"]
SpanLink: Final = _CLASSES["SpanLink"]
Status: Final = _CLASSES["Status"]
LogRecord: Final = _CLASSES["LogRecord"]
KeyValue: Final = _CLASSES["KeyValue"]
AnyValue: Final = _CLASSES["AnyValue"]
ArrayValue: Final = _CLASSES["ArrayValue"]
KeyValueList: Final = _CLASSES["KeyValueList"]
Metric: Final = _CLASSES["Metric"]
Points: Final = _CLASSES["Points"]

#: Messages up to this size are parsed unseen; the fields of larger ones are counted first.
_UNSEEN: Final = 1024 * 1024
#: Fields of one message, at most: each takes many times its two bytes once it is parsed.
_MAX_FIELDS: Final = 1_000_000


def parse(message: Any, data: bytes) -> Any:
    """`data` as a message of that class.

    Raises BadInput for what is none, and TooLarge for one made of a million tiny parts.
    """
    if len(data) > _UNSEEN:
        _check_field_count(data)
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise BadInput("the body is not valid OTLP protobuf") from error


def _check_field_count(data: bytes) -> None:
    """Walks the fields of a message, without looking into them; what is malformed is left to the parser."""
    position = count = 0
    size = len(data)
    while position < size:
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 2:
            length, position = _varint(data, position)
            position += length
        elif kind == 0:
            _, position = _varint(data, position)
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        else:
            return
        count += 1
        if count > _MAX_FIELDS:
            raise TooLarge(f"the body has more than {_MAX_FIELDS} parts in one message: send smaller batches")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and where it ends; past the end of `data` where it is cut off."""
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return 0, len(data)
