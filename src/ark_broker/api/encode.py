"""Events as the API writes them: camelCase, absent fields left out, the body embedded as it is stored."""

from __future__ import annotations

from typing import Final

import msgspec

from ark_broker.model import Event
from ark_broker.model.timestamps import rfc3339

_ENCODER: Final = msgspec.json.Encoder()


class EventOut(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """One event in JSON. `duration` is in milliseconds; `time` and `recordedAt` are RFC 3339, nanoseconds kept."""

    seq: int
    session_seq: int | None = None
    query_seq: int | None = None
    id: str
    kind: str
    type: str
    time: str
    recorded_at: str
    duration: float | None = None
    session_id: str | None = None
    namespace: str | None = None
    query: str | None = None
    query_uid: str | None = None
    conversation_id: str | None = None
    agent: str | None = None
    model: str | None = None
    provider: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    tool: str | None = None
    tool_call_id: str | None = None
    mcp_server: str | None = None
    mcp_session_id: str | None = None
    task_id: str | None = None
    task_state: str | None = None
    question_id: str | None = None
    stream_id: str | None = None
    phase: str | None = None
    status: str | None = None
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    cost_by: str | None = None
    correlated_by: str | None = None
    expires_at: str | None = None
    body: msgspec.Raw


#: Fields that go out as they are.
_SAME: Final = tuple(
    name
    for name in EventOut.__struct_fields__
    if name not in {"id", "time", "recorded_at", "duration", "expires_at", "body"}
)


def event_out(event: Event) -> EventOut:
    """The event as the API shows it."""
    same = {name: getattr(event, name) for name in _SAME}
    return EventOut(
        id=event.id.hex(),
        time=rfc3339(event.time),
        recorded_at=rfc3339(event.recorded_at),
        duration=None if event.duration is None else event.duration / 1_000_000,
        expires_at=None if event.expires_at is None else rfc3339(event.expires_at),
        body=msgspec.Raw(event.body or b"null"),
        **same,
    )


def event_json(event: Event) -> bytes:
    """`event_out`, encoded: one line of JSON."""
    return _ENCODER.encode(event_out(event))


def page_json(events: list[Event], extra: dict[str, object]) -> bytes:
    """`{"items": […], …extra}`"""
    return _ENCODER.encode({"items": [event_out(event) for event in events], **extra})
