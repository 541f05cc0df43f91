"""What a query's summary and a session's have in common: when something happened, where, and who was there."""

from __future__ import annotations

from bisect import insort
from typing import Final

import msgspec

from ark_broker.model import MAX_INT64, Event
from ark_broker.model.vocabulary import STREAM_COMPLETED

#: Names kept of each sort: agents, models, tools, tasks, MCP servers, and queries to search for.
MAX_NAMES: Final = 100

#: A time in nanoseconds and the value that was seen then.
Dated = tuple[int, str]

_ENCODER: Final = msgspec.msgpack.Encoder()


class Footprint(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Traces that every event leaves. Times are nanoseconds: of the first start, and of the last end."""

    events: int = 0
    chunks: int = 0
    first_activity: int | None = None
    last_activity: int | None = None
    #: The earliest that was seen.
    first_namespace: Dated | None = None
    first_agent: Dated | None = None
    agents: list[str] = msgspec.field(default_factory=list)
    models: list[str] = msgspec.field(default_factory=list)
    providers: list[str] = msgspec.field(default_factory=list)
    users: list[str] = msgspec.field(default_factory=list)
    conversations: list[str] = msgspec.field(default_factory=list)

    def note(self, event: Event) -> None:
        """Add one event. Written out in full: every event that is stored comes through here twice."""
        time, duration = event.time, event.duration
        end = time if not duration else min(time + duration, MAX_INT64)
        self.events += 1
        if self.first_activity is None or self.first_activity > time:
            self.first_activity = time
        if self.last_activity is None or self.last_activity < end:
            self.last_activity = end
        if (namespace := event.namespace) is not None:
            self.first_namespace = earlier(self.first_namespace, time, namespace)
        if (agent := event.agent) is not None:
            if self.first_agent is None or time <= self.first_agent[0]:
                self.first_agent = earlier(self.first_agent, time, agent)
            if agent not in self.agents:
                include(self.agents, agent)
        if (model := event.model) is not None and model not in self.models:
            include(self.models, model)
        if (provider := event.provider) is not None and provider not in self.providers:
            include(self.providers, provider)
        if (user := event.user_id) is not None and user not in self.users:
            include(self.users, user)
        if (conversation := event.conversation_id) is not None and conversation not in self.conversations:
            include(self.conversations, conversation)
        if event.kind == "chunk" and event.type != STREAM_COMPLETED:
            self.chunks += 1

    def encode(self) -> bytes:
        """The whole summary as MessagePack, for its table."""
        return _ENCODER.encode(self)

    @property
    def namespace(self) -> str | None:
        """The first that an event named."""
        return value_of(self.first_namespace)

    @property
    def agent(self) -> str | None:
        """The one that it began with: the first that an event named."""
        return value_of(self.first_agent) or (self.agents[0] if self.agents else None)


def earlier(held: Dated | None, time: int, value: str) -> Dated:
    """The earlier of the two; at equal times the smaller value."""
    if held is None or time < held[0] or (time == held[0] and value < held[1]):
        return (time, value)
    return held


def value_of(dated: Dated | None) -> str | None:
    """The value without its time."""
    return None if dated is None else dated[1]


def include(names: list[str], name: str) -> None:
    """Add to a sorted list without doubles, of which the `MAX_NAMES` smallest are kept."""
    if name not in names:
        insort(names, name)
        if len(names) > MAX_NAMES:
            names.pop()
