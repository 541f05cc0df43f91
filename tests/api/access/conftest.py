"""Fixtures of the access tests: a broker with authentication on, and people with tokens of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from tests.support.api import Api, serve

ADMIN: Final = "an-operators-own-secret-0123456789"
#: Where no token is: as whoever has none asks.
NOBODY: Final = ""


def bearer(token: str) -> dict[str, str]:
    """The header that shows the token; none for nobody's."""
    return {"Authorization": f"Bearer {token}"} if token else {}


@dataclass
class Locked:
    """A broker that wants tokens."""

    api: Api
    #: Whoever has all permissions for all namespaces.
    operator: Api
    _clients: AsyncExitStack
    #: Every token that was made, to be looked for where none belongs.
    secrets: list[str] = field(default_factory=list)

    async def token(
        self, permissions: Sequence[str] | str, namespaces: Sequence[str] | None = None, **more: Any
    ) -> str:
        """A new token."""
        wanted: dict[str, Any] = {
            "name": f"{permissions} of {namespaces}",
            "permissions": [permissions] if isinstance(permissions, str) else list(permissions),
        }
        wanted |= {} if namespaces is None else {"namespaces": list(namespaces)}
        made = await self.operator.http.post("/v1/tokens", json=wanted | more)
        assert made.status_code == 201, made.text
        text: str = made.json()["token"]
        self.secrets.append(text)
        return text

    async def person(
        self, permissions: Sequence[str] | str, namespaces: Sequence[str] | None = None, **more: Any
    ) -> Api:
        """Somebody with a new token."""
        return await self.holder(await self.token(permissions, namespaces, **more))

    async def holder(self, token: str) -> Api:
        """Somebody with this token."""
        client = httpx.AsyncClient(base_url=self.api.http.base_url, timeout=30, headers=bearer(token))
        return Api(await self._clients.enter_async_context(client), self.api.services, self.api.logs)


@asynccontextmanager
async def locked_broker(database_url: str, **settings: Any) -> AsyncIterator[Locked]:
    """A broker with `auth`, and the operator's token `ADMIN`."""
    async with serve(database_url, auth=True, admin_token=ADMIN, **settings) as api, AsyncExitStack() as clients:
        found = Locked(api, api, clients)
        found.operator = await found.holder(ADMIN)
        yield found


@pytest.fixture
async def locked(sqlite_url: str) -> AsyncIterator[Locked]:
    """On SQLite, for what does not depend on the database."""
    async with locked_broker(sqlite_url) as found:
        yield found


@pytest.fixture
async def each_locked(database_url: str) -> AsyncIterator[Locked]:
    """The test runs once on SQLite and once on PostgreSQL."""
    async with locked_broker(database_url) as found:
        yield found
