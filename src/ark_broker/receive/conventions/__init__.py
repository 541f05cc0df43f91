"""Telemetry families, and the order they are tried in.

Adding a family is adding a module with a `FAMILY`, one line in `FAMILIES`, and what its programs really send to
`tests/fixtures/families`. For each canonical field the first family (and in it the first attribute) that has a value
wins. What a span is, is said by the first of: a name of the broker's own vocabulary; the attributes in
`_KIND_ORDER`; a family's span names; the beginning of a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ark_broker.model import Event
from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions import (
    a2a,
    agentframework,
    ark,
    arkonis,
    common,
    genai,
    langfuse,
    langsmith,
    mcp,
    openinference,
    openllmetry,
    pydantic,
    vercel,
)
from ark_broker.receive.conventions.family import COUNTS, Family, Kinds, Refine, Told, Types
from ark_broker.receive.fields import MAX_NAME, as_cost, as_count, as_name, as_text

FAMILIES: Final[tuple[Family, ...]] = (
    common.FAMILY,
    ark.FAMILY,
    langfuse.FAMILY,
    genai.FAMILY,
    openinference.FAMILY,
    openllmetry.FAMILY,
    vercel.FAMILY,
    mcp.FAMILY,
    a2a.FAMILY,
    pydantic.FAMILY,
    langsmith.FAMILY,
    agentframework.FAMILY,
    arkonis.FAMILY,
    ark.PLAIN,
)
#: Attributes that say what a span is, the most telling first: an agent framework's own word before that of the library
#: it calls.
_KIND_ORDER: Final = (
    "langfuse.observation.type",
    "openinference.span.kind",
    "gen_ai.operation.name",
    "traceloop.span.kind",
    "llm.request.type",
    "langsmith.span.kind",
    "ai.operationId",
    "mcp.method.name",
)

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


def _kinds() -> tuple[tuple[str, Kinds], ...]:
    tables = {attribute: kinds for family in FAMILIES for attribute, kinds in family.kinds.items()}
    unordered = tables.keys() - set(_KIND_ORDER)
    if unordered:
        raise ValueError(f"no place in the order for {sorted(unordered)}")
    return tuple((attribute, tables[attribute]) for attribute in _KIND_ORDER)


_FIELD_RANKS: Final = _ranks(family.fields for family in FAMILIES)
_INHERITED_RANKS: Final = _ranks(family.inherited for family in FAMILIES)
CONTENT_RANKS: Final = _ranks(family.content for family in FAMILIES)
_KINDS: Final = _kinds()
_KIND_ATTRIBUTES: Final = frozenset(_KIND_ORDER)
_NAMES: Final[Kinds] = {name: types for family in reversed(FAMILIES) for name, types in family.names.items()}
_PREFIXES: Final = {prefix: found for family in reversed(FAMILIES) for prefix, found in family.prefixes.items()}
_REFINED: Final = frozenset(kind for family in FAMILIES for kind in family.refines or ())


def _refinements(kind: str | None) -> tuple[tuple[str, Refine], ...]:
    """Mark and function of each family that has something to say of the type; None: of those that no family names."""
    return tuple(
        (mark, family.refine)
        for family in FAMILIES
        if family.refine is not None and (family.refines is None or kind in family.refines)
        for mark in family.marks
    )


_REFINEMENTS: Final = {kind: _refinements(kind) for kind in _REFINED}
_OTHER_REFINEMENTS: Final = _refinements(None)
#: What a span is that names a tool, and of which nothing else says what it is.
_BARE_TOOL: Final[Types] = (v.TOOL_CALL, v.TOOL_FAILED)
_TYPED: Final = COUNTS | {"cost", "error"}
#: Fields by which events are put together: a value that names nothing would join strangers.
_PLACES: Final = frozenset({"session_id", "conversation_id", "query", "query_uid", "task_id", "mcp_session_id"})
_PENDING: Final = pydantic.PENDING[0]
#: What a pending span of such work is.
_BEGINNINGS: Final = {
    v.AGENT_COMPLETED: v.AGENT_STARTED,
    v.AGENT_FAILED: v.AGENT_STARTED,
    v.LLM_REQUEST: v.LLM_STARTED,
    v.TOOL_CALL: v.TOOL_CALL,
    v.TOOL_FAILED: v.TOOL_CALL,
}


def pick(attributes: Mapping[str, Any], ranks: _Ranks) -> dict[str, Any]:
    """Canonical name → value of the best-ranked attribute that has one."""
    found: dict[str, Any] = {}
    best: dict[str, int] = {}
    for name in ranks.keys() & attributes.keys():
        value = attributes[name]
        if value is None or value == "":
            continue
        for canonical, rank in ranks[name]:
            if best.setdefault(canonical, rank) >= rank:
                best[canonical] = rank
                found[canonical] = value
    return found


def inherited(resource: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, str]:
    """Canonical fields that hold for everything of this resource and scope; worked out once for all of it."""
    found = pick(scope, _INHERITED_RANKS) | pick(resource, _INHERITED_RANKS)
    return {canonical: as_name(value) for canonical, value in found.items() if not _names_nothing(value)}


def type_of(told: Told) -> str | None:
    """The vocabulary's name for what is told; None where no family recognises it."""
    types = _types_of(told)
    # `error` = true is a flag that older conventions set.
    return None if types is None else types[told.failed or told.attributes.get("error") is True]


def _types_of(told: Told) -> Types | None:
    name, attributes = told.name, told.attributes
    found = _NAMES.get(name)
    if found is not None or not told.is_span:
        return found
    if not _KIND_ATTRIBUTES.isdisjoint(attributes):
        for attribute, kinds in _KINDS:
            value = attributes.get(attribute)
            if isinstance(value, str) and (found := kinds.get(value)) is not None:
                return found
    start, separator, _ = name.partition(".")
    if separator and (prefixed := _PREFIXES.get(start + ".")) is not None and prefixed[0] in attributes:
        return prefixed[1]
    if "gen_ai.tool.name" in attributes and "gen_ai.operation.name" not in attributes:
        return _BARE_TOOL
    return None


def fill(event: Event, told: Told, defaults: Mapping[str, str]) -> None:
    """Set the event's canonical fields from what is told, and from what it inherits."""
    for canonical, value in defaults.items():
        setattr(event, canonical, value)
    attributes = told.attributes
    found = pick(attributes, _FIELD_RANKS)
    kind = type_of(told) or event.type
    event.type = event.kind if kind in v.RESERVED else kind
    for mark, refine in _REFINEMENTS.get(kind, _OTHER_REFINEMENTS):
        if mark in attributes:
            # What the tables cannot say. Where they say it, they go first.
            found = {**refine(told, kind), **found}
    for canonical, value in found.items():
        if canonical not in _TYPED:
            if canonical in _PLACES and _names_nothing(value):
                continue
            # A short plain text, as nearly all are: `as_name` would say the same, and this is asked ten times a span.
            plain = type(value) is str and len(value) <= MAX_NAME and value.isascii() and "\x00" not in value
            setattr(event, canonical, value if plain else as_name(value))
        elif canonical in COUNTS:
            setattr(event, canonical, as_count(value))
        elif canonical == "cost":
            event.cost = as_cost(value)
        else:
            _set_error(event, value)
    if "error" in attributes:
        _set_error(event, attributes["error"])
    if "question.uri" in attributes and event.question_id is None:
        uri = attributes["question.uri"]
        event.question_id = as_name(uri.rstrip("/").rpartition("/")[2]) or None if isinstance(uri, str) else None
    if attributes.get(_PENDING) == pydantic.PENDING[1]:
        _begin(event)


def _names_nothing(value: object) -> bool:
    """True for what no session is called, though somebody wrote it where the name stands: blank text, a list, false."""
    return value.isspace() if isinstance(value, str) else isinstance(value, bool | list | dict)


def _begin(event: Event) -> None:
    """Make it the report that work has begun: nothing of it counts, for the work itself will be reported."""
    event.type = _BEGINNINGS.get(event.type, v.SPAN_STARTED)
    event.duration = None
    event.input_tokens = event.output_tokens = event.cached_tokens = event.reasoning_tokens = event.cost = None


def _set_error(event: Event, value: object) -> None:
    # `error` = true is a flag that older conventions set; it says that, not why.
    if value is True:
        event.status = "error"
    elif value is not False and event.error is None:
        event.error = as_text(value)
