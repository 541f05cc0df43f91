"""What runs until somebody ends it: `tail`, `top`, `sessions --watch`."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.conftest import Feeder
from tests.cli.terminal import on_terminal
from tests.support.process import PROGRAM, StartBroker, environment, run_command
from tests.support.waiting import wait_until


class Piped:
    """A command whose stdout and stderr are pipes, read as they come."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, *arguments], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.out: list[str] = []
        self.err: list[str] = []
        streams = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._threads = [threading.Thread(target=lines.extend, args=(stream,)) for stream, lines in streams if stream]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        for thread in self._threads:
            thread.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def piped(*arguments: str) -> Iterator[Piped]:
    """The command, ended at the end of the block if it still runs."""
    found = Piped(*arguments)
    try:
        yield found
    finally:
        found.close()


def test_tail_shows_what_was_and_what_comes_and_ctrl_c_ends_it(feeder: Feeder) -> None:
    feeder.event("query.started")
    with on_terminal("tail", feeder.session, "--url", feeder.url) as terminal:
        terminal.wait_for("[event] query.started")
        feeder.stream("Let me", " have a look", complete=False)
        terminal.wait_for("[stream] Let me have a look")
        feeder.event("tool.failed", tool="web_search", error="timed out")
        terminal.wait_for("[tool] web_search ERROR timed out")
        terminal.type("\x03")
        assert terminal.wait() == 0
        assert "Traceback" not in terminal.text
        assert "\x1b[1;31m" in terminal.raw


def test_tail_survives_a_restart_and_shows_every_event_once(start_broker: StartBroker, sqlite_url: str) -> None:
    broker = start_broker(sqlite_url)
    feeder = Feeder(broker)
    feeder.event("step", message="0")
    with piped("tail", feeder.session, "--json", "--url", broker.url) as tail:
        wait_until(lambda: len(tail.out) == 1)
        broker.kill()
        wait_until(lambda: any("taking it up again" in line for line in tail.err))
        broker.start()
        for number in range(1, 6):
            feeder.event("step", message=str(number))
        wait_until(lambda: len(tail.out) >= 6)
        broker.terminate()
        broker.start()
        feeder.event("step", message="6")
        wait_until(lambda: len(tail.out) >= 7)
        tail.process.send_signal(signal.SIGINT)
        assert tail.process.wait(30) == 0

    assert [json.loads(line)["body"]["message"] for line in tail.out] == [str(number) for number in range(7)]
    assert not any("may be missing" in line for line in tail.err)


def test_tail_says_when_something_may_be_missing(start_broker: StartBroker, sqlite_url: str) -> None:
    broker = start_broker(sqlite_url)
    feeder = Feeder(broker)
    feeder.event("step", message="old")
    with piped("tail", "--all", "--since", "start", "--json", "--url", broker.url) as tail:
        wait_until(lambda: len(tail.out) == 1)
        broker.terminate()
        other = start_broker(f"{sqlite_url}.other", port=broker.port)
        Feeder(other).event("step", message="new")
        wait_until(lambda: len(tail.out) == 2)
        wait_until(lambda: any("events may be missing: this is another log" in line for line in tail.err))


def test_tail_of_a_query_ends_with_it(feeder: Feeder) -> None:
    feeder.event("query.started")
    with piped("tail", "--query", feeder.query, "--url", feeder.url) as tail:
        wait_until(lambda: tail.out)
        feeder.stream("Good", "bye")
        assert tail.process.wait(30) == 0
    assert tail.out[-1].endswith("[stream] Goodbye\n")


def test_tail_waits_for_what_is_not_there_yet(feeder: Feeder) -> None:
    with piped("tail", feeder.session, "-n", "1", "--url", feeder.url) as tail:
        wait_until(lambda: any("waiting for it" in line for line in tail.err))
        feeder.event("query.started")
        assert tail.process.wait(30) == 0
    assert tail.out[0].endswith(f"{feeder.query} [event] query.started\n")


def test_everything_is_followed_from_now_on_filtered_by_type(feeder: Feeder) -> None:
    feeder.event("probe", message="before")
    with piped("tail", "--type", "probe", "--json", "-n", "1", "--url", feeder.url) as tail:
        wait_until(lambda: feeder.event("probe", message="now") or tail.process.poll() is not None)
    assert json.loads(tail.out[0])["body"]["message"] == "now"


@pytest.mark.parametrize("where", ["--all", "session"])
def test_since_begins_at_that_time(feeder: Feeder, where: str) -> None:
    for number in range(20):
        feeder.event("step", message=str(number))
    url = ("--url", feeder.url)
    events = [
        json.loads(line) for line in run_command("tail", feeder.session, "-n", "20", "--json", *url).stdout.splitlines()
    ]
    place = feeder.session if where == "session" else "--all"

    at = events[12]["recordedAt"]
    found = run_command("tail", place, "--since", at, "-n", "8", "--json", *url).stdout.splitlines()
    ages = run_command("tail", place, "--since", "1h", "-n", "1", "--json", *url)
    behind = run_command("tail", place, "--after", str(events[17]["seq"]), "-n", "2", "--json", *url)

    first = int(json.loads(found[0])["body"]["message"])
    assert first in (11, 12), "a time on the command line has microseconds, the log nanoseconds"
    assert [json.loads(line)["body"]["message"] for line in found] == [str(n) for n in range(first, first + 8)]
    assert ages.stdout
    assert [json.loads(line)["body"]["message"] for line in behind.stdout.splitlines()] == ["18", "19"]


def test_since_a_time_to_come_is_now(feeder: Feeder) -> None:
    feeder.event("step", message="old")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with piped("tail", feeder.session, "--since", later, "-n", "1", "--json", "--url", feeder.url) as tail:
        wait_until(lambda: feeder.event("step", message="new") or tail.process.poll() is not None)
    assert json.loads(tail.out[0])["body"]["message"] == "new"


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_top_fills_the_screen_and_leaves_the_terminal_as_it_was(feeder: Feeder, key: str) -> None:
    feeder.event("query.started", agent="planner")
    question = feeder.ask(text="Approve?")
    with on_terminal("top", "--interval", "0.2", "--url", feeder.url) as terminal:
        terminal.wait_for(feeder.session)
        terminal.wait_for(question)
        feeder.stream("many", "chunks", complete=False)
        terminal.wait_for("events/s")
        terminal.type(key)
        assert terminal.wait() == 0
        wait_until(lambda: "\x1b[?1049l" in terminal.raw, what="the screen to be given back")
        assert "\x1b[?25h" in terminal.raw
        assert terminal.settings() == terminal.before
        assert "Traceback" not in terminal.text


def test_top_gives_the_terminal_back_when_it_is_told_to_end(feeder: Feeder) -> None:
    with on_terminal("top", "--url", feeder.url) as terminal:
        terminal.wait_for("q ends")
        terminal.send_signal(signal.SIGTERM)
        assert terminal.wait() == 143
        assert terminal.settings() == terminal.before


def test_top_waits_for_a_broker_that_restarts(start_broker: StartBroker, sqlite_url: str) -> None:
    broker = start_broker(sqlite_url)
    feeder = Feeder(broker)
    feeder.event("query.started")
    with on_terminal("top", "--interval", "0.2", "--url", broker.url) as terminal:
        terminal.wait_for(feeder.session)
        broker.kill()
        terminal.wait_for("trying again")
        broker.start()
        other = Feeder(broker)
        other.event("query.started")
        terminal.wait_for(other.session)
        terminal.type("q")
        assert terminal.wait() == 0


def test_top_looks_once_where_there_is_no_screen(feeder: Feeder) -> None:
    feeder.event("query.started")

    plain = run_command("top", "--url", feeder.url)
    told = json.loads(run_command("top", "--json", "--url", feeder.url).stdout)

    assert any(line.startswith(f"session\t{feeder.session}\tactive") for line in plain.stdout.splitlines())
    assert feeder.session in [each["id"] for each in told["sessions"]]


def test_watched_sessions_are_shown_again(feeder: Feeder) -> None:
    feeder.event("query.started")
    with on_terminal("sessions", "--watch", "--query", feeder.query, "--url", feeder.url) as terminal:
        terminal.wait_for("1 running")
        feeder.event("query.completed")
        terminal.wait_for("1 done")
        terminal.type("\x03")
        assert terminal.wait() == 0
