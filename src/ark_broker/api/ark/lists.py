"""Pages and live streams of one sort of event, as all of Ark's resources have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ark_broker.api.ark import parameters
from ark_broker.api.services import Services
from ark_broker.api.sse import LiveStream, frame
from ark_broker.log.ark import count
from ark_broker.log.read import Stride
from ark_broker.log.scope import Scope
from ark_broker.log.tail import Format, Item
from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.model.vocabulary import TOMBSTONES

CONNECTED: Final = b": connected\n\n"
HEARTBEAT: Final = b": heartbeat\n\n"
#: Bytes of a page, about: a page of long items ends early, and says that there is more.
_PAGE_BYTES: Final = 32 * 1024 * 1024
#: Bytes read at once, about.
_STEP_BYTES: Final = 2 * 1024 * 1024

#: An event at its position, as one line of JSON.
Render = Callable[[Event, int], bytes]


@dataclass(frozen=True, slots=True)
class Envelope:
    """`{"items", "total"?, "hasMore", "nextCursor"?, "watchCursor"}`

    `total` is left out where there are too many to count. `watchCursor`: who follows the stream from there misses
    nothing that came after this page was read.
    """

    items: list[bytes]
    more: bool
    next: int
    total: int | None
    head: int

    def response(self, **extra: object) -> Response:
        """As JSON."""
        rest: dict[str, object] = {} if self.total is None else {"total": self.total}
        rest |= {"hasMore": self.more, **({"nextCursor": self.next} if self.more else {}), **extra}
        rest["watchCursor"] = self.head
        content = b'{"items":[' + b",".join(self.items) + b"]," + orjson.dumps(rest)[1:]
        return Response(content, media_type="application/json")


async def page(
    services: Services, scope: Scope, render: Render, *, after: int, limit: int, query: str | None = None
) -> Response:
    """The stream's events after a position, rendered."""
    items: list[bytes] = []
    size = 0
    async with services.reader.snapshot() as connection:
        head = await services.reader.head(connection)
        more = True
        stride = Stride(_STEP_BYTES)
        while more and len(items) < limit and size < _PAGE_BYTES:
            # One more than is wanted tells whether anything follows.
            wanted = min(stride.rows, limit - len(items))
            found = await services.reader.page(scope, after, wanted + 1, query=query, connection=connection)
            stride.took(found.events)
            for event in found.events[:wanted]:
                items.append(render(event, scope.position(event) or 0))
                size += len(items[-1])
            more = found.more or len(found.events) > wanted
            after = (scope.position(found.events[wanted - 1]) or 0) if len(found.events) > wanted else found.next
            if not found.events:
                break
        total = await count(connection, scope, query=query)
    return Envelope(items, more, after, total, head.seq).response()


async def watch(request: Request, services: Services, scope: Scope, form: Format, after: int | None) -> Response:
    """The stream, live: after position `after`, or from now on for None (see `resumed_after`)."""
    start = await resumed_after(request, services, after, scope.kind)
    return LiveStream(
        services, scope, form, start, CONNECTED, on_silence=lambda _seconds: (HEARTBEAT, False), farewell=b""
    ).response()


async def resumed_after(request: Request, services: Services, after: int | None, scope_kind: str = "log") -> int:
    """The position after which a stream starts: `Last-Event-ID` goes before `after`, None means now.

    Who comes with a position that this log has not reached yet, from another log perhaps, is not left to wait for it.
    Raises BadInput.
    """
    resumed = request.headers.get("last-event-id")
    if resumed:
        if not (resumed.isascii() and resumed.isdigit() and len(resumed) <= 19):
            raise BadInput("must be a position: the `id:` of a frame", "Last-Event-ID")
        after = int(resumed)
    if scope_kind == "sessions" and after:
        # All sessions that one commit changed have its position: who got one of them may not have got the others.
        after -= 1
    if after is None or after > services.tail.head:
        head = (await services.reader.head()).seq
        return head if after is None else min(after, head)
    return after


def feed_format(key: str, render: Render, keep: Callable[[Event], bool] = lambda _event: True) -> Format:
    """Frames of the events that are kept: `id:`, and one line of `data:`."""

    def encode(item: Item, position: int) -> bytes:
        if not isinstance(item, Event) or item.type in TOMBSTONES or not keep(item):
            return b""
        return frame(render(item, position), position=position)

    return Format(key, encode)


def start_of(request: Request, *, from_beginning: bool = False) -> int | None:
    """Where a watch starts: behind `cursor`, at the beginning, or (None) now. Raises BadInput."""
    cursor = parameters.strict_cursor(request)
    return 0 if cursor is None and from_beginning else cursor
