"""Whatever telemetry says is shown as text: nothing runs, no other host is asked, no element is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest

from tests.support.process import Broker
from tests.ui.conftest import WatchedPage, running
from tests.ui.corpus import CORPUS, SESSION, fill

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SESSION: Final = f"/ui/sessions/{quote(SESSION, safe='')}"
PAGES: Final = (
    "/ui/sessions",
    _SESSION,
    f"{_SESSION}/timeline",
    f"{_SESSION}/conversation",
    f"{_SESSION}/raw",
    "/ui/inbox",
    "/ui/overview",
)

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
#: Opens what is closed and in sight; returns how much that was.
_OPEN: Final = """() => {
  const closed = [...document.querySelectorAll('main [aria-expanded=false], main details:not([open]) > summary')];
  closed.slice(0, 40).forEach(element => element.click());
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


@pytest.mark.parametrize("path", PAGES)
def test_what_telemetry_says_stays_text(infested: Broker, open_page: WatchedPage, path: str) -> None:
    page = open_page(f"{infested.url}{path}")
    page.locator("main h1, main h2").first.wait_for()

    seen = _look_at_everything(page)

    assert page.evaluate("window.__xss") is None
    assert page.url.startswith(infested.url)
    assert page.locator("main").is_visible()
    if "overview" not in path:
        assert any(text[:20] in seen for text in (SESSION, *CORPUS)), "nothing of it was shown at all"


def _look_at_everything(page: Page) -> str:
    """Open, hover and scroll to the end, checking on the way; returns the text that was seen."""
    seen = []
    for _ in range(60):
        while_open = page.evaluate(_OPEN)
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
