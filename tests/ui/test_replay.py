"""A recorded stream, typed out again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ark_broker.cli.demo_story import WEATHER
from tests.support.process import Broker
from tests.support.waiting import wait_until
from tests.ui.conftest import WatchedPage

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def opened(page: Page) -> Locator:
    """The player of the first stream, after a click on its row."""
    page.get_by_role("treeitem").filter(has_text="LLM chunks (52 tokens)").get_by_text("click to replay").click()
    player = page.get_by_role("region", name="Replay")
    player.wait_for()
    return player


def test_a_replay_types_the_text_that_was_streamed(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{demo.url}/ui/sessions/session-abc?query=query-001")
    player = opened(page)
    player.get_by_text("max", exact=True).click()
    if player.get_by_role("button", name=re.compile("^Play")).count():
        player.get_by_role("button", name=re.compile("^Play")).click()

    player.get_by_role("status").filter(has_text="The replay is at its end").wait_for()

    player.get_by_text("52 of 52 tokens").wait_for()
    # The text is drawn when there is time for it.
    wait_until(lambda: WEATHER in player.inner_text(), what="the whole text")


def test_the_scrubber_leads_to_any_place_and_the_text_is_that_so_far(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{demo.url}/ui/sessions/session-abc?query=query-001")
    player = opened(page)
    position = player.get_by_role("slider", name="Position")
    total = float(position.get_attribute("max") or 0)
    player.get_by_role("button", name="Plain").click()
    text = player.locator("pre")

    def typed_at(part: float) -> str:
        position.evaluate("element => element.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}))")
        position.fill(str(total * part))
        return "".join(text.all_inner_texts())

    # The text is drawn when there is time for it. Of the beginning there is the first chunk, which came at once.
    wait_until(lambda: typed_at(1) == WEATHER, what="the whole text")
    wait_until(lambda: len(typed_at(0)) < len(WEATHER) / 4, what="the text's beginning")
    player.get_by_role("button", name=re.compile("^Play")).wait_for()
    seen = [typed_at(part / 10) for part in range(11)]
    assert all(WEATHER.startswith(each) for each in seen)
