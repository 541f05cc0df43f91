"""Children that came before the root that names their session: each is found as it is stored, wherever it is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from tests.support.events import NOON
from tests.support.otlp import PROTOBUF, SECOND, span_id, traces
from tests.support.process import Broker
from tests.ui.conftest import WatchedPage

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SESSION: Final = "my-session"
#: As the quickstart's program sends them: each span when it ends, the root last.
_ROOT: Final[dict[str, Any]] = {
    "number": 1,
    "name": "invoke_agent planner",
    "end_time_unix_nano": NOON + 3 * SECOND,
    "attributes": {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "planner",
        "session.id": SESSION,
        "query.name": "my-query",
    },
}
_CHAT: Final[dict[str, Any]] = {
    "number": 2,
    "name": "chat gpt-4",
    "parent_span_id": span_id(1),
    "attributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4"},
}
_TOOL: Final[dict[str, Any]] = {
    "number": 3,
    "name": "execute_tool search",
    "parent_span_id": span_id(1),
    "start_time_unix_nano": NOON + SECOND,
    "end_time_unix_nano": NOON + 2 * SECOND,
    "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
}


@pytest.fixture
def adopting(broker: Broker) -> Broker:
    """A broker that has the quickstart's session, its children adopted when the root came."""
    with httpx.Client(base_url=broker.url, timeout=30) as http:
        for span in (_CHAT, _TOOL, _ROOT):
            content = traces(span).SerializeToString()
            http.post("/v1/traces", content=content, headers=PROTOBUF).raise_for_status()
        stored = http.get(f"/v1/sessions/{SESSION}/events").json()["items"]
    adopted = [event for event in stored if event["sessionSeq"] != event["seq"]]
    assert {event["type"] for event in adopted} == {"llm.request", "tool.call"}
    return broker


def _chosen(page: Page) -> Locator:
    """What Raw shows of the event that the address names."""
    chosen = page.get_by_role("complementary", name="The chosen event")
    chosen.wait_for()
    assert page.get_by_text("is not in this session").count() == 0
    return chosen


def _is_the_search(event: Locator) -> None:
    event.get_by_role("heading", name="tool.call").wait_for()
    event.get_by_text(re.compile("execute_tool search")).first.wait_for()


def test_the_tree_leads_to_an_adopted_event_as_it_is_stored(adopting: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{adopting.url}/ui/sessions/{SESSION}")

    page.get_by_role("treeitem").filter(has_text="search()").click()
    page.get_by_role("link", name="Raw event").click()

    _is_the_search(_chosen(page))
    # One alone: of several none could be waited for.
    page.get_by_role("option", selected=True).filter(has_text="tool.call").wait_for()


def test_the_timeline_leads_to_an_adopted_event_and_back(adopting: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{adopting.url}/ui/sessions/{SESSION}/timeline")

    for _ in range(2):
        page.get_by_role("tree", name="Spans by time").get_by_role("treeitem", name=re.compile("Tool")).click()
        span = page.get_by_role("complementary", name="The chosen span")
        span.get_by_role("link", name="Raw", exact=True).click()
        event = _chosen(page)
        _is_the_search(event)
        event.get_by_role("link", name="Show in timeline").click()
        span.get_by_role("heading", name="search").wait_for()


def test_raw_goes_on_from_an_adopted_event_by_key(adopting: Broker, open_page: WatchedPage) -> None:
    page = open_page(f"{adopting.url}/ui/sessions/{SESSION}/raw")
    options = page.get_by_role("listbox", name="Events").get_by_role("option")
    options.first.click()

    types = []
    for place in range(3):
        options.nth(place).and_(page.get_by_role("option", selected=True)).wait_for()
        types.append(_chosen(page).get_by_role("heading", level=2).inner_text())
        page.get_by_role("listbox", name="Events").press("ArrowDown")

    assert types == ["agent.completed", "llm.request", "tool.call"]
