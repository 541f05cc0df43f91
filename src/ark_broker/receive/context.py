"""Context that travels beside a request: W3C Trace Context and W3C Baggage, in headers and in MCP's `_meta`.

https://www.w3.org/TR/trace-context/, https://www.w3.org/TR/baggage/. MCP carries them as `traceparent` and `baggage`
in `params._meta`, without a prefix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from ark_broker.model import Event
from ark_broker.model.vocabulary import BAGGAGE
from ark_broker.receive.fields import as_name

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
#: Entries that name the session, best first.
_SESSION_ENTRIES: Final = ("ark.session.id", "session.id", "langfuse_session_id")
_CONVERSATION_ENTRY: Final = "gen_ai.conversation.id"
#: The specification asks for 64 entries and 8,192 bytes at least; more is somebody's mistake.
_MAX_BAGGAGE: Final = 16_384
_MAX_ENTRIES: Final = 180


@dataclass(frozen=True, slots=True)
class Parent:
    """The span that a request was made in: ids in lower-case hex."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Context:
    """What came along. None for what did not, or could not be read: context is never a reason to refuse."""

    parent: Parent | None = None
    session_id: str | None = None
    conversation_id: str | None = None

    def apply(self, event: Event) -> None:
        """Fill what the event does not say itself."""
        if event.trace_id is None and self.parent is not None:
            event.trace_id = self.parent.trace_id
            if event.span_id is None and event.parent_span_id is None:
                event.parent_span_id = self.parent.span_id
        if event.session_id is None and self.session_id is not None:
            event.session_id = self.session_id
            event.correlated_by = BAGGAGE
        if event.conversation_id is None:
            event.conversation_id = self.conversation_id


NONE: Final = Context()


def parse_traceparent(value: object) -> Parent | None:
    """Trace id and parent id of a `traceparent`; None for what is none."""
    match = _TRACEPARENT.fullmatch(value.strip().lower()) if isinstance(value, str) and len(value) < 500 else None
    return None if match is None else Parent(match[1], match[2])


def parse_baggage(value: object) -> dict[str, str]:
    """Entries of a `baggage` header by key, decoded; properties are left out, and what cannot be read."""
    found: dict[str, str] = {}
    if not isinstance(value, str) or len(value) > _MAX_BAGGAGE:
        return found
    for member in value.split(",")[:_MAX_ENTRIES]:
        key, separator, content = member.partition(";")[0].partition("=")
        if separator and key.strip():
            found.setdefault(key.strip(), unquote(content.strip()))
    return found


def context_of(carrier: Mapping[str, object]) -> Context:
    """Context in headers (lower-case names), or in the `_meta` of an MCP request."""
    traceparent, baggage = carrier.get("traceparent"), carrier.get("baggage")
    if traceparent is None and baggage is None:
        return NONE
    entries = parse_baggage(baggage)
    session = next((entries[name] for name in _SESSION_ENTRIES if entries.get(name)), None)
    conversation = entries.get(_CONVERSATION_ENTRY)
    return Context(
        parent=parse_traceparent(traceparent),
        session_id=as_name(session) if session else None,
        conversation_id=as_name(conversation) if conversation else None,
    )
