"""What `ark-broker top` knows: the latest look, and the rates between two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ark_broker.cli.render import amounts
from ark_broker.cli.render.label import MOODS
from ark_broker.cli.render.summaries import Cell, phases, question_row
from ark_broker.cli.render.values import plain

SESSION_COLUMNS = ("SESSION", "STATUS", "QUERIES", "AGENTS", "EV/S", "TOKENS", "COST", "ERRORS", "ACTIVE")


@dataclass(slots=True)
class Overview:
    """Takes one look after the other."""

    url: str
    sessions: Sequence[Mapping[str, Any]] = ()
    questions: Sequence[Mapping[str, Any]] = ()
    #: Events a second over the whole log; None before the second look.
    rate: float | None = None
    #: Why the last look failed; empty where it did not.
    problem: str = ""
    _head: int = 0
    _at: float | None = None
    _events: dict[str, int] = field(default_factory=dict)
    _rates: dict[str, float] = field(default_factory=dict)

    def take(self, look: Mapping[str, Any], at: float) -> None:
        """`look` has `head`, `sessions` and `questions`; `at` is seconds of a clock that only goes on."""
        sessions = look["sessions"]
        events = {each["id"]: int(each.get("counts", {}).get("events", 0)) for each in sessions}
        if self._at is not None and at > self._at:
            took = at - self._at
            self.rate = max(0.0, (look["head"] - self._head) / took)
            self._rates = {
                name: max(0.0, (count - self._events[name]) / took)
                for name, count in events.items()
                if name in self._events
            }
        self._head, self._at, self._events = look["head"], at, events
        self.sessions, self.questions, self.problem = sessions, look["questions"], ""

    def lose(self, problem: str) -> None:
        """The broker did not answer; what was known is shown on, without rates."""
        self.problem, self.rate, self._rates, self._at = problem, None, {}, None

    def summary(self) -> str:
        """The first line: `2 running, 1 waiting · 35.2 events/s · 12.0k/3.1k tokens · $0.12 · 1 question`."""
        waiting = sum(1 for each in self.sessions if each.get("status") == "waiting")
        given = {
            part: sum(each.get("tokens", {}).get(part, 0) for each in self.sessions) for part in ("input", "output")
        }
        questions = len(self.questions)
        parts = [
            f"{len(self.sessions) - waiting} running, {waiting} waiting",
            f"{'-' if self.rate is None else f'{self.rate:.1f}'} events/s",
            f"{amounts.tokens(given)} tokens",
            amounts.dollars(sum(each.get("cost") or 0.0 for each in self.sessions)),
            f"{questions} question{'' if questions == 1 else 's'}",
        ]
        return " · ".join(parts)

    def session_rows(self) -> list[list[Cell]]:
        """One row a session, in the order of SESSION_COLUMNS."""
        now = datetime.now(UTC)
        return [self._session_row(each, now) for each in self.sessions]

    def question_rows(self) -> list[list[Cell]]:
        """One row a question."""
        now = datetime.now(UTC)
        return [question_row(each, now) for each in self.questions]

    def lines(self) -> Iterator[str]:
        """All of it without a screen: fields separated by tabs."""
        yield self.summary()
        for kind, rows in (("session", self.session_rows()), ("question", self.question_rows())):
            for row in rows:
                yield "\t".join([kind, *(cell if isinstance(cell, str) else cell[0] for cell in row)])

    def as_json(self) -> dict[str, Any]:
        """The look as it was taken."""
        return {"head": self._head, "sessions": list(self.sessions), "questions": list(self.questions)}

    def _session_row(self, session: Mapping[str, Any], now: datetime) -> list[Cell]:
        counts = session.get("counts", {})
        status = plain(session.get("status", "unknown"))
        errors = int(counts.get("errors", 0))
        rate = self._rates.get(session["id"])
        return [
            plain(session["id"]),
            (status, MOODS.get(status, "plain")),
            phases(counts),
            plain(", ".join(session.get("agents", [])), most=40),
            "-" if rate is None else f"{rate:.1f}",
            amounts.tokens(session.get("tokens")),
            amounts.dollars(session.get("cost")),
            (str(errors), "error" if errors else "quiet"),
            f"{amounts.age(session.get('lastActivity'), now)} ago",
        ]
