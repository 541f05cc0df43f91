"""What a telemetry family is: a small table that says where it keeps the canonical fields, and what its spans mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

#: Canonical fields that a family may fill from attributes. The names are the Event's.
FIELDS: Final = frozenset(
    {
        "session_id",
        "namespace",
        "query",
        "query_uid",
        "conversation_id",
        "agent",
        "model",
        "provider",
        "user_id",
        "tool",
        "tool_call_id",
        "mcp_server",
        "mcp_session_id",
        "task_id",
        "task_state",
        "question_id",
        "stream_id",
        "phase",
        "error",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cost",
    }
)
#: Numbers of tokens among the fields.
COUNTS: Final = frozenset({"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"})
#: Content that is read from the body when somebody asks (`describe`). The names are those of Details.
CONTENT: Final = frozenset({"input", "output", "question_uri", "finish_reason", "duration_ms", "first_token_ms"})

#: Type of a span that went well, and of one that failed.
Types = tuple[str, str]
#: Name or attribute value → types.
Kinds = Mapping[str, Types]


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a span, log record or custom event says, as plain values."""

    name: str
    attributes: Mapping[str, Any]
    #: Attributes of resource and scope: consulted for what belongs to a whole process.
    resource: Mapping[str, Any] = msgspec.field(default_factory=dict)
    scope: Mapping[str, Any] = msgspec.field(default_factory=dict)
    scope_name: str = ""
    failed: bool = False
    #: False for a log record or custom event: it may speak of a call, and is none.
    is_span: bool = True


#: What a table cannot say: canonical field → value, from what is told and the type it was given. Fields that the
#: tables filled stay as they are.
Refine = Callable[[Told, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Family:
    """One telemetry family.

    `fields` and `content` map a canonical name to attribute names, best first; where two families use the same
    canonical name, the family that comes first in `conventions.FAMILIES` wins. `kinds` are attributes whose value says
    what a span is, `names` and `prefixes` span names that do.
    """

    name: str
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    content: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Canonical name → attribute names that also count on the resource or scope.
    inherited: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Attribute → what its values mean.
    kinds: Mapping[str, Kinds] = field(default_factory=dict)
    names: Kinds = field(default_factory=dict)
    #: Beginning of a span's name, the attribute it must have besides, and what it means.
    prefixes: Mapping[str, tuple[str, Types]] = field(default_factory=dict)
    #: Attributes by which a span of the family is known: where one is there, `refine` is asked.
    marks: tuple[str, ...] = ()
    refine: Refine | None = None
    #: Types of which `refine` has something to say; None for all.
    refines: frozenset[str] | None = None

    def __post_init__(self) -> None:
        unknown = ({*self.fields, *self.inherited} - FIELDS) | (set(self.content) - CONTENT)
        if unknown:
            raise ValueError(f"family {self.name} names unknown fields: {sorted(unknown)}")
        if (self.refine is None) != (not self.marks):
            raise ValueError(f"family {self.name}: marks and refine belong together")


def always(name: str) -> Types:
    """The same type, however it went."""
    return (name, name)


def as_object(value: object) -> Mapping[str, Any]:
    """A JSON object, or the text of one; an empty one for anything else."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}
