"""OTLP bytes to Events, one core: a batch of 100 spans of every family, against parsing and walking it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ark_broker.receive.otlp import decode_traces
from ark_broker.receive.otlp.rebuild import rebuild_spans
from bench.report import Row, ratio_row

FIXTURES: Final = Path(__file__).parents[1] / "tests" / "fixtures" / "families"
SPANS: Final = 100
GOAL: Final = 0.4
_ROUNDS: Final = 7


def mixed_batch() -> bytes:
    """100 spans as the libraries sent them, as many of each family as there are, in protobuf."""
    chance = random.Random(11)
    bodies: list[bytes] = []
    for path in sorted(FIXTURES.glob("*.json")):
        own = [
            event.body
            for request in json.loads(path.read_text())["requests"]
            if request["path"] == "/v1/traces"
            for event in decode_traces(orjson.dumps(request["body"]), "json").events
        ]
        bodies += chance.sample(own, min(len(own), 8))
    while len(bodies) < SPANS:
        bodies += bodies[: SPANS - len(bodies)]
    return rebuild_spans(sorted(bodies[:SPANS])).SerializeToString()


def normalise(seconds: float) -> list[Row]:
    """Spans a second of both, in turns, the best of each."""
    batch = mixed_batch()
    own = limit = 0.0
    for _ in range(_ROUNDS):
        limit = max(limit, _rate(lambda: _walk(batch), seconds))
        own = max(own, _rate(lambda: decode_traces(batch, "protobuf"), seconds))
    return [ratio_row("normalise a mixed batch (against parse + walk + dumps)", own, limit, "spans/s", GOAL)]


def _rate(work: Callable[[], object], seconds: float) -> float:
    started = time.perf_counter()
    done = 0
    while time.perf_counter() - started < seconds:
        work()
        done += SPANS
    return done / (time.perf_counter() - started)


def _walk(body: bytes) -> list[bytes]:
    """The least that anybody does: parse, walk into dictionaries, write JSON."""
    found = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _attributes(group.resource.attributes)
        for part in group.scope_spans:
            for span in part.spans:
                told = {
                    "resource": resource,
                    "traceId": span.trace_id.hex(),
                    "spanId": span.span_id.hex(),
                    "parentSpanId": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": _attributes(span.attributes),
                    "events": [
                        {"name": event.name, "time": event.time_unix_nano, "attributes": _attributes(event.attributes)}
                        for event in span.events
                    ],
                    "status": {"code": span.status.code, "message": span.status.message},
                }
                found.append(orjson.dumps(told))
    return found


def _attributes(attributes: Any) -> dict[str, object]:
    return {item.key: _value(item.value) for item in attributes}


def _value(value: Any) -> object:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "bool_value":
            return value.bool_value
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
    return None
