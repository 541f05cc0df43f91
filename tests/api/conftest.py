"""Fixtures of the route tests: a broker in the test's own event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.api import Api, StartApi, serve


@pytest.fixture
def start_api(sqlite_url: str) -> StartApi:
    """`async with start_api(heartbeat_seconds=…) as api`, on a fresh SQLite database."""
    return lambda **settings: serve(sqlite_url, **settings)


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    """A broker with the default settings on SQLite, for what does not depend on the database."""
    async with serve(sqlite_url) as found:
        yield found


@pytest.fixture
async def each_api(database_url: str) -> AsyncIterator[Api]:
    """A broker with the default settings; the test runs once on SQLite and once on PostgreSQL."""
    async with serve(database_url) as found:
        yield found
