"""What one run sends: how many queries, and the bytes of each request, in the form that Ark's Go programs use.

Everything that is sent has a key that follows from the query's number, so that whoever reads can tell what is missing
and what came twice: `event_key`, `message_key` and `chunk_key` find it in what was read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

#: Completed queries are this large, in bytes; and each hundredth one that large.
_FINAL_BYTES = 16 * 1024
_LARGE_FINAL_BYTES = 512 * 1024
_LARGE_EVERY = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """The shape of a run."""

    queries: int = 5_000
    #: Queries that run at the same time.
    concurrency: int = 200
    #: Seconds that a query takes where the broker does not hold it up.
    life: float = 4.0
    #: Lines of one stream, the completed query among them.
    lines: int = 30
    #: Queries in one session.
    session_size: int = 10
    #: One query in so many has a reader of its own.
    sample: int = 20
    #: The last line of one query's stream in so many comes in two parts, the second after the completion was sent.
    straggler: int = 15
    #: Watchers of each list.
    watchers: int = 2

    @property
    def sessions(self) -> list[str]:
        """Their names."""
        return [f"session-{number:05d}" for number in range(-(-self.queries // self.session_size))]

    def straggles(self, number: int) -> bool:
        """True for a query whose completion overtakes the end of its stream."""
        return self.straggler > 0 and number % self.straggler == 0

    @property
    def sampled(self) -> list[int]:
        """Numbers of the queries that have a reader."""
        return list(range(0, self.queries, self.sample))


#: (reason, what happened, data) of a query's events, each in the place that `emit` gives it.
EVENTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("QueryExecutionStart", "query started", {}),
    ("AgentExecutionStart", "agent started", {"agent": "researcher"}),
    ("LLMCallStart", "model call 1 started", {"model": "gpt-4o", "modelType": "openai"}),
    ("LLMCallComplete", "model call 1 completed", {"model": "gpt-4o", "modelType": "openai"}),
    (
        "ToolCallStart",
        "tool call started",
        {"toolName": "search", "toolType": "mcp", "toolId": "call_1", "parameters": '{"q":"boreal forests","limit":5}'},
    ),
    (
        "ToolCallComplete",
        "tool call completed",
        {"toolName": "search", "toolType": "mcp", "toolId": "call_1", "result": "five results " * 20},
    ),
    ("LLMCallStart", "model call 2 started", {"model": "gpt-4o", "modelType": "openai"}),
    ("LLMCallComplete", "model call 2 completed", {"model": "gpt-4o", "modelType": "openai"}),
    ("AgentExecutionComplete", "agent completed", {"agent": "researcher"}),
    ("MemoryAddMessagesStart", "messages being added", {"messages": "3"}),
    ("MemoryAddMessagesComplete", "messages added", {"messages": "3", "result": "ok"}),
    (
        "QueryExecutionComplete",
        "query completed",
        {"targetType": "agent", "agent": "researcher", "input": "What grows in boreal forests?"},
    ),
)


class Query:
    """One query's requests."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._plan = plan
        self.number = number
        self.name = f"query-{number:06d}"
        self.uid = f"00000000-0000-4000-8000-{number:012d}"
        self.session = f"session-{number // plan.session_size:05d}"
        self.conversation = f"conversation-{number // plan.session_size:05d}"

    def event(self, place: int) -> bytes:
        """Body of `POST /events` for `EVENTS[place]`, now."""
        reason, message, extra = EVENTS[place]
        return operation(self.uid, self.name, self.session, self.conversation, reason, message, extra)

    def messages(self, first: bool) -> bytes:
        """Body of one of the two `POST /messages`: what the user said, or what came of it."""
        tool = [{"id": "call_1", "type": "function", "function": {"name": "search", "arguments": '{"q":"forests"}'}}]
        content = (
            [{"role": "user", "content": f"{self.name}: what grows in boreal forests?"}]
            if first
            else [
                {"role": "assistant", "content": f"{self.name}: I look it up.", "tool_calls": tool},
                {"role": "tool", "tool_call_id": "call_1", "content": f"{self.name}: " + "five results " * 20},
                {"role": "assistant", "content": f"{self.name}: " + "spruce, pine, larch and birch; " * 20},
            ]
        )
        return orjson.dumps({"conversation_id": self.conversation, "query_id": self.name, "messages": content})

    def line(self, number: int) -> bytes:
        """One line of the stream: a token, or at the end the completed query."""
        final = number == self._plan.lines - 1
        ark: dict[str, Any] = {"query": self.uid, "session": self.session, "target": "agent/researcher"}
        if final:
            ark["completedQuery"] = self._completed()
        delta = {"role": "assistant", "content": "" if final else " spruce"}
        chunk = {
            "id": "chatcmpl-final" if final else f"chatcmpl-{self.name}-{number}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self.name if final else "gpt-4o",
            "choices": [{"index": 0, "delta": delta, "finish_reason": "stop" if final else None}],
            "ark": ark,
        }
        return orjson.dumps(chunk) + b"\n"

    def _completed(self) -> dict[str, Any]:
        size = _LARGE_FINAL_BYTES if self.number % _LARGE_EVERY == _LARGE_EVERY - 1 else _FINAL_BYTES
        # Different for each query, as answers are: nothing of it can be stored once for several.
        raw = f"{self.name} says that spruce, pine, larch and birch grow there. " * (size // 68)
        return {
            "metadata": {"name": self.name, "namespace": "default", "uid": self.uid},
            "spec": {"input": "What grows in boreal forests?", "sessionId": self.session},
            "status": {
                "phase": "done",
                "conversationId": self.conversation,
                "tokenUsage": {"promptTokens": 812, "completionTokens": 344, "totalTokens": 1156},
                "response": {"content": "spruce, pine, larch and birch", "phase": "done", "raw": raw},
            },
        }


def operation(
    uid: str, name: str, session: str, conversation: str, reason: str, message: str, extra: dict[str, str]
) -> bytes:
    """An operation event as the controller posts it: every value of `data` is text, times have nanoseconds."""
    now = rfc3339_nano(time.time_ns())
    data = {
        "queryId": uid,
        "queryName": name,
        "queryNamespace": "default",
        "sessionId": session,
        "conversationId": conversation,
        "message": message,
        "timestamp": now,
        **extra,
    }
    if reason.endswith("Complete"):
        data["durationMs"] = "412.07"
    return orjson.dumps(
        {
            "timestamp": now,
            "eventType": "Normal",
            "reason": reason,
            "message": f"{message} (timestamp: {now})",
            "ttl_seconds": 2_592_000,
            "data": data,
        }
    )


def rfc3339_nano(nanoseconds: int) -> str:
    """As Go writes it: no zeros at the end."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def event_key(event: Any) -> str:
    """What tells an event of `GET /events` from all others."""
    return f"{event['data']['queryId']} {event['data']['message']}"


def message_key(record: Any) -> str:
    """What tells a record of `GET /messages` from all others."""
    return f"{record['query_id']} {record['message']['content']}"


def chunk_key(chunk: Any) -> str:
    """What tells a chunk from all others. A completion marker has none: it is the text `[DONE]`."""
    return str(chunk) if isinstance(chunk, str) else f"{chunk['id']} {chunk['model']}"
