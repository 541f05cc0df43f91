"""What happens shows by itself: sessions, rows, questions; also after the page or the broker was away."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from tests.support.process import PROGRAM, Broker, environment
from tests.support.waiting import wait_until
from tests.ui.conftest import WatchedPage, running
from tests.ui.tree import Tree
from tests.ui.watch import Watch
from tests.ui.wire import wire_to

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: What the browser says of requests that a test makes fail.
AWAY: Final = (
    r"ERR_(INTERNET_DISCONNECTED|CONNECTION_REFUSED|INCOMPLETE_CHUNKED|CONNECTION_RESET|EMPTY_RESPONSE|NETWORK)"
)


@contextmanager
def demo_playing(broker: Broker, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process that is under way."""
    process = subprocess.Popen(
        [PROGRAM, "demo", *options],
        env=environment({"url": broker.url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all tests that need no fresh one; each has a session of its own."""
    directory = tmp_path_factory.mktemp("lasting")
    with running(directory, {"database_url": f"sqlite:///{directory}/broker.db"}) as broker:
        yield broker


def send(broker: Broker, first: int, last: int, session: str = "live") -> None:
    """Events `event-<first>` to `event-<last - 1>` of one query, in one request; each is a microsecond later."""
    now = time.time_ns()
    events = [
        {
            "type": "note",
            "sessionId": session,
            "query": f"query-of-{session}",
            "message": f"event-{number:05}",
            "time": now + place * 1_000,
        }
        for place, number in enumerate(range(first, last))
    ]
    httpx.post(f"{broker.url}/v1/events", json=events, timeout=60).raise_for_status()


def assert_each_once(page: Page, many: int) -> None:
    """All events so far have one row, and are in the order that they were sent in."""
    follow = page.get_by_role("button", name="Follow", exact=True)
    if follow.count():
        follow.click()
    page.get_by_role("treeitem").filter(has_text=f"event-{many - 1:05}").wait_for()
    found, _ = Tree(page).collect(r"event-\d{5}")
    assert sorted(found) == [f"event-{number:05}" for number in range(many)]
    assert {text: places for text, places in found.items() if len(places) != 1} == {}
    places = [found[text][0] for text in sorted(found)]
    assert places == sorted(places)


def test_an_event_that_has_two_rows_is_noticed(lasting: Broker, open_page: WatchedPage) -> None:
    send(lasting, 0, 20, "doubled")
    send(lasting, 7, 8, "doubled")
    page = open_page(f"{lasting.url}/ui/sessions/doubled")
    page.get_by_role("treeitem").first.wait_for()

    with pytest.raises(AssertionError, match="event-00007"):
        assert_each_once(page, 20)


def test_the_demo_appears_in_the_list_and_builds_itself(broker: Broker, open_page: WatchedPage) -> None:
    page = open_page(broker.url)
    page.get_by_role("status").filter(has_text="Live").wait_for()

    with demo_playing(broker, "--no-ask", "--speed", "human") as demo:
        session = page.get_by_role("link", name="session-abc")
        wait_until(lambda: httpx.get(f"{broker.url}/v1/sessions/session-abc", timeout=60).is_success, timeout=60)
        # It goes on when its beginning has been seen, however long that takes here.
        demo.send_signal(signal.SIGSTOP)
        session.wait_for()
        assert demo.poll() is None, "it was over before it could be seen"
        demo.send_signal(signal.SIGCONT)
        session.click()
        tree = Tree(page)
        for row in ('web_search("weather NYC")', "query.completed", "Waiting for response", "LLM streaming"):
            page.get_by_role("treeitem").filter(has_text=row).first.wait_for()
        said, _ = demo.communicate(timeout=60)
        assert demo.returncode == 0, said

    page.get_by_role("treeitem").filter(has_text="LLM streaming… (37 tokens)").wait_for()
    tags = r"^\[\w+\]"
    built, _ = tree.collect(tags)
    page.reload()
    page.get_by_role("treeitem").first.wait_for()
    assert built == tree.collect(tags)[0], "the broker reads the events as the page did while they came"
    assert built.keys() >= {"[event]", "[question]", "[stream]", "[tool]"}


@pytest.mark.parametrize("place", ["inbox", "tree"])
def test_a_question_is_answered_in_the_page_and_the_query_completes(
    broker: Broker, open_page: WatchedPage, place: str
) -> None:
    page = open_page(f"{broker.url}/ui/inbox")
    page.get_by_text("Nobody waits for an answer").wait_for()

    with demo_playing(broker, "--ask", "--speed", "max") as demo:
        page.get_by_text("Approve production deploy?").first.wait_for()
        if place == "tree":
            page.goto(f"{broker.url}/ui/sessions/session-abc?query=query-002")
        form = page.get_by_role("form", name="Answer to: Approve production deploy?")
        form.get_by_role("button", name="yes", exact=True).click()
        page.get_by_text("Answered").first.wait_for()
        said, _ = demo.communicate(timeout=60)

    assert demo.returncode == 0, said
    assert "Approved!" in said
    page.goto(f"{broker.url}/ui/sessions/session-abc")
    page.get_by_role("treeitem").filter(has_text=re.compile("query-002.*done")).wait_for()


def test_an_offline_page_catches_up_without_gap_or_double(
    lasting: Broker, open_page: WatchedPage, watches: list[Watch]
) -> None:
    send(lasting, 0, 50, "offline")
    with wire_to(lasting.port) as wire:
        page = open_page(f"{wire.url}/ui/sessions/offline")
        page.get_by_role("status", name="Live").wait_for()
        watches[0].allow(AWAY)

        for many in (50, 100):
            page.context.set_offline(True)
            wire.cut()
            page.get_by_role("status", name=re.compile("Offline|Connecting")).wait_for()
            send(lasting, many, many + 50, "offline")
            wire.mend()
            page.context.set_offline(False)
            page.get_by_role("status", name="Live").wait_for()
            assert_each_once(page, many + 50)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_page_outlives_its_broker_without_gap_or_double(
    broker: Broker, open_page: WatchedPage, watches: list[Watch], how: str
) -> None:
    send(broker, 0, 50)
    page = open_page(f"{broker.url}/ui/sessions/live")
    page.get_by_role("status", name="Live").wait_for()
    watches[0].allow(AWAY)

    broker.terminate() if how == "stopped" else broker.kill()
    page.get_by_role("status", name=re.compile("Offline|Connecting")).wait_for()
    broker.start()
    send(broker, 50, 100)

    page.get_by_role("status", name="Live").wait_for()
    assert_each_once(page, 100)


@pytest.mark.parametrize("where", ["its page", "the list"])
def test_a_page_takes_what_is_typed_while_200_events_a_second_arrive(
    lasting: Broker, open_page: WatchedPage, where: str
) -> None:
    session = "typed-" + where.split()[1]
    send(lasting, 0, 1, session)
    page = open_page(f"{lasting.url}/ui/sessions" + (f"/{session}" if where == "its page" else ""))
    page.get_by_role("status").filter(has_text="Live").wait_for()
    typed = _spy_on_typing(page)
    over = threading.Event()
    sender = threading.Thread(target=_send_for_a_while, args=(lasting, session, over))

    sender.start()
    presses = 0
    while not over.is_set():
        page.keyboard.press("a")
        presses += 1
    sender.join()

    assert presses > 0
    wait_until(lambda: page.evaluate(typed) == presses, what=f"{presses} presses to be processed")
    if where == "its page":
        assert_each_once(page, 1_001)


#: Adds a field to the page, and counts what is typed into it. Nothing of the page's own is to react to the keys.
_FIELD: Final = """() => {
  const field = document.body.appendChild(document.createElement('input'));
  field.addEventListener('keydown', event => event.stopPropagation());
  field.setAttribute('aria-label', 'a field of the test');
  field.focus();
  self.typedInto = field;
}"""


def _spy_on_typing(page: Page) -> str:
    page.evaluate(_FIELD)
    return "self.typedInto.value.length"


def _send_for_a_while(broker: Broker, session: str, over: threading.Event) -> None:
    """1,000 events in 100 requests, at most 200 a second: a pace that no page may fall behind at."""
    pause = threading.Event()
    try:
        for first in range(1, 1_001, 10):
            send(broker, first, first + 10, session)
            pause.wait(0.05)
    finally:
        over.set()
