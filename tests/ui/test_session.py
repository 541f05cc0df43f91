"""A session's page while somebody works with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httpx

from tests.support.events import NOON
from tests.support.process import Broker
from tests.ui.conftest import WatchedPage
from tests.ui.tree import Tree

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: For so many frames: the pairs of rows of which the upper one reaches into the lower one.
_OVERLAPS: Final = """async many => {
  const frame = () => new Promise(requestAnimationFrame);
  const found = [];
  for (let left = many; left > 0; left--) {
    await frame();
    const places = [...document.querySelectorAll('[role=tree] [data-key]')]
      .map(element => [element.dataset.key, element.getBoundingClientRect()])
      .sort(([, one], [, other]) => one.top - other.top);
    places.forEach(([key, box], at) => {
      const next = places[at + 1];
      if (next !== undefined && box.bottom > next[1].top + 1) found.push(`${key} ${next[0]}`);
    });
  }
  return found;
}"""


def _overlaps(page: Page, frames: int) -> list[str]:
    # A row that has just become taller may reach into the next one until that is drawn again: in one frame, not in two.
    found: list[str] = page.evaluate(_OVERLAPS, frames)
    return [each for each in set(found) if found.count(each) > frames // 10]


def test_the_link_to_an_error_leads_there_again(broker: Broker, open_page: WatchedPage) -> None:
    where = {"sessionId": "long", "query": "q"}
    notes = [{**where, "type": "note", "message": f"note {n}", "time": NOON + n} for n in range(300)]
    failed = {**where, "type": "tool.failed", "tool": "deploy", "error": "refused", "time": NOON + 150}
    httpx.post(f"{broker.url}/v1/events", json=[*notes, failed], timeout=60).raise_for_status()
    page = open_page(f"{broker.url}/ui/sessions/long")
    tree = Tree(page)
    tree.element.wait_for()
    error = tree.row("refused")
    link = page.get_by_role("link", name=re.compile("show first"))

    for _ in range(2):
        link.click()
        error.wait_for()
        assert "event=" in page.url
        tree.scroll_to("0")
        tree.row("note 0").wait_for()
        error.wait_for(state="detached")


def test_a_row_that_grows_moves_those_below_it(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{demo.url}/ui/sessions/session-abc?query=query-001")
    page.get_by_role("treeitem").filter(has_text="LLM chunks (52 tokens)").click()
    player = page.get_by_role("region", name="Replay")
    player.get_by_text("10×").click()
    page.set_viewport_size({"width": 500, "height": 1000})
    restart = player.get_by_role("button", name="Restart")
    restart.click()

    assert _overlaps(page, 60) == []
    player.get_by_text("max", exact=True).click()
    player.get_by_role("status").filter(has_text="The replay is at its end").wait_for()
    page.get_by_role("treeitem").filter(has_text="web_search").click()
    assert _overlaps(page, 30) == []
    page.get_by_role("treeitem").filter(has_text="LLM chunks (52 tokens)").click()
    player.wait_for(state="detached")
    assert _overlaps(page, 30) == []


def test_a_question_that_only_a_span_tells_of_is_answered_where_it_was_asked(
    demo: Broker, open_page: WatchedPage
) -> None:
    asked: list[str] = []
    page = open_page("about:blank", host=demo.url)
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{demo.url}/ui/sessions/session-abc?query=query-002")

    page.get_by_text("q-123 was asked elsewhere").wait_for()
    assert page.get_by_role("alert").count() == 0
    assert not [url for url in asked if url.endswith("/v1/questions/q-123")]
