"""The session view, and the JSON of sessions and queries in lists: camelCase, absent values left out.

    {"id", "queries": {NAME: {"phase", "traceId", "mcpSessions": {server: id}, "streamId",
                              "events": [{"type", "ts", …}]}}}

Times are RFC 3339, durations milliseconds, costs US dollars.
"""

from __future__ import annotations

from collections.abc import Iterable

from ark_broker.model import Event
from ark_broker.model.details import Describe
from ark_broker.model.timestamps import milliseconds, rfc3339
from ark_broker.sessions.entries import Entry, Timeline, tokens_json
from ark_broker.sessions.summary import QuerySummary, SessionSummary, TaskState
from ark_broker.sessions.tally import Usage, dollars


class ViewBuilder:
    """Builds the view of one session from its events, in any order, each once.

    `describe` is asked for the content of an event when its entry is made, and never for a chunk. With `limit`,
    each query shows only its newest entries, that many, and says how many were left out.
    """

    def __init__(self, session_id: str, describe: Describe, *, limit: int | None = None) -> None:
        self._session_id = session_id
        self._describe = describe
        self._limit = limit
        self._queries: dict[str, tuple[QuerySummary, Timeline]] = {}
        self._unassigned = Timeline()

    def add(self, event: Event) -> None:
        """Take one event of the session."""
        if event.query is None:
            self._unassigned.add(event)
            return
        found = self._queries.get(event.query)
        if found is None:
            summary = QuerySummary(session_id=self._session_id, name=event.query)
            found = self._queries[event.query] = (summary, Timeline())
        found[0].add(event)
        found[1].add(event)

    def build(self) -> dict[str, object]:
        """The view: queries by start, and `events` that belong to none of them, if there are any."""
        queries = sorted(self._queries.values(), key=lambda found: (found[0].started_at or 0, found[0].name))
        view: dict[str, object] = {
            "id": self._session_id,
            "queries": {
                query.name: _query_json(query, query.usage) | self._events(timeline) for query, timeline in queries
            },
        }
        own = self._events(self._unassigned)
        return view | own if own["events"] else view

    def _events(self, timeline: Timeline) -> dict[str, object]:
        entries, omitted = timeline.entries(self._describe, self._limit)
        if omitted:
            return {"events": entries, "truncated": True, "omitted": omitted}
        return {"events": entries}


def build_view(session_id: str, events: Iterable[Event], describe: Describe) -> dict[str, object]:
    """The view of a session with these events."""
    builder = ViewBuilder(session_id, describe)
    for event in events:
        builder.add(event)
    return builder.build()


def query_summary_json(query: QuerySummary) -> dict[str, object]:
    """A query in a list: as in the view of its session, without its events."""
    usage = query.usage
    return _present(
        {
            "name": query.name,
            "session": query.session_id,
            **_query_json(query, usage),
            "counts": {"events": query.events, "chunks": query.chunks, **_calls_json(usage)},
            "firstActivity": _time(query.first_activity),
            "lastActivity": _time(query.last_activity),
        }
    )


def summary_json(session: SessionSummary) -> dict[str, object]:
    """A session in a list, and the head of its view."""
    return _present(
        {
            "id": session.id,
            "status": session.status,
            "namespace": session.namespace,
            "agents": session.agents,
            "participants": session.participants,
            "models": session.models,
            "providers": session.providers or None,
            "users": session.users or None,
            "conversationIds": session.conversations or None,
            "counts": {
                "queries": session.query_count,
                "phases": dict(sorted(session.phases.items())),
                "events": session.events,
                **_calls_json(session.usage),
                "chunks": session.chunks,
                "errors": session.error_count,
            },
            **_usage_json(session.usage),
            "activity": session.pulse.counts,
            "activityInterval": milliseconds(1 << session.pulse.shift),
            "firstActivity": _time(session.first_activity),
            "lastActivity": _time(session.last_activity),
        }
    )


def _query_json(query: QuerySummary, usage: Usage) -> Entry:
    return _present(
        {
            "phase": query.phase,
            "traceId": query.trace_id,
            "traceIds": query.trace_ids or None,
            "mcpSessions": query.mcp_sessions,
            "streamId": query.stream_id,
            "namespace": query.namespace,
            "uid": query.uid,
            "agents": query.agents or None,
            "models": query.models or None,
            "providers": query.providers or None,
            "users": query.users or None,
            "conversationIds": query.conversations or None,
            "taskIds": query.task_ids or None,
            "tasks": {name: _task_json(task) for name, task in query.task_states.items()} or None,
            "streams": query.streams or None,
            "error": query.error,
            "errorSpan": query.error_span,
            **_usage_json(usage),
            "unpricedModels": query.tally.unpriced or None,
            "retries": usage.retries or None,
            "timeToFirstToken": _milliseconds(query.time_to_first_token),
            "startedAt": _time(query.started_at),
            "endedAt": _time(query.ended_at),
            "duration": _milliseconds(query.duration),
        }
    )


def _task_json(task: TaskState) -> Entry:
    return _present({"state": task.state, "agent": task.agent, "updated": _time(task.updated)})


def _calls_json(usage: Usage) -> Entry:
    return {"toolCalls": usage.tool_calls, "modelCalls": usage.model_calls}


def _usage_json(usage: Usage) -> Entry:
    """Tokens and cost; of the cost also the part that the producer did not say."""
    return {
        "tokens": tokens_json(usage.input, usage.output, usage.cached, usage.reasoning),
        "cost": dollars(usage.cost),
        "estimatedCost": dollars(usage.estimated),
    }


def _milliseconds(nanoseconds: int | None) -> int | float | None:
    return None if nanoseconds is None else milliseconds(nanoseconds)


def _present(values: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


def _time(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else rfc3339(nanoseconds)
