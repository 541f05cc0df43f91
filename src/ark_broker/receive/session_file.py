"""A session as a file: what `GET /v1/sessions/{id}/export` writes and `ark-broker import` reads, byte for byte the same
wherever the session is.

    {"format":"ark-broker-session","version":1,"session":"s1","log":"2d1c…","events":2}
    {"id":"6f1c…","kind":"event","type":"query.started","time":1705314600000000000,"sessionId":"s1",…,"body":{…}}
    {"id":"0b7d…","kind":"chunk",…}

A line is an event under the names that the API has for its fields, in the order of the session. Times and durations are
nanoseconds, the body is as it was stored. What belongs to one log and not to the session is not in it: positions, when
that log recorded the event, and by which word its session was named there.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ark_broker.model import Event
from ark_broker.model.event import MAX_INT64, Kind
from ark_broker.model.vocabulary import BAGGAGE, EXPLICIT, IMPORTED, OPERATOR
from ark_broker.receive.fields import MAX_NAME, MAX_TEXT

FORMAT: Final = "ark-broker-session"
VERSION: Final = 1
#: How a header begins, whoever wrote it.
MARK: Final = b'{"format":"ark-broker-session"'

#: Rules by which somebody named the session.
_NAMED: Final = frozenset({EXPLICIT, BAGGAGE, OPERATOR, IMPORTED})

_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT64)]
_SpanId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]


class Header(msgspec.Struct, kw_only=True):
    """The first line. `events` is how many lines follow; `log` the identity of the log it comes from."""

    format: str = FORMAT
    version: int = VERSION
    session: _Name
    log: str
    events: _Count


class _Line(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One event; its fields are the Event's."""

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    kind: Kind
    type: _Name
    time: _Count
    duration: _Count | None = None
    session_id: _Name
    namespace: _Name | None = None
    query: _Name | None = None
    query_uid: _Name | None = None
    conversation_id: _Name | None = None
    agent: _Name | None = None
    model: _Name | None = None
    provider: _Name | None = None
    user_id: _Name | None = None
    trace_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")] | None = None
    span_id: _SpanId | None = None
    parent_span_id: _SpanId | None = None
    tool: _Name | None = None
    tool_call_id: _Name | None = None
    mcp_server: _Name | None = None
    mcp_session_id: _Name | None = None
    task_id: _Name | None = None
    task_state: _Name | None = None
    question_id: _Name | None = None
    stream_id: _Name | None = None
    phase: _Name | None = None
    status: _Name | None = None
    error: _Text | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cached_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None
    cost: float | None = None
    cost_by: _Name | None = None
    #: The rule by which its session was found; absent where it was named.
    correlated_by: _Name | None = None
    expires_at: _Count | None = None
    body: msgspec.Raw


#: Fields that are the same in the line and the Event.
_SAME: Final = tuple(name for name in _Line.__struct_fields__ if name not in {"id", "correlated_by", "body"})
_ENCODER: Final = msgspec.json.Encoder()
_HEADER: Final = msgspec.json.Decoder(Header)
_LINE: Final = msgspec.json.Decoder(_Line)


class NotALine(Exception):  # noqa: N818 - reads as what it says
    """The line is not what it should be; the message says why."""


def header_line(session_id: str, log_id: str, events: int) -> bytes:
    """The first line, with its newline."""
    return _ENCODER.encode(Header(session=session_id, log=log_id, events=events)) + b"\n"


def event_line(event: Event) -> bytes:
    """The line of an event that is in a session, with its newline."""
    same = {name: getattr(event, name) for name in _SAME}
    rule = None if event.correlated_by in _NAMED else event.correlated_by
    line = _Line(id=event.id.hex(), correlated_by=rule, body=msgspec.Raw(event.body or b"null"), **same)
    # A body has no line breaks of its own: `\n` in a text is two characters, and between values nobody stores one.
    return _ENCODER.encode(line) + b"\n"


def read_header(line: bytes) -> Header:
    """Raises NotALine."""
    try:
        header = _HEADER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotALine(f"no header: {error}") from None
    if header.format != FORMAT:
        raise NotALine(f"the format is {header.format[:50]!r}")
    if header.version != VERSION:
        raise NotALine(f"version {header.version} of the format; this program reads {VERSION}")
    return header


def read_event(line: bytes, session_id: str) -> Event:
    """The event of a line in the file of that session. Raises NotALine."""
    try:
        # What is passed on as it is would not be looked at: the body.
        line.decode("utf-8")
        found = _LINE.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotALine(str(error)) from None
    if found.session_id != session_id:
        raise NotALine(f"is of the session {found.session_id!r}, and stands in the file of {session_id!r}")
    same = {name: getattr(found, name) for name in _SAME}
    # Named in the log it comes from: its time counts as its arrival, as it does of whatever is imported.
    rule = found.correlated_by or IMPORTED
    return Event(id=bytes.fromhex(found.id), correlated_by=rule, body=bytes(found.body), **same)
