"""What a consumer of a query's completion sees: OpenAI chunks, with the query's events between them.

data: {"type":"event","event":{"type":"query.started","queryName":"q1"}}

data: {"choices":[{"delta":{"content":"Hello"}}]}

data: {"type":"event","event":{"type":"tool.called","tool":"ask_question"}}

data: [DONE]
"""

from __future__ import annotations

import msgspec

from ark_broker.model import Event
from ark_broker.model.details import Describe
from ark_broker.model.timestamps import rfc3339
from ark_broker.model.vocabulary import RESERVED, STREAM_COMPLETED, TOOL_CALL, TOOL_FAILED
from ark_broker.sessions.lifecycle import KNOWN, moment
from ark_broker.sessions.phase import TERMINAL, PhaseEvidence, is_report


def is_end(event: Event) -> bool:
    """True for the marker that says that a stream is complete."""
    return event.kind == "chunk" and event.type == STREAM_COMPLETED


def consumer_data(event: Event, describe: Describe) -> bytes | None:
    """The `data:` of one event in the consumer view; None for one that it leaves out.

    A chunk is passed on as it was stored; the completion marker is not part of the view. Spans and log records are
    shown if their type is in the vocabulary (other ones are infrastructure: noise here), anything else always is.
    In this view alone `tool.call` is spelled `tool.called`, as the consumers of the prototype know it.
    """
    if event.kind == "chunk":
        return None if is_end(event) else event.body
    if event.type in RESERVED or (event.kind in ("span", "log") and event.type not in KNOWN):
        return None
    details = describe(event)
    content = {
        "type": "tool.called" if event.type == TOOL_CALL else event.type,
        "queryName": event.query,
        "ts": rfc3339(moment(event)),
        "agent": event.agent,
        "tool": event.tool,
        "toolCallId": event.tool_call_id,
        "input": details.input,
        "output": details.output,
        "message": details.message,
        "questionUri": details.question_uri,
        "questionId": event.question_id,
        "taskId": event.task_id,
        "status": "error" if event.type == TOOL_FAILED else event.status,
        "error": event.error,
    }
    present = {key: value for key, value in content.items() if value is not None}
    return msgspec.json.encode({"type": "event", "event": present})


class StreamEnd:
    """Knows when the consumer stream of a query is over. Fed with its events in the order of the log.

    It is over at a completion marker, until another chunk follows, and when the query's lifecycle reports say that
    it ended. The end of a trace root is no such report: chunks come by another way, and may still be coming.
    """

    def __init__(self) -> None:
        #: Chunks were seen after the last completion marker: where `over` is true all the same, their marker may
        #: still be on its way.
        self.open_chunks = False
        self._marked = False
        self._evidence = PhaseEvidence()

    def add(self, event: Event) -> None:
        """The next event of the query."""
        if is_end(event):
            self._marked, self.open_chunks = True, False
        elif event.kind == "chunk":
            self._marked, self.open_chunks = False, True
        elif is_report(event):
            # An error of one call, which Ark counts as the query's until it completes, ends no stream.
            self._evidence.add(event)

    @property
    def over(self) -> bool:
        """True when nothing more is expected."""
        return self._marked or self._evidence.reported_phase in TERMINAL
