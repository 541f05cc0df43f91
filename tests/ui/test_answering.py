"""An answer that is being written in the tree stays, whatever comes meanwhile and wherever the page is scrolled to."""

from __future__ import annotations

import re
import time

import httpx
import pytest

from tests.support.process import Broker
from tests.ui.conftest import WatchedPage
from tests.ui.tree import Tree

SESSION = "asking"
_WHERE = {"sessionId": SESSION, "query": "q"}


def _send(broker: Broker, first: int, last: int) -> None:
    """Notes `note-<first>` to `note-<last - 1>` of the query that asks."""
    now = time.time_ns()
    notes = [
        {**_WHERE, "type": "note", "message": f"note-{number:03}", "time": now + number}
        for number in range(first, last)
    ]
    httpx.post(f"{broker.url}/v1/events", json=notes, timeout=60).raise_for_status()


@pytest.fixture
def asking(broker: Broker) -> Broker:
    """A broker with a query of which somebody is asked in words, and another one that keeps the session active."""
    started = [{**_WHERE, "type": "query.started"}, {**_WHERE, "query": "other", "type": "query.started"}]
    httpx.post(f"{broker.url}/v1/events", json=started, timeout=60).raise_for_status()
    question = {"session": SESSION, "query": "q", "text": "Which region?", "timeoutSeconds": 3_600}
    httpx.post(f"{broker.url}/v1/questions", json=question, timeout=60).raise_for_status()
    return broker


def test_following_ends_where_an_answer_is_written_and_nothing_of_it_is_lost(
    asking: Broker, open_page: WatchedPage
) -> None:
    page = open_page(f"{asking.url}/ui/sessions/{SESSION}")
    field = page.get_by_role("form", name="Answer to: Which region?").get_by_role("textbox")
    page.get_by_role("button", name="Following").wait_for()

    field.press_sequentially("eu-")
    page.get_by_role("button", name="Follow", exact=True).wait_for()
    for first in range(0, 200, 50):
        _send(asking, first, first + 50)
        page.get_by_text(re.compile(rf"{first + 50 + 4}|{first + 50 + 5} rows")).first.wait_for()
        page.keyboard.type("west-")

    assert field.input_value() == "eu-west-west-west-west-"
    assert field.evaluate("element => element === document.activeElement")
    page.get_by_role("button", name="Jump to now").wait_for()


def test_an_answer_is_still_there_after_its_row_was_out_of_the_page(asking: Broker, open_page: WatchedPage) -> None:
    _send(asking, 0, 200)
    page = open_page(f"{asking.url}/ui/sessions/{SESSION}?query=q")
    field = page.get_by_role("form", name="Answer to: Which region?").get_by_role("textbox")
    tree = Tree(page)
    field.fill("eu-west")

    # What has the focus stays, though it is far out of sight.
    tree.scroll_to("tree.scrollHeight")
    tree.row("note-199").wait_for()
    assert field.evaluate("element => element === document.activeElement")

    tree.element.focus()
    field.wait_for(state="detached")
    tree.scroll_to("0")
    field.wait_for()
    assert field.input_value() == "eu-west"

    page.get_by_role("link", name="Raw", exact=True).click()
    page.get_by_role("listbox", name="Events").wait_for()
    page.get_by_role("link", name="Tree", exact=True).click()
    field.wait_for()
    assert field.input_value() == "eu-west"
