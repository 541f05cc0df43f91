"""The phase of a query, from reports that arrive late, twice and in any order.

    pending → running ⇄ waiting → done | error | canceled

Of each class of evidence only the latest time is kept: a maximum does not depend on order and does not count. What is
kept is gone through by time, as Ark's own sessions do on arrival: an error overrides any end, a completion clears an
error but not a cancellation, a cancellation does not hide an error; only a new start, or a resumption, reopens.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ark_broker.model import Event
from ark_broker.model.vocabulary import (
    QUERY_CANCELED,
    QUERY_COMPLETED,
    QUERY_FAILED,
    QUERY_RESUMED,
    QUERY_STARTED,
    QUERY_WAITING,
    QUESTION_ANSWERED,
    QUESTION_CANCELED,
    QUESTION_EXPIRED,
    Phase,
)

TERMINAL: Final[frozenset[Phase]] = frozenset({"done", "error", "canceled"})

#: The lifecycle report that makes an event evidence of a class. All else is weak or none.
_REPORTS: Final = {
    QUERY_STARTED: "started",
    QUERY_RESUMED: "resumed",
    QUERY_WAITING: "waiting",
    QUESTION_ANSWERED: "answered",
    QUESTION_EXPIRED: "answered",
    QUESTION_CANCELED: "answered",
    QUERY_COMPLETED: "done",
    QUERY_FAILED: "error",
    QUERY_CANCELED: "canceled",
}
#: Evidence of what happened when its event began; all other evidence is of its end.
_BEGINNINGS: Final = frozenset({"started", "resumed"})
_NEVER: Final = -1


#: The evidence that an event is which says its query's phase.
_SAID: Final = {"done": "done", "error": "error", "canceled": "canceled", "cancelled": "canceled", "waiting": "waiting"}


def is_report(event: Event) -> bool:
    """True for a report about the query itself; what only bears on its phase is none."""
    return event.type in _REPORTS


def evidence_class(event: Event) -> str | None:
    """The field of PhaseEvidence that the event counts for; None if it says nothing about the phase.

    A `query.completed` that says it failed is an error. An event may say the phase itself. The end of a trace root is
    weak evidence: it decides where no lifecycle report does.
    """
    found = _REPORTS.get(event.type)
    if found is None and event.phase is not None:
        found = _SAID.get(event.phase)
    if found is None:
        if event.parent_span_id is not None or not event.is_trace_root:
            return None
        return "root_error" if event.status == "error" else "root_done"
    if found == "done" and (event.status == "error" or event.error):
        return "error"
    return found


class PhaseEvidence(msgspec.Struct, omit_defaults=True, gc=False):
    """When each class of evidence was last seen, in nanoseconds: the event's end, or its start where it is called by
    that (`_BEGINNINGS`); -1 for never."""

    seen: bool = False
    started: int = _NEVER
    resumed: int = _NEVER
    waiting: int = _NEVER
    answered: int = _NEVER
    done: int = _NEVER
    error: int = _NEVER
    canceled: int = _NEVER
    root_done: int = _NEVER
    root_error: int = _NEVER

    def add(self, event: Event) -> None:
        """Take the event into account. Adding it again changes nothing."""
        self.seen = True
        found = evidence_class(event)
        if found is None:
            return
        # A span may be called by what happened at its beginning, and last as long as the query itself.
        time = event.time if found in _BEGINNINGS else event.end
        if time > getattr(self, found):
            setattr(self, found, time)

    def merge(self, other: PhaseEvidence) -> None:
        """Take everything into account that `other` has seen."""
        for name in self.__struct_fields__:
            setattr(self, name, max(getattr(self, name), getattr(other, name)))

    @property
    def phase(self) -> Phase:
        """The latest lifecycle report decides; without one the trace root; without that, it runs if anything came."""
        reported = self.reported_phase
        if reported is not None:
            return reported
        if max(self.root_done, self.root_error) >= 0:
            return "error" if self.root_error >= self.root_done else "done"
        return "running" if self.seen else "pending"

    @property
    def reported_phase(self) -> Phase | None:
        """The phase by lifecycle reports alone: at equal times the end beats waiting, and waiting beats running."""
        return self._reported[0]

    @property
    def ended_at(self) -> int | None:
        """When the query ended, in nanoseconds; None while it has not."""
        phase, since = self._reported
        if phase is None:
            end = max(self.root_done, self.root_error)
            return end if end >= 0 else None
        return since if phase in TERMINAL else None

    @property
    def _reported(self) -> tuple[Phase | None, int]:
        """The phase by lifecycle reports, and since when."""
        phase: Phase | None = None
        since = running = max(self.started, self.resumed)
        if running >= 0:
            phase = "running"
        if self.waiting >= max(running, 0):
            phase, since = ("waiting" if self.answered < self.waiting else "running"), self.waiting
        ends: list[tuple[int, int, Phase]] = [
            (self.done, 0, "done"),
            (self.canceled, 1, "canceled"),
            (self.error, 2, "error"),
        ]
        for time, _, end in sorted(ends):
            if time >= max(since, running, 0) and not _stays(phase, end):
                phase, since = end, time
        return phase, since

    @property
    def last_end(self) -> int:
        """The latest report of an end by whatever evidence, decisive or not; -1 for none. It only ever grows."""
        return max(self._reported_end, self.root_done, self.root_error)

    @property
    def _reported_end(self) -> int:
        return max(self.done, self.error, self.canceled)


def _stays(phase: Phase | None, end: Phase) -> bool:
    """True where the phase is not changed by a later end of that sort."""
    return (phase == "canceled" and end == "done") or (phase == "error" and end == "canceled")
