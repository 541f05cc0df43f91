"""A log on a fresh database of either kind, with its writer, reader and tail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from ark_broker.log import schema
from ark_broker.log.database import Database, open_database
from ark_broker.log.read import Reader
from ark_broker.log.scope import WHOLE_LOG
from ark_broker.log.tail import Tail
from ark_broker.log.writer import Writer
from ark_broker.model import Event


@dataclass
class Log:
    """The parts of one process."""

    database: Database
    reader: Reader
    tail: Tail
    writer: Writer

    async def events(self) -> list[Event]:
        return (await self.reader.page(WHOLE_LOG, 0, 100_000)).events

    async def close(self) -> None:
        await self.writer.close()
        await self.tail.close()
        await self.database.close()


async def open_log(url: str, *, queue_bytes: int = 2**26, ring_bytes: int = 2**20, commit_max: int = 2000) -> Log:
    database = open_database(url, timeout_seconds=60)
    await schema.migrate(database)
    reader = Reader(database)
    tail = Tail(reader, ring_bytes=ring_bytes, coalesce_seconds=0.01)
    writer = Writer(database, tail.publish, queue_bytes=queue_bytes, commit_max_events=commit_max)
    await tail.start()
    writer.start()
    return Log(database, reader, tail, writer)


@pytest.fixture
async def log(sqlalchemy_url: str) -> AsyncIterator[Log]:
    found = await open_log(sqlalchemy_url)
    yield found
    await found.close()


@pytest.fixture
async def two_logs(postgres_url: str) -> AsyncIterator[tuple[Log, Log]]:
    """Two processes' parts on one PostgreSQL; they hear of each other only where the test says so."""
    url = postgres_url.replace("postgresql://", "postgresql+asyncpg://")
    async with AsyncExitStack() as stack:
        logs = []
        for _ in range(2):
            found = await open_log(url)
            stack.push_async_callback(found.close)
            logs.append(found)
        yield logs[0], logs[1]
