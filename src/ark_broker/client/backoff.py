"""How long to wait before trying again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from ark_broker.client.errors import BrokerError, Refused, Unreachable
from ark_broker.client.steps import Answer, Call, Pause, Program, request

#: Seconds before the second try, doubled with each that fails.
_FIRST: Final = 0.2
_LONGEST: Final = 15.0
#: The broker may ask for longer, but not for any time.
_LONGEST_ASKED: Final = 60.0


class BackOff:
    """Seconds to wait: longer with each failure, and never the same for all who failed together."""

    def __init__(self, first: float = _FIRST) -> None:
        self._first = first
        self._failures = 0

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0

    def next(self, asked: float | None = None) -> float:
        """Seconds to wait after one more failure; at least as long as was asked for."""
        limit = min(_LONGEST, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return max(random.uniform(limit / 2, limit), min(asked or 0.0, _LONGEST_ASKED))


def may_pass_later(error: BrokerError) -> bool:
    """True where the same request is right to repeat."""
    return isinstance(error, Unreachable) or (isinstance(error, Refused) and error.may_pass_later)


def asked_delay(error: BrokerError) -> float | None:
    """Seconds that the broker asked to wait; None where it did not say."""
    return error.retry_after if isinstance(error, Refused) else None


def persistently(
    call: Call | Callable[[], Call], seconds: float, clock: Callable[[], float] = time.monotonic
) -> Program[Answer]:
    """Make the call until it is answered, for so many seconds: only where sending it twice does it once.

    Raises what went wrong last, and Refused at once for what will be refused again.
    """
    back_off, deadline = BackOff(), clock() + seconds
    while True:
        try:
            return (yield from request(call if isinstance(call, Call) else call()))
        except BrokerError as error:
            delay, reason = back_off.next(asked_delay(error)), error
            if not may_pass_later(error) or clock() + delay > deadline:
                raise
        yield Pause(delay, reason)
