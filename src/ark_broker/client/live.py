"""Following a stream: takes it up again where it broke off, until it says that it is over.

A reader gets each frame once, in order, and none is missing: its cursor is the `id` of the last whole frame, and names
the log that it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from ark_broker.client.backoff import BackOff, asked_delay, may_pass_later
from ark_broker.client.errors import BrokerError, GapError, Refused
from ark_broker.client.sse import Frame, SseParser
from ark_broker.client.steps import Call, Emit, Open, Pause, Program, Read
from ark_broker.client.types import StreamHello

OnGap = Callable[[StreamHello], None]

#: Seconds. The broker speaks every 15 seconds unless it is told otherwise: whoever is silent longer is gone.
_SILENCE: Final = 60.0
_MEDIA: Final = "text/event-stream"
_DONE: Final = "[DONE]"


def follow(call: Call, *, on_gap: OnGap | None = None) -> Program[None]:
    """Emit the data of the stream's frames, decoded, for ever or until the stream says that this was all.

    Raises GapError, where nobody is told of a gap, and Refused for what will be refused again.
    """
    reader = _Reader(call, on_gap)
    back_off = BackOff()
    while not reader.over:
        reason: BrokerError | None = None
        try:
            yield from _connection(reader, back_off)
        except BrokerError as error:
            if not may_pass_later(error):
                raise
            reason = error
        if not reader.over:
            asked = asked_delay(reason) if reason else None
            yield Pause(back_off.next(reader.delay if asked is None else asked), reason)


def _connection(reader: _Reader, back_off: BackOff) -> Program[None]:
    """Read one connection to its end."""
    reader.begin()
    yield Open(reader.call(), silence=_SILENCE, media=_MEDIA)
    while data := (yield Read()):
        items = reader.take(data)
        if reader.greeted:
            back_off.succeeded()
        if items:
            yield Emit(items)
        if reader.over:
            return


class _Reader:
    """What is known of the stream over all its connections."""

    def __init__(self, call: Call, on_gap: OnGap | None) -> None:
        self._first = call
        self._on_gap = on_gap
        self._parser = SseParser()
        self._log: str | None = None
        #: Position of the last whole frame; None until the stream has said where it starts.
        self._position: str | None = None
        #: True once nothing more will come.
        self.over = False
        #: True once this connection's greeting was read.
        self.greeted = False
        #: Seconds to wait before coming back, where the broker has said that it goes away.
        self.delay: float | None = None

    def begin(self) -> None:
        """A new connection."""
        self._parser, self.greeted, self.delay = SseParser(), False, None

    def call(self) -> Call:
        """The request that goes on behind what was read."""
        if self._position is None:
            return self._first
        cursor = f"{self._log}:{self._position}" if self._log else self._position
        parameters = {key: value for key, value in self._first.parameters.items() if key not in ("after", "from")}
        return replace(self._first, parameters=parameters, headers={**self._first.headers, "last-event-id": cursor})

    def take(self, data: bytes) -> list[Any]:
        """Items that these bytes bring."""
        items: list[Any] = []
        for frame in self._parser.feed(data):
            match frame.event:
                case "hello":
                    self._greet(_decoded(frame, ("recovered", "log", "from")))
                case "reconnect":
                    self.delay = (self._parser.retry or 0) / 1000
                case "end":
                    self.over = True
                case "message":
                    self._item(frame, items)
            if self.over:
                break
        return items

    def _item(self, frame: Frame, items: list[Any]) -> None:
        if frame.data == _DONE:
            self.over = True
            return
        items.append(_decoded(frame))
        if frame.id:
            self._position = frame.id

    def _greet(self, hello: StreamHello) -> None:
        self.greeted = True
        if hello["recovered"] is False:
            if self._on_gap is None:
                raise GapError(hello)
            self._on_gap(hello)
        self._log, self._position = hello["log"], str(hello["from"])


def _decoded(frame: Frame, needs: tuple[str, ...] = ()) -> Any:
    """The frame's JSON. Raises Refused for what no broker sends."""
    try:
        found = json.loads(frame.data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or any(name not in found for name in needs):
        raise Refused(200, f"the stream has a {frame.event!r} that cannot be read: is this a broker?")
    return found
