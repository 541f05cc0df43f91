"""The synchronous client."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx

from ark_broker.client import programs, surface
from ark_broker.client.carriers import Carrier, OnPause
from ark_broker.client.chunks import ChunkFormat
from ark_broker.client.connection import broker_headers, broker_url
from ark_broker.client.live import OnGap
from ark_broker.client.producer import Delivery
from ark_broker.client.steps import Call, Emit, Program, Run
from ark_broker.client.sync_chunks import ChunkStream
from ark_broker.client.types import (
    Chunk,
    Conversation,
    Correlation,
    Event,
    OnDeadline,
    Query,
    Question,
    QuestionState,
    Session,
    SessionChange,
    SessionStatus,
    SessionSummary,
    Speed,
    Start,
    Stored,
)
from ark_broker.connecting import without_login

Value = TypeVar("Value")


class Client:
    """A connection to a broker, for threads: several may share it.

    `url` and `token` are those of `ARK_BROKER_URL` and `ARK_BROKER_TOKEN` where they are not given. `timeout` (seconds)
    holds for one request; `retry_seconds` is how long a request is repeated that is right to repeat, where the broker
    is away or has no room: sending events, asking, answering, streaming chunks. `on_pause` is told of each wait before
    a new try.

    Every method raises `Unreachable` where nobody answers, and `Refused` where the broker says no. Iterators page, or
    take a stream up again, by themselves; `contextlib.closing` closes one that is left early at once.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        headers: Mapping[str, str] | None = None,
        retry_seconds: float = 60.0,
        on_pause: OnPause | None = None,
    ) -> None:
        self._base = broker_url(url)
        #: The broker, as it may be shown.
        self.url = without_login(self._base)
        #: See `OnPause`.
        self.on_pause = on_pause
        self.retry_seconds = retry_seconds
        self._timeout = timeout
        self._http = httpx.Client(
            headers=broker_headers(self._base, token, headers),
            # Reading the system's certificates takes longer than most commands need.
            timeout=timeout,
            verify=self._base.startswith("https:"),
            limits=httpx.Limits(max_connections=None),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    # Sessions and queries

    def sessions(
        self,
        *,
        status: SessionStatus | None = None,
        namespace: str | None = None,
        agent: str | None = None,
        query: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        search: str | None = None,
        limit: int | None = None,
    ) -> Generator[SessionSummary, None, None]:
        """Sessions, newest activity first; `limit` of them at most. `since` and `until` bound the last one."""
        filters = {
            "status": status,
            "namespace": namespace,
            "agent": agent,
            "query": query,
            "since": since,
            "until": until,
            "q": search,
        }
        return self._iterate(surface.sessions(filters, limit))

    def session(self, session: str) -> Session:
        """One session, aggregated."""
        return self._run(surface.session(session))

    def delete_session(self, session: str) -> None:
        """Take the session out of every view."""
        self._run(surface.delete_session(session))

    def events(
        self,
        session: str | None = None,
        *,
        query: str | None = None,
        types: Sequence[str] = (),
        after: int = 0,
        limit: int | None = None,
    ) -> Generator[Event, None, None]:
        """Stored events behind position `after`, of the session or of the whole log; `limit` of them at most."""
        return self._iterate(surface.events(session, query, types, after, limit))

    def query(self, query: str, *, session: str | None = None, namespace: str | None = None) -> Query:
        """One query by name or uid."""
        return self._run(surface.query(query, session, namespace))

    def resume(self, query: str, *, session: str | None = None, namespace: str | None = None) -> dict[str, Any]:
        """What an executor needs to go on with the query."""
        return self._run(surface.resume(query, session, namespace))

    def conversation(self, session: str, *, query: str | None = None, conversation: str | None = None) -> Conversation:
        """What was said, as OpenAI messages."""
        return self._run(surface.conversation(session, query, conversation))

    def trace(self, trace_id: str) -> dict[str, Any]:
        """One trace as a tree."""
        return self._run(surface.trace(trace_id))

    def correlate(self, **keys: str) -> Correlation:
        """Where a thing belongs: `trace_id=`, `task_id=`, `mcp_session_id=`, … (see `CORRELATION_KEYS`)."""
        return self._run(surface.correlate(keys))

    def export(self, session: str, *, format: Literal["jsonl", "otlp"] = "jsonl") -> Generator[bytes, None, None]:
        """The session as a file, piece by piece."""
        return self._iterate(surface.export(session, format))

    # Streams

    def tail(
        self,
        session: str | None = None,
        *,
        types: Sequence[str] = (),
        after: int | None = None,
        start: Start | None = None,
        on_gap: OnGap | None = None,
    ) -> Generator[Event, None, None]:
        """Events of the session, or of the whole log, as they come: each once, in order, for ever.

        Where the broker says that events may be missing, `on_gap` is called with its greeting, or GapError raised.
        """
        return self._iterate(surface.tail(session, types, after, start, on_gap))

    def tail_query(
        self,
        query: str,
        *,
        session: str | None = None,
        namespace: str | None = None,
        events: bool = True,
        after: int | None = None,
        start: Start | None = None,
    ) -> Generator[Chunk, None, None]:
        """OpenAI chunks of the query, with `{"type": "event", "event": {…}}` between them, until the query is over."""
        return self._iterate(surface.tail_query(query, session, namespace, events, after, start))

    def tail_sessions(
        self, *, after: int | None = None, start: Start | None = None, on_gap: OnGap | None = None
    ) -> Generator[SessionChange, None, None]:
        """`{"session": summary}` of each session that changes."""
        return self._iterate(surface.tail_sessions(after, start, on_gap))

    def replay(
        self,
        query: str,
        *,
        session: str | None = None,
        namespace: str | None = None,
        speed: Speed = "1",
        events: bool = True,
    ) -> Generator[Chunk, None, None]:
        """What the query streamed, at the pace it had."""
        return self._iterate(surface.replay(query, session, namespace, speed, events))

    def replay_session(
        self, session: str, *, speed: Speed = "1", types: Sequence[str] = ()
    ) -> Generator[Event, None, None]:
        """The session's events, at the pace they had."""
        return self._iterate(surface.replay_session(session, speed, types))

    # Questions

    def questions(
        self,
        *,
        state: QuestionState | None = None,
        session: str | None = None,
        query: str | None = None,
        limit: int | None = None,
    ) -> Generator[Question, None, None]:
        """Questions, newest first; `limit` of them at most."""
        return self._iterate(surface.questions(state, session, query, limit))

    def question(self, question: str) -> Question:
        """One question by its id."""
        return self._run(surface.question(question))

    def ask(
        self,
        text: str,
        *,
        session: str | None = None,
        query: str | None = None,
        namespace: str | None = None,
        context: str | None = None,
        asked_by: str | None = None,
        schema: Mapping[str, Any] | None = None,
        options: Sequence[Any] | None = None,
        blocking: bool | None = None,
        secret: bool | None = None,
        expires_in: float | None = None,
        on_deadline: OnDeadline | None = None,
        default: Any = None,
        source: str | None = None,
        wait: float | None = None,
    ) -> Question:
        """Ask, and wait until the question is answered, called off or expired: look at its `state`.

        `wait`: seconds to wait at most, then the question comes back open; 0 asks only. `expires_in` is its own
        deadline, in seconds, after which `on_deadline` holds. A broker that restarts meanwhile is waited for.
        """
        given = {
            "text": text,
            "session": session,
            "query": query,
            "namespace": namespace,
            "context": context,
            "asked_by": asked_by,
            "schema": schema,
            "options": options if options is None else list(options),
            "blocking": blocking,
            "secret": secret,
            "timeout_seconds": expires_in,
            "on_deadline": on_deadline,
            "default": default,
            "source": source,
        }
        return self._run(surface.ask(given, wait, self.retry_seconds))

    def answer(self, question: str, answer: Any, *, by: str | None = None) -> Question:
        """Answer the question. Refused with 409 where it is over; `details["question"]` then has the first answer."""
        return self._run(surface.answer(question, answer, by, self.retry_seconds))

    def cancel(self, question: str, *, reason: str | None = None, by: str | None = None) -> Question:
        """Call the question off."""
        return self._run(surface.cancel(question, reason, by))

    # Sending

    def send(self, *events: Mapping[str, Any]) -> Stored:
        """Store custom events, each once: one without an `id` is given one."""
        return self._run(surface.send(events, self.retry_seconds))

    def send_otlp(
        self,
        body: bytes,
        *,
        content_type: str = "application/x-protobuf",
        signal: Literal["traces", "logs"] = "traces",
        encoding: str | None = None,
    ) -> None:
        """Send an OTLP request as it is; `encoding` says how it is compressed."""
        self._run(surface.otlp(body, content_type, signal, encoding, self.retry_seconds))

    def stream_chunks(
        self,
        query: str,
        *,
        model: str | None = None,
        session: str | None = None,
        agent: str | None = None,
        complete: bool = True,
    ) -> ChunkStream:
        """A stream of completion chunks of the query: `with client.stream_chunks("query-001") as chunks`.

        `chunks.send(chunk)` takes text, which becomes an OpenAI chunk, or a whole chunk: a mapping, or a model of
        the OpenAI SDK. Readers see it at once. Where the connection breaks, what the broker has not confirmed is sent
        again, and stored once. Leaving the block waits until everything is stored and marks the stream complete (not
        where `complete` is false: another block goes on then); an exception is told as a chunk with `error` first.

        `model` is that of text chunks; `session` and `agent` say where the chunks belong, where nothing else does.
        """
        delivery = Delivery(self._base, query, self.retry_seconds)
        return ChunkStream(
            self._http,
            delivery,
            ChunkFormat(model, session, agent),
            self._finish_stream if complete else None,
        )

    def _finish_stream(self, completion: Call) -> None:
        self._run(programs.store(completion, self.retry_seconds))

    # The broker itself

    def health(self) -> dict[str, str]:
        """`{"status": "OK"}` from a process that is alive."""
        return self._run(surface.health())

    def readyz(self) -> dict[str, str]:
        """`{"status": "OK"}` from a broker that is ready for traffic; Refused (503) says why it is not."""
        return self._run(surface.readyz())

    def me(self) -> dict[str, Any]:
        """Who the broker takes us for, and what we may do."""
        return self._run(surface.me())

    def openapi(self) -> dict[str, Any]:
        """The broker's description of its API."""
        return self._run(surface.openapi())

    def head(self) -> int:
        """Position of the newest event of the log."""
        return self._run(surface.head())

    def metrics(self) -> str:
        """Prometheus metrics, as text."""
        return self._run(surface.metrics())

    def get(self, *names: str, **parameters: object) -> dict[str, Any]:
        """What `GET /v1/<names>?<parameters>` answers: for routes that have no method here."""
        return self._run(surface.get(names, parameters))

    def _run(self, program: Program[Value]) -> Value:
        with Carrier(self._http, self._base, self._timeout, self.on_pause) as carrier:
            run = Run(program)
            while (step := run.step) is not None:
                carrier.carry_out(run, step)
            return run.result

    def _iterate(self, program: Program[None]) -> Generator[Any, None, None]:
        with Carrier(self._http, self._base, self._timeout, self.on_pause) as carrier:
            run = Run(program)
            while (step := run.step) is not None:
                if isinstance(step, Emit):
                    yield from step.items
                    run.resume(None)
                else:
                    carrier.carry_out(run, step)
