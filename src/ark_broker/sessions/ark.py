"""Sessions as Ark's own broker tells them: from its operation events, on arrival.

What a query is doing follows from the order in which its events arrived, by the broker's clock; which is the order of
the log. So each event has a watermark that cannot be passed twice: its position. An event at or below the last one that
was applied (it joined the session later, from before) fills what is not known yet, and ends a query that nothing later
ended; it never takes anything back.

    error      always counts
    canceled   unless the query failed
    done       unless it was canceled; clears an error, as after an approval
    running    never takes an end back
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from ark_broker.model import Event
from ark_broker.model.vocabulary import CONVERSATION_NAMED, IMPORTED, Phase

#: In the body of whatever is told here: other bodies need not be read.
_MARK: Final = b'"queryName"'


class News(msgspec.Struct, frozen=True):
    """What one operation event says about its query."""

    phase: Phase
    error: str | None = None
    namespace: str | None = None
    conversation: str | None = None
    agent: str | None = None
    team: str | None = None
    tool: str | None = None
    target_type: str | None = None


class ArkQuery(msgspec.Struct, omit_defaults=True):
    """One query. Times are nanoseconds of the broker's clock, positions those of the session's stream."""

    #: Position of the first event that told of it; 0 while only messages did.
    first: int = 0
    created: int = 0
    #: The last event that was applied, and when it came.
    last: int = 0
    active: int = 0
    #: The last event that ended it.
    last_end: int = 0
    phase: Phase = "running"
    ended: int | None = None
    error: str | None = None
    namespace: str | None = None
    conversation: str | None = None
    agent: str | None = None
    team: str | None = None
    tool: str | None = None
    target_type: str | None = None
    messages: int = 0

    def add(self, news: News, position: int, arrival: int) -> None:
        """Apply an event at `position`, which arrived at `arrival`."""
        if not self.first:
            self.first, self.created = position, arrival
            self.phase, self.error, self.namespace = news.phase, news.error, news.namespace
            if news.phase != "running":
                self.ended, self.last_end = arrival, position
        elif news.phase != "running" and position > self.last_end:
            self.last_end = position
            self._end(news, arrival)
        self.conversation = self.conversation or news.conversation
        self.agent = self.agent or news.agent
        self.team = self.team or news.team
        self.tool = self.tool or news.tool
        if self.target_type in (None, "agent"):
            self.target_type = news.target_type or self.target_type
        if position > self.last:
            self.last, self.active = position, max(self.active, arrival)

    def _end(self, news: News, arrival: int) -> None:
        match news.phase:
            case "error":
                self.phase, self.error, self.ended = "error", news.error, arrival
            case "canceled" if self.phase != "error":
                self.phase, self.ended = "canceled", arrival
            case "done" if self.phase != "canceled":
                self.phase, self.error, self.ended = "done", None, arrival


class ArkSession(msgspec.Struct, omit_defaults=True):
    """What is kept of a session beside its queries, so that a list need not read them."""

    created: int = 0
    active: int = 0
    #: Queries in each phase.
    phases: dict[Phase, int] = msgspec.field(default_factory=dict)
    #: The query that was active last: the position then, its name, its phase now.
    latest: tuple[int, str, Phase] | None = None

    def query_changed(self, name: str, before: Phase | None, query: ArkQuery | None) -> None:
        """A query whose phase was `before` (None: it was not there) is now as it is, or is no more."""
        if before is not None:
            self.phases[before] -= 1
            if not self.phases[before]:
                del self.phases[before]
        if query is None:
            return
        self.phases[query.phase] = self.phases.get(query.phase, 0) + 1
        if self.latest is None or self.latest[1] == name or query.last > self.latest[0]:
            self.latest = (query.last, name, query.phase)

    @property
    def status(self) -> str:
        """`active` while a query runs; else `error` if the one that was active last failed; else `idle`."""
        if self.phases.get("running") or self.phases.get("pending"):
            return "active"
        return "error" if self.latest is not None and self.latest[2] == "error" else "idle"


def news_of(event: Event) -> News | None:
    """What an event posted by Ark says; None for any other event.

    One that does not name its session and its query itself tells nothing of them.
    """
    if event.kind != "event" or event.query is None or _MARK not in event.body:
        return None
    body = orjson.loads(event.body)
    if not isinstance(body, dict):
        return None
    data = body.get("data")
    if isinstance(data, dict):
        reason = body.get("reason")
    else:
        data, reason = body, body.get("_reason")
    if not (_text(data, "sessionId") and _text(data, "queryName")):
        return None
    return News(
        phase=phase_of(reason if isinstance(reason, str) else "", data.get("error")),
        error=_text(data, "error"),
        namespace=_text(data, "queryNamespace") or _text(data, "namespace"),
        conversation=_text(data, "conversationId"),
        agent=_text(data, "agent"),
        team=_text(data, "team"),
        tool=_text(data, "tool") or _text(data, "toolName"),
        target_type=_text(data, "targetType"),
    )


def phase_of(reason: str, error: object) -> Phase:
    """The phase that an operation event gives its query."""
    if reason == "QueryExecutionComplete":
        return "error" if error else "done"
    if "Canceled" in reason:
        return "canceled"
    return "error" if "Error" in reason else "running"


def names_conversation(event: Event) -> bool:
    """True for what messages say: which conversation the query belongs to."""
    return event.query is not None and (event.kind == "message" or event.type == CONVERSATION_NAMED)


def arrival_of(event: Event) -> int:
    """When the event came, in nanoseconds: here, or where it was first stored."""
    return event.time if event.correlated_by == IMPORTED else event.recorded_at


def recounted(queries: Mapping[str, ArkQuery], before: ArkSession) -> ArkSession | None:
    """The session with just these queries, as active as it was; None without any."""
    told = {name: query for name, query in queries.items() if query.first}
    if not told:
        return None
    found = ArkSession(before.created, before.active)
    for name, query in told.items():
        found.query_changed(name, None, query)
    return found


def _text(data: Mapping[str, Any], field: str) -> str | None:
    value = data.get(field)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value[:4096]
    return orjson.dumps(value).decode()[:4096]
