"""What leaves for an upstream is what came in, and what its configuration changes."""

from __future__ import annotations

import gzip
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData

from ark_broker.deliver.otlp_batch import FORWARDED_BY, compress, cut, encode, prepare
from ark_broker.deliver.upstreams import Upstream
from ark_broker.model import Event
from ark_broker.model.names import SEPARATOR, qualified
from ark_broker.receive.otlp import decode_traces
from tests.receive.support import requests, spans

PLAIN = Upstream(name="plain", url="http://h/v1/traces")
LOG = "log-1"
_MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def flat(data: ExportTraceServiceRequest) -> Counter[bytes]:
    """Each span with its resource and scope, as bytes that are equal where every field is (NaN too)."""
    found: Counter[bytes] = Counter()
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
                found[alone.SerializeToString(deterministic=True)] += 1
    return found


def events_of(request: ExportTraceServiceRequest) -> list[Event]:
    decoded = decode_traces(request.SerializeToString(), "protobuf")
    assert not decoded.rejected
    return decoded.events


def sent(events: list[Event], upstream: Upstream = PLAIN) -> ExportTraceServiceRequest:
    """The request that these events become, all in one."""
    prepared = prepare(events, upstream, LOG)
    assert not prepared.unusable
    return ExportTraceServiceRequest.FromString(encode(prepared.spans))


def request_of(resource: dict[str, Any] | None = None, **attributes: str) -> ExportTraceServiceRequest:
    """One span with such attributes, under a resource with such ones (texts, or lists of texts)."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    for key, value in (resource or {}).items():
        added = group.resource.attributes.add(key=key).value
        if isinstance(value, str):
            added.string_value = value
        else:
            for item in value:
                added.array_value.values.add(string_value=item)
    span = group.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="work")
    for key, value in attributes.items():
        span.attributes.add(key=key).value.string_value = value
    return request


def only(request: ExportTraceServiceRequest) -> ResourceSpans:
    (group,) = request.resource_spans
    return group


@_MANY
@given(requests(spans))
def test_spans_leave_as_they_came_field_by_field(request: ExportTraceServiceRequest) -> None:
    events = events_of(request)
    leaving = sent(events)
    assert flat(leaving) == flat(request)
    # And whoever takes them makes the same of them.
    again = events_of(leaving)
    assert sorted(event.body for event in again) == sorted(event.body for event in events)
    assert {event.id for event in again} == {event.id for event in events}


@_MANY
@given(requests(spans), st.integers(1, 4), st.integers(1, 2000))
def test_batches_have_every_span_once_in_order_within_the_limits(
    request: ExportTraceServiceRequest, most: int, size: int
) -> None:
    events = events_of(request)
    batches = cut(prepare(events, PLAIN, LOG).spans, most, size)
    assert [outgoing.event for batch in batches for outgoing in batch] == events
    for batch in batches:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or len(encode(batch)) <= size


def test_few_batches_are_made_where_few_are_needed() -> None:
    request = request_of({"service.name": "x" * 100})
    part = only(request).scope_spans[0]
    for number in range(1, 100):
        part.spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8), name="x" * 50)
    outgoing = prepare(events_of(request), PLAIN, LOG).spans
    assert [len(batch) for batch in cut(outgoing, 40, 2**20)] == [40, 40, 20]
    assert len(cut(outgoing, 100, request.ByteSize() + 1000)) == 1


def test_spans_of_one_resource_and_scope_stand_together_however_they_were_mixed() -> None:
    request = ExportTraceServiceRequest()
    for number in range(1, 9):
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = "ab"[number % 2]
        part = group.scope_spans.add()
        part.scope.name = "xy"[number // 2 % 2]
        part.spans.add(trace_id=b"t" * 16, span_id=bytes([number]) * 8)
    leaving = sent(events_of(request))
    assert [[len(part.spans) for part in group.scope_spans] for group in leaving.resource_spans] == [[2, 2], [2, 2]]
    assert flat(leaving) == flat(request)


def test_resources_that_only_count_as_equal_are_kept_apart() -> None:
    request = ExportTraceServiceRequest()
    for number, value in enumerate((0.0, -0.0), 1):
        group = request.resource_spans.add()
        group.resource.attributes.add(key="x").value.double_value = value
        group.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=bytes([number]) * 8)
    assert flat(sent(events_of(request))) == flat(request)


@pytest.mark.parametrize(
    "mark",
    [LOG, [LOG], ["other", LOG], f"other,{LOG}", f" {LOG} ,other"],
    ids=["text", "list", "lists", "comma", "gap"],
)
def test_spans_that_came_through_this_log_are_not_sent(mark: object) -> None:
    events = events_of(request_of({FORWARDED_BY: mark}))
    prepared = prepare(events, PLAIN, LOG)
    assert (prepared.spans, prepared.skipped) == ([], events)


@pytest.mark.parametrize("mark", ["other", ["other"], f"{LOG}0", []])
def test_spans_that_came_through_other_logs_are_sent_as_they_are(mark: object) -> None:
    request = request_of({FORWARDED_BY: mark})
    assert flat(sent(events_of(request))) == flat(request)


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, [LOG]), ({FORWARDED_BY: "other"}, ["other", LOG]), ({FORWARDED_BY: ["a", "b"]}, ["a", "b", LOG])],
)
def test_a_marked_resource_says_which_logs_it_came_through(before: dict[str, Any] | None, after: list[str]) -> None:
    marking = msgspec.structs.replace(PLAIN, mark=True)
    request = request_of({"service.name": "x"} | (before or {}))
    request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"z" * 8)
    leaving = sent(events_of(request), marking)
    attributes = leaving.resource_spans[0].resource.attributes
    assert [item.key for item in attributes] == ["service.name", FORWARDED_BY]
    assert [item.string_value for item in attributes[1].value.array_value.values] == after
    assert [item.key for item in leaving.resource_spans[1].resource.attributes] == [FORWARDED_BY]
    # Whoever has that log sees that it had them.
    assert not prepare(events_of(leaving), PLAIN, LOG).spans


def test_the_session_is_added_where_it_is_known_and_the_span_names_none() -> None:
    adding = msgspec.structs.replace(PLAIN, session_attribute=True)
    (event,) = events_of(request_of())
    known = msgspec.structs.replace(event, session_id="s-1")
    guessed = msgspec.structs.replace(event, session_id="trace:0102")
    (named,) = events_of(request_of(None, **{"session.id": "own"}))
    moved = msgspec.structs.replace(named, session_id="s-2")

    def sessions(event: Event, upstream: Upstream) -> list[str]:
        attributes = only(sent([event], upstream)).scope_spans[0].spans[0].attributes
        return [item.value.string_value for item in attributes if item.key == "session.id"]

    assert sessions(known, adding) == ["s-1"]
    assert sessions(known, PLAIN) == []
    assert sessions(event, adding) == []
    assert sessions(guessed, adding) == []
    assert sessions(moved, adding) == ["own"]
    assert sessions(known, msgspec.structs.replace(adding, redact=("session.id",))) == []


def test_a_session_is_added_by_the_name_that_its_namespace_uses() -> None:
    """As it is in the spans of that session that name it themselves."""
    adding = msgspec.structs.replace(PLAIN, session_attribute=True)
    (event,) = events_of(request_of())
    second = msgspec.structs.replace(event, namespace="team-b", session_id=qualified("chat-1", "team-b"))
    prepared = prepare([second], adding, LOG)
    (outgoing,) = prepared.spans
    (attribute,) = outgoing.span.attributes
    assert (attribute.key, attribute.value.string_value) == ("session.id", "chat-1")
    assert SEPARATOR.encode() not in encode(prepared.spans)
    # What may become a dead letter, or is sent again, is the event as the log has it.
    assert outgoing.event is second


def test_redacted_attributes_are_left_out_everywhere() -> None:
    request = request_of({"keep": "1", "secret": "2"})
    part = only(request).scope_spans[0]
    span = part.spans[0]
    for owner in (part.scope, span, span.events.add(name="e"), span.links.add(trace_id=b"t" * 16, span_id=b"l" * 8)):
        for key in ("keep", "secret", "input.0.text", "input.1.text", "input"):
            owner.attributes.add(key=key).value.string_value = "x"
    span.dropped_attributes_count = 3
    redacting = msgspec.structs.replace(PLAIN, redact=("secret", "input.*"))
    leaving = sent(events_of(request), redacting)
    found = only(leaving).scope_spans[0]
    assert [item.key for item in only(leaving).resource.attributes] == ["keep"]
    for owner in (found.scope, found.spans[0], found.spans[0].events[0], found.spans[0].links[0]):
        assert [item.key for item in owner.attributes] == ["keep", "input"]
    # All else is as it was.
    for data in (leaving, request):
        part = only(data).scope_spans[0]
        for owner in (only(data).resource, part.scope, part.spans[0], part.spans[0].events[0], part.spans[0].links[0]):
            del owner.attributes[:]
    assert flat(leaving) == flat(request)


@_MANY
@given(requests(spans))
def test_redaction_of_names_that_do_not_occur_changes_nothing(request: ExportTraceServiceRequest) -> None:
    redacting = msgspec.structs.replace(PLAIN, redact=("no.such.attribute", "none.of.those.*"))
    assert flat(sent(events_of(request), redacting)) == flat(request)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"span":1}', b'{"span":{"traceId":"xyz"}}', b'{"span":{"name":7}}', b'"x"']
)
def test_a_body_that_is_no_span_is_named_and_its_neighbours_kept(body: bytes) -> None:
    (good,) = events_of(request_of())
    bad = Event(id=bytes(16), kind="span", type="x", time=1, body=body)
    prepared = prepare([bad, good], PLAIN, LOG)
    assert [outgoing.event for outgoing in prepared.spans] == [good]
    ((event, reason),) = prepared.unusable
    assert event is bad
    assert reason.startswith("its body is not that of a span")


def test_what_is_no_span_is_skipped() -> None:
    log = Event(id=bytes(16), kind="log", type="x", time=1, body=b"{}")
    assert prepare([log], PLAIN, LOG).skipped == [log]


def test_the_same_body_is_compressed_to_the_same_bytes() -> None:
    body = b"span" * 1000
    assert compress(body) == compress(body)
    assert gzip.decompress(compress(body)) == body
