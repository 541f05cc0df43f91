"""The tests' own servers: they leave nothing behind, however a test run ends."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.postgres import PostgresServer, create_database, execute
from tests.support.process import environment
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[1]


def servers_in(directory: str) -> list[int]:
    return [process.pid for process in psutil.process_iter(["cmdline"]) if directory in (process.info["cmdline"] or [])]


def test_a_test_run_that_is_killed_leaves_no_server_and_no_data() -> None:
    program = """
import os, signal
from tests.support.postgres import PostgresServer
server = PostgresServer()
server.start()
print(server.url.partition("host=")[2], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    directory = run.stdout.strip()

    assert run.returncode == -signal.SIGKILL
    wait_until(lambda: not Path(directory).exists(), what=f"{directory} to go")
    wait_until(lambda: servers_in(f"{directory}/data") == [], what="the server to end")


def test_a_killed_server_comes_back_with_what_was_committed() -> None:
    with PostgresServer() as server:
        database = create_database(server.url)
        execute(database, "CREATE TABLE kept (n int)")

        server.kill()
        server.start()

        execute(database, "INSERT INTO kept VALUES (1)")


def test_what_a_test_waits_for_in_vain_is_said() -> None:
    with pytest.raises(AssertionError, match="the moon to be made of cheese"):
        wait_until(lambda: False, timeout=0.1, what="the moon to be made of cheese")
