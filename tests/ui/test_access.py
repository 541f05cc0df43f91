"""Every page can be used by everybody: axe finds nothing serious, in dark and light, wide and narrow.

The pictures of the docs are taken on the way, of pages that passed: `docs/images/<page>-<width>.png`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import httpx
import pytest

from tests.support.process import Broker
from tests.support.waiting import wait_until
from tests.ui.conftest import WatchedPage, running
from tests.ui.story import RELEASE, ROLLOUT, tell
from tests.ui.test_live import demo_playing

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_ROOT: Final = Path(__file__).parents[2]
_AXE: Final = _ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
#: Where the pictures go; unless it is said a test run leaves the checkout as it was.
PICTURES: Final = os.environ.get("ARK_BROKER_TEST_PICTURES")

#: The rules of WCAG 2.2 A and AA, and what axe's authors think best; that names contain what is seen is among its
#: experimental ones.
_RUN: Final = """async () => {
  const rules = {'label-content-name-mismatch': {enabled: true}};
  const found = await axe.run(document, {rules, resultTypes: ['violations']});
  return found.violations
    .filter(({impact}) => impact === 'serious' || impact === 'critical')
    .map(({id, impact, nodes}) => [impact, id, ...nodes.slice(0, 3).map(node => node.html.slice(0, 200))]);
}"""


def violations(page: Page) -> list[str]:
    """What axe finds on the page that is serious, or worse."""
    page.evaluate(_AXE.read_text())
    return [" | ".join(each) for each in page.evaluate(_RUN)]


def _replay(page: Page) -> None:
    """The first stream's replay, in the middle of its text."""
    _row(page, "LLM chunks (52 tokens)").click()
    position = page.get_by_role("slider", name="Position")
    position.evaluate("element => element.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}))")
    position.fill(str(0.7 * float(position.get_attribute("max") or 0)))
    page.get_by_role("button", name=re.compile("^Play")).wait_for()


def _row(page: Page, text: str) -> Locator:
    return page.get_by_role("treeitem").filter(has_text=text).first


def _failed_tool(page: Page) -> None:
    """The tree's end: the open question, and the tool that failed."""
    _row(page, "get_forecast").wait_for()
    page.get_by_role("form").first.wait_for()


def _span(page: Page) -> None:
    """A span and its facts, where there is room for both."""
    if (page.viewport_size or {"width": 0})["width"] > 800:
        _row(page, "error_rates").click()
        page.get_by_role("complementary", name="The chosen span").wait_for()


def _event(page: Page) -> None:
    """An event, and why it is in this session."""
    page.get_by_role("listbox", name="Events").get_by_role("option").first.click()
    page.get_by_text("Why it is here").wait_for()


def _question(page: Page) -> None:
    """A question that has a form."""
    page.get_by_role("link", name="How much may I refund").click()
    page.get_by_role("form").wait_for()


def _nothing(_page: Page) -> None:
    """It is as it opens."""


Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class Sight:
    """A page as it is looked at: its address, what is done there first, and how the docs show it."""

    path: str
    prepare: Callable[[Page], None] = _nothing
    scheme: Scheme = "light"


PAGES: Final = {
    "sessions": Sight("/ui/sessions"),
    "session": Sight("/ui/sessions/session-abc", _failed_tool, "dark"),
    "replay": Sight("/ui/sessions/session-abc?query=query-001", _replay),
    "timeline": Sight(f"/ui/sessions/{RELEASE}/timeline?query={ROLLOUT}", _span, "dark"),
    "conversation": Sight("/ui/sessions/session-abc/conversation"),
    "raw": Sight("/ui/sessions/session-abc/raw", _event),
    "inbox": Sight("/ui/inbox", _question, "dark"),
    "overview": Sight("/ui/overview", scheme="dark"),
}
#: Width → height.
WIDTHS: Final = {1280: 833, 400: 960}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with a day's work, and the demo's session beside it, whose second query really waits for an answer."""
    directory = tmp_path_factory.mktemp("busy")
    settings = {"database_url": f"sqlite:///{directory}/broker.db", "upstreams": "http://127.0.0.1:9?name=langfuse"}
    # What is shown should have taken as long as such things take; a run that takes no pictures has no time for that.
    speed = "human" if PICTURES else "max"
    with running(directory, settings) as broker:
        tell(broker)
        with demo_playing(broker, "--ask", "--speed", speed):
            wait_until(lambda: _has_failed(broker), timeout=300, what="the demo's last query to fail")
            yield broker


def _has_failed(broker: Broker) -> bool:
    response = httpx.get(f"{broker.url}/v1/sessions/session-abc", timeout=60)
    phases: dict[str, Any] = response.json()["counts"]["phases"] if response.is_success else {}
    return "error" in phases


def opened(open_page: WatchedPage, broker: Broker, name: str, **options: Any) -> Page:
    page = open_page(f"{broker.url}{PAGES[name].path}", **options)
    page.locator("main h1, main h2").first.wait_for()
    page.wait_for_function("document.querySelector('[aria-busy=true]') === null")
    PAGES[name].prepare(page)
    return page


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(busy: Broker, open_page: WatchedPage, tmp_path: Path, name: str, width: int) -> None:
    shown = PAGES[name].scheme
    other: Scheme = "light" if shown == "dark" else "dark"
    # Each page is looked at in both schemes and at both widths, in every other combination of them.
    looked_at = shown if width > 800 else other
    page = opened(open_page, busy, name, color_scheme=looked_at, viewport={"width": width, "height": WIDTHS[width]})
    page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=looked_at)

    assert violations(page) == []

    page.emulate_media(color_scheme=shown)
    page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=shown)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
    page.mouse.move(0, 0)
    page.screenshot(path=Path(PICTURES or tmp_path) / f"{name}-{width}.png", animations="disabled")


def test_axe_would_find_something(busy: Broker, open_page: WatchedPage) -> None:
    page = opened(open_page, busy, "sessions")
    page.locator("main").evaluate(
        "main => main.append(document.createElement('img'), document.createElement('button'))"
    )

    found = "\n".join(violations(page))

    assert "image-alt" in found
    assert "button-name" in found
