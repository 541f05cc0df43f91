"""Fixtures of the browser's tests.

browser      Chromium, once a run
open_page    opens pages, each in a context of its own, and watches them: what a page should not do fails the test
demo         one broker a run with the demo's session in it, to look at
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import pytest

from ark_broker.api import dashboard as served
from tests.support.process import Broker, StartBroker, run_command
from tests.ui.browser import ARGUMENTS, find
from tests.ui.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_HERE = Path(__file__).parent
#: Milliseconds that Playwright waits for what a test expects of a page: the machine may be busy.
PATIENCE = 120_000


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests to `make e2e`, which asks for them by their marker."""
    asked_for = config.getoption("markexpr") == "ui"
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.ui)
            item.add_marker(pytest.mark.timeout(600))
            if not asked_for:
                item.add_marker(pytest.mark.skip(reason="takes a browser: `make e2e` runs it"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    from playwright.sync_api import expect, sync_playwright

    program = find()
    assert program is not None, "no Chromium: `make e2e` installs it, or says how"
    assert (served.BUILD / "index.html").exists(), "the dashboard is not built: `make ui`"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS])
        yield browser
        browser.close()


class WatchedPage(Protocol):
    """`open_page(url, viewport=…, color_scheme=…)`: a page of a new context, at that address.

    It may ask the address's host alone, or that of the URL `host` where one is given.
    """

    def __call__(self, url: str, *, host: str | None = None, **options: Any) -> Page: ...


@pytest.fixture
def watches() -> list[Watch]:
    """One for each page that the test has opened, in order."""
    return []


@pytest.fixture
def open_page(browser: Browser, watches: list[Watch]) -> Iterator[WatchedPage]:
    """Opens pages; closes them at the end, and fails where one did what it should not."""
    with ExitStack() as contexts:

        def open_at(url: str, *, host: str | None = None, **options: Any) -> Page:
            context = browser.new_context(**options)
            contexts.callback(context.close)
            context.set_default_timeout(PATIENCE)
            watches.append(Watch(context, urlsplit(host or url).netloc))
            page = context.new_page()
            page.goto(url)
            return page

        yield open_at
    for watch in watches:
        watch.check()


@pytest.fixture
def broker(start_broker: StartBroker, sqlite_url: str) -> Broker:
    """One broker, ready, on a fresh SQLite database: what a page shows does not depend on which database it is."""
    return start_broker(sqlite_url)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with the demo's session `session-abc`, played to its end; for looking alone."""
    directory = tmp_path_factory.mktemp("demo")
    with running(directory, {"database_url": f"sqlite:///{directory}/broker.db"}) as broker:
        play_demo(broker)
        yield broker


def play_demo(broker: Broker, *options: str) -> None:
    """Play the demo to its end, at once."""
    played = run_command("demo", "--no-ask", "--speed", "max", *options, timeout=300, url=broker.url)
    assert played.returncode == 0, played.stderr


@contextmanager
def running(directory: Path, settings: Mapping[str, object]) -> Iterator[Broker]:
    """A broker of these settings, ready, for longer than one test."""
    broker = Broker(directory, settings)
    try:
        yield broker.start()
    finally:
        broker.close()
