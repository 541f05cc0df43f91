"""Fixtures of the route tests: a broker in the test's own event loop, on a copy of a migrated database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ark_broker.api import health
from ark_broker.app import migrate
from ark_broker.settings import load_settings
from tests.support.api import Api, StartApi, serve
from tests.support.postgres import create_database, drop_database


@pytest.fixture(autouse=True)
def _patient_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READY_SECONDS", 60)


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
