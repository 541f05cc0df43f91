"""`make bench-ui`: how much the dashboard asks of the browser's one thread, in Chromium, against a broker on SQLite.

Work, not frames a second, is what is measured: a machine without a GPU draws few of them, however little the page does.
A frame at 60 a second has 16.7 ms. The bare page is what the same browser needs for as many plain rows.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import httpx
from playwright.sync_api import CDPSession, Page, sync_playwright

from bench.broker import Broker, directory
from bench.report import Row, show
from tests.ui.browser import ARGUMENTS, find

MANY: Final = 50_000
FRAME_MS: Final = 1_000 / 60
STEPS: Final = 300
PER_SECOND: Final = 200
SECONDS: Final = 15
PATIENCE_MS: Final = 180_000

#: Scrolls an element through all that it has, a step a frame.
_SCROLL: Final = """async ([element, steps]) => {
  for (let step = 0; step < steps; step++) {
    element.scrollTop = element.scrollHeight * step / steps;
    await new Promise(requestAnimationFrame);
  }
}"""
#: As many rows as the tree has in sight, put anew and written anew with each frame.
_BARE: Final = """async steps => {
  document.body.replaceChildren();
  const rows = Array.from({length: 60}, () => document.body.appendChild(document.createElement('div')));
  for (const row of rows) Object.assign(row.style, {position: 'absolute', height: '30px'});
  for (let step = 0; step < steps; step++) {
    rows.forEach((row, at) => {
      row.textContent = `[event] note "event-${step * 60 + at}" 10:30:00.000`;
      row.style.transform = `translateY(${(at * 30 + step) % 1800}px)`;
    });
    await new Promise(requestAnimationFrame);
  }
}"""
#: The longest task from here on, in milliseconds: while it runs, nothing that is typed is answered.
_WATCH_TASKS: Final = """() => {
  self.longestTask = 0;
  new PerformanceObserver(list => {
    for (const task of list.getEntries()) self.longestTask = Math.max(self.longestTask, task.duration);
  }).observe({type: 'longtask'});
}"""


@dataclass(frozen=True)
class Meter:
    """The browser's own count of what a page's main thread has done."""

    session: CDPSession

    def task_ms(self) -> float:
        """Milliseconds of work since the page was opened: script, style, layout, painting."""
        found: dict[str, Any] = self.session.send("Performance.getMetrics")
        seconds = next(each["value"] for each in found["metrics"] if each["name"] == "TaskDuration")
        return float(seconds) * 1_000


def fill(broker: Broker) -> None:
    """One session of `MANY` events, all of one query."""
    now = time.time_ns() - 3_600 * 1_000_000_000
    with httpx.Client(base_url=broker.url, timeout=120) as http:
        for first in range(0, MANY, 2_500):
            events = [_event("large", number, now) for number in range(first, first + 2_500)]
            http.post("/v1/events", json=events).raise_for_status()


def _event(session: str, number: int, start: int) -> dict[str, Any]:
    message = f"event-{number:05}"
    return {"type": "note", "sessionId": session, "query": "q", "message": message, "time": start + number * 1_000_000}


def opened(page: Page, url: str) -> Meter:
    """The page at that address, once its tree is there."""
    page.goto(url)
    page.get_by_role("treeitem").first.wait_for()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    return Meter(session)


def scrolling(page: Page, broker: Broker) -> list[Row]:
    """From the first of 50,000 rows to the last."""
    meter = opened(page, f"{broker.url}/ui/sessions/large")
    page.wait_for_function("document.querySelector('[role=tree]').scrollHeight > 1000000")
    tree = page.get_by_role("tree").element_handle()
    before = meter.task_ms()
    page.evaluate(_SCROLL, [tree, STEPS])
    work = (meter.task_ms() - before) / STEPS
    before = meter.task_ms()
    page.evaluate(_BARE, STEPS)
    bare = (meter.task_ms() - before) / STEPS
    share, times = work / FRAME_MS, work / bare
    reached, limit = f"{work:.1f} ms/frame", f"{FRAME_MS:.1f} ms"
    return [
        Row(f"scrolling {MANY:,} rows", reached, limit, f"{share:.2f}", "≤ 1", share <= 1),
        Row("… against 60 bare rows", reached, f"{bare:.1f} ms", f"{times:.1f}", "", good=True),
    ]


def living(page: Page, broker: Broker) -> list[Row]:
    """A session's page, followed, while 200 events a second arrive."""
    httpx.post(f"{broker.url}/v1/events", json=[_event("live", 0, time.time_ns())]).raise_for_status()
    meter = opened(page, f"{broker.url}/ui/sessions/live")
    page.evaluate(_WATCH_TASKS)
    sender = threading.Thread(target=_send, args=(broker,))
    before, began = meter.task_ms(), time.monotonic()
    sender.start()
    page.get_by_role("treeitem").filter(has_text=f"event-{PER_SECOND * SECONDS:05}").wait_for(timeout=PATIENCE_MS)
    seconds = time.monotonic() - began
    sender.join()
    share, late = (meter.task_ms() - before) / 1_000 / seconds, seconds / SECONDS
    longest = float(page.evaluate("self.longestTask"))
    return [
        Row(f"{PER_SECOND} events/s, live", f"{share:.0%} of a thread", "100%", f"{share:.2f}", "≤ 0.5", share <= 0.5),
        Row("… the last is seen after", f"{seconds:.1f} s", f"{SECONDS} s", f"{late:.2f}", "≤ 1.1", late <= 1.1),
        Row("… longest without an answer", f"{longest:.0f} ms", "100 ms", f"{longest / 100:.1f}", "", good=True),
    ]


def _send(broker: Broker) -> None:
    """In 20 requests a second, each when it is due."""
    began, start = time.monotonic(), time.time_ns()
    with httpx.Client(base_url=broker.url, timeout=60) as http:
        for request in range(SECONDS * 20):
            time.sleep(max(0.0, began + request / 20 - time.monotonic()))
            first = 1 + request * PER_SECOND // 20
            events = [_event("live", number, start) for number in range(first, first + PER_SECOND // 20)]
            http.post("/v1/events", json=events).raise_for_status()


def main() -> int:
    """Returns 1 where a goal is missed."""
    with directory() as place, Broker(f"sqlite:///{place}/broker.db") as broker, sync_playwright() as playwright:
        print(f"  {MANY:,} events …", flush=True)
        fill(broker)
        browser = playwright.chromium.launch(executable_path=find(), args=[*ARGUMENTS])
        rows = []
        for part in (scrolling, living):
            print(f"  {part.__name__} …", flush=True)
            page = browser.new_page(viewport={"width": 1280, "height": 833})
            page.set_default_timeout(PATIENCE_MS)
            rows += part(page, broker)
            page.close()
        browser.close()
    return 0 if show(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
