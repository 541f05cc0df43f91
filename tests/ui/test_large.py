"""A session of 50,000 events: it can be scrolled to its end, and only what is in sight is in the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from tests.support.events import NOON
from tests.support.process import Broker
from tests.ui.conftest import WatchedPage, running
from tests.ui.tree import Tree

if TYPE_CHECKING:
    from playwright.sync_api import Page

MANY: Final = 50_000
#: Rows that a page may hold at once: several screens full.
MOST_ROWS: Final = 200
MOST_ELEMENTS: Final = 5_000
_EVENT: Final = {"type": "note", "sessionId": "large", "query": "q"}
_LAST: Final = f"event-{MANY - 1:05}"

#: Scrolls to the end, again as long as there is more; resolves with the most rows that were there at once.
_TO_THE_END: Final = """async ([element, text]) => {
  const frame = () => new Promise(requestAnimationFrame);
  let most = 0;
  const step = element.scrollHeight / 200;
  for (let place = 0; place < 200; place++) {
    element.scrollTop = place * step;
    await frame();
    most = Math.max(most, element.querySelectorAll('[role=treeitem], [role=option]').length);
  }
  for (let frames = 0; !element.textContent.includes(text) && frames < 5000; frames++) {
    element.scrollTop = element.scrollHeight;
    await frame();
  }
  return most;
}"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with one session of `MANY` events, all of one query."""
    directory = tmp_path_factory.mktemp("large")
    with running(directory, {"database_url": f"sqlite:///{directory}/broker.db"}) as broker:
        for first in range(0, MANY, 2_500):
            events = [
                _EVENT | {"message": f"event-{number:05}", "time": NOON + number * 1_000_000}
                for number in range(first, first + 2_500)
            ]
            httpx.post(f"{broker.url}/v1/events", json=events, timeout=120).raise_for_status()
        yield broker


def test_the_tree_scrolls_to_the_last_of_50000_rows_and_holds_few(large: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{large.url}/ui/sessions/large")
    page.get_by_text(re.compile(r"50,00\d rows|50K rows")).wait_for(timeout=120_000)
    tree = Tree(page)
    tree.hold_still()

    most = _scroll_to_the_end(page, "[role=tree]", _LAST)

    assert 10 < most < MOST_ROWS
    tree.row(_LAST).wait_for()
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_ELEMENTS


def test_keys_lead_to_both_ends_of_50000_rows(large: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{large.url}/ui/sessions/large")
    page.get_by_text(re.compile(r"50,00\d rows|50K rows")).wait_for(timeout=120_000)
    tree = Tree(page)

    tree.element.focus()
    tree.element.press("End")
    tree.row(_LAST).wait_for()
    tree.element.press("Home")
    tree.row("event-00000").wait_for()


def test_the_raw_events_scroll_to_the_last_of_50000(large: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{large.url}/ui/sessions/large/raw")
    page.get_by_role("listbox", name="Events").get_by_role("option").first.wait_for(timeout=120_000)

    # The last is known by its position in the log, which has no other session.
    most = _scroll_to_the_end(page, "main [role=listbox]", str(MANY))

    assert 10 < most < MOST_ROWS
    page.locator(f"#event-{MANY}").wait_for()
    assert page.evaluate("document.querySelectorAll('*').length") < MOST_ELEMENTS


def _scroll_to_the_end(page: Page, selector: str, last: str) -> int:
    element = page.locator(selector).element_handle()
    return int(page.evaluate(_TO_THE_END, [element, last]))
