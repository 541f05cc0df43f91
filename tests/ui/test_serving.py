"""The page as it comes from the broker: its policy, its addresses, and what a browser makes of them."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ark_broker.api import dashboard as served
from tests.support.api import serve
from tests.support.process import Broker
from tests.ui.conftest import WatchedPage
from tests.ui.watch import Watch, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


def test_the_page_has_its_policy_and_asks_no_other_host(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page("about:blank", host=demo.url)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))

    response = page.goto(demo.url)
    page.get_by_text("session-abc").first.wait_for()

    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(requested) > 3
    assert [url for url in requested if not url.startswith(f"{demo.url}/")] == []


@pytest.mark.parametrize(
    ("breach", "seen"),
    [
        (
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))",
            "script-src",
        ),
        ("document.body.append(Object.assign(document.createElement('style'), {textContent: 'p {}'}))", "style-src"),
        ("document.body.append(Object.assign(new Image(), {src: 'http://localhost:9/x.png'}))", "another host"),
        ("setTimeout(() => { throw new Error('a mistake') })", "a mistake"),
        ("console.error('complaint')", "complaint"),
    ],
)
def test_what_a_page_should_not_do_is_noticed(
    demo: Broker, open_page: WatchedPage, watches: list[Watch], breach: str, seen: str
) -> None:
    page = open_page(demo.url)
    watches[0].allow("")

    noticed = Watch(page.context, demo.url.removeprefix("http://"))
    page.evaluate(f"() => {{ {breach} }}")

    wait_for(page, lambda: any(seen in problem for problem in noticed.problems), f"{seen!r} to be noticed")
    assert page.evaluate("window.ran") is None


def test_the_api_is_described_and_tried_out_without_another_host(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{demo.url}/docs")

    page.locator("#operations-sessions-list_sessions").get_by_role("button").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    page.get_by_text('"session-abc"').first.wait_for()


def test_an_address_can_be_reloaded_and_kept(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{demo.url}/ui/sessions/session-abc")
    title = page.get_by_role("heading", name=re.compile("session-abc"))
    title.wait_for()

    page.reload()

    title.wait_for()
    assert page.url.startswith(f"{demo.url}/ui/sessions/session-abc")


def test_back_and_forward_lead_where_one_was(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page(demo.url)
    page.get_by_role("link", name=re.compile("session-abc")).first.click()
    page.wait_for_url("**/ui/sessions/session-abc*")

    page.go_back()
    page.wait_for_url(re.compile(r"/ui/sessions/?(\?.*)?$"))
    page.get_by_role("link", name=re.compile("session-abc")).first.wait_for()
    page.go_forward()

    page.wait_for_url("**/ui/sessions/session-abc*")
    page.get_by_role("heading", name=re.compile("session-abc")).wait_for()


@pytest.mark.parametrize("files", ["of the next build", "gone"])
def test_a_tab_of_an_older_build_is_reloaded_once(
    demo: Broker, open_page: WatchedPage, watches: list[Watch], files: str
) -> None:
    page = open_page(demo.url)
    watches[0].allow("404|Failed to fetch dynamically imported module")
    page.get_by_role("link", name="session-abc").wait_for()
    loads: list[str] = []
    page.on("request", lambda request: loads.append(request.url) if request.is_navigation_request() else None)

    def answer(route: Route) -> None:
        if files == "gone" or not loads:
            route.fulfill(status=404)
        else:
            route.continue_()

    page.route("**/assets/Overview-*.js", answer)
    page.get_by_role("link", name="Overview").click()

    if files == "gone":
        page.get_by_role("alert").filter(has_text="This could not be loaded").wait_for()
    else:
        page.get_by_role("heading", name="Overview").wait_for()
    assert loads == [f"{demo.url}/ui/overview"]
    page.get_by_role("link", name="Sessions", exact=True).click()
    page.get_by_role("link", name="session-abc").wait_for()


@pytest.fixture
def without_build(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a broker that has no build to serve. It runs in this process, which can be told so."""
    monkeypatch.setattr(served, "BUILD", tmp_path / "nothing")
    ready, done = threading.Event(), threading.Event()
    addresses: list[str] = []

    async def run() -> None:
        async with serve(sqlite_url) as api:
            addresses.append(str(api.http.base_url))
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(60)
    yield addresses[0]
    done.set()
    thread.join(60)


def test_without_a_build_the_page_says_how_to_get_it(without_build: str, open_page: WatchedPage) -> None:
    page: Page = open_page(without_build)

    assert "make ui" in page.locator("main").inner_text()
    assert page.get_by_role("link").all_inner_texts() == ["/v1/sessions", "/openapi.json"]
