"""The parser of an event stream: bytes in, frames out, by WHATWG HTML § 9.2.6.

It does no I/O, and takes the bytes however they were cut.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event that was dispatched. `id` is the last that was seen, also in an earlier frame."""

    event: str
    data: str
    id: str


class SseParser:
    """Makes frames of a stream's bytes. What stands behind the last blank line when the stream ends is no frame."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        #: The beginning of a line whose end has not come yet.
        self._parts: list[str] = []
        self._at_start = True
        #: The last character was CR: an LF that comes next belongs to it.
        self._after_cr = False
        self._event = ""
        self._data: list[str] = []
        self._id = ""
        #: The last event ID, once the frame that brought it was whole: what to come back with.
        self.last_id = ""
        #: Milliseconds to wait before coming back, where the stream has said so.
        self.retry: int | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that these bytes complete."""
        text = self._decode(data)
        if not text:
            return []
        if self._at_start:
            self._at_start = False
            text = text.removeprefix(_BOM)
        if self._after_cr and text:
            self._after_cr = False
            text = text.removeprefix("\n")
        if text.endswith("\r"):
            self._after_cr = True
        lines = _lines(text)
        lines[0] = "".join([*self._parts, lines[0]]) if len(lines) > 1 else lines[0]
        rest = lines.pop()
        if lines:
            self._parts = []
        if rest:
            self._parts.append(rest)
        return [frame for line in lines if (frame := self._take(line)) is not None]

    def _take(self, line: str) -> Frame | None:
        if not line:
            return self._dispatch()
        name, colon, value = line.partition(":")
        if colon:
            value = value.removeprefix(" ")
        # A comment has no name, and anything else is ignored as the specification wants it.
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = int(value[:9])
        return None

    def _dispatch(self) -> Frame | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        self.last_id = self._id
        if not data:
            return None
        return Frame(event or "message", "\n".join(data), self._id)


def _lines(text: str) -> list[str]:
    """Cut at CRLF, LF and CR, and nowhere else; the last piece has no end yet."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")
