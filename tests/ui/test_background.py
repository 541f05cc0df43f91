"""Tabs that nobody looks at: a browser has six connections for a host, over all its tabs, and a stream keeps one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from tests.support.process import Broker
from tests.ui.conftest import WatchedPage

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: A browser without a window calls every tab visible: what it would say of one in the background.
_HIDE: Final = """
  Object.defineProperty(document, 'visibilityState', {get: () => self.isLookedAt ? 'visible' : 'hidden'});
"""
_LOOK: Final = """() => {
  self.isLookedAt = true;
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def _wait_until_live(page: Page) -> None:
    page.get_by_role("status").filter(has_text="Live").wait_for()


def test_many_tabs_opened_in_the_background_leave_the_one_in_front_its_connections(
    broker: Broker, open_page: WatchedPage
) -> None:
    httpx.post(f"{broker.url}/v1/events", json={"type": "note", "sessionId": "first"}, timeout=60).raise_for_status()
    front = open_page(f"{broker.url}/ui/sessions")
    _wait_until_live(front)

    behind = [front.context.new_page() for _ in range(7)]
    for page in behind:
        page.add_init_script(_HIDE)
        page.goto(f"{broker.url}/ui/sessions")
        page.get_by_role("link", name="first").wait_for()

    front.reload()
    _wait_until_live(front)

    httpx.post(f"{broker.url}/v1/events", json={"type": "note", "sessionId": "second"}, timeout=60).raise_for_status()
    front.get_by_role("link", name="second").wait_for()
    assert behind[0].get_by_role("link", name="second").count() == 0
    behind[0].evaluate(_LOOK)
    _wait_until_live(behind[0])
    behind[0].get_by_role("link", name="second").wait_for()
