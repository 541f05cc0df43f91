"""What a telemetry family is: a small table that says where it keeps the canonical fields, and what its spans mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

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
        "tool",
        "tool_call_id",
        "mcp_server",
        "mcp_session_id",
        "task_id",
        "question_id",
        "stream_id",
        "error",
        "input_tokens",
        "output_tokens",
        "cost",
    }
)
#: Content that is read from the body when somebody asks (`describe`). The names are those of Details.
CONTENT: Final = frozenset({"input", "output", "question_uri", "finish_reason", "duration_ms"})


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a span, log record or custom event says, as plain values."""

    name: str
    attributes: Mapping[str, Any]
    #: Attributes of resource and scope: consulted for what belongs to a whole process.
    resource: Mapping[str, Any] = msgspec.field(default_factory=dict)
    scope: Mapping[str, Any] = msgspec.field(default_factory=dict)
    scope_name: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """One telemetry family.

    `fields` and `content` map a canonical name to attribute names, best first. Where two families use the same
    canonical name, the family that comes first in `conventions.FAMILIES` wins. `classify` gives the event's type, or
    None where the family does not recognise it.
    """

    name: str
    fields: Mapping[str, tuple[str, ...]]
    content: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Canonical name → attribute names that also count on the resource or scope.
    inherited: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    classify: Callable[[Told], str | None] = lambda _told: None

    def __post_init__(self) -> None:
        unknown = ({*self.fields, *self.inherited} - FIELDS) | (set(self.content) - CONTENT)
        if unknown:
            raise ValueError(f"family {self.name} names unknown fields: {sorted(unknown)}")
