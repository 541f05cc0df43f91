"""Whatever telemetry says is shown as text: nothing runs, no other host is asked, no element is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import httpx
import pytest

from tests.support.process import Broker
from tests.support.waiting import wait_until
from tests.ui.conftest import WatchedPage, running
from tests.ui.corpus import CORPUS, SESSION, fill, name_of

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_SESSION: Final = f"/ui/sessions/{quote(SESSION, safe='')}"
#: Each page, and what is there once it shows what it was asked for.
PAGES: Final = {
    "/ui/sessions": "main a[href*=sessions]",
    _SESSION: "[role=treeitem]",
    f"{_SESSION}/conversation": "article",
    "/ui/inbox": "main form",
    "/ui/overview": "main table",
}

#: Elements and attributes that no page of ours has; what they are comes back.
_FOREIGN: Final = """() => {
  const found = [];
  for (const element of document.querySelectorAll('*')) {
    const name = element.localName;
    if (['iframe', 'object', 'embed', 'base', 'style', 'animate', 'math'].includes(name)) found.push(name);
    if (name === 'script' && !element.src.startsWith(location.origin + '/ui/assets/')) found.push(element.outerHTML);
    if (name === 'meta' && element.httpEquiv) found.push(element.outerHTML);
    for (const {name: attribute, value} of element.attributes) {
      if (attribute.startsWith('on') || attribute === 'srcdoc') found.push(attribute);
      if (['href', 'src', 'xlink:href', 'action', 'formaction', 'data', 'ping', 'poster'].includes(attribute)) {
        const url = URL.parse(value, location.href);
        if (url === null) continue;  // leads nowhere
        const isOwn = url.origin === location.origin || (name === 'img' && url.protocol === 'data:');
        const isLink = name === 'a' && ['https:', 'http:', 'mailto:'].includes(url.protocol);
        if (!isOwn && !isLink) found.push(`${name} ${attribute}=${value}`);
      }
    }
  }
  return found;
}"""
#: The id of the row that is chosen.
_CHOSEN: Final = "() => document.querySelector('main [aria-selected=true]')?.id"
#: Opens what is closed below an element; returns how much that was.
_OPEN: Final = """element => {
  const closed = [...element.querySelectorAll('[aria-expanded=false], details:not([open]) > summary')];
  closed.slice(0, 40).forEach(each => each.click());
  return closed.length;
}"""
#: Scrolls everything that scrolls on by a page; returns whether anything did.
_SCROLL: Final = """() => {
  let has = false;
  for (const element of document.querySelectorAll('main, main *')) {
    if (element.scrollHeight > element.clientHeight + 1 && getComputedStyle(element).overflowY !== 'visible') {
      const before = element.scrollTop;
      element.scrollTop += element.clientHeight * 0.9;
      has ||= element.scrollTop > before;
    }
  }
  return has;
}"""


@pytest.fixture(scope="module")
def infested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with the corpus in every field of a session."""
    directory = tmp_path_factory.mktemp("infested")
    with running(directory, {"database_url": f"sqlite:///{directory}/broker.db"}) as broker:
        fill(broker)
        yield broker


def opened(open_page: WatchedPage, url: str, sign: str) -> Page:
    page = open_page(url)
    page.locator(sign).first.wait_for()
    return page


@pytest.mark.parametrize("path", PAGES)
def test_what_telemetry_says_stays_text(infested: Broker, open_page: WatchedPage, path: str) -> None:
    page = opened(open_page, f"{infested.url}{path}", PAGES[path])

    seen = _look_at_everything(page)

    _assert_untouched(page, infested)
    assert any(text[:20] in seen for text in (SESSION, *CORPUS)), "nothing of it was shown at all"


def test_a_stored_event_stays_text(infested: Broker, open_page: WatchedPage) -> None:
    page = opened(open_page, f"{infested.url}{_SESSION}/raw?type=tool.call", "main [role=option]")
    asked = httpx.get(
        f"{infested.url}/v1/sessions/{quote(SESSION, safe='')}/events?type=tool.call&limit=1000", timeout=60
    )
    stored = asked.raise_for_status().json()["items"]
    assert {event["kind"] for event in stored} == {"span", "event"}

    events = page.get_by_role("listbox", name="Events")
    seen = _step_through(page, events, "The chosen event", len(stored))

    _assert_untouched(page, infested)
    assert [text for text in CORPUS if name_of(text)[:12] not in seen] == []


def test_every_span_stays_text(infested: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{infested.url}{_SESSION}/timeline")
    for text in CORPUS:
        page.goto(f"{infested.url}{_SESSION}/timeline?query={quote(name_of(text), safe='')}")
        # The stream and the wait are there before the trace.
        page.get_by_role("treeitem", name=re.compile("Tool")).wait_for()

        spans = page.get_by_role("tree", name="Spans by time")
        seen = _step_through(page, spans, "The chosen span", page.get_by_role("treeitem").count())

        _assert_untouched(page, infested)
        assert name_of(text)[:12] in seen


def _assert_untouched(page: Page, broker: Broker) -> None:
    assert page.evaluate("window.__xss") is None
    assert page.url.startswith(broker.url)
    assert page.locator("main").is_visible()


def _step_through(page: Page, list_of_rows: Locator, detail: str, rows: int) -> str:
    """Choose one row after the other, and open all that is to be opened in its details; returns the text seen."""
    pane = page.get_by_role("complementary", name=detail)
    seen: list[str] = []
    for _ in range(rows):
        before = page.evaluate(_CHOSEN)
        list_of_rows.press("ArrowDown")
        wait_until(lambda before=before: page.evaluate(_CHOSEN) != before, what=f"the row after {before}")
        pane.wait_for()
        while pane.evaluate(_OPEN):
            assert page.evaluate(_FOREIGN) == []
        assert page.evaluate(_FOREIGN) == []
        seen.append(pane.inner_text())
    return "\n".join(seen)


def _look_at_everything(page: Page) -> str:
    """Open, hover and scroll to the end, checking on the way; returns the text that was seen."""
    seen = []
    for _ in range(60):
        while_open = page.locator("main").evaluate(_OPEN)
        seen.append(page.locator("main").inner_text())
        assert page.evaluate(_FOREIGN) == []
        if not page.evaluate(_SCROLL) and not while_open:
            break
    return "\n".join(seen)


def test_what_would_be_noticed_is_noticed(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page(demo.url)
    page.locator("main").wait_for()

    page.locator("main").evaluate("""main => main.insertAdjacentHTML('beforeend',
      '<a href="javascript:1">x</a><svg><animate/></svg><form action="http://elsewhere.example/"></form><base>')""")

    assert page.evaluate(_FOREIGN) == [
        "a href=javascript:1",
        "animate",
        "form action=http://elsewhere.example/",
        "base",
    ]
