"""Pages of other origins, in a real browser, against a broker that wants tokens: nothing can be read, nothing changed.

The visitor is logged in, so that their browser has the cookie. To a browser another port is another origin of the same
site, which SameSite cookies are sent to; another name is another site; a sandboxed frame has the origin `null`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from tests.support.process import Broker
from tests.ui.conftest import WatchedPage, running
from tests.ui.watch import Watch, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Frame, Page

ADMIN: Final = "an-operators-own-secret-0123456789"
BEARER: Final = {"Authorization": f"Bearer {ADMIN}"}
#: What there is to read, by parts of the API: ours, Ark's, live streams, the page itself.
READABLE: Final = ("/v1/me", "/v1/sessions", "/v1/events/stream", "/sessions", "/events", "/mcp", "/metrics", "/")

_ERROR_PAGE: Final = "chrome-error://chromewebdata/"

_READ: Final = """async ([url, credentials]) => {
  try {
    const answer = await fetch(url, {credentials});
    return 'read, with status ' + answer.status;
  } catch (error) {
    return error.name;
  }
}"""
#: As forms send it, without asking the broker before.
_SEND: Final = """async ([url, body]) => {
  const answer = await fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include', body});
  return answer.type;
}"""
_SEND_JSON: Final = """async ([url, body]) => {
  const headers = {'Content-Type': 'application/json'};
  try {
    await fetch(url, {method: 'POST', credentials: 'include', headers, body});
    return 'sent';
  } catch (error) {
    return error.name;
  }
}"""


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = b"<!doctype html><link rel=icon href='data:,'><title>elsewhere</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody wants to know."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of a web server that has nothing to do with the broker."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that wants tokens, with a session and an open question."""
    directory = tmp_path_factory.mktemp("locked")
    settings = {"database_url": f"sqlite:///{directory}/broker.db", "auth": True, "admin_token": ADMIN}
    with running(directory, settings) as broker:
        _fill(broker)
        yield broker


def _fill(broker: Broker) -> None:
    with httpx.Client(base_url=broker.url, headers=BEARER, timeout=60) as http:
        http.post("/v1/events", json={"type": "note", "sessionId": "s"}).raise_for_status()
        asked = http.post("/v1/questions", json={"session": "s", "text": "May I?"})
        assert asked.is_success, asked.text


@pytest.fixture
def visitor(locked: Broker, open_page: WatchedPage, watches: list[Watch]) -> Page:
    """A page of the broker's own in a browser that is logged in."""
    page = open_page(f"{locked.url}/ui/x", host=locked.url)
    watches[0].allow("")  # what is refused is written to the console
    status = page.evaluate(
        "async token => (await fetch('/v1/login', {method: 'POST', body: JSON.stringify({token}),"
        " headers: {'Content-Type': 'application/json'}})).status",
        ADMIN,
    )
    assert status in (200, 204)
    assert page.evaluate(_READ, ["/v1/sessions", "same-origin"]) == "read, with status 200"
    return page


@pytest.fixture(params=["another port", "another name", "no origin"])
def foreign(request: pytest.FixtureRequest, visitor: Page, elsewhere: int) -> Frame:
    """A page of another origin in the same browser."""
    page = visitor.context.new_page()
    name = "localhost" if request.param == "another name" else "127.0.0.1"
    page.goto(f"http://{name}:{elsewhere}/")
    if request.param != "no origin":
        return page.main_frame
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('iframe'),"
        " {sandbox: 'allow-scripts', srcdoc: 'sandboxed'}))"
    )
    frame = page.wait_for_selector("iframe").content_frame()
    assert frame is not None
    assert frame.evaluate("self.origin") == "null"
    return frame


def test_a_page_of_another_origin_reads_nothing(locked: Broker, foreign: Frame) -> None:
    for path in READABLE:
        for credentials in ("include", "omit"):
            said = foreign.evaluate(_READ, [f"{locked.url}{path}", credentials])
            assert said == "TypeError", (path, credentials, said)


def test_a_page_of_another_origin_follows_no_stream(locked: Broker, foreign: Frame) -> None:
    for path in ("/v1/events/stream?from=start", "/v1/stream?from=start"):
        heard = foreign.evaluate(
            """url => new Promise(done => {
              const source = new EventSource(url, {withCredentials: true});
              source.onmessage = source.onopen = event => done(event.type);
              source.onerror = () => { source.close(); done('refused'); };
            })""",
            f"{locked.url}{path}",
        )
        assert heard == "refused"


def test_a_page_of_another_origin_changes_nothing(locked: Broker, foreign: Frame) -> None:
    before = _state(locked)
    answer, event = '{"answer": "yes"}', '{"type": "note", "sessionId": "forged"}'
    (question,) = before[0]

    for path, body in (
        (f"/v1/questions/{question['id']}/answer", answer),
        (f"/v1/questions/{question['id']}/cancel", "{}"),
        ("/v1/events", event),
        ("/events", event),
        ("/v1/logout", "{}"),
    ):
        assert foreign.evaluate(_SEND, [f"{locked.url}{path}", body]) == "opaque"
        assert foreign.evaluate(_SEND_JSON, [f"{locked.url}{path}", body]) == "TypeError"

    assert _state(locked) == before


def _state(broker: Broker) -> tuple[list[dict[str, Any]], list[str]]:
    with httpx.Client(base_url=broker.url, headers=BEARER, timeout=60) as http:
        questions = http.get("/v1/questions").raise_for_status().json()["items"]
        sessions = http.get("/v1/sessions").raise_for_status().json()["items"]
    return questions, [session["id"] for session in sessions]


def test_the_dashboard_is_shown_in_nobodys_frame_and_reached_from_no_window(locked: Broker, foreign: Frame) -> None:
    framed = foreign.evaluate(
        """async url => {
          const frame = document.createElement('iframe');
          const loaded = new Promise(done => frame.onload = done);
          frame.src = url;
          document.body.append(frame);
          await loaded;
          try { return frame.contentWindow.location.href; } catch (error) { return error.name; }
        }""",
        f"{locked.url}/",
    )

    # What is shown instead is an error page of the browser's, of an origin of its own.
    assert framed == "SecurityError"
    wait_for(
        foreign.page,
        lambda: [frame.url for frame in foreign.child_frames if frame.url != "about:srcdoc"] == [_ERROR_PAGE],
        "the frame to be an error page",
    )


def test_a_window_that_another_page_opens_knows_nothing_of_it(locked: Broker, visitor: Page, elsewhere: int) -> None:
    page = visitor.context.new_page()
    page.goto(f"http://127.0.0.1:{elsewhere}/")

    with page.expect_popup() as opened:
        page.evaluate("url => { self.opened = window.open(url) }", f"{locked.url}/ui/x")
    opened.value.wait_for_load_state()

    assert opened.value.evaluate("window.opener") is None
    assert page.evaluate("self.opened.closed") is True
