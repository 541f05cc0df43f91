"""Waiting for something to become true: with a deadline, and never longer than it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

Value = TypeVar("Value")

_INTERVAL_SECONDS: Final = 0.02


def wait_until(check: Callable[[], Value], *, timeout: float = 20, what: str = "") -> Value:
    """Call `check` until it returns something true, and return that; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := check()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what or check}"
        time.sleep(_INTERVAL_SECONDS)
    return value


async def until(
    check: Callable[[], Awaitable[Value]],
    *,
    timeout: float = 20,  # noqa: ASYNC109 - the failure is to say what it waited for
    what: str = "",
) -> Value:
    """`wait_until` for a coroutine function; the event loop goes on meanwhile."""
    deadline = time.monotonic() + timeout
    while not (value := await check()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what or check}"
        await asyncio.sleep(_INTERVAL_SECONDS)
    return value
