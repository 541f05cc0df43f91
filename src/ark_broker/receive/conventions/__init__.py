"""Telemetry families, and the order they are tried in.

Adding a family is adding a module with a `FAMILY` and one line in `FAMILIES`. The first family that classifies a span
decides its type; for each canonical field the first family (and in it the first attribute) that has a value wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from ark_broker.model import Event
from ark_broker.model.details import Details
from ark_broker.model.vocabulary import RESERVED
from ark_broker.receive.conventions import ark, common, genai
from ark_broker.receive.conventions.family import Family, Told
from ark_broker.receive.fields import as_cost, as_count, as_name, as_text
from ark_broker.receive.otlp.canonical import plain, plain_attributes

FAMILIES: Final[tuple[Family, ...]] = (common.FAMILY, ark.FAMILY, genai.FAMILY)

_Ranks = Mapping[str, tuple[tuple[str, int], ...]]


def _ranks(tables: Iterable[Mapping[str, tuple[str, ...]]]) -> _Ranks:
    """Attribute name → the (canonical name, rank) it can fill. One look-up an attribute, not one a table entry."""
    found: dict[str, list[tuple[str, int]]] = {}
    seen: dict[str, int] = {}
    for table in tables:
        for canonical, names in table.items():
            for name in names:
                rank = seen.get(canonical, 0)
                seen[canonical] = rank + 1
                if all(known != canonical for known, _ in found.get(name, ())):
                    found.setdefault(name, []).append((canonical, rank))
    return {name: tuple(ranks) for name, ranks in found.items()}


_FIELD_RANKS: Final = _ranks(family.fields for family in FAMILIES)
_INHERITED_RANKS: Final = _ranks(family.inherited for family in FAMILIES)
_CONTENT_RANKS: Final = _ranks(family.content for family in FAMILIES)
_COUNTS: Final = frozenset({"input_tokens", "output_tokens"})


def _pick(attributes: Mapping[str, Any], ranks: _Ranks) -> dict[str, Any]:
    """Canonical name → value of the best-ranked attribute that has one."""
    found: dict[str, Any] = {}
    best: dict[str, int] = {}
    for name in attributes.keys() & ranks.keys():
        value = attributes[name]
        if value is None or value == "":
            continue
        for canonical, rank in ranks[name]:
            if canonical not in best or rank < best[canonical]:
                best[canonical] = rank
                found[canonical] = value
    return found


def inherited(resource: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, str]:
    """Canonical fields that hold for everything of this resource and scope; worked out once for all of it."""
    found = _pick(scope, _INHERITED_RANKS) | _pick(resource, _INHERITED_RANKS)
    return {canonical: as_name(value) for canonical, value in found.items()}


def type_of(told: Told) -> str | None:
    """The vocabulary's name for what is told; None where no family recognises it."""
    for family in FAMILIES:
        found = family.classify(told)
        if found is not None:
            return found
    return None


def fill(event: Event, told: Told, defaults: Mapping[str, str]) -> None:
    """Set the event's canonical fields from what is told, and from what it inherits."""
    for canonical, value in defaults.items():
        setattr(event, canonical, value)
    for canonical, value in _pick(told.attributes, _FIELD_RANKS).items():
        if canonical in _COUNTS:
            setattr(event, canonical, as_count(value))
        elif canonical == "cost":
            event.cost = as_cost(value)
        elif canonical == "error":
            _set_error(event, value)
        else:
            setattr(event, canonical, as_name(value))
    if event.question_id is None and isinstance(uri := told.attributes.get("question.uri"), str):
        event.question_id = as_name(uri.rstrip("/").rpartition("/")[2]) or None
    event.type = type_of(told) or event.type
    if event.type in RESERVED:
        event.type = event.kind


def _set_error(event: Event, value: object) -> None:
    # `error` = true is a flag that older conventions set; it says that, not why.
    if value is True:
        event.status = "error"
    elif value is not False and event.error is None:
        event.error = as_text(value)


def describe(event: Event) -> Details:
    """Content of an event, from its stored body."""
    try:
        body = orjson.loads(event.body)
    except orjson.JSONDecodeError:
        return Details()
    if not isinstance(body, dict):
        return Details(message=body) if isinstance(body, str) else Details()
    record = body.get("span") or body.get("logRecord")
    if event.kind in ("span", "log") and isinstance(record, dict):
        attributes = plain_attributes(record.get("attributes", []))
        name = record.get("name") or record.get("eventName")
        message = plain(record["body"]) if "body" in record else None
    else:
        inner = body.get("attributes")
        attributes = {**body, **inner} if isinstance(inner, dict) else body
        name, message = None, body.get("message")
    return _details(event, attributes, name, message)


def _details(event: Event, attributes: Mapping[str, Any], name: object, message: object) -> Details:
    content = _pick(attributes, _CONTENT_RANKS)
    reasons = content.get("finish_reason")
    duration = content.get("duration_ms")
    uri = content.get("question_uri")
    return Details(
        input=content.get("input", attributes.get("input")),
        output=content.get("output", attributes.get("output")),
        question_uri=uri if isinstance(uri, str) else None,
        message=message if isinstance(message, str) else None,
        finish_reason=str(reasons[0]) if isinstance(reasons, list) and reasons else None,
        display_name=name if isinstance(name, str) and name != event.type else None,
        duration_ms=float(duration) if isinstance(duration, int | float) and not isinstance(duration, bool) else None,
    )
