"""LLM completion chunks, one JSON value a line (NDJSON)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from ark_broker.model import Event, event_id
from ark_broker.model import vocabulary as v
from ark_broker.model.errors import BadInput, TooLarge
from ark_broker.receive.conventions.parts import MAX_DEPTH, nests_too_deep
from ark_broker.receive.fields import as_count, as_name, as_text, name

#: Members of an OpenAI `delta` that are something the model produced.
_PRODUCED: Final = (
    "content",
    "tool_calls",
    "reasoning",
    "reasoning_content",
    "refusal",
    "function_call",
    "audio",
)


class LineSplitter:
    """Cuts a stream of bytes into lines, as they become complete."""

    def __init__(self, max_line: int) -> None:
        self._max_line = max_line
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Lines that `data` completes, without their newline. Raises TooLarge for one that is too long."""
        *complete, rest = data.split(b"\n")
        lines = []
        for line in complete:
            if self._parts:
                self._hold(line)
                line = b"".join(self._parts)  # noqa: PLW2901 - the line as it is, with its beginning
                self._parts, self._held = [], 0
            elif len(line) > self._max_line:
                raise self._too_long()
            lines.append(line)
        if rest:
            self._hold(rest)
        return lines

    def finish(self) -> bytes | None:
        """The last line, where it has no newline."""
        if not self._parts:
            return None
        line = b"".join(self._parts)
        self._parts, self._held = [], 0
        return line

    def _hold(self, part: bytes) -> None:
        self._held += len(part)
        if self._held > self._max_line:
            raise self._too_long()
        self._parts.append(part)

    def _too_long(self) -> TooLarge:
        return TooLarge(f"a line is longer than {self._max_line} bytes", "body")


_ARK_FIELDS: Final = ("query", "session", "agent", "team", "model")


class ChunkReader:
    """Makes Events of one connection's lines. `clock` gives nanoseconds that never repeat."""

    def __init__(self, query: str, stream_id: str, connection: str, clock: Callable[[], int]) -> None:
        self._query = query
        self._stream_id = stream_id
        self._connection = connection
        self._clock = clock
        #: Number of the line that was read last, from 1.
        self.line_number = 0

    def read(self, line: bytes) -> Event | None:
        """The chunk's event; None for a blank line, and for `null`. Raises BadInput for no JSON, or too deep."""
        self.line_number += 1
        line = line.strip()
        if not line:
            return None
        try:
            chunk = orjson.loads(line)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise BadInput(f"not JSON: {str(error)[:200]}") from None
        if line.count(b"[") + line.count(b"{") > MAX_DEPTH and nests_too_deep(chunk):
            # Readers could not read it, and those of the whole log would come to it again and again.
            raise BadInput(f"nested deeper than {MAX_DEPTH} levels")
        if chunk is None:
            return None
        event = Event(
            id=event_id("chunk", self._connection, self.line_number),
            kind="chunk",
            type=v.LLM_CONTROL,
            time=self._clock(),
            # As it was sent: numbers, and the order of keys, are the producer's.
            body=line,
            query=self._query,
            stream_id=self._stream_id,
        )
        if isinstance(chunk, dict):
            _fill(event, chunk)
        return event


def completion_event(query: str, stream_id: str, time: int) -> Event:
    """The marker that ends a stream."""
    return Event(
        id=event_id(v.STREAM_COMPLETED, query, time),
        kind="chunk",
        type=v.STREAM_COMPLETED,
        time=time,
        body=b'"[DONE]"',
        query=query,
        stream_id=stream_id,
    )


def _fill(event: Event, chunk: dict[str, Any]) -> None:
    error, usage, kind = chunk.get("error"), chunk.get("usage"), chunk.get("type")
    if error is not None:
        event.type = v.LLM_ERROR
        event.status = "error"
        message = error.get("message") if isinstance(error, dict) else error
        event.error = as_text(message if message is not None else error)
    elif _produced(chunk.get("choices")):
        event.type = v.LLM_CHUNK
    elif isinstance(usage, dict):
        event.type = v.LLM_USAGE
        event.input_tokens = as_count(usage.get("prompt_tokens"))
        event.output_tokens = as_count(usage.get("completion_tokens"))
    elif isinstance(kind, str) and kind and "choices" not in chunk and kind not in v.RESERVED:
        event.type = as_name(kind)
        if kind in (v.APPROVAL_REQUEST, v.APPROVAL_RESPONSE) and (task := name(chunk.get("taskId"))) is not None:
            event.question_id = as_name(f"approval:{task}")
    if isinstance(model := chunk.get("model"), str) and model:
        event.model = as_name(model)
    if isinstance(ark := chunk.get("ark"), dict):
        _fill_from_ark(event, ark)


def _fill_from_ark(event: Event, ark: dict[str, Any]) -> None:
    """What Ark's executors say beside the chunk: `{"query", "session", "agent", "model", …}`.

    The one in Go has the query's UID as `query`, and the session as `session`. The Python SDK has the query's name as
    `query`, and the conversation as `session`.
    """
    found = {key: as_name(ark[key]) for key in _ARK_FIELDS if isinstance(ark.get(key), str) and ark[key]}
    event.agent = found.get("agent") or found.get("team") or event.agent
    event.model = found.get("model", event.model)
    query, session = found.get("query"), found.get("session")
    if query == event.query and query is not None:
        event.conversation_id = session
    else:
        event.query_uid, event.session_id = query, session


def _produced(choices: object) -> bool:
    if not isinstance(choices, list):
        return False
    for choice in choices:
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and any(delta.get(key) for key in _PRODUCED):
            return True
    return False
