"""Nothing a producer sends is lost, whichever encoding it comes in, and whether or not it is cut into pieces."""

from __future__ import annotations

import random
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from ark_broker.receive.otlp import Encoding, decode_traces, pieces, rebuild_spans
from tests.receive.support import requests, spans, to_json, wrong_spans

_MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def flat(data: ExportTraceServiceRequest | TracesData) -> list[bytes]:
    """Each span with its resource and scope, as bytes that are equal where every field is (NaN too)."""
    found = []
    for group in data.resource_spans:
        for part in group.scope_spans:
            for span in part.spans:
                alone = TracesData()
                kept = alone.resource_spans.add(schema_url=group.schema_url)
                if group.HasField("resource"):
                    kept.resource.CopyFrom(group.resource)
                scope = kept.scope_spans.add(schema_url=part.schema_url, spans=[span])
                if part.HasField("scope"):
                    scope.scope.CopyFrom(part.scope)
                found.append(alone.SerializeToString(deterministic=True))
    return found


@_MANY
@given(requests(spans))
def test_spans_are_rebuilt_field_by_field(request: ExportTraceServiceRequest) -> None:
    decoded = decode_traces(request.SerializeToString(), "protobuf")
    assert not decoded.rejected
    assert flat(rebuild_spans(event.body for event in decoded.events)) == flat(request)


@_MANY
@given(requests(spans))
def test_both_encodings_come_to_the_same_events_and_bytes(request: ExportTraceServiceRequest) -> None:
    from_protobuf = decode_traces(request.SerializeToString(), "protobuf")
    from_json = decode_traces(to_json(request), "json")
    assert from_json == from_protobuf
    assert [event.body for event in from_json.events] == [event.body for event in from_protobuf.events]


@_FEW
@given(requests(spans), requests(wrong_spans, 2), st.randoms(use_true_random=False))
def test_spans_with_wrong_ids_are_left_out_and_their_neighbours_kept(
    good: ExportTraceServiceRequest, wrong: ExportTraceServiceRequest, chance: random.Random
) -> None:
    request = ExportTraceServiceRequest()
    groups = [*good.resource_spans, *wrong.resource_spans]
    chance.shuffle(groups)
    request.resource_spans.extend(groups)
    decoded = decode_traces(request.SerializeToString(), "protobuf")
    assert decoded.rejected == len(flat(wrong))
    assert bool(decoded.message) == bool(decoded.rejected)
    kept = ExportTraceServiceRequest(resource_spans=[group for group in groups if group not in wrong.resource_spans])
    assert flat(rebuild_spans(event.body for event in decoded.events)) == flat(kept)
    assert decode_traces(to_json(request), "json") == decoded


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@_FEW
@given(request=requests(spans, 6), size=st.integers(1, 300))
def test_a_request_in_pieces_comes_to_the_same_as_the_whole(
    encoding: Encoding, request: ExportTraceServiceRequest, size: int
) -> None:
    body = request.SerializeToString() if encoding == "protobuf" else to_json(request)
    whole = decode_traces(body, encoding)
    with patch.object(pieces, "PIECE_BYTES", size):
        assert decode_traces(body, encoding) == whole


def test_equal_neighbours_share_their_resource_and_scope() -> None:
    request = ExportTraceServiceRequest()
    for service, names in (("a", "xy"), ("b", "z")):
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = service
        part = group.scope_spans.add()
        for number, name in enumerate(names, 1):
            part.spans.add(trace_id=b"t" * 16, span_id=bytes([number]) * 8, name=name)
    events = decode_traces(request.SerializeToString(), "protobuf").events
    rebuilt = rebuild_spans(event.body for event in events)
    assert rebuilt.SerializeToString() == request.SerializeToString()
