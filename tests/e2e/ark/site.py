"""Everything of one deployment that a test looks at: brokers, and Ark's programs around them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.ark.event_source import Message, Parser, connect
from tests.e2e.ark.remote import Program
from tests.support.process import Broker


def a_query(name: str, session: str, conversation: str = "", ttl: int | None = None) -> dict[str, Any]:
    """A Query resource, as the executor's commands take it."""
    return {"name": name, "uid": str(uuid4()), "session": session, "conversation": conversation, "ttl": ttl}


class Waiting:
    """A reader of what comes from now on."""

    def __init__(self, pieces: AsyncGenerator[tuple[Parser, list[Message]], None]) -> None:
        self._pieces = pieces

    async def chunks(self) -> list[Any]:
        """All of it, until the stream ends; the end itself as `[DONE]`."""
        async with asyncio.timeout(20):
            found = [message.data async for _, messages in self._pieces for message in messages]
        return [data if data == "[DONE]" else json.loads(data) for data in found]


@dataclass
class Site:
    """One or more brokers on one database, and the programs. Memory `n` is broker `n`."""

    brokers: Sequence[Broker]
    memories: Sequence[str]
    ark_api: Program
    go: Program
    sdk: Program
    dashboard: Program
    proxy: str = ""

    async def resolve(self) -> None:
        """Tell ark-api where the brokers are."""
        self.proxy = await self.ark_api.call("url")
        for memory, broker in zip(self.memories, self.brokers, strict=True):
            await self.ark_api.call("resolve", memory=memory, address=broker.url)

    @property
    def url(self) -> str:
        """Address of the first broker."""
        return self.brokers[0].url

    # -- asking

    async def get(self, path: str, /, **params: Any) -> Any:
        """JSON of the first broker; must be 200."""
        return await _json("GET", f"{self.url}{path}", params)

    async def proxied(self, path: str, /, replica: int = 0, **params: Any) -> Any:
        """JSON through ark-api; must be 200."""
        return await _json("GET", f"{self.proxy}{path}", {"memory": self.memories[replica], **params})

    async def request(self, method: str, path: str, /, **params: Any) -> httpx.Response:
        """Whatever ark-api answers."""
        async with httpx.AsyncClient(timeout=30, verify=False) as client:
            return await client.request(method, f"{self.proxy}{path}", params={"memory": self.memories[0], **params})

    async def every(self, path: str, /, limit: int = 1000, **params: Any) -> list[Any]:
        """All pages of one of the broker's lists."""
        items: list[Any] = []
        cursor: dict[str, Any] = {}
        while True:
            page = await self.get(path, **params, **cursor, limit=limit)
            items += page["items"]
            if not page["hasMore"]:
                return items
            cursor = {"cursor": page["nextCursor"]}

    async def log(self, kind: str | None = None) -> list[Any]:
        """Every event of the broker's own log (`/v1/events`), or those of one kind."""
        items: list[Any] = []
        after, more = 0, True
        while more:
            page = await self.get("/v1/events", after=after, limit=1000)
            items += page["items"]
            after, more = page["next"], page["more"]
        return [item for item in items if kind is None or item["kind"] == kind]

    # -- the dashboard

    async def open(
        self, name: str, tab: str, *, replica: int = 0, resume: str = "cursor", seed: int | None = None
    ) -> None:
        """Open a tab, through ark-api, or (`resume="header"`) at the broker itself; returns when it is live."""
        direct = resume == "header"
        await self.dashboard.call(
            "open",
            name=name,
            base=self.brokers[replica].url if direct else self.proxy,
            tab=tab,
            resume=resume,
            seed=seed,
            params={} if direct else {"memory": self.memories[replica]},
        )
        if seed is None:
            await self.dashboard.call("connected", name=name)

    async def chat(self, name: str, query: str, *, replica: int = 0) -> None:
        """Open a chat on a query, whether it runs already or not."""
        await self.dashboard.call("chat", name=name, base=self.proxy, query=query, memory=self.memories[replica])

    @asynccontextmanager
    async def waiting(self, query: str) -> AsyncIterator[Waiting]:
        """A reader at the broker itself, who asks for no more than what is still to come."""
        async with aclosing(connect(f"{self.url}/stream/{query}", {})) as pieces:
            # The greeting: from then on it misses nothing.
            await anext(pieces)
            yield Waiting(pieces)

    async def said(self, name: str, count: int = 0, *, ended: bool = True) -> dict[str, Any]:
        """What a chat shows once its stream has ended, or once `count` chunks came."""
        found: dict[str, Any] = await self.dashboard.call("said", name=name, count=count, ended=ended)
        return found

    async def shown(self, name: str, count: int) -> dict[str, Any]:
        """What a tab shows once it shows `count` items."""
        found: dict[str, Any] = await self.dashboard.call("shown", name=name, count=count)
        return found


async def _json(method: str, url: str, params: Mapping[str, Any]) -> Any:
    async with httpx.AsyncClient(timeout=30, verify=False) as client:
        response = await client.request(method, url, params=dict(params))
    assert response.status_code == 200, f"{response.url}: {response.status_code} {response.text[:2000]}"
    return response.json()
