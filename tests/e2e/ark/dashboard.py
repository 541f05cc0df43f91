"""Ark's dashboard: the tabs of its Broker page (pages first, then a watch), and its chat.

A tab reads pages until `hasMore` is false, then watches from where its last page began, which it thereby gets again: a
careful one takes that page from the watch alone. As often as it is cut it comes back, behind the last message it saw.
The old one knows no `id:` lines: it watches from where its last page began, and comes back without a cursor.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.e2e.ark.chat import Chat
from tests.e2e.ark.event_source import Message, Parser, Refused, connect
from tests.e2e.ark.remote import run_program, serve
from tests.support.waiting import until

#: Bytes that a connection lives at most, where connections are cut.
_LONGEST_LIFE: Final = 6_000
#: So many times a tab is cut at most: a message longer than a connection's life must come through at some time.
_MOST_CUTS: Final = 25
_RETRY_SECONDS: Final = 0.02
_PAGE_LIMIT: Final = "1000"
_PATIENCE_SECONDS: Final = 20


def _as_they_are(items: list[Any]) -> list[Any]:
    return items


def _chunks(items: list[Any]) -> list[Any]:
    return [item["data"]["chunk"] for item in items]


def _spans(items: list[Any]) -> list[Any]:
    return [span for trace in items for span in trace["spans"]]


@dataclass(frozen=True)
class Store:
    """What a tab shows."""

    #: Below ark-api's prefix, and at the broker itself.
    proxied: str
    direct: str
    #: From the items of a page to what the frames of the watch are.
    frames_of: Callable[[list[Any]], list[Any]] = _as_they_are
    #: Whether cursors of pages and of the watch are positions on the same scale.
    one_scale: bool = True


STORES: Final = {
    "traces": Store("/v1/broker/traces", "/traces", _spans, one_scale=False),
    "messages": Store("/v1/broker/messages", "/messages"),
    "chunks": Store("/v1/broker/chunks", "/stream", _chunks),
    "events": Store("/v1/broker/events", "/events"),
}
_SESSIONS: Final = Store("/v1/broker/sessions", "/sessions")


@dataclass
class Tab:
    """One open tab, and what it shows."""

    url: str
    params: dict[str, str]
    store: Store
    #: `cursor` (through the proxy, which hands on no headers), `header` (`Last-Event-ID`), or `old`: neither.
    resume: str
    #: None for connections that are left alone.
    chance: random.Random | None
    #: Items of pages that the watch does not bring again.
    paged: list[Any] = field(default_factory=list)
    #: Every item of every page.
    pages: list[Any] = field(default_factory=list)
    watched: list[Any] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    #: Frames with an `error`, and answers that were no stream.
    errors: list[Any] = field(default_factory=list)
    connections: int = 0
    connected: bool = False
    cuts: int = 0

    @property
    def items(self) -> list[Any]:
        return self.paged + self.watched

    async def run(self) -> None:
        """Pages, then the watch, for ever."""
        cursor = await self._read_pages()
        while True:
            with suppress(httpx.HTTPError):
                await self._watch(cursor)
            self.connected = False
            cursor = None if self.resume == "old" else (self.ids[-1] if self.ids else cursor)
            # Not the three seconds of the real one: nothing depends on how long it is.
            await asyncio.sleep(_RETRY_SECONDS)

    async def _read_pages(self) -> str | None:
        """All pages; returns the cursor that the watch is to begin with."""
        start: str | None = None
        async with httpx.AsyncClient(timeout=30, verify=False) as client:
            while True:
                cursor = {} if start is None else {"cursor": start}
                answer = await client.get(self.url, params=self.params | cursor | {"limit": _PAGE_LIMIT})
                page = answer.raise_for_status().json()
                frames = self.store.frames_of(page["items"])
                self.pages += frames
                if not page["hasMore"]:
                    break
                assert str(page["nextCursor"]) != start, "the cursor does not advance"
                start = str(page["nextCursor"])
                self.paged += frames
        if self.resume == "old":
            self.paged += frames if start is None else []
            return start
        if not self.store.one_scale:
            self.paged = []
            return "0"
        return start or "0"

    async def _watch(self, cursor: str | None) -> None:
        self.connections += 1
        params = self.params | {"watch": "true"}
        header = ""
        if cursor is not None and self.resume == "header":
            header = cursor
        elif cursor is not None:
            params["cursor"] = cursor
        try:
            async with aclosing(self._connect(params, header)) as pieces:
                async for parser, messages in pieces:
                    self.connected = self.connected or bool(parser.comments)
                    for message in messages:
                        self._take(message)
        except Refused as refusal:
            self.errors.append(str(refusal))

    def _connect(self, params: dict[str, str], header: str) -> AsyncGenerator[tuple[Parser, list[Message]], None]:
        life = None
        if self.chance is not None and self.cuts < _MOST_CUTS:
            self.cuts += 1
            life = self.chance.randint(1, _LONGEST_LIFE)
        return connect(self.url, params, last_event_id=header, cut_after=life)

    def _take(self, message: Message) -> None:
        item = json.loads(message.data)
        if isinstance(item, dict) and set(item) == {"error"}:
            self.errors.append(item)
            return
        self.watched.append(item)
        if message.last_event_id:
            self.ids.append(message.last_event_id)

    def shown(self) -> dict[str, Any]:
        """What a test is told."""
        return {
            "items": self.items,
            "pages": self.pages,
            "ids": self.ids,
            "errors": self.errors,
            "connections": self.connections,
        }


class SessionsTab(Tab):
    """The Sessions tab has no pages: the watch begins with every session as it is."""

    @property
    def items(self) -> list[Any]:
        newest = {frame["sessionId"]: frame["session"] for frame in self.watched}
        return sorted(newest.values(), key=lambda session: str(session["sessionId"]))

    async def _read_pages(self) -> str | None:
        return None


class Dashboard:
    """The commands of the program."""

    def __init__(self) -> None:
        self._tabs: dict[str, Tab] = {}
        self._chats: dict[str, Chat] = {}
        self._running: list[asyncio.Task[None]] = []

    async def open(
        self,
        name: str,
        base: str,
        tab: str,
        resume: str = "cursor",
        seed: int | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        """Open a tab. `base` is ark-api's address, or for `resume="header"` the broker's own."""
        store = _SESSIONS if tab == "sessions" else STORES[tab]
        url = base + (store.direct if resume == "header" else store.proxied)
        make = SessionsTab if tab == "sessions" else Tab
        opened = make(url, dict(params or {}), store, resume, None if seed is None else random.Random(seed))
        self._tabs[name] = opened
        self._keep(opened.run())

    async def connected(self, name: str) -> None:
        """Return once the tab's watch is greeted: it misses nothing from then on."""

        async def greeted() -> bool:
            self._raise_failures()
            return self._tabs[name].connected

        await until(greeted, timeout=_PATIENCE_SECONDS, what=f"tab {name} to be connected")

    async def shown(self, name: str, count: int = 0) -> dict[str, Any]:
        """What the tab shows, once it shows so many items."""
        tab = self._tabs[name]

        async def enough() -> bool:
            self._raise_failures()
            return len(tab.items) >= count

        with suppress(AssertionError):
            # Whoever asked compares, and sees what is missing.
            await until(enough, timeout=_PATIENCE_SECONDS)
        return tab.shown()

    async def shown_with(self, name: str, items: list[Any]) -> dict[str, Any]:
        """What the tab shows, once it shows exactly these items: for a tab whose items change."""
        tab = self._tabs[name]

        async def the_same() -> bool:
            self._raise_failures()
            return tab.items == items

        with suppress(AssertionError):
            await until(the_same, timeout=_PATIENCE_SECONDS)
        return tab.shown()

    async def chat(self, name: str, base: str, query: str, memory: str = "default") -> None:
        """Follow a query's answer through the proxy, whether it runs already or not; returns once connected."""
        chat = Chat(base, query, memory)
        self._chats[name] = chat
        self._keep(chat.run())

        async def greeted() -> bool:
            self._raise_failures()
            return chat.connected

        await until(greeted, timeout=_PATIENCE_SECONDS, what=f"chat {name} to be connected")

    async def said(self, name: str, count: int = 0, *, ended: bool = True) -> dict[str, Any]:
        """What the chat shows: once its stream has ended, or (`ended=False`) once so many chunks came."""
        chat = self._chats[name]

        async def enough() -> bool:
            self._raise_failures()
            return chat.ended if ended else len(chat.chunks) >= count

        with suppress(AssertionError):
            await until(enough, timeout=_PATIENCE_SECONDS)
        return chat.shown()

    async def close(self) -> None:
        """Close every tab and chat."""
        for task in self._running:
            task.cancel()
        # What went wrong in one of them was told to whoever asked for it.
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
        self._tabs.clear()
        self._chats.clear()

    def _keep(self, work: Any) -> None:
        self._running.append(asyncio.create_task(work))

    def _raise_failures(self) -> None:
        for task in self._running:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error


async def main() -> None:
    dashboard = Dashboard()
    await serve(
        {
            "open": dashboard.open,
            "connected": dashboard.connected,
            "shown": dashboard.shown,
            "shown_with": dashboard.shown_with,
            "chat": dashboard.chat,
            "said": dashboard.said,
            "close": dashboard.close,
        }
    )
    await dashboard.close()


if __name__ == "__main__":
    run_program(main)
