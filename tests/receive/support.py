"""OTLP requests in both encodings: a JSON encoder of its own, and requests of every shape for Hypothesis."""

from __future__ import annotations

import base64
import math
from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, EntityRef, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

_IDS = {"trace_id", "span_id", "parent_span_id"}
_LARGE = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
}


def to_json(message: Message) -> bytes:
    """An OTLP request as OTLP/JSON: ids in hex, 64-bit integers as text, enums as numbers."""
    return orjson.dumps(_object(message))


def _object(message: Message) -> dict[str, Any]:
    found = {}
    for field, value in message.ListFields():
        key = field.json_name
        found[key] = [_value(field, item) for item in value] if field.is_repeated else _value(field, value)
    return found


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return _object(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return value.hex() if field.name in _IDS else base64.b64encode(value).decode()
    if field.type in _LARGE:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


#: Text with everything that is hard to store: NUL, quotes, emoji, right-to-left. No half surrogates: UTF-8 has none.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
u32 = st.integers(0, 2**32 - 1)
u64 = st.one_of(st.just(0), st.integers(0, 2**64 - 1), st.just(1_705_314_600_000_000_000))
# One NaN: a NaN has payload bits that JSON cannot carry. And -0.0 is not 0.0.
doubles = st.one_of(st.floats(allow_nan=False), st.just(math.nan))

scalars = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=texts),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=doubles),
    st.builds(AnyValue, bytes_value=st.binary(max_size=9)),
)


def _attributes(values: st.SearchStrategy[AnyValue], size: int) -> st.SearchStrategy[list[KeyValue]]:
    with_value = st.builds(KeyValue, key=texts, value=values)
    return st.lists(st.one_of(with_value, with_value, st.builds(KeyValue, key=texts)), max_size=size)


def _array(items: list[AnyValue]) -> AnyValue:
    value = AnyValue()
    value.array_value.SetInParent()
    value.array_value.values.extend(items)
    return value


def _map(items: list[KeyValue]) -> AnyValue:
    value = AnyValue()
    value.kvlist_value.SetInParent()
    value.kvlist_value.values.extend(items)
    return value


values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(_array), _attributes(inner, 3).map(_map)),
    max_leaves=6,
)
attributes = _attributes(values, 4)
trace_ids = st.binary(min_size=16, max_size=16).filter(any)
span_ids = st.binary(min_size=8, max_size=8).filter(any)
#: What no span may have.
wrong_ids = st.one_of(
    st.just(b""), st.just(bytes(8)), st.just(bytes(16)), st.binary(min_size=1, max_size=7), st.binary(min_size=24)
)

span_events = st.builds(Span.Event, time_unix_nano=u64, name=texts, attributes=attributes, dropped_attributes_count=u32)
links = st.builds(
    Span.Link,
    trace_id=st.one_of(trace_ids, wrong_ids),
    span_id=st.one_of(span_ids, wrong_ids),
    trace_state=texts,
    attributes=attributes,
    dropped_attributes_count=u32,
    flags=u32,
)
statuses = st.builds(Status, message=texts, code=st.sampled_from([0, 1, 2, 7]))
_span_fields: dict[str, st.SearchStrategy[Any]] = {
    "trace_state": texts,
    "flags": u32,
    "name": texts,
    "kind": st.integers(0, 9),
    "start_time_unix_nano": u64,
    "end_time_unix_nano": u64,
    "attributes": attributes,
    "dropped_attributes_count": u32,
    "events": st.lists(span_events, max_size=2),
    "dropped_events_count": u32,
    "links": st.lists(links, max_size=2),
    "dropped_links_count": u32,
    "status": st.one_of(st.none(), statuses),
}
spans = st.builds(
    Span,
    trace_id=trace_ids,
    span_id=span_ids,
    parent_span_id=st.one_of(st.just(b""), st.just(bytes(8)), span_ids),
    **_span_fields,
)
wrong_spans = st.one_of(
    st.builds(Span, trace_id=wrong_ids, span_id=span_ids, **_span_fields),
    st.builds(Span, trace_id=trace_ids, span_id=wrong_ids.filter(lambda found: len(found) != 8 or not any(found))),
    st.builds(Span, trace_id=trace_ids, span_id=span_ids, parent_span_id=st.binary(min_size=9, max_size=9).filter(any)),
)
resources = st.builds(
    Resource,
    attributes=attributes,
    dropped_attributes_count=u32,
    entity_refs=st.lists(
        st.builds(
            EntityRef,
            schema_url=texts,
            type=texts,
            id_keys=st.lists(texts, max_size=2),
            description_keys=st.lists(texts, max_size=2),
        ),
        max_size=2,
    ),
)
scopes = st.builds(InstrumentationScope, name=texts, version=texts, attributes=attributes, dropped_attributes_count=u32)


def requests(of: st.SearchStrategy[Span], spans_each: int = 3) -> st.SearchStrategy[ExportTraceServiceRequest]:
    """Requests with such spans, in several resources and scopes; some have neither."""
    parts = st.builds(
        ScopeSpans, scope=st.one_of(st.none(), scopes), schema_url=texts, spans=st.lists(of, max_size=spans_each)
    )
    groups = st.builds(
        ResourceSpans,
        resource=st.one_of(st.none(), resources),
        schema_url=texts,
        scope_spans=st.lists(parts, max_size=2),
    )
    return st.builds(ExportTraceServiceRequest, resource_spans=st.lists(groups, max_size=2))
