"""The asynchronous client (asyncio)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx

from ark_broker.client import programs, surface
from ark_broker.client.aio_chunks import AsyncChunkStream
from ark_broker.client.carriers import AsyncCarrier, OnPause
from ark_broker.client.chunks import ChunkFormat
from ark_broker.client.connection import broker_headers, broker_url
from ark_broker.client.live import OnGap
from ark_broker.client.producer import Delivery
from ark_broker.client.steps import Call, Emit, Program, Run
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


class AsyncClient:
    """A connection to a broker, for asyncio.

    `url` and `token` are those of `ARK_BROKER_URL` and `ARK_BROKER_TOKEN` where they are not given. `timeout` (seconds)
    holds for one request; `retry_seconds` is how long a request is repeated that is right to repeat, where the broker
    is away or has no room: sending events, asking, answering, streaming chunks. `on_pause` is told of each wait before
    a new try.

    Every method raises `Unreachable` where nobody answers, and `Refused` where the broker says no. Iterators page, or
    take a stream up again, by themselves; `contextlib.aclosing` closes one that is left early at once.
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
        self._http = httpx.AsyncClient(
            headers=broker_headers(self._base, token, headers),
            # Reading the system's certificates takes longer than most commands need.
            timeout=timeout,
            verify=self._base.startswith("https:"),
            limits=httpx.Limits(max_connections=None),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

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
    ) -> AsyncGenerator[SessionSummary, None]:
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

    async def session(self, session: str) -> Session:
        """One session, aggregated."""
        return await self._run(surface.session(session))

    async def delete_session(self, session: str) -> None:
        """Take the session out of every view."""
        await self._run(surface.delete_session(session))

    def events(
        self,
        session: str | None = None,
        *,
        query: str | None = None,
        types: Sequence[str] = (),
        after: int = 0,
        limit: int | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Stored events behind position `after`, of the session or of the whole log; `limit` of them at most."""
        return self._iterate(surface.events(session, query, types, after, limit))

    async def query(self, query: str, *, session: str | None = None, namespace: str | None = None) -> Query:
        """One query by name or uid."""
        return await self._run(surface.query(query, session, namespace))

    async def resume(self, query: str, *, session: str | None = None, namespace: str | None = None) -> dict[str, Any]:
        """What an executor needs to go on with the query."""
        return await self._run(surface.resume(query, session, namespace))

    async def conversation(
        self, session: str, *, query: str | None = None, conversation: str | None = None
    ) -> Conversation:
        """What was said, as OpenAI messages."""
        return await self._run(surface.conversation(session, query, conversation))

    async def trace(self, trace_id: str) -> dict[str, Any]:
        """One trace as a tree."""
        return await self._run(surface.trace(trace_id))

    async def correlate(self, **keys: str) -> Correlation:
        """Where a thing belongs: `trace_id=`, `task_id=`, `mcp_session_id=`, … (see `CORRELATION_KEYS`)."""
        return await self._run(surface.correlate(keys))

    def export(self, session: str, *, format: Literal["jsonl", "otlp"] = "jsonl") -> AsyncGenerator[bytes, None]:
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
    ) -> AsyncGenerator[Event, None]:
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
    ) -> AsyncGenerator[Chunk, None]:
        """OpenAI chunks of the query, with `{"type": "event", "event": {…}}` between them, until the query is over."""
        return self._iterate(surface.tail_query(query, session, namespace, events, after, start))

    def tail_sessions(
        self, *, after: int | None = None, start: Start | None = None, on_gap: OnGap | None = None
    ) -> AsyncGenerator[SessionChange, None]:
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
    ) -> AsyncGenerator[Chunk, None]:
        """What the query streamed, at the pace it had."""
        return self._iterate(surface.replay(query, session, namespace, speed, events))

    def replay_session(
        self, session: str, *, speed: Speed = "1", types: Sequence[str] = ()
    ) -> AsyncGenerator[Event, None]:
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
    ) -> AsyncGenerator[Question, None]:
        """Questions, newest first; `limit` of them at most."""
        return self._iterate(surface.questions(state, session, query, limit))

    async def question(self, question: str) -> Question:
        """One question by its id."""
        return await self._run(surface.question(question))

    async def ask(
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
        return await self._run(surface.ask(given, wait, self.retry_seconds))

    async def answer(self, question: str, answer: Any, *, by: str | None = None) -> Question:
        """Answer the question. Refused with 409 where it is over; `details["question"]` then has the first answer."""
        return await self._run(surface.answer(question, answer, by, self.retry_seconds))

    async def cancel(self, question: str, *, reason: str | None = None, by: str | None = None) -> Question:
        """Call the question off."""
        return await self._run(surface.cancel(question, reason, by))

    # Sending

    async def send(self, *events: Mapping[str, Any]) -> Stored:
        """Store custom events, each once: one without an `id` is given one."""
        return await self._run(surface.send(events, self.retry_seconds))

    async def send_otlp(
        self,
        body: bytes,
        *,
        content_type: str = "application/x-protobuf",
        signal: Literal["traces", "logs"] = "traces",
        encoding: str | None = None,
    ) -> None:
        """Send an OTLP request as it is; `encoding` says how it is compressed."""
        await self._run(surface.otlp(body, content_type, signal, encoding, self.retry_seconds))

    def stream_chunks(
        self,
        query: str,
        *,
        model: str | None = None,
        session: str | None = None,
        agent: str | None = None,
        complete: bool = True,
    ) -> AsyncChunkStream:
        """A stream of completion chunks of the query: `async with client.stream_chunks("query-001") as chunks`.

        `await chunks.send(chunk)` takes text, which becomes an OpenAI chunk, or a whole chunk: a mapping, or a model of
        the OpenAI SDK. Readers see it at once. Where the connection breaks, what the broker has not confirmed is sent
        again, and stored once. Leaving the block waits until everything is stored and marks the stream complete (not
        where `complete` is false: another block goes on then); an exception is told as a chunk with `error` first.

        `model` is that of text chunks; `session` and `agent` say where the chunks belong, where nothing else does.
        """
        delivery = Delivery(self._base, query, self.retry_seconds)
        return AsyncChunkStream(
            self._http,
            delivery,
            ChunkFormat(model, session, agent),
            self._finish_stream if complete else None,
        )

    async def _finish_stream(self, completion: Call) -> None:
        await self._run(programs.store(completion, self.retry_seconds))

    # The broker itself

    async def health(self) -> dict[str, str]:
        """`{"status": "OK"}` from a process that is alive."""
        return await self._run(surface.health())

    async def readyz(self) -> dict[str, str]:
        """`{"status": "OK"}` from a broker that is ready for traffic; Refused (503) says why it is not."""
        return await self._run(surface.readyz())

    async def me(self) -> dict[str, Any]:
        """Who the broker takes us for, and what we may do."""
        return await self._run(surface.me())

    async def openapi(self) -> dict[str, Any]:
        """The broker's description of its API."""
        return await self._run(surface.openapi())

    async def head(self) -> int:
        """Position of the newest event of the log."""
        return await self._run(surface.head())

    async def metrics(self) -> str:
        """Prometheus metrics, as text."""
        return await self._run(surface.metrics())

    async def get(self, *names: str, **parameters: object) -> dict[str, Any]:
        """What `GET /v1/<names>?<parameters>` answers: for routes that have no method here."""
        return await self._run(surface.get(names, parameters))

    async def _run(self, program: Program[Value]) -> Value:
        async with AsyncCarrier(self._http, self._base, self._timeout, self.on_pause) as carrier:
            run = Run(program)
            while (step := run.step) is not None:
                await carrier.carry_out(run, step)
            return run.result

    async def _iterate(self, program: Program[None]) -> AsyncGenerator[Any, None]:
        async with AsyncCarrier(self._http, self._base, self._timeout, self.on_pause) as carrier:
            run = Run(program)
            while (step := run.step) is not None:
                if isinstance(step, Emit):
                    for item in step.items:
                        yield item
                    run.resume(None)
                else:
                    await carrier.carry_out(run, step)
