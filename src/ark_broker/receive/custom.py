"""Custom events: plain JSON (one, an array, NDJSON) and CloudEvents 1.0 (structured, batch, binary).

Fields of the Event vocabulary are taken, in camelCase or snake_case; the whole object stays in the body. CloudEvents:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson

from ark_broker.model import MAX_INT64, Event, Kind, event_id
from ark_broker.model.errors import BadInput, TooLarge, UnsupportedMedia
from ark_broker.model.vocabulary import RESERVED
from ark_broker.receive import conventions
from ark_broker.receive.conventions.family import FIELDS, Told
from ark_broker.receive.fields import MAX_NAME, as_text, camel
from ark_broker.receive.otlp.encoding import Decoded
from ark_broker.receive.otlp.records import valid_span_id, valid_trace_id

MAX_EVENTS: Final = 10_000
_KINDS: Final[tuple[Kind, ...]] = ("event", "message", "task")
_NAMES: Final = ("type", "status", *sorted(FIELDS - {"error", "input_tokens", "output_tokens", "cost"}))
_COUNTS: Final = ("input_tokens", "output_tokens", "duration")
#: `2024-01-15T10:30:00.123456789Z`
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_REQUIRED: Final = ("specversion", "id", "source", "type")


def decode_events(body: bytes, content_type: str | None, headers: Mapping[str, str]) -> Decoded:
    """Events of a `POST /v1/events`. All or nothing: raises BadInput that says where, TooLarge, UnsupportedMedia."""
    media = (content_type or "application/json").partition(";")[0].strip().lower()
    if "ce-specversion" in headers:
        return Decoded([_cloud_event(_binary(body, media, headers))])
    match media:
        case "application/json":
            return _json(body)
        case "application/x-ndjson" | "application/ndjson" | "application/jsonl":
            return _lines(body)
        case "application/cloudevents+json":
            return Decoded([_cloud_event(_parse(body))])
        case "application/cloudevents-batch+json":
            return Decoded(_each(_parse(body), _cloud_event))
    raise UnsupportedMedia(
        "supported: application/json, application/x-ndjson, application/cloudevents+json, "
        "application/cloudevents-batch+json, and CloudEvents in ce-* headers",
        "Content-Type",
    )


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None


def _json(body: bytes) -> Decoded:
    value = _parse(body)
    if isinstance(value, list):
        return Decoded(_each(value, _event))
    return Decoded([_event(value)])


def _lines(body: bytes) -> Decoded:
    events: list[Event] = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(events) >= MAX_EVENTS:
            raise _too_many()
        try:
            events.append(_event(_parse(line)))
        except BadInput as error:
            raise BadInput(str(error), f"line {number}") from None
    return Decoded(events)


def _each(value: object, make: Callable[[object], Event]) -> list[Event]:
    if not isinstance(value, list):
        raise BadInput("must be an array", "body")
    if len(value) > MAX_EVENTS:
        raise _too_many()
    events = []
    for index, item in enumerate(value):
        try:
            events.append(make(item))
        except BadInput as error:
            place = f"[{index}].{error.field}" if error.field else f"[{index}]"
            raise BadInput(str(error).removeprefix(f"{error.field}: "), place) from None
    return events


def _too_many() -> TooLarge:
    return TooLarge(f"more than {MAX_EVENTS} events in one request: send smaller batches", "body")


def _event(value: object) -> Event:
    """A plain custom event; also the prototype's flat span lines (`name`, `attributes`)."""
    if not isinstance(value, dict):
        raise BadInput("must be a JSON object", "body")
    given = value.get("id")
    source = value.get("source")
    if given is not None and not isinstance(given, str | int):
        raise BadInput("must be a string", "id")
    identity = uuid.uuid4().bytes if given is None else event_id("event", str(source or ""), str(given))
    return _make(value, identity, orjson.dumps(value))


def _cloud_event(value: object) -> Event:
    if not isinstance(value, dict):
        raise BadInput("must be a JSON object", "body")
    for name in _REQUIRED:
        if not isinstance(value.get(name), str) or not value[name]:
            raise BadInput("a CloudEvent must have it, as a non-empty string", name)
    if value["specversion"] != "1.0":
        raise BadInput("only CloudEvents 1.0 are understood", "specversion")
    data = value.get("data")
    fields = dict(data) if isinstance(data, dict) else {}
    # Extension attributes are lower case without separators: `sessionid`.
    extensions = {name.replace("_", ""): name for name in _NAMES if "_" in name}
    fields |= {camel(extensions[key]): item for key, item in value.items() if key in extensions}
    fields |= {key: value[key] for key in ("type", "time", "query", "namespace", "agent") if key in value}
    parent = _TRACEPARENT.fullmatch(str(value.get("traceparent", "")))
    if parent is not None:
        fields |= {"traceId": parent[1], "parentSpanId": parent[2]}
    return _make(fields, event_id("cloudevent", value["source"], value["id"]), orjson.dumps(value))


def _binary(body: bytes, media: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """A CloudEvent in binary mode as the structured one it stands for."""
    found: dict[str, Any] = {
        name[3:]: unquote(value) for name, value in headers.items() if name.lower().startswith("ce-")
    }
    if not body:
        return found
    if media == "application/json" or media.endswith("+json"):
        found["data"] = _parse(body)
    elif media.startswith("text/"):
        found["data"] = body.decode("utf-8", "replace")
    else:
        found["data_base64"] = base64.b64encode(body).decode("ascii")
    return found


def _make(value: Mapping[str, Any], identity: bytes, body: bytes) -> Event:
    attributes = _value(value, "attributes")
    if attributes is not None and not isinstance(attributes, dict):
        raise BadInput("must be an object", "attributes")
    name = _name(value, "type") or _name(value, "name")
    if name is None:
        raise BadInput("is required", "type")
    if name in RESERVED:
        raise BadInput("is reserved for the broker", "type")
    event = Event(id=identity, kind=_kind(value), type=name, time=_time(_value(value, "time")), body=body)
    if attributes:
        conventions.fill(event, Told(name, attributes), {})
    for field in _NAMES[1:]:
        found = _name(value, field)
        if found is not None:
            setattr(event, field, found)
    for field in _COUNTS:
        count = _count(value, field)
        if count is not None:
            setattr(event, field, count)
    _set_duration_ms(event, value)
    _set_trace(event, value)
    _set_outcome(event, value)
    return event


def _kind(value: Mapping[str, Any]) -> Kind:
    found = _value(value, "kind") or "event"
    for kind in _KINDS:
        if found == kind:
            return kind
    raise BadInput(f"must be one of {', '.join(_KINDS)}", "kind")


def _set_duration_ms(event: Event, value: Mapping[str, Any]) -> None:
    milliseconds = _number(value, "duration_ms")
    if milliseconds is not None and event.duration is None:
        event.duration = min(int(milliseconds * 1_000_000), MAX_INT64)


def _set_trace(event: Event, value: Mapping[str, Any]) -> None:
    for field, valid, size in (
        ("trace_id", valid_trace_id, 16),
        ("span_id", valid_span_id, 8),
        ("parent_span_id", valid_span_id, 8),
    ):
        found = _value(value, field)
        if found in (None, ""):
            continue
        if not isinstance(found, str) or not valid(found.lower()):
            raise BadInput(f"must be {size} bytes in hex, not all zero", camel(field))
        setattr(event, field, found.lower())


def _set_outcome(event: Event, value: Mapping[str, Any]) -> None:
    error = _value(value, "error")
    if error not in (None, False, ""):
        event.error = as_text(error)
    cost = _number(value, "cost")
    if cost is not None:
        event.cost = float(cost)


def _value(value: Mapping[str, Any], field: str) -> Any:
    key = camel(field)
    return value[key] if key in value else value.get(field)


def _name(value: Mapping[str, Any], field: str) -> str | None:
    found = _value(value, field)
    if found is None or found == "":
        return None
    if not isinstance(found, str):
        raise BadInput("must be a string", camel(field))
    if len(found) > MAX_NAME:
        raise BadInput(f"must have at most {MAX_NAME} characters", camel(field))
    if "\x00" in found:
        raise BadInput("must not have NUL characters", camel(field))
    return found


def _count(value: Mapping[str, Any], field: str) -> int | None:
    found = _value(value, field)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= MAX_INT64:
        raise BadInput("must be a non-negative integer", camel(field))
    return found


def _number(value: Mapping[str, Any], field: str) -> int | float | None:
    found = _value(value, field)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < 1e15:
        raise BadInput("must be a non-negative number", camel(field))
    return found


def _time(value: object) -> int:
    """Nanoseconds since the epoch; 0 where none is given: the writer's clock counts then."""
    if value is None:
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT64:
        return value
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadInput("must be an RFC 3339 time, or integer nanoseconds since the epoch", "time")
    zone = match[4].upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}")
    except ValueError:
        raise BadInput("is no time that exists", "time") from None
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return min(max(0, seconds * 1_000_000_000 + int((match[3] or "0").ljust(9, "0"))), MAX_INT64)
