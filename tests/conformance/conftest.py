"""Fixtures of the conformance tests: a broker in the test's own event loop, where no process is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.api import Api, StartApi, serve


@pytest.fixture
def start_api(sqlite_url: str) -> StartApi:
    """`async with start_api(max_body_bytes=…) as api`, on a fresh SQLite database."""
    return lambda **settings: serve(sqlite_url, **settings)


@pytest.fixture
async def each_api(database_url: str) -> AsyncIterator[Api]:
    """A broker with the default settings; the test runs once on SQLite and once on PostgreSQL."""
    async with serve(database_url) as found:
        yield found
