"""A log on a migrated database, and deliveries from it to receivers that really listen."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from ark_broker.app import migrate
from ark_broker.deliver import cursor, deliveries
from ark_broker.deliver.cursor import Timing
from ark_broker.deliver.deliveries import Deliveries
from ark_broker.deliver.guard import Policy
from ark_broker.log.database import Database, open_database
from ark_broker.log.read import Reader
from ark_broker.log.tables import cursors
from ark_broker.log.tail import Tail
from ark_broker.log.writer import Writer
from ark_broker.receive.otlp import decode_traces
from ark_broker.settings import load_settings
from tests.support.otlp import traces
from tests.support.postgres import create_database, drop_database
from tests.support.receivers import Receiver, a_receiver, listening

#: Of the tests. A lease as in earnest: a process that is held up for a second has not died, and what it has sent is not
#: sent again.
QUICK = Timing(lease=30.0, renew=0.4, stand_by=0.1, idle=5.0)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end may take its time: what a busy machine does not finish in a second or two would be done again."""
    for module, name in (
        (deliveries, "_FINISH_SECONDS"),
        (deliveries, "_UNDO_SECONDS"),
        (cursor, "_WRITE_SECONDS"),
        (cursor, "_RELEASE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 20.0)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema in it, to copy."""
    file = tmp_path_factory.mktemp("migrated") / "broker.db"
    migrate(load_settings({"database_url": f"sqlite:///{file}"}))
    return file


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A fresh SQLite database, migrated."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'broker.db')}"


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server_url: str) -> Iterator[str]:
    """A PostgreSQL database with the schema in it, to copy."""
    url = create_database(postgres_server_url)
    migrate(load_settings({"database_url": url}))
    yield url
    drop_database(postgres_server_url, url)


@pytest.fixture
def postgres_url(postgres_server_url: str, migrated_postgres: str) -> Iterator[str]:
    """A fresh PostgreSQL database, migrated."""
    url = create_database(postgres_server_url, migrated_postgres)
    yield url
    drop_database(postgres_server_url, url)


@dataclass
class Process:
    """The parts of one process. Another one on the same database is another `Process`."""

    database: Database
    reader: Reader
    tail: Tail
    writer: Writer
    stack: AsyncExitStack

    async def deliveries(self, **settings: Any) -> Deliveries:
        """Deliveries, started; closed at the end of the test, if not before."""
        given = {"timing": QUICK, "jitter": lambda: 0.0, "look_seconds": 0.2, "policy": Policy(True, True)}
        found = Deliveries(self.database, self.reader, self.tail, **(given | settings))
        await found.start()
        self.stack.push_async_callback(found.close)
        return found

    async def expire_leases(self) -> None:
        """As if their time had passed: whoever died holds nothing any more."""
        async with self.database.writer.begin() as connection:
            await connection.execute(update(cursors).values(lease_until=0))

    async def spans(self, *names: str, **fields: Any) -> None:
        """Store a span of each name."""
        spans = [{"name": name, "number": abs(hash(name)) % 2**62 + 1} | fields for name in names]
        events = decode_traces(traces(*spans).SerializeToString(), "protobuf").events
        appended = await self.writer.append(events)
        assert appended.stored == len(names)


async def open_process(url: str, stack: AsyncExitStack) -> Process:
    database = open_database(load_settings({"database_url": url}).sqlalchemy_url, timeout_seconds=60)
    stack.push_async_callback(database.close)
    reader = Reader(database)
    tail = Tail(reader, ring_bytes=2**20, coalesce_seconds=0.01)
    writer = Writer(database, tail.publish, queue_bytes=2**26)
    await tail.start()
    stack.push_async_callback(tail.close)
    writer.start()
    stack.push_async_callback(writer.close)
    return Process(database, reader, tail, writer, stack)


@pytest.fixture
async def process(database_url: str) -> AsyncIterator[Process]:
    """The test runs once on SQLite and once on PostgreSQL."""
    async with AsyncExitStack() as stack:
        yield await open_process(database_url, stack)


@pytest.fixture
async def sqlite_process(sqlite_url: str) -> AsyncIterator[Process]:
    """For what does not depend on the database."""
    async with AsyncExitStack() as stack:
        yield await open_process(sqlite_url, stack)


@pytest.fixture
async def two_processes(postgres_url: str) -> AsyncIterator[tuple[Process, Process]]:
    """Two replicas; they hear of each other's commits only where the test says so."""
    async with AsyncExitStack() as stack:
        yield await open_process(postgres_url, stack), await open_process(postgres_url, stack)


@pytest.fixture
def away() -> Iterator[Receiver]:
    """A receiver that is not there until the test enters `listening(away)`."""
    with a_receiver() as found:
        yield found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything."""
    with a_receiver() as found:
        async with listening(found):
            yield found
