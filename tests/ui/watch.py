"""Watches what a page does while a test uses it: errors, breaches of the policy, requests to other hosts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebError

#: URLs that never leave the page.
_INSIDE: Final = ("data", "blob", "about")


def wait_for(page: Page, check: Callable[[], bool], what: str) -> None:
    """Wait until `check` is true of what the browser tells by itself (console, requests, frames), in its own time.

    Playwright hands such news on only while it is asked for something: a plain `wait_until` would wait for nothing.
    """
    wait_until(lambda: page.evaluate("true") and check(), timeout=120, what=what)


class Watch:
    """All that the pages of a context did and should not have done: `problems` has to be empty at the end."""

    def __init__(self, context: BrowserContext, host: str) -> None:
        """`host`, with its port, is the only one that pages may ask."""
        self.problems: list[str] = []
        self._host = host
        self._allowed: list[re.Pattern[str]] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)

    def allow(self, pattern: str) -> None:
        """From here on, problems whose text has this are none: what the test brings about itself."""
        self._allowed.append(re.compile(pattern))

    def check(self) -> None:
        """Raises AssertionError with all problems so far."""
        assert not self.problems, "\n".join(self.problems)

    def _add(self, problem: str) -> None:
        if not any(pattern.search(problem) for pattern in self._allowed):
            self.problems.append(problem)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Breaches of the content security policy come as errors too.
        if message.type in ("error", "warning", "assert"):
            self._add(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _on_error(self, error: WebError) -> None:
        self._add(f"uncaught: {error.error}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in _INSIDE and parts.netloc != self._host:
            self._add(f"request to another host: {request.method} {request.url}")
