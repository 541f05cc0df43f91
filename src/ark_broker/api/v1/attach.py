"""One OpenAI client that reads one query: what it gets, when that is over, and how it ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sse_starlette import EventSourceResponse
from starlette.responses import Response

from ark_broker.api.services import Services
from ark_broker.api.sse import DONE, KEEP_ALIVE, LiveStream, frame
from ark_broker.api.v1.frames import belongs
from ark_broker.api.v1.queries import GRACE_SECONDS, _last_position
from ark_broker.log.database import is_unavailable
from ark_broker.log.scope import Scope
from ark_broker.log.tail import Burst, Format, Item
from ark_broker.model import Event
from ark_broker.model.errors import LogUnavailable
from ark_broker.model.vocabulary import LLM_CHUNK, LLM_ERROR
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.conventions.exchange import exchange
from ark_broker.sessions.attached import Attached, finish_reason_of, openai_chunk, own_chunk
from ark_broker.sessions.completions import StreamEnd, consumer_data, is_end
from ark_broker.sessions.conversation import Conversation
from ark_broker.sessions.summary import QuerySummary

#: Events that one completion is made of, at most.
_MOST_EVENTS: Final = 50_000
#: What a client is told that is still reading when the process stops.
_SHUTDOWN: Final = {
    "message": "the broker is shutting down: attach again",
    "type": "server_error",
    "param": None,
    "code": "shutting_down",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to attach."""

    query: str
    namespace: str | None = None
    session: str | None = None
    stream: bool = False
    events: bool = False
    #: Whether the last chunk is to say what was used.
    usage: bool = False
    from_now: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """How a query ended that was not done."""

    code: str
    message: str


def failure_json(failure: Failure) -> dict[str, object]:
    """The failure as OpenAI would say it."""
    return {"message": failure.message, "type": "server_error", "param": None, "code": failure.code}


def openai_error(
    status: int, error: Mapping[str, object], request_id: str | None, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of that status in OpenAI's shape."""
    content = dict(error) | ({} if request_id is None else {"requestId": request_id})
    return Response(
        orjson.dumps({"error": content}),
        status_code=status,
        media_type="application/json",
        headers=dict(headers or {}),
    )


def chunk_format(*, events: bool, session_id: str | None, namespace: str | None) -> Format:
    """OpenAI chunks, with the query's other events between them where `events`. Errors are left to the end."""

    def encode(item: Item, _position: int) -> bytes:
        assert isinstance(item, Event)
        if not belongs(item, session_id, namespace):
            return b""
        chunk = openai_chunk(item)
        if chunk is not None:
            return frame(_encoded(chunk, item))
        data = consumer_data(item, describe) if events and item.type != LLM_ERROR else None
        return b"" if data is None else frame(data)

    return Format(f"openai:{events}:{session_id!r}:{namespace!r}", encode)


def _encoded(chunk: Mapping[str, object], event: Event) -> bytes:
    try:
        return orjson.dumps(chunk)
    except orjson.JSONEncodeError:
        # It nests deeper than can be written, though not deeper than can be read: it stays as it was posted.
        return event.body


class Attachment:
    """Follows a query until it is over."""

    def __init__(
        self, services: Services, asked: Asked, name: str, session_id: str | None, head: int, last: int
    ) -> None:
        self._services = services
        self._asked = asked
        self.name = name
        self._session_id = session_id
        #: Positions of the end of the log when the client came, and of the query's end, where it was over; else 0.
        self._head, self._last = head, last
        self._after = head if asked.from_now else 0
        self._nothing_left = 0 < last <= self._after
        self._end = StreamEnd()
        #: The error chunk after which nothing was produced.
        self._error: Event | None = None
        self._streamed = self._finished = self._said_usage = False
        self.over = False

    @classmethod
    async def to(cls, services: Services, asked: Asked, found: tuple[QuerySummary, int] | None) -> Attachment:
        """Attach to the query that was found; None for one of which only events without a session are known."""
        name = asked.query if found is None else found[0].name
        session_id = asked.session if found is None else found[0].session_id
        head = await services.reader.head()
        last = await _last_position(services, name, found)
        return cls(services, asked, name, session_id, head.seq, last)

    def response(self) -> EventSourceResponse:
        """The response that streams it."""
        return self._live(ends=True).response()

    async def wait(self) -> None:
        """Returns once the query is over. Raises LogUnavailable where the process stops before."""
        async for _ in self._live(ends=False).frames():
            pass
        if not self.over:
            raise LogUnavailable(str(_SHUTDOWN["message"]))

    def _live(self, *, ends: bool) -> _Stream:
        return _Stream(
            self._services,
            Scope("query", self.name),
            chunk_format(events=self._asked.events, session_id=self._session_id, namespace=self._asked.namespace),
            self._after,
            # Plain chunks only: a comment is passed over by every reader, and shows that somebody is there.
            KEEP_ALIVE,
            inspect=self._inspect,
            on_silence=self._on_silence,
            patience=self._patience,
            farewell=frame(orjson.dumps({"error": _SHUTDOWN})),
            attachment=self if ends else None,
        )

    def _inspect(self, burst: Burst) -> tuple[bytes, bool]:
        for item in burst.items:
            if isinstance(item, Event) and self._is_ours(item):
                self._take(item)
        if burst.last >= self._last:
            is_complete = self._end.over and not self._end.open_chunks
            # An error that is history may have been got over; one that comes now is the end.
            self.over = self._last > 0 or is_complete or (self._error is not None and burst.last >= self._head)
        return burst.data, self.over

    def _take(self, event: Event) -> None:
        self._end.add(event)
        if event.kind != "chunk":
            return
        if event.type == LLM_ERROR:
            self._error = event
        elif not is_end(event):
            self._error = None
        if event.type == LLM_CHUNK:
            self._streamed, self._finished = True, False
        if b"finish_reason" in event.body and finish_reason_of(event) is not None:
            self._finished = True
        self._said_usage = self._said_usage or (b'"usage"' in event.body and event.input_tokens is not None)

    def _is_ours(self, event: Event) -> bool:
        return belongs(event, self._session_id, self._asked.namespace)

    def _patience(self) -> float:
        if self._nothing_left:
            return 0.0
        return GRACE_SECONDS if self._end.over else 3600.0

    def _on_silence(self, _seconds: float) -> tuple[bytes, bool]:
        self.over = self._nothing_left or self._end.over
        return (b"", True) if self.over else (KEEP_ALIVE, False)

    async def failure(self) -> Failure | None:
        """How the query failed, if it did."""
        found = await self._services.reader.find_queries(self.name, self._asked.namespace, self._session_id)
        summary = found[0][0] if self._session_id is not None and len(found) == 1 else None
        phase = None if summary is None else summary.phase
        if phase == "error" or (self._error is not None and phase != "done"):
            said = self._error.error if self._error is not None else None
            said = (None if summary is None else summary.error) or said
            return Failure("query_failed", said or "the query failed")
        if phase == "canceled":
            return Failure("query_canceled", "the query was canceled")
        return None

    async def gather(self) -> tuple[Attached, str | None]:
        """The completion that the query's events make up, and what it says where nothing was streamed."""
        attached, conversation = Attached(self.name), Conversation(exchange)

        def take(event: Event) -> None:
            if self._is_ours(event) and (self._session_id is None or event.session_id == self._session_id):
                attached.add(event)
                conversation.add(event)

        async with self._services.reader.snapshot() as connection:
            await self._services.reader.each(Scope("query", self.name), 0, _MOST_EVENTS, take, connection=connection)
        return attached, None if attached.message is not None else _last_answer(conversation)

    async def ending(self) -> bytes:
        """The last frames of a stream that is over."""
        try:
            return await self._ending()
        except Exception as error:
            if not is_unavailable(error):
                raise
            away = Failure("unavailable", "the database is not available: attach again")
            return frame(orjson.dumps({"error": failure_json(away)})) + DONE

    async def _ending(self) -> bytes:
        failure = await self.failure()
        if failure is not None:
            return frame(orjson.dumps({"error": failure_json(failure)})) + DONE
        frames: list[dict[str, Any]] = []
        now = time.time_ns()
        wants_text = not self._streamed and not self._asked.from_now
        wants_usage = self._asked.usage and not self._said_usage
        attached, text = await self.gather() if wants_text or wants_usage else (None, None)
        if wants_text and text is not None:
            frames.append(own_chunk(self.name, now, {"role": "assistant", "content": text}))
        if not self._finished:
            frames.append(own_chunk(self.name, now, {}, finish_reason="stop"))
        if wants_usage and attached is not None:
            frames.append(own_chunk(self.name, now, None, usage=attached.usage))
        return b"".join([*(frame(orjson.dumps(each)) for each in frames), DONE])


@dataclass(slots=True)
class _Stream(LiveStream):
    """The live stream, with an ending that has to be looked up."""

    attachment: Attachment | None = None

    def frames(self) -> AsyncIterator[bytes]:
        """What is written."""
        return self._frames()

    async def _frames(self) -> AsyncIterator[bytes]:
        async for data in LiveStream._frames(self):
            yield data
        if self.attachment is not None and self.attachment.over:
            yield await self.attachment.ending()


async def completion_of(attachment: Attachment) -> dict[str, object]:
    """The whole `chat.completion` of a query that is over."""
    attached, text = await attachment.gather()
    return attached.completion(text)


def _last_answer(conversation: Conversation) -> str | None:
    for part in reversed(conversation.build()):
        messages = part["messages"]
        for message in reversed(messages if isinstance(messages, list) else []):
            content = message.get("content")
            if message.get("role") == "assistant" and isinstance(content, str):
                return content
    return None
