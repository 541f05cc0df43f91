"""What one process knows of an upstream from one delivery to the next. It is lost with the process, and found out anew.

How much it can take at once (`Pace`), and where the search for a span that it breaks over stands (`Memory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ark_broker.model import Event

#: Times that an upstream may fail on the same spans before it is looked for which of them it fails on: four to nine
#: minutes, with the pauses of `next_pause`. Who is only restarting is back by then.
TRIES: Final = 9
#: Requests in a row that are to be taken before larger ones are tried, at first and at most.
_FIRST_RUN: Final = 4
_LONGEST_RUN: Final = 1024


@dataclass(slots=True)
class Pace:
    """How many spans an upstream is given in one request: `most`, until it takes too long.

    A time-out halves it, and requests that are taken double it. Where the larger ones take too long once more, it
    takes twice as many requests until they are tried again: each such try may store spans twice.
    """

    most: int
    spans: int = 0
    _in_a_row: int = 0
    _run: int = _FIRST_RUN
    #: Something was taken since the last time-out, so it was the size, and not an outage.
    _taken: bool = False

    def __post_init__(self) -> None:
        self.spans = self.most

    def took(self, spans: int) -> None:
        """A request with so many spans was taken in time."""
        self._taken = True
        if self.spans >= self.most:
            self._run = _FIRST_RUN
        elif spans >= self.spans:
            self._in_a_row += 1
            if self._in_a_row >= self._run:
                self.spans, self._in_a_row = min(self.spans * 2, self.most), 0

    def timed_out(self, spans: int) -> None:
        """A request with so many spans took too long."""
        if self._taken:
            self._run = min(self._run * 2, _LONGEST_RUN)
        self._taken = False
        self.spans, self._in_a_row = max(1, spans // 2), 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How the spans of a delivery are to be sent; those of `suspects` and `first` are the first of them, in turn."""

    #: Spans that the upstream failed on one by one, in a search that was broken off.
    suspects: int = 0
    #: It took another one since then: try them once more.
    again: bool = False
    #: Spans in the request that such a search was broken off at.
    first: int = 0
    #: Look for the spans that the upstream fails on: send halves where it fails on the whole.
    search: bool = False


#: Nothing is known of the spans.
AS_IT_COMES: Final = Plan()


@dataclass(slots=True)
class Memory:
    """Of the spans that remain after a delivery."""

    #: Position of the first of them.
    _at: int = 0
    #: Times in a row that the upstream failed on what begins with it.
    _failed: int = 0
    #: Events of the last search that ended with nothing known; more of them are worth another search.
    _in_vain: int = 0
    _plan: Plan = AS_IT_COMES

    def plan(self, events: Sequence[Event]) -> Plan:
        """How to send these."""
        if not events or events[0].seq != self._at:
            return AS_IT_COMES
        due = self._failed >= TRIES and (self._failed % TRIES == 0 or len(events) > self._in_vain)
        return replace(self._plan, search=self._plan.search or due)

    def note(self, tried: Plan, remaining: Sequence[Event], plan: Plan, *, failed: bool) -> None:
        """What remains of a delivery, and the plan for it; `failed`: it ended as the upstream failed.

        A search that ends so has found nobody to tell an upstream that is broken from a span that breaks it.
        """
        if not remaining:
            self._at, self._failed, self._in_vain, self._plan = 0, 0, 0, AS_IT_COMES
            return
        before = self._failed if remaining[0].seq == self._at else TRIES if tried.search else 0
        self._at = remaining[0].seq
        self._failed = before + 1 if failed else before
        if failed and tried.search:
            self._in_vain = len(remaining)
        self._plan = plan
