"""`ExportMetricsServiceRequest`: read, to refuse what is none, and counted. Nothing of it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from ark_broker.model.errors import BadInput
from ark_broker.receive.otlp.encoding import Encoding, parse_json, parse_protobuf

_KINDS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_JSON_KINDS: Final = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
_ELSEWHERE: Final = {"resourceSpans": "/v1/traces", "resourceLogs": "/v1/logs"}


def count_metrics(body: bytes, encoding: Encoding) -> int:
    """Data points in the request. Raises BadInput where it cannot be read."""
    return _count_protobuf(body) if encoding == "protobuf" else _count_json(body)


def _count_protobuf(body: bytes) -> int:
    request = ExportMetricsServiceRequest()
    parse_protobuf(request, body)
    return sum(
        len(getattr(metric, kind).data_points)
        for group in request.resource_metrics
        for part in group.scope_metrics
        for metric in part.metrics
        if (kind := metric.WhichOneof("data")) in _KINDS
    )


def _count_json(body: bytes) -> int:
    value = parse_json(body)
    if not isinstance(value, dict):
        raise BadInput("must be a JSON object", "body")
    if "resourceMetrics" not in value:
        for key, path in _ELSEWHERE.items():
            if key in value:
                raise BadInput(f"this is a request for {path}", key)
    count = 0
    for group in _objects(value, "resourceMetrics"):
        for part in _objects(group, "scopeMetrics"):
            for metric in _objects(part, "metrics"):
                for kind in _JSON_KINDS:
                    count += len(_objects(metric[kind], "dataPoints")) if isinstance(metric.get(kind), dict) else 0
    return count


def _objects(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BadInput("must be an array of objects", key)
    return found
