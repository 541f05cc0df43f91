"""Fixtures: each of Ark's programs once for all tests, and a broker that ark-api knows as a Memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.ark.remote import Program
from tests.e2e.ark.site import Site
from tests.support.process import Broker, StartBroker

StartProgram = Callable[[str], Program]


@pytest.fixture(scope="session")
def start_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProgram]:
    """Starts a program the first time it is asked for; all end with the session."""
    directory = tmp_path_factory.mktemp("ark")
    running: dict[str, Program] = {}
    with ExitStack() as programs:

        def start(module: str) -> Program:
            if module not in running:
                running[module] = program = Program(module, Path(directory, f"{module}.log"))
                programs.callback(program.close)
            return running[module]

        yield start


@pytest.fixture
async def start_site(start_program: StartProgram) -> AsyncIterator[Callable[..., Site]]:
    """`start_site(broker, …)`: Ark's programs around these brokers. Every tab is closed at the end."""
    dashboard = start_program("dashboard")

    def start(*brokers: Broker) -> Site:
        return Site(
            brokers=brokers,
            memories=[f"memory-{uuid4().hex}" for _ in brokers],
            ark_api=start_program("ark_api"),
            go=start_program("go_executor"),
            sdk=start_program("sdk_executor"),
            dashboard=dashboard,
        )

    yield start
    await dashboard.call("close")


@pytest.fixture
async def site(start_site: Callable[..., Site], broker: Broker) -> Site:
    """Ark's programs around one broker on a fresh database of either kind."""
    found = start_site(broker)
    await found.resolve()
    return found


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker on SQLite for all tests that look at nothing but what they sent."""
    directory = tmp_path_factory.mktemp("shared")
    broker = Broker(directory, {"database_url": f"sqlite:///{directory}/broker.db"}).start()
    yield broker
    broker.close()


@pytest.fixture
async def shared_site(start_site: Callable[..., Site], shared_broker: Broker) -> Site:
    """Ark's programs around the broker that tests share: a query's name must be the test's own."""
    found = start_site(shared_broker)
    await found.resolve()
    return found


@pytest.fixture
async def sqlite_site(start_site: Callable[..., Site], start_broker: StartBroker, sqlite_url: str) -> Site:
    """The same on SQLite alone, for what does not depend on the database."""
    found = start_site(start_broker(sqlite_url))
    await found.resolve()
    return found
