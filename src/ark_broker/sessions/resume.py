"""What an executor needs to go on with a query that another one left: a fold over the query's events.

    messages          the conversation up to the last whole message, results of tools included
    partial           what the model was saying when its stream broke off
    pendingToolCalls  calls that a message asks for, or that began, and that have no result

`messages`, and a message of role `tool` for each pending call that they announce, are a request that a model takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ark_broker.model import Event
from ark_broker.model.details import Describe, Exchanges, Message
from ark_broker.model.timestamps import rfc3339
from ark_broker.model.vocabulary import LLM_REQUEST, QUERY_STARTED, TOOL_CALL
from ark_broker.sessions.calls import TOOL_TYPES, ToolReport, tool_calls, tool_report
from ark_broker.sessions.conversation import Conversation
from ark_broker.sessions.pending import Call, Content, pending_calls, present, text_of, with_results, with_turns
from ark_broker.sessions.summary import QuerySummary
from ark_broker.sessions.tracing import TraceContext
from ark_broker.sessions.turns import Turn, Turns

#: Version of the shape, `schema` in `api/v1/schemas/resume.json`.
VERSION: Final = 1
#: Tool reports whose content is kept, the newest: earlier results stand in the messages.
_CONTENTS: Final = 500


@dataclass(slots=True)
class _Task:
    said_at: int = -1
    state: str | None = None
    context: str | None = None
    agent: str | None = None


class Resume:
    """The state of one query. Takes its events in the order of the log, each once."""

    def __init__(self, session_id: str | None, name: str, exchanges: Exchanges, describe: Describe) -> None:
        self._exchanges = exchanges
        self._describe = describe
        self._session_id = session_id
        self._summary = QuerySummary(session_id=session_id or "", name=name)
        self._conversation = Conversation(exchanges)
        self._turns = Turns()
        self._trace = TraceContext()
        self._reports: list[ToolReport] = []
        self._contents: dict[bytes, Content] = {}
        self._tasks: dict[str, _Task] = {}
        #: Who names the query's conversation: 0 its start, 1 another event; a task's context is its own.
        self._named: tuple[int, int, str] | None = None
        #: Messages of the model that came whole, and when they began and ended: a stream may have told them, too.
        self._said: list[tuple[int, int, str]] = []
        self._last = 0

    def add(self, event: Event) -> None:
        """Take one event of the query."""
        self._last = max(self._last, event.query_seq or 0)
        self._summary.add(event)
        self._turns.add(event)
        self._trace.add(event)
        if event.kind == "chunk":
            return
        self._conversation.add(event)
        if event.type in TOOL_TYPES:
            self._add_report(event)
        if event.type == LLM_REQUEST or event.kind == "message":
            self._add_said(event)
        if event.task_id is not None:
            self._add_task(event.task_id, event)
        elif event.conversation_id is not None:
            found = (int(event.type != QUERY_STARTED), event.time, event.conversation_id)
            self._named = found if self._named is None else min(self._named, found)

    def _add_report(self, event: Event) -> None:
        report = tool_report(event)
        self._reports.append(report)
        details = self._describe(event)
        result = details.output if details.output is not None else event.error
        # A span is reported when it is over, but for one that says that work has begun, which has no length.
        is_end = event.type != TOOL_CALL or result is not None or (report.is_span and event.duration is not None)
        self._contents[report.id] = Content(details.input, result, is_end, event.agent, event.mcp_server)
        if len(self._contents) > _CONTENTS:
            oldest = next(iter(self._contents))
            del self._contents[oldest]
            self._reports = [each for each in self._reports if each.id != oldest]

    def _add_said(self, event: Event) -> None:
        exchange = self._exchanges(event)
        # A stored message is the model's where it says so; a model call begins a turn whatever is known of it.
        gave = exchange.gave or [each for each in exchange.given if each.get("role") == "assistant"]
        if gave or event.type == LLM_REQUEST:
            began = event.time if event.type == LLM_REQUEST else -1
            self._said.append((began, event.end, text_of(gave[-1].get("content")) if gave else ""))
            del self._said[:-_CONTENTS]

    def _add_task(self, task_id: str, event: Event) -> None:
        task = self._tasks.setdefault(task_id, _Task())
        if event.task_state is not None and event.end >= task.said_at:
            task.said_at, task.state = event.end, event.task_state
        task.context = event.conversation_id or task.context
        task.agent = event.agent or task.agent

    def build(self) -> dict[str, Any]:
        """The state, in JSON values; what nobody said is left out."""
        summary = self._summary
        calls = self._calls()
        messages = with_turns(self._told(), [turn.message for turn in self._turns.whole])
        messages = with_results(messages, calls)
        is_done = summary.phase == "done"
        contexts = sorted({task.context for task in self._tasks.values() if task.context is not None})
        conversation = self._named[2] if self._named is not None else contexts[0] if len(contexts) == 1 else None
        partial = None if is_done else self._partial()
        return present(
            version=VERSION,
            name=summary.name,
            session=self._session_id,
            namespace=summary.namespace,
            uid=summary.uid,
            phase=summary.phase,
            error=summary.error,
            conversationId=conversation,
            messages=messages,
            partial=None if partial is None else _partial_json(partial),
            pendingToolCalls=[] if is_done else pending_calls(messages, calls),
            mcpSessions=summary.mcp_sessions,
            tasks={key: _task_json(self._tasks[key]) for key in sorted(self._tasks)},
            contexts=contexts,
            trace=self._trace.build(summary.trace_id),
            lastSeq=self._last,
        )

    def _told(self) -> list[Message]:
        """The fullest account of the conversation that is not the stream's."""
        return [message for item in self._conversation.build() for message in _messages_of(item)]

    def _partial(self) -> Turn | None:
        """What was left unsaid; None where it came whole by another way, or was begun anew."""
        turn = self._turns.broken
        if turn is None:
            return None
        text = turn.text
        for began, ended, said in self._said:
            if began > turn.ended or (ended >= turn.began and said.startswith(text)):
                return None
        return turn

    def _calls(self) -> list[Call]:
        found = []
        for call in tool_calls(self._reports):
            content = Content()
            for report in call.reports:
                told = self._contents[report.id]
                content.arguments = told.arguments if content.arguments is None else content.arguments
                content.result = told.result if told.result is not None else content.result
                content.is_end = content.is_end or told.is_end
                content.agent, content.server = content.agent or told.agent, content.server or told.server
            found.append(Call(call.call_id, call.tool, call.first.time, content.is_end, content))
        return found


def _partial_json(turn: Turn) -> dict[str, Any]:
    return present(
        role="assistant",
        content=turn.text,
        agent=turn.agent,
        startedAt=rfc3339(turn.began),
        updatedAt=rfc3339(turn.ended),
    )


def _task_json(task: _Task) -> dict[str, Any]:
    return present(state=task.state, contextId=task.context, agent=task.agent)


def _messages_of(conversation: dict[str, object]) -> list[Message]:
    messages = conversation["messages"]
    assert isinstance(messages, list)
    return messages
