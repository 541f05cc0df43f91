"""The methods of both clients as programs: what differs between them is only who carries the steps out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ark_broker.client import calls, programs
from ark_broker.client.live import OnGap, follow
from ark_broker.client.steps import Call, Program
from ark_broker.client.types import (
    Conversation,
    Correlation,
    Query,
    Question,
    QuestionState,
    Session,
    Speed,
    Start,
    Stored,
)

#: Keyword arguments of `correlate`.
CORRELATION_KEYS = (
    "trace_id",
    "traceparent",
    "query_uid",
    "query",
    "task_id",
    "mcp_session_id",
    "mcp_server",
    "context_id",
    "conversation_id",
    "tool_call_id",
)


def sessions(filters: Mapping[str, object], limit: int | None) -> Program[None]:
    """Sessions, newest activity first."""
    return programs.cursor_pages(calls.get("sessions", **filters), limit)


def session(name: str) -> Program[Session]:
    """One session."""
    return programs.fetch(calls.get("sessions", name))


def delete_session(name: str) -> Program[None]:
    """Take a session out of every view."""
    return programs.fetch(calls.delete("sessions", name))


def query(name: str, session_id: str | None, namespace: str | None) -> Program[Query]:
    """One query."""
    return programs.fetch(calls.get("queries", name, session=session_id, namespace=namespace))


def resume(name: str, session_id: str | None, namespace: str | None) -> Program[dict[str, Any]]:
    """What an executor needs."""
    return programs.fetch(calls.get("queries", name, "resume", session=session_id, namespace=namespace))


def conversation(session_id: str, query_name: str | None, conversation_id: str | None) -> Program[Conversation]:
    """What was said."""
    return programs.fetch(
        calls.get("sessions", session_id, "conversation", query=query_name, conversation=conversation_id)
    )


def trace(trace_id: str) -> Program[dict[str, Any]]:
    """One trace."""
    return programs.fetch(calls.get("traces", trace_id))


def export(session_id: str, file_format: str) -> Program[None]:
    """A session as a file."""
    return programs.download(calls.get("sessions", session_id, "export", format=file_format))


def questions(
    state: QuestionState | None, session_id: str | None, query_name: str | None, limit: int | None
) -> Program[None]:
    """Questions, newest first."""
    return programs.cursor_pages(calls.get("questions", state=state, session=session_id, query=query_name), limit)


def question(name: str) -> Program[Question]:
    """One question."""
    return programs.fetch(calls.get("questions", name))


def ask(given: Mapping[str, Any], wait: float | None, retry_seconds: float) -> Program[Question]:
    """Ask, and wait."""
    return programs.ask(given, wait, retry_seconds)


def send(events: Sequence[Mapping[str, Any]], retry_seconds: float) -> Program[Stored]:
    """Store events, each once."""
    return programs.send(events, retry_seconds)


def me() -> Program[dict[str, Any]]:
    """Who asks, to the broker."""
    return programs.fetch(calls.get("me"))


def openapi() -> Program[dict[str, Any]]:
    """The API's description."""
    return programs.fetch(Call("GET", "/openapi.json"))


def health() -> Program[dict[str, str]]:
    """Whether the process lives."""
    return programs.fetch_status(Call("GET", "/health"))


def readyz() -> Program[dict[str, str]]:
    """Whether the broker is ready."""
    return programs.fetch_status(Call("GET", "/readyz"))


def events(
    session: str | None, query: str | None, types: Sequence[str], after: int, limit: int | None
) -> Program[None]:
    """Stored events of a session, or of the whole log."""
    if session is None:
        if query is not None:
            raise ValueError("events of a query: say in which session")
        return programs.event_pages(calls.get("events", type_=types), after, limit)
    return programs.event_pages(calls.get("sessions", session, "events", type_=types, query=query), after, limit)


def tail(
    session: str | None, types: Sequence[str], after: int | None, start: Start | None, on_gap: OnGap | None
) -> Program[None]:
    """Events as they come."""
    place = ("events",) if session is None else ("sessions", session)
    return follow(calls.get(*place, "stream", type_=types, **_origin(after, start)), on_gap=on_gap)


def tail_query(
    query: str, session: str | None, namespace: str | None, shown: bool, after: int | None, start: Start | None
) -> Program[None]:
    """Chunks and events of a query as they come."""
    values = {"session": session, "namespace": namespace, "events": shown, **_origin(after, start)}
    return follow(calls.get("queries", query, "stream", **values))


def tail_sessions(after: int | None, start: Start | None, on_gap: OnGap | None) -> Program[None]:
    """Sessions as they change."""
    return follow(calls.get("stream", **_origin(after, start)), on_gap=on_gap)


def replay(query: str, session: str | None, namespace: str | None, speed: Speed, shown: bool) -> Program[None]:
    """What a query streamed, at its pace."""
    return follow(
        calls.get("queries", query, "replay", session=session, namespace=namespace, speed=speed, events=shown)
    )


def replay_session(session: str, speed: Speed, types: Sequence[str]) -> Program[None]:
    """Events of a session, at their pace."""
    return follow(calls.get("sessions", session, "replay", speed=speed, type_=types))


def correlate(keys: Mapping[str, str]) -> Program[Correlation]:
    """Where something belongs. Raises TypeError for a key that is none."""
    unknown = keys.keys() - set(CORRELATION_KEYS)
    if unknown:
        raise TypeError(f"no key of correlation: {', '.join(sorted(unknown))}; there are {', '.join(CORRELATION_KEYS)}")
    return programs.fetch(calls.get("correlate", **{calls.camel(name): value for name, value in keys.items()}))


def answer(name: str, given: object, by: str | None, retry_seconds: float) -> Program[Question]:
    """Answer a question, once."""
    body: dict[str, object] = {"answer": given}
    if by is not None:
        body["answeredBy"] = by
    call = calls.post("questions", name, "answer", content=body, headers=calls.attempt())
    return programs.fetch_persistently(call, retry_seconds)


def cancel(name: str, reason: str | None, by: str | None) -> Program[Question]:
    """Call a question off. The broker keeps a reason, and nobody's name: it stands in the reason."""
    said = ", ".join(part for part in (reason, by and f"called off by {by}") if part)
    return programs.fetch(calls.post("questions", name, "cancel", content={"reason": said} if said else {}))


def otlp(
    body: bytes, content_type: str, signal: Literal["traces", "logs"], encoding: str | None, retry_seconds: float
) -> Program[None]:
    """Send an OTLP request; its records have ids of their own, so that sending it again stores them once."""
    headers = {"content-type": content_type, **({"content-encoding": encoding} if encoding else {})}
    return programs.store(Call("POST", f"/v1/{signal}", headers=headers, body=body), retry_seconds)


def head() -> Program[int]:
    """The log's newest position."""
    page = yield from programs.fetch(calls.get("sessions", limit=1), ("seq",))
    return int(page["seq"])


def metrics() -> Program[str]:
    """What Prometheus reads."""
    return programs.fetch_text(Call("GET", "/metrics"))


def get(names: Sequence[str], parameters: Mapping[str, object]) -> Program[dict[str, Any]]:
    """What a route answers."""
    return programs.fetch(calls.get(*names, **parameters))


def _origin(after: int | None, start: Start | None) -> dict[str, object]:
    if after is not None and start is not None:
        raise ValueError("give `after` or `start`, not both")
    return {"after": after, "from_": start}
