"""Stored spans → bodies of `ExportTraceServiceRequest`s, in protobuf.

What leaves is what came in, field by field, save for what an upstream's configuration changes: attributes left out
(`redact`), `session.id` added (`session_attribute`) as the session's namespace calls it, and the mark on resources
(`mark`).

Two brokers that send to each other would do so for ever. A span whose resource has this log's id in
`ark_broker.forwarded_by` (a text, or an array of texts) has been here, and is not sent. As the mark edits the data,
resources get it only where that is asked for; every request says in a header which log it comes from.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from ark_broker.deliver.upstreams import Upstream
from ark_broker.log.confine import unqualified
from ark_broker.model import Event
from ark_broker.model.vocabulary import is_provisional
from ark_broker.receive.otlp import schema
from ark_broker.receive.otlp.canonical import Json, plain_attributes
from ark_broker.receive.otlp.rebuild import fill

#: Header of every request, with the id of the log that the spans come from.
FORWARDED_BY_HEADER: Final = "X-Ark-Broker-Forwarded-By"
#: Attribute of resources: ids of the logs that their spans came through.
FORWARDED_BY: Final = "ark_broker.forwarded_by"

_SESSION: Final = "session.id"
_GZIP_LEVEL: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Resource and scope that spans share. Compared by identity: equal ones of one `prepare` are one object."""

    resource: _Resource
    #: A `ScopeSpans` without spans.
    head: Any


@dataclass(slots=True, eq=False)
class _Resource:
    #: A `ResourceSpans` without scopes.
    head: Any
    #: Its spans have been through this log.
    returned: bool
    scopes: dict[bytes, Source] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """One span, ready to be sent."""

    event: Event
    source: Source
    span: Any

    @property
    def size(self) -> int:
        """Bytes in a request, without what it shares with others."""
        return int(self.span.ByteSize())


@dataclass(slots=True)
class Prepared:
    """What events came to."""

    spans: list[Outgoing] = field(default_factory=list)
    #: Not sent, and rightly so: no span, or one that has been through this log.
    skipped: list[Event] = field(default_factory=list)
    #: No span can be made of them: with the reason.
    unusable: list[tuple[Event, str]] = field(default_factory=list)


def prepare(events: Iterable[Event], upstream: Upstream, log_id: str) -> Prepared:
    """The events as spans for this upstream. Takes milliseconds for a hundred: not for the event loop."""
    prepared = Prepared()
    redact = _redaction(upstream.redact)
    resources: dict[bytes, _Resource] = {}
    for event in events:
        if event.kind != "span":
            prepared.skipped.append(event)
            continue
        try:
            body: Json = orjson.loads(event.body)
            source = _source(body, resources, upstream, log_id, redact)
            if source.resource.returned:
                prepared.skipped.append(event)
            else:
                prepared.spans.append(Outgoing(event, source, _span(body["span"], event, upstream, redact)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Imported events have whatever body their file gave them.
            prepared.unusable.append((event, f"its body is not that of a span: {type(error).__name__}"))
    return prepared


def cut(spans: Sequence[Outgoing], max_spans: int, max_bytes: int) -> list[list[Outgoing]]:
    """The spans in batches of at most so many, and so many bytes; a span larger than that is alone in its batch."""
    batches: list[list[Outgoing]] = []
    size = 0
    known: set[Source | _Resource] = set()
    for span in spans:
        added = span.size + _size_of_new(span.source, known)
        if not batches or len(batches[-1]) >= max_spans or size + added > max_bytes:
            batches.append([])
            known = set()
            size, added = 0, span.size + _size_of_new(span.source, known)
        known |= {span.source, span.source.resource}
        size += added
        batches[-1].append(span)
    return batches


def _size_of_new(source: Source, known: set[Source | _Resource]) -> int:
    # A few bytes for tags and lengths on the way down to the span.
    size = 8
    if source not in known:
        size += int(source.head.ByteSize()) + 8
    if source.resource not in known:
        size += int(source.resource.head.ByteSize()) + 8
    return size


def encode(spans: Iterable[Outgoing]) -> bytes:
    """The body of a request with these spans, those of one resource and scope together."""
    request = ExportTraceServiceRequest()
    groups: dict[_Resource, Any] = {}
    parts: dict[Source, Any] = {}
    for outgoing in spans:
        source = outgoing.source
        part = parts.get(source)
        if part is None:
            group = groups.get(source.resource)
            if group is None:
                group = groups[source.resource] = request.resource_spans.add()
                group.CopyFrom(source.resource.head)
            part = parts[source] = group.scope_spans.add()
            part.CopyFrom(source.head)
        part.spans.append(outgoing.span)
    return bytes(request.SerializeToString())


def compress(body: bytes) -> bytes:
    """`body` in gzip; the same bytes give the same. Takes about 10 ms a MiB: not for the event loop."""
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)


_Redact = Callable[[Json], Json]


def _source(body: Json, resources: dict[bytes, _Resource], upstream: Upstream, log_id: str, redact: _Redact) -> Source:
    # As bytes, not as values: 0.0 and -0.0 are equal, and yet not the same.
    told, url = body.get("resource"), body.get("resourceSchemaUrl", "")
    key = orjson.dumps((told, url))
    resource = resources.get(key)
    if resource is None:
        resource = resources[key] = _resource(told, url, upstream, log_id, redact)
    scope, scope_url = body.get("scope"), body.get("scopeSchemaUrl", "")
    key = orjson.dumps((scope, scope_url))
    source = resource.scopes.get(key)
    if source is None:
        head = ScopeSpans(schema_url=scope_url)
        if scope is not None:
            head.scope.SetInParent()
            fill(head.scope, redact(scope), schema.SCOPE)
        source = resource.scopes[key] = Source(resource, head)
    return source


def _resource(told: Json | None, url: str, upstream: Upstream, log_id: str, redact: _Redact) -> _Resource:
    brokers = _brokers(told)
    head = ResourceSpans(schema_url=url)
    if told is not None:
        head.resource.SetInParent()
        fill(head.resource, redact(told), schema.RESOURCE)
    if upstream.mark:
        kept = [item for item in head.resource.attributes if item.key != FORWARDED_BY]
        del head.resource.attributes[:]
        head.resource.attributes.extend(kept)
        mark = head.resource.attributes.add(key=FORWARDED_BY).value.array_value
        for broker in [*brokers, log_id]:
            mark.values.add(string_value=broker)
    return _Resource(head, log_id in brokers)


def _brokers(resource: Json | None) -> list[str]:
    """Ids of the logs that a resource says it came through."""
    found = plain_attributes((resource or {}).get("attributes", [])).get(FORWARDED_BY)
    items = found.split(",") if isinstance(found, str) else found if isinstance(found, list) else []
    return [item.strip() for item in items if isinstance(item, str) and item.strip()]


def _span(told: Json, event: Event, upstream: Upstream, redact: _Redact) -> Any:
    # As spans of that session call it that name it themselves.
    session_id = unqualified(event).session_id
    if upstream.session_attribute and session_id and not is_provisional(session_id):
        attributes = told.get("attributes", [])
        if all(item["key"] != _SESSION for item in attributes):
            session = {"key": _SESSION, "value": {"stringValue": session_id}}
            told = {**told, "attributes": [*attributes, session]}
    span = Span()
    fill(span, _redacted_span(told, redact), schema.SPAN)
    return span


def _redacted_span(told: Json, redact: _Redact) -> Json:
    found = redact(told)
    if found is told:
        return told
    return found | {key: [redact(item) for item in told[key]] for key in ("events", "links") if key in told}


def _redaction(names: Sequence[str]) -> _Redact:
    """Leaves attributes of such names out of whatever has `attributes`; gives back what it was given for no names.

    Counts of dropped attributes stay: they are the producer's.
    """
    exact = frozenset(names)
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))

    def redact(value: Json) -> Json:
        kept = [
            item
            for item in value.get("attributes", [])
            if item["key"] not in exact and not item["key"].startswith(prefixes)
        ]
        return {**value, "attributes": kept}

    return redact if names else _as_it_is


def _as_it_is(value: Json) -> Json:
    return value
