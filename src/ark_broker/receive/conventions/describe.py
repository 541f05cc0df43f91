"""Content of events, read from their stored bodies when somebody asks: tool arguments, prompts, answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import orjson

from ark_broker.model import Event
from ark_broker.model.details import Details
from ark_broker.receive.conventions import CONTENT_RANKS, pick
from ark_broker.receive.otlp.canonical import plain, plain_attributes

#: Characters of a text that is looked into for JSON: what is longer is shown as it is.
_MAX_JSON_TEXT: Final = 1_000_000


class Told:
    """What a stored event says: attributes, name, and the text or structure of a log record's body."""

    __slots__ = ("attributes", "message", "name")

    def __init__(self, attributes: Mapping[str, Any], name: object, message: object) -> None:
        self.attributes = attributes
        self.name = name
        self.message = message


def read(event: Event) -> Told | None:
    """What the event's body says; None where it is no JSON object."""
    try:
        body = orjson.loads(event.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return Told({}, None, body) if isinstance(body, str) else None
    record = body.get("span") or body.get("logRecord")
    if event.kind in ("span", "log") and isinstance(record, dict):
        attributes = plain_attributes(record.get("attributes", []))
        for span_event in record.get("events", []):
            # Older conventions put prompts and answers into events of the span.
            if str(span_event.get("name", "")).startswith("gen_ai."):
                attributes = {**plain_attributes(span_event.get("attributes", [])), **attributes}
        message = plain(record["body"]) if "body" in record else None
        if isinstance(message, dict):
            attributes = {**message, **attributes}
        return Told(attributes, record.get("name") or record.get("eventName"), message)
    inner = body.get("attributes")
    attributes = {**body, **inner} if isinstance(inner, dict) else body
    return Told(attributes, None, body.get("message"))


def describe(event: Event) -> Details:
    """Content of an event, from its stored body."""
    told = read(event)
    if told is None:
        return Details()
    attributes = told.attributes
    content = pick(attributes, CONTENT_RANKS)
    uri = content.get("question_uri")
    name, message = told.name, told.message
    return Details(
        input=structured(content.get("input", attributes.get("input"))),
        output=structured(content.get("output", attributes.get("output"))),
        question_uri=uri if isinstance(uri, str) else None,
        message=message if isinstance(message, str) else None,
        finish_reason=_reason(content.get("finish_reason")),
        display_name=name if isinstance(name, str) and name != event.type else None,
        duration_ms=_number(content.get("duration_ms")),
        first_token_ms=_first_token(attributes, content),
    )


def structured(value: object) -> object:
    """The value that a text has in JSON, if it is an object or array; any other value as it is.

    Families write the same arguments as text or as a structure; readers get the structure.
    """
    if not isinstance(value, str) or len(value) > _MAX_JSON_TEXT or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _reason(value: object) -> str | None:
    value = structured(value)
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known and isinstance(value, int | float) else None


def _first_token(attributes: Mapping[str, Any], content: Mapping[str, Any]) -> float | None:
    """Milliseconds from the call to its first token. OpenTelemetry counts seconds, Vercel milliseconds."""
    found = _number(content.get("first_token_ms"))
    if found is None or "ai.response.msToFirstChunk" in attributes:
        return found
    return found * 1_000
