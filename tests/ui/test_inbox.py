"""The inbox under somebody's hands: what comes and goes never puts another question under the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from tests.support.process import Broker
from tests.support.waiting import wait_until
from tests.ui.conftest import WatchedPage

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def ask(broker: Broker, text: str, **more: Any) -> str:
    """Ask for a yes or a no; the question's id."""
    asked = httpx.post(
        f"{broker.url}/v1/questions", json={"session": "s", "text": text, "options": ["yes", "no"], **more}, timeout=60
    )
    identity: str = asked.raise_for_status().json()["id"]
    return identity


def states(broker: Broker) -> dict[str, str]:
    """Questions by text, and what became of them."""
    items = httpx.get(f"{broker.url}/v1/questions", timeout=60).raise_for_status().json()["items"]
    return {each["text"]: each["state"] for each in items}


def form(page: Page, text: str) -> Locator:
    return page.get_by_role("form", name=f"Answer to: {text}")


def test_a_question_that_is_more_urgent_does_not_take_the_place_of_the_one_that_is_shown(
    broker: Broker, open_page: WatchedPage
) -> None:
    ask(broker, "Delete the copies?")
    page = open_page(f"{broker.url}/ui/inbox")
    form(page, "Delete the copies?").wait_for()

    ask(broker, "Delete the originals?", timeoutSeconds=3_000)
    urgent = page.get_by_role("navigation", name="Questions").get_by_role("link").first
    urgent.filter(has_text="Delete the originals?").wait_for()

    assert form(page, "Delete the copies?").is_visible()
    assert form(page, "Delete the originals?").count() == 0


def test_a_double_click_answers_one_question_and_leads_on_only_when_asked_to(
    broker: Broker, open_page: WatchedPage
) -> None:
    ask(broker, "First?")
    ask(broker, "Second?")
    page = open_page(f"{broker.url}/ui/inbox")

    yes = form(page, "First?").get_by_role("button", name="yes", exact=True)
    box = yes.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(*middle)
    page.get_by_text("Answered").first.wait_for()
    page.mouse.click(*middle)
    wait_until(lambda: states(broker)["First?"] == "answered", what="the answer to be kept")
    next_one = page.get_by_role("button", name="Next question")
    next_one.wait_for()

    assert states(broker) == {"First?": "answered", "Second?": "open"}
    assert form(page, "Second?").count() == 0
    next_one.click()
    form(page, "Second?").get_by_role("button", name="no", exact=True).click()
    page.get_by_text("Answered").first.wait_for()
    wait_until(lambda: states(broker)["Second?"] == "answered", what="the second answer to be kept")
    form(page, "Second?").wait_for(state="detached")
    next_one.wait_for(state="detached")


def test_of_more_than_a_page_of_questions_the_one_that_waits_longest_is_there(
    broker: Broker, open_page: WatchedPage
) -> None:
    ask(broker, "Who waits longest?")
    events = [
        {"type": "question.asked", "sessionId": "s", "questionId": f"q-{number}", "text": f"Question {number}?"}
        for number in range(1_100)
    ]
    httpx.post(f"{broker.url}/v1/events", json=events, timeout=60).raise_for_status()

    page = open_page(f"{broker.url}/ui/inbox")

    page.get_by_role("heading", name="Waiting 1,101").wait_for()
    page.get_by_role("link", name="Who waits longest?").wait_for()
    page.get_by_text("1,101 waiting for an answer").wait_for()
