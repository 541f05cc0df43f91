"""What a stored event says, read back from its body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ark_broker.model import Event
from ark_broker.receive import operations
from ark_broker.receive.conventions.parts import nests_too_deep
from ark_broker.receive.otlp.canonical import plain, plain_attributes

#: Characters of a text that is looked into for JSON: what is longer is shown as it is.
_MAX_JSON_TEXT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """What a stored event says: attributes, name, and the text or structure of a log record's body."""

    attributes: Mapping[str, Any]
    name: object
    message: object


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
                for key, value in plain_attributes(span_event.get("attributes", [])).items():
                    attributes.setdefault(key, value)
        message = plain(record["body"]) if "body" in record else None
        if isinstance(message, dict):
            attributes = {**message, **attributes}
        return Told(attributes, record.get("name") or record.get("eventName"), message)
    inner = operations.fields_of(body) if operations.is_operation(body) else body.get("attributes")
    attributes = {**body, **inner} if isinstance(inner, dict) else body
    return Told(attributes, None, body.get("message"))


def structured(value: object) -> object:
    """The value that a text has in JSON, if it is an object, an array or a quoted text; any other value as it is.

    Families write the same arguments as text or as a structure; readers get the structure.
    """
    if not isinstance(value, str) or len(value) > _MAX_JSON_TEXT or value[:1] not in ("{", "[", '"'):
        return value
    try:
        found: object = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    # A text may nest deeper than an answer that embeds it can be written.
    return value if nests_too_deep(found) else found


def arguments(value: object) -> object:
    """What a function was called with, where a decorator wrote `{"args", "kwargs"}`; else the value itself."""
    value = structured(value)
    if not isinstance(value, dict) or value.keys() != {"args", "kwargs"}:
        return value
    positional, named = value["args"], value["kwargs"]
    if not positional:
        return named
    if not named and isinstance(positional, list) and len(positional) == 1:
        return positional[0]
    return value
