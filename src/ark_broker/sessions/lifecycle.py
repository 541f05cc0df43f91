"""What the vocabulary's types mean to a reader: which are known, when they happened, what comes first."""

from __future__ import annotations

from typing import Final

from ark_broker.model import Event
from ark_broker.model.vocabulary import (
    AGENT_COMPLETED,
    AGENT_FAILED,
    AGENT_STARTED,
    ARTIFACT_UPDATED,
    LLM_REQUEST,
    MESSAGE_ADDED,
    QUERY_CANCELED,
    QUERY_COMPLETED,
    QUERY_FAILED,
    QUERY_RESUMED,
    QUERY_STARTED,
    QUERY_WAITING,
    QUESTION_ANSWERED,
    QUESTION_ASKED,
    STREAM_COMPLETED,
    TASK_UPDATED,
    TOOL_FAILED,
    TOOL_RESULT,
)
from ark_broker.sessions.calls import TOOL_TYPES

#: Reports of a moment in a query's life. As a span, such a report may reach back to where the query began; what it
#: reports happened at its end.
_MOMENTS: Final = frozenset({QUERY_WAITING, QUERY_RESUMED, QUERY_COMPLETED, QUERY_FAILED, QUERY_CANCELED})

#: Every type with a meaning, chunks aside.
KNOWN: Final = (
    frozenset({QUERY_STARTED, QUESTION_ASKED, QUESTION_ANSWERED, AGENT_STARTED, AGENT_COMPLETED, AGENT_FAILED})
    | frozenset({LLM_REQUEST, TASK_UPDATED, ARTIFACT_UPDATED, MESSAGE_ADDED})
    | TOOL_TYPES
    | _MOMENTS
)

#: Order among events of one and the same time; whatever is not named stands in the middle.
_RANKS: Final = {
    QUERY_STARTED: 0,
    AGENT_STARTED: 1,
    QUESTION_ANSWERED: 2,
    QUERY_RESUMED: 3,
    TOOL_RESULT: 5,
    TOOL_FAILED: 5,
    STREAM_COMPLETED: 6,
    AGENT_COMPLETED: 7,
    AGENT_FAILED: 7,
    QUERY_WAITING: 8,
    QUERY_COMPLETED: 9,
    QUERY_FAILED: 9,
    QUERY_CANCELED: 9,
}
_MIDDLE: Final = 4


def moment(event: Event) -> int:
    """When it happened, in nanoseconds: the start of work, and the end for a report of a moment."""
    return event.end if event.type in _MOMENTS else event.time


def order(event: Event) -> tuple[int, int, bytes]:
    """Sort key of events as a reader wants them: by time, not by arrival; equal for equal events only."""
    return (moment(event), _RANKS.get(event.type, _MIDDLE), event.id)
