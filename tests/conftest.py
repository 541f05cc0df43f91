"""Fixtures for all tests: a database of either kind, and brokers as real processes.

database_url     a fresh, empty database; the test runs once on SQLite and once on PostgreSQL
sqlite_url       a fresh SQLite file only
postgres_url     a fresh PostgreSQL database only
own_postgres     a PostgreSQL server that the test may stop, kill and start again
broker           `ark-broker serve` on `database_url`, ready
start_broker     starts more of them, with settings of your choice
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from ark_broker.ark_environment import old_variables
from ark_broker.settings import load_settings
from tests.support.postgres import PostgresServer, create_database, drop_database
from tests.support.process import Broker, StartBroker, run_command

_NO_CERTIFICATES = Path(__file__).parent

# What a shell starts in the background ignores Ctrl-C, and so would the programs that these tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine alone.
hypothesis.settings.register_profile(
    "tests", hypothesis.settings.default, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see the defaults, whatever the person who runs them has set."""
    for name in list(os.environ):
        if name.startswith("ARK_BROKER_") and not name.startswith("ARK_BROKER_TEST_"):
            monkeypatch.delenv(name)
    for name in old_variables():
        monkeypatch.delenv(name, raising=False)
    # Each client of httpx reads all the CAs that it is told of: 50 ms of work. Tests speak to this machine alone,
    # or name the CA that they made: here there is none.
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(_NO_CERTIFICATES))


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The server that this test process makes its databases on: its own, or an existing one."""
    existing = os.environ.get("ARK_BROKER_TEST_POSTGRES_URL")
    if existing:
        yield existing
        return
    with PostgresServer() as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    url = create_database(postgres_server_url)
    yield url
    drop_database(postgres_server_url, url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/broker.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database, in the form that `ARK_BROKER_DATABASE_URL` takes."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def sqlalchemy_url(database_url: str) -> str:
    """The same database as SQLAlchemy wants it, with the async driver: for `log.database.open_database`."""
    return load_settings({"database_url": database_url}).sqlalchemy_url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, started: for tests that stop it, kill it and start it again."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[StartBroker]:
    """Starts brokers, and stops at the end those that still run.

    A PostgreSQL database is migrated first. With `ready=False` it returns while the broker still starts.
    """
    migrated: set[str] = set()
    with ExitStack() as brokers:

        def start(database_url: str, /, *, ready: bool = True, **settings: object) -> Broker:
            if database_url.startswith("postgres") and database_url not in migrated:
                result = run_command("migrate", database_url=database_url)
                assert result.returncode == 0, result.stderr
                migrated.add(database_url)
            broker = Broker(tmp_path, {"database_url": database_url, **settings})
            brokers.callback(broker.close)
            broker.launch()
            if ready:
                broker.wait_ready()
            return broker

        yield start


@pytest.fixture
def broker(start_broker: StartBroker, database_url: str) -> Broker:
    """One broker, ready, on a fresh database of either kind."""
    return start_broker(database_url)


#: What starts, kills or feeds many real processes, or goes through everything there is: minutes in all.
_SLOW = (
    "tests/api/access/test_ended_tokens.py",
    "tests/api/access/test_namespaces.py::test_a_cursor_that_was_guessed",
    "tests/api/access/test_namespaces.py::test_a_look_up_takes_the_same_statements",
    "tests/api/access/test_namespaces.py::test_a_parameter_that_names_the_others",
    "tests/api/access/test_same_names.py",
    "tests/api/ark/test_defects.py::test_replay_and_live_events_meet",
    "tests/api/ark/test_defects.py::test_readers_that_do_not_read_cost_no_memory",
    "tests/api/ark/test_defects.py::test_watches_are_the_same_on_every_broker",
    "tests/api/test_redaction_doors.py",
    "tests/chaos/",
    "tests/cli/test_acting.py",
    "tests/cli/test_demo.py",
    "tests/cli/test_import.py",
    "tests/cli/test_live.py",
    "tests/cli/test_questions.py",
    "tests/cli/test_reading.py",
    "tests/cli/test_serve.py::test_workers_share_one_port",
    "tests/cli/test_token.py",
    "tests/client/test_chunks.py",
    "tests/client/test_otel.py",
    "tests/client/test_restarts.py",
    "tests/conformance/test_families.py::test_in_any_order_one_by_one_and_twice",
    "tests/conformance/test_otlp_grpc.py::test_workers_share_the_port",
    "tests/deliver/test_loops.py",
    "tests/deliver/test_long_outage.py",
    "tests/e2e/",
    "tests/receive/otlp/test_bounds.py::test_millions_of_empty_values",
)
#: What is above the log: there the databases differ, and its own tests run on both, as do those of the routes that all
#: depends on. Here the second one is slow.
_ABOVE_THE_LOG = (
    "tests/api/access/",
    "tests/api/ark/",
    "tests/api/test_a2a.py",
    "tests/api/test_chat.py",
    "tests/api/test_export.py",
    "tests/api/test_links.py",
    "tests/api/test_queries.py",
    "tests/api/test_replay.py",
    "tests/api/test_resume.py",
    "tests/cli/",
    "tests/conformance/",
    "tests/mcp/",
    "tests/test_docs.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make slow` runs."""
    for item in items:
        on_postgresql = item.nodeid.startswith(_ABOVE_THE_LOG) and "postgresql" in item.name
        if item.nodeid.startswith(_SLOW) or on_postgresql:
            item.add_marker(pytest.mark.slow)
