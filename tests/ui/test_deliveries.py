"""Upstreams and webhooks on the overview: what they have not delivered, and what can be done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.support.otlp import PROTOBUF, traces
from tests.support.process import Broker, StartBroker
from tests.ui.conftest import WatchedPage
from tests.ui.test_access import violations


class Receiver(ThreadingHTTPServer):
    """Answers every request with `status`."""

    status = 400

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody wants to know."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An upstream that refuses what it is sent, until it is told otherwise."""
    with Receiver(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_dead_letters_are_seen_and_sent_again(
    receiver: Receiver, start_broker: StartBroker, sqlite_url: str, open_page: WatchedPage
) -> None:
    broker = start_broker(
        sqlite_url, upstreams=f"{receiver.url}?name=langfuse, http://127.0.0.1:9?name=away&from=start"
    )
    content = traces({}, {}).SerializeToString()
    httpx.post(f"{broker.url}/v1/traces", content=content, headers=PROTOBUF, timeout=60).raise_for_status()
    page = open_page(f"{broker.url}/ui/overview")
    table = page.get_by_role("region", name="Deliveries")
    away, langfuse = (table.get_by_role("row").filter(has_text=name) for name in ("away", "langfuse"))

    away.get_by_text("failing").wait_for()
    away.get_by_text("2 events").wait_for()
    langfuse.get_by_role("button", name="2 show").click()
    dialog = page.get_by_role("dialog")
    letters = dialog.get_by_role("listitem")
    letters.filter(has_text="400").nth(1).wait_for()
    assert letters.count() == 2
    assert violations(page) == []

    receiver.status = 200
    dialog.get_by_role("button", name="Send again").first.click()
    dialog.get_by_role("status").filter(has_text="1 delivered").wait_for()
    dialog.get_by_role("button", name="Send all again").click()
    dialog.get_by_text("There are none any more").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    langfuse.get_by_role("button").wait_for(state="detached")


def test_where_nothing_is_delivered_nothing_is_said_of_it(demo: Broker, open_page: WatchedPage) -> None:
    page = open_page("about:blank", host=demo.url)
    with page.expect_response("**/v1/deliveries") as answered:
        page.goto(f"{demo.url}/ui/overview")
    assert answered.value.json() == {"items": []}
    page.get_by_role("heading", name="Overview").wait_for()

    assert page.get_by_role("region", name="Deliveries").count() == 0
