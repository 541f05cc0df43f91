"""A browser's EventSource as the HTML standard has it (9.2.6), fed with bytes: it may be cut anywhere."""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

import httpx

#: Only connecting has a deadline: a stream may be silent for long.
_TIMEOUT: Final = httpx.Timeout(10.0, read=60.0)


@dataclass(frozen=True, slots=True)
class Message:
    """What `onmessage` is given."""

    data: str
    event: str
    #: `lastEventId`: of this message, or of an earlier one that had an id.
    last_event_id: str


class Parser:
    """Makes messages of bytes. A frame that is not ended by a blank line is no message."""

    def __init__(self, last_event_id: str = "") -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._data: list[str] = []
        self._event = ""
        self._id = last_event_id
        #: What goes into `Last-Event-ID` at the next connection.
        self.last_event_id = last_event_id
        #: Lines that began with a colon.
        self.comments: list[str] = []

    def feed(self, content: bytes) -> list[Message]:
        """Messages that these bytes complete."""
        text = self._rest + self._decoder.decode(content)
        # A carriage return at the end may be the first half of a line's end.
        held = "\r" if text.endswith("\r") else ""
        lines = text.removesuffix(held).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop() + held
        return [message for line in lines if (message := self._line(line)) is not None]

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not field and colon:
            self.comments.append(value)
        elif field == "data":
            self._data.append(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> Message | None:
        self.last_event_id = self._id
        data, event = self._data, self._event
        self._data, self._event = [], ""
        if not data:
            return None
        return Message("\n".join(data), event or "message", self._id)


class Refused(Exception):
    """The answer was no event stream: an EventSource gives up."""


async def connect(
    url: str, params: dict[str, str], *, last_event_id: str = "", cut_after: int | None = None
) -> AsyncGenerator[tuple[Parser, list[Message]], None]:
    """One connection: the parser, and what each piece of content completed.

    Ends with the stream, or after `cut_after` bytes, in the middle of whatever is there. Raises Refused, and
    httpx.HTTPError where the connection breaks.
    """
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    parser = Parser(last_event_id)
    async with (
        httpx.AsyncClient(timeout=_TIMEOUT, verify=False) as client,
        client.stream("GET", url, params=params, headers=headers) as response,
    ):
        kind = response.headers.get("content-type", "")
        if response.status_code != 200 or not kind.startswith("text/event-stream"):
            raise Refused(f"{response.status_code} {kind} {(await response.aread())[:2000]!r}")
        async for content in response.aiter_bytes():
            if cut_after is None:
                yield parser, parser.feed(content)
                continue
            yield parser, parser.feed(content[:cut_after])
            cut_after -= len(content)
            if cut_after <= 0:
                return
