"""A broker for each module of tests, and clients of it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from ark_broker.client import AsyncClient, Client
from tests.support.process import Broker


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker on SQLite for the whole module: tests tell their sessions apart by name."""
    directory = tmp_path_factory.mktemp("broker")
    broker = Broker(directory, {"database_url": f"sqlite:///{directory}/broker.db"})
    try:
        yield broker.start()
    finally:
        broker.close()


@pytest.fixture
async def client(running: Broker) -> AsyncIterator[AsyncClient]:
    """A client of the module's broker."""
    async with AsyncClient(running.url) as found:
        yield found


@pytest.fixture
def sync_client(running: Broker) -> Iterator[Client]:
    """The same without asyncio."""
    with Client(running.url) as found:
        yield found


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"
