"""The keys that join events, and the rule each of them stands for.

    key                        made of                               rule            keeps
    trace:<trace id>           a span's trace                        trace           the first session named
    uid:<query uid>            Ark's query UID                       query-uid       the first
    query:<name>               Ark's query name                      query           the latest
    task:<task id>             A2A task                              task            the first
    mcp:<id>@<server>, mcp:<id> MCP session, of a server and alone   mcp-session     the latest
    conversation:<id>          GenAI conversation, A2A context       conversation    the latest
    call:<tool call id>        the model's id of a tool call         tool-call       the latest

Where namespaces are kept apart, those of queries, UIDs, tasks and MCP sessions have one of the namespace's own beside
them, `<key>␟<namespace>`.

They are listed by how much they are trusted. A tool call's id is trusted least, for some models give the same ones
again and again: it places an event that has no trace, and joins nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ark_broker.model import Event
from ark_broker.model.vocabulary import EXPLICIT, TRACE_PREFIX, is_provisional

BY_TRACE: Final = "trace"
BY_QUERY: Final = "query"
BY_CONVERSATION: Final = "conversation"
BY_TRACE_ROOT: Final = "trace-root"

_RULES: Final = {
    "trace": BY_TRACE,
    "uid": "query-uid",
    "query": BY_QUERY,
    "task": "task",
    "mcp": "mcp-session",
    "conversation": BY_CONVERSATION,
    "call": "tool-call",
}
#: Keys under which the first session that is named stays: the others may be used again, by somebody else.
_STICKY: Final = frozenset({"trace", "uid", "task"})
#: Beginning of the keys that belong to a session, not to one of its queries.
_OF_SESSION: Final = "conversation:"
#: Keys whose unassigned events are found by a row of their own; those of the others have an index.
_LISTED: Final = frozenset({"uid", "task", "mcp", "call"})

#: Stands between a query's name and its namespace: a control character, which no name may have.
OF_NAMESPACE: Final = "\x1f"
#: Kinds of keys that two namespaces may have alike. (Ids of traces and calls are random.)
_NAMED_BY_PEOPLE: Final = frozenset({"query", "uid", "task", "mcp", "conversation"})
_QUERY_PREFIX: Final = "query:"
_CALL_PREFIX: Final = "call:"


def kind_of(key: str) -> str:
    """`trace`, `uid`, `query`, `task`, `mcp`, `conversation` or `call`."""
    return key[: key.index(":")]


def rule_of(key: str) -> str:
    """The rule (`correlatedBy`) of an event that was placed through the key."""
    return _RULES[kind_of(key)]


def is_sticky(key: str) -> bool:
    """True where the first session that is named under the key keeps it."""
    return kind_of(key) in _STICKY


def names_query(key: str) -> bool:
    """True where events under the key belong to one query."""
    return not key.startswith(_OF_SESSION)


def trace_key(trace_id: str) -> str:
    """Key of a trace's link; equal to the name of its provisional session."""
    return TRACE_PREFIX + trace_id


def query_key(query: str) -> str:
    """Key of a named query's link. The name alone: producers of chunks know no namespace."""
    return _QUERY_PREFIX + query


def query_of_key(key: str) -> tuple[str, str | None] | None:
    """The query's name, and the namespace that it is of where the key says so; None for another key."""
    if not key.startswith(_QUERY_PREFIX):
        return None
    name, _, namespace = key[len(_QUERY_PREFIX) :].partition(OF_NAMESPACE)
    return name, namespace or None


def uid_key(uid: str) -> str:
    """Key of a query's UID."""
    return f"uid:{uid}"


def task_key(task_id: str) -> str:
    """Key of an A2A task."""
    return f"task:{task_id}"


def mcp_keys(session: str, server: str | None = None) -> list[str]:
    """Keys of an MCP session: of the server that it is a session of, where that is known, and of the id alone."""
    return [f"mcp:{session}@{server}", f"mcp:{session}"] if server else [f"mcp:{session}"]


def conversation_key(conversation_id: str) -> str:
    """Key of a conversation; A2A calls it a context."""
    return f"conversation:{conversation_id}"


def call_key(tool_call_id: str) -> str:
    """Key of a tool call."""
    return _CALL_PREFIX + tool_call_id


def is_call(key: str) -> bool:
    """True for a key made by `call_key`."""
    return key.startswith(_CALL_PREFIX)


def call_of_key(key: str) -> str | None:
    """The tool call's id, for a key made by `call_key`."""
    return key[len(_CALL_PREFIX) :] if key.startswith(_CALL_PREFIX) else None


@dataclass(slots=True, eq=False)
class Group:
    """Events of one batch that are placed alike, and thought about once."""

    session_id: str | None
    trace_id: str | None
    #: The query that the events name themselves.
    query: str | None
    conversation_id: str | None
    #: Keys that may place the events, most trusted first.
    keys: tuple[str, ...]
    events: list[Event] = field(default_factory=list)
    #: Where namespaces are kept apart: that of the events, and whether whoever sent them may reach no other.
    namespace: str | None = None
    confined: bool = False
    #: Further keys that belong where the events belong, and place none of them.
    more_keys: dict[str, None] = field(default_factory=dict)

    @property
    def all_keys(self) -> Iterable[str]:
        """Keys that belong where the events belong."""
        return (*self.keys, *self.more_keys) if self.more_keys else self.keys

    @property
    def rule(self) -> str:
        """How the events say where they belong; of events that name their session."""
        return self.events[0].correlated_by or EXPLICIT

    @property
    def has_root(self) -> bool:
        """True where one of the events ends its trace."""
        return any(event.is_trace_root for event in self.events)

    @property
    def listed_keys(self) -> tuple[str, ...]:
        """Keys under which the events are to be listed while they have no session."""
        return tuple(key for key in self.keys if kind_of(key) in _LISTED)


def group(events: Iterable[Event], *, apart: bool = False) -> list[Group]:
    """Events by the keys that place them, in order of first appearance; with `apart` by their namespace too.

    Where the session is named, a conversation places nobody; where there is a trace, a tool call does not. So the many
    ids of calls within one trace make no group each.
    """
    found: dict[tuple[str | None, ...], Group] = {}
    for event in events:
        session_id, trace_id = event.session_id, event.trace_id
        conversation_id, call_id = event.conversation_id, event.tool_call_id
        signature = (
            session_id,
            trace_id,
            event.query,
            event.query_uid,
            event.task_id,
            event.mcp_session_id,
            event.mcp_server if event.mcp_session_id is not None else None,
            conversation_id if session_id is None else None,
            call_id if trace_id is None else None,
            event.correlated_by,
            event.namespace if apart else None,
            "confined" if apart and event.confined else None,
        )
        known = found.get(signature)
        if known is None:
            known = found[signature] = _group_of(event)
            if apart:
                _tell_apart(known, event)
        known.events.append(event)
        if call_id is not None and trace_id is not None:
            known.more_keys[call_key(call_id)] = None
        if conversation_id is not None and session_id is not None:
            key = conversation_key(conversation_id)
            own = [key] if known.namespace is None else own_keys(key, known.namespace)
            known.more_keys |= dict.fromkeys(own)
    return list(found.values())


def _group_of(event: Event) -> Group:
    keys = []
    query = None
    if event.trace_id is not None:
        keys.append(trace_key(event.trace_id))
    if event.query_uid is not None:
        keys.append(uid_key(event.query_uid))
    if event.query is not None and not is_provisional(event.query):
        query = event.query
        keys.append(query_key(query))
    if event.task_id is not None:
        keys.append(task_key(event.task_id))
    if event.mcp_session_id is not None:
        keys += mcp_keys(event.mcp_session_id, event.mcp_server)
    if event.conversation_id is not None and event.session_id is None:
        keys.append(conversation_key(event.conversation_id))
    if event.tool_call_id is not None and event.trace_id is None:
        keys.append(call_key(event.tool_call_id))
    return Group(event.session_id, event.trace_id, query, event.conversation_id, tuple(keys))


def _tell_apart(found: Group, event: Event) -> None:
    found.namespace, found.confined = event.namespace, event.confined
    if found.namespace is not None:
        found.keys = tuple(own for key in found.keys for own in own_keys(key, found.namespace))


def own_keys(key: str, namespace: str) -> list[str]:
    """The key as it is, and before it the one that is the namespace's alone, where two may use the same name."""
    return [f"{key}{OF_NAMESPACE}{namespace}", key] if kind_of(key) in _NAMED_BY_PEOPLE else [key]


def keys_of(groups: Iterable[Group], *, calls_wait: bool = True) -> set[str]:
    """Every key whose link is needed to place these events, and those that may wait for them.

    With `calls_wait` false nobody waits under a tool call's id, which are many: only those that place an event count.
    """
    found: set[str] = set()
    for each in groups:
        found.update(each.keys)
        found.update(key for key in each.more_keys if calls_wait or not is_call(key))
    return found
