"""Spans as Ark's own broker stored them → Events, by way of OTLP/JSON.

    {"traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano",
     "attributes": [{"key", "value"}, …], "status": {"message", "code"}, "resource": {<key>: <plain value>}}

How a span looks depends on how it came: from OTLP/JSON its ids are hex and its enums numbers, from protobuf its ids are
base64 (no parent: an empty text) and its enums names.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.receive.otlp import decode_traces

_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_ID_BYTES: Final = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
_VALUES: Final = frozenset(
    {"stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue"}
)


def span_event(span: Mapping[str, Any]) -> Event:
    """The Event of a stored span. Its id is that of the span itself, however it came. Raises BadInput."""
    resource = span.get("resource")
    found = {key: value for key, value in span.items() if key != "resource"}
    found |= _ids(span)
    found["attributes"] = _attributes(span.get("attributes"))
    if isinstance(span.get("links"), list):
        found["links"] = [link | _ids(link) if isinstance(link, dict) else link for link in span["links"]]
    request = {
        "resourceSpans": [
            {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [{"spans": [found]}]},
        ]
    }
    decoded = decode_traces(orjson.dumps(request), "json")
    if not decoded.events:
        raise BadInput(decoded.message or "is no span")
    return decoded.events[0]


def _ids(holder: Mapping[str, Any]) -> dict[str, str]:
    return {key: _hex(holder[key], size) for key, size in _ID_BYTES.items() if isinstance(holder.get(key), str)}


def _hex(text: str, size: int) -> str:
    """An id in hex, of one in hex or base64; as it is where it is neither, for whoever checks it."""
    if len(text) == 2 * size and _HEX.fullmatch(text):
        return text.lower()
    try:
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return text
    return raw.hex() if len(raw) == size else text


def _attributes(given: object) -> list[dict[str, Any]]:
    """OTLP's list of attributes, of that list or an object; plain values get their kind."""
    if given is None:
        return []
    if isinstance(given, dict):
        return [{"key": key, "value": _any_value(value)} for key, value in given.items()]
    if not isinstance(given, list):
        raise BadInput("must be an array or an object", "attributes")
    return [{**entry, "value": _any_value(entry.get("value"))} if isinstance(entry, dict) else entry for entry in given]


def _any_value(value: object) -> object:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int() if -(2**63) <= value < 2**63:
            return {"intValue": str(value)}
        case int() | float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_any_value(item) for item in value]}}
        case dict() if len(value) != 1 or _VALUES.isdisjoint(value):
            return {"kvlistValue": {"values": _attributes(value)}}
    return value
