"""Every page can be used by everybody: axe finds nothing serious, in dark and light, wide and narrow.

The pictures of the docs are taken on the way, of pages that passed: `docs/images/<page>-<width>.png`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from tests.support.process import Broker
from tests.support.waiting import wait_until
from tests.ui.conftest import WatchedPage, play_demo, running
from tests.ui.test_live import demo_playing

if TYPE_CHECKING:
    from playwright.sync_api import Page

_ROOT: Final = Path(__file__).parents[2]
_AXE: Final = _ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
#: Where the pictures go; unless it is said a test run leaves the checkout as it was.
_PICTURES: Final = os.environ.get("ARK_BROKER_TEST_PICTURES")

#: Page → its address.
PAGES: Final = {
    "sessions": "/ui/sessions",
    "session": "/ui/sessions/session-abc",
    "timeline": "/ui/sessions/session-abc/timeline?query=query-001",
    "conversation": "/ui/sessions/session-abc/conversation",
    "raw": "/ui/sessions/session-abc/raw",
    "inbox": "/ui/inbox",
    "overview": "/ui/overview",
}
WIDTHS: Final = {1280: 800, 400: 800}

#: The rules of WCAG 2.2 A and AA, and what axe's authors think best.
_RUN: Final = """async () => {
  const found = await axe.run(document, {resultTypes: ['violations']});
  return found.violations
    .filter(({impact}) => impact === 'serious' || impact === 'critical')
    .map(({id, impact, nodes}) => [impact, id, ...nodes.slice(0, 3).map(node => node.html.slice(0, 200))]);
}"""


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with the demo's session, whose second query really waits for an answer, and two more beside it."""
    directory = tmp_path_factory.mktemp("asking")
    settings = {"database_url": f"sqlite:///{directory}/broker.db"}
    with running(directory, settings) as broker, demo_playing(broker, "--ask", "--speed", "max"):
        wait_until(lambda: _open_questions(broker), timeout=60, what="a question")
        play_demo(broker, "--session", "nightly-report")
        play_demo(broker, "--session", "support-4711")
        yield broker


def _open_questions(broker: Broker) -> list[Any]:
    found: list[Any] = httpx.get(f"{broker.url}/v1/questions?state=open").raise_for_status().json()["items"]
    return found


def opened(open_page: WatchedPage, broker: Broker, name: str, **options: Any) -> Page:
    page = open_page(f"{broker.url}{PAGES[name]}", **options)
    page.locator("main h1, main h2").first.wait_for()
    page.wait_for_function("document.querySelector('[aria-busy=true]') === null")
    return page


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(
    asking: Broker, open_page: WatchedPage, tmp_path: Path, name: str, scheme: str, width: int
) -> None:
    page = opened(open_page, asking, name, color_scheme=scheme, viewport={"width": width, "height": WIDTHS[width]})

    page.evaluate(_AXE.read_text())
    assert not (found := page.evaluate(_RUN)), "\n".join(" | ".join(each) for each in found)

    assert page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
    if scheme == "light":
        page.screenshot(path=Path(_PICTURES or tmp_path) / f"{name}-{width}.png", animations="disabled")


def test_axe_would_find_something(asking: Broker, open_page: WatchedPage) -> None:
    page = opened(open_page, asking, "sessions")
    page.locator("main").evaluate(
        "main => main.append(document.createElement('img'), document.createElement('button'))"
    )

    page.evaluate(_AXE.read_text())
    found = page.evaluate(_RUN)

    assert {violation[1] for violation in found} >= {"image-alt", "button-name"}
