"""Logging in and out of the dashboard of a broker that wants tokens; and what is seen of a token that was revoked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from tests.support.process import Broker, run_command
from tests.ui.conftest import WatchedPage, running
from tests.ui.test_access import PICTURES, violations
from tests.ui.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ADMIN: Final = "an-operators-own-secret-0123456789"
BEARER: Final = {"Authorization": f"Bearer {ADMIN}"}
#: A session that only who is logged in may know of.
SESSION: Final = "merger-of-two-banks"
#: What the browser writes to the console of each request that is refused.
REFUSED: Final = "401"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that wants tokens, with a session in it."""
    directory = tmp_path_factory.mktemp("locked")
    settings = {"database_url": f"sqlite:///{directory}/broker.db", "auth": True, "admin_token": ADMIN}
    with running(directory, settings) as broker:
        events = [{"type": "note", "sessionId": SESSION, "query": "due-diligence"}]
        httpx.post(f"{broker.url}/v1/events", json=events, headers=BEARER, timeout=60).raise_for_status()
        yield broker


@pytest.fixture
def token(locked: Broker) -> dict[str, Any]:
    """A token that reads, as `POST /v1/tokens` made it: its id, and the `token` itself."""
    wanted = {"name": "somebody", "permissions": ["read"]}
    made = httpx.post(f"{locked.url}/v1/tokens", json=wanted, headers=BEARER, timeout=60).raise_for_status()
    found: dict[str, Any] = made.json()
    return found


def form(page: Page) -> Locator:
    return page.get_by_label("Token")


def log_in(page: Page, token: str) -> None:
    form(page).fill(token)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture
def stranger(locked: Broker, open_page: WatchedPage, watches: list[Watch]) -> Page:
    """Somebody who opens the list of sessions and is not known."""
    page = open_page("about:blank", host=locked.url)
    watches[0].allow(REFUSED)
    page.goto(f"{locked.url}/ui/sessions?q=merger")
    form(page).wait_for()
    return page


@pytest.fixture
def visitor(stranger: Page, token: dict[str, Any]) -> Page:
    """Somebody who has logged in, and sees the session."""
    log_in(stranger, token["token"])
    stranger.get_by_role("link", name=SESSION).wait_for()
    return stranger


def assert_nothing_is_told(page: Page) -> None:
    """The page has nothing that only who is logged in may know, seen or not."""
    content = page.content() + page.title()
    assert SESSION not in content
    assert "due-diligence" not in content
    assert page.get_by_role("button", name="Log out").count() == 0


def test_the_page_says_how_a_token_is_made_that_opens_it(locked: Broker, stranger: Page) -> None:
    program, *arguments = stranger.locator("main code").inner_text().split()
    assert program == "ark-broker"

    made = run_command(*arguments, "--json", database_url=locked.settings["database_url"])

    assert made.returncode == 0, made.stderr
    log_in(stranger, json.loads(made.stdout)["token"])
    stranger.get_by_role("link", name=SESSION).wait_for()


def test_a_wrong_token_is_refused_with_words_and_a_right_one_leads_to_the_page_asked_for(
    stranger: Page, token: dict[str, Any]
) -> None:
    for wrong in ("not-a-token", token["token"][:-1]):
        log_in(stranger, wrong)
        stranger.get_by_role("alert").wait_for()
        assert stranger.get_by_role("alert").inner_text().strip()
        assert_nothing_is_told(stranger)

    log_in(stranger, token["token"])
    stranger.get_by_role("link", name=SESSION).wait_for()
    assert stranger.url.endswith("/ui/sessions?q=merger")
    assert form(stranger).count() == 0


def test_who_logs_out_leaves_no_name_behind_at_once(visitor: Page) -> None:
    # No other answer is needed for that.
    visitor.route(re.compile(r"/v1/(?!logout)"), lambda _route: None)
    visitor.get_by_role("button", name="Log out").click()
    form(visitor).wait_for()

    assert_nothing_is_told(visitor)
    visitor.unroute_all()
    visitor.reload()
    form(visitor).wait_for()
    assert_nothing_is_told(visitor)


@pytest.mark.parametrize("where", ["the list", "a session", "the inbox"])
def test_a_token_that_is_revoked_leads_to_the_login_by_itself_and_back_to_the_same_page(
    locked: Broker, visitor: Page, token: dict[str, Any], where: str
) -> None:
    if where == "a session":
        visitor.get_by_role("link", name=SESSION).click()
        visitor.get_by_role("treeitem").first.wait_for()
    elif where == "the inbox":
        visitor.get_by_role("link", name="Inbox").click()
        visitor.get_by_text("Nobody waits for an answer").wait_for()
    address = visitor.url

    httpx.delete(f"{locked.url}/v1/tokens/{token['id']}", headers=BEARER, timeout=60).raise_for_status()

    form(visitor).wait_for()
    assert_nothing_is_told(visitor)
    log_in(visitor, ADMIN)
    visitor.get_by_role("button", name="Log out").wait_for()
    assert visitor.url == address
    if where != "the inbox":
        visitor.get_by_text(SESSION).first.wait_for()


def test_a_logout_that_fails_is_told(visitor: Page, watches: list[Watch]) -> None:
    watches[0].allow(r"ERR_FAILED|net::")
    visitor.route("**/v1/logout", lambda route: route.abort())
    visitor.get_by_role("button", name="Log out").click()

    visitor.get_by_role("alert").filter(has_text=re.compile("still logged in")).wait_for()

    visitor.unroute_all()
    visitor.get_by_role("button", name="Try again").click()
    form(visitor).wait_for()


@pytest.mark.parametrize("width", [1280, 400])
def test_axe_finds_nothing_serious_at_the_login(stranger: Page, tmp_path: Path, width: int) -> None:
    stranger.set_viewport_size({"width": width, "height": 600})
    stranger.screenshot(path=Path(PICTURES or tmp_path) / f"login-{width}.png", animations="disabled")
    log_in(stranger, "not-a-token")
    stranger.get_by_role("alert").wait_for()

    for scheme in ("dark", "light"):
        stranger.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        stranger.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
        assert (scheme, violations(stranger)) == (scheme, [])
    assert stranger.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
