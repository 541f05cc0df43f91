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
from ark_broker.receive import conventions, elicitation, operations, orchestrator
from ark_broker.receive.context import NONE, context_of, parse_traceparent
from ark_broker.receive.conventions.family import COUNTS, FIELDS, Told
from ark_broker.receive.conventions.parts import MAX_DEPTH, nests_too_deep
from ark_broker.receive.fields import MAX_NAME, MAX_TOKENS, as_text, camel
from ark_broker.receive.otlp.encoding import Decoded
from ark_broker.receive.otlp.records import valid_span_id, valid_trace_id

MAX_EVENTS: Final = 10_000
_KINDS: Final[tuple[Kind, ...]] = ("event", "message", "task")
_NAMES: Final = ("type", "status", *sorted(FIELDS - COUNTS - {"error", "cost"}))
_COUNTS: Final = (*sorted(COUNTS), "duration")
#: `2024-01-15T10:30:00.123456789Z`
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)")
_ZONELESS: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?")
_REQUIRED: Final = ("specversion", "id", "source", "type")


def decode_events(body: bytes, content_type: str | None, headers: Mapping[str, str]) -> Decoded:
    """Events of a `POST /v1/events`. All or nothing: raises BadInput that says where, TooLarge, UnsupportedMedia.

    What an event does not say itself is taken from the request's `traceparent` and `baggage`.
    """
    decoded = _decode(body, content_type, headers)
    context = context_of(headers)
    if context != NONE:
        for event in decoded.events:
            context.apply(event)
    return decoded


def _decode(body: bytes, content_type: str | None, headers: Mapping[str, str]) -> Decoded:
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
            return Decoded(_each(_parse(body), lambda value: [_cloud_event(value)]))
    raise UnsupportedMedia(
        "supported: application/json, application/x-ndjson, application/cloudevents+json, "
        "application/cloudevents-batch+json, and CloudEvents in ce-* headers",
        "Content-Type",
    )


def _parse(text: bytes) -> Any:
    try:
        value = orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None
    # What is stored has to be written again, and readers have limits too. Few come near: counting brackets tells.
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and nests_too_deep(value):
        raise BadInput(f"nested deeper than {MAX_DEPTH} levels", "body")
    return value


def _json(body: bytes) -> Decoded:
    value = _parse(body)
    if isinstance(value, list):
        return Decoded(_each(value, _events))
    return Decoded(_events(value))


def _lines(body: bytes) -> Decoded:
    events: list[Event] = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(events) >= MAX_EVENTS:
            raise _too_many()
        try:
            events += _events(_parse(line))
        except BadInput as error:
            raise BadInput(str(error), f"line {number}") from None
    return Decoded(events)


def _each(value: object, make: Callable[[object], list[Event]]) -> list[Event]:
    if not isinstance(value, list):
        raise BadInput("must be an array", "body")
    if len(value) > MAX_EVENTS:
        raise _too_many()
    events: list[Event] = []
    for index, item in enumerate(value):
        try:
            events += make(item)
        except BadInput as error:
            place = f"[{index}].{error.field}" if error.field else f"[{index}]"
            raise BadInput(str(error).removeprefix(f"{error.field}: "), place) from None
    return events


def _too_many() -> TooLarge:
    return TooLarge(f"more than {MAX_EVENTS} events in one request: send smaller batches", "body")


def _events(value: object) -> list[Event]:
    """A plain custom event; also the prototype's flat span lines (`name`, `attributes`), and other programs' words.

    Most are one event; a heartbeat is none, and one that tells of several questions is one for each.
    """
    if not isinstance(value, dict):
        raise BadInput("must be a JSON object", "body")
    orchestrated = orchestrator.kind_of(value)
    if orchestrated == orchestrator.HEARTBEAT:
        return []
    if orchestrated is not None:
        return [_told(value, fields) for fields in orchestrator.fields_of_each(value, orchestrated)]
    if operations.is_operation(value):
        return [_operation(value)]
    given = value.get("id")
    source = value.get("source")
    if given is not None and not isinstance(given, str | int):
        raise BadInput("must be a string", "id")
    key = None if given is None else (str(source or ""), str(given))
    asked = elicitation.questions_in(value)
    if asked:
        return [
            _make(fields, _identity(None if key is None else (*key, fields["questionId"])), orjson.dumps(body))
            for fields, body in asked
        ]
    return [_make(value, _identity(key), orjson.dumps(value))]


def _identity(key: tuple[str, ...] | None) -> bytes:
    return uuid.uuid4().bytes if key is None else event_id("event", *key)


def _told(value: dict[str, Any], fields: dict[str, Any]) -> Event:
    """An event in another program's words. It has no id; where it says when it was, it is the same when sent again."""
    fields["time"] = _told_time(fields.get("time"))
    content = orjson.dumps(value)
    also = fields.pop("also", None)
    same = event_id("told", content) if also is None else event_id("told", content, also)
    identity = same if fields["time"] else uuid.uuid4().bytes
    # What was found in its own words stands beside them, in the broker's: readers of the body know these.
    shown = {key: fields[key] for key in ("input", "output", "message") if key in fields}
    return _make(fields, identity, orjson.dumps(shown | value) if shown else content)


def _operation(value: dict[str, Any]) -> Event:
    fields = operations.fields_of(value)
    content = orjson.dumps(value)
    is_timed = _told_time(fields.get("time")) > 0
    return told_event(fields, event_id("told", content) if is_timed else uuid.uuid4().bytes, content)


def told_event(fields: dict[str, Any], identity: bytes, body: bytes, *, at: int = 0) -> Event:
    """An event of which another program's words were understood as `fields`; `at` counts where they have no time."""
    return _make({**fields, "time": _told_time(fields.get("time")) or at}, identity, body)


def _told_time(value: object) -> int:
    """The other program's time; 0 where it cannot be read. A time without a zone is UTC."""
    zoneless = isinstance(value, str) and _ZONELESS.fullmatch(value)
    try:
        return _time(f"{value}Z" if zoneless else value)
    except BadInput:
        return 0


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
    parent = parse_traceparent(value.get("traceparent"))
    if parent is not None:
        fields |= {"traceId": parent.trace_id, "parentSpanId": parent.span_id}
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
        conventions.fill(event, Told(name, attributes, is_span="name" in value), {})
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
    meta = _meta(value)
    if meta is not None:
        context_of(meta).apply(event)
    return event


def _meta(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """MCP's `_meta`, of the event itself or of the request (`params`) that it reports."""
    params = value.get("params")
    found = value.get("_meta") or (params.get("_meta") if isinstance(params, dict) else None)
    return found if isinstance(found, dict) else None


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
    if field in COUNTS and found > MAX_TOKENS:
        raise BadInput(f"must be at most {MAX_TOKENS}", camel(field))
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
