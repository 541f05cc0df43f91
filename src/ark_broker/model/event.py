"""The Event: the one shape everything a producer sends is normalised into."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal

import msgspec

Kind = Literal["span", "chunk", "message", "event", "task", "log"]
KINDS: Final[tuple[Kind, ...]] = ("span", "chunk", "message", "event", "task", "log")

#: Largest value a signed 64-bit column holds. OTLP times are unsigned 64-bit; what lies above is clamped
#: in `time`, and kept as sent in `body`.
MAX_INT64: Final = 2**63 - 1


class Event(msgspec.Struct, kw_only=True, gc=False):
    """One thing that happened, as stored in the log.

    A producer's request becomes Events in `ark_broker.receive`. The log's writer fills what only it can
    know: the positions, `recorded_at`, and, through correlation, the session and query of an event that
    did not name them.

    Times and durations are nanoseconds; `time` is the producer's clock since the Unix epoch,
    `recorded_at` the broker's. Ids of traces and spans are lower-case hex, as in OTLP/JSON.
    """

    #: 16 bytes that are the same when the same thing is delivered again (see `event_id`).
    id: bytes
    kind: Kind
    #: Dotted name of the vocabulary, or the producer's own name where nobody mapped it.
    type: str
    time: int
    #: The original, whole, as a JSON document. For a span: `{"resource", "scope", "span"}` in OTLP/JSON.
    body: bytes

    #: Position in the log; cursor of whoever reads the whole log. 0 until committed.
    seq: int = 0
    #: Position at which it joined its session's stream: `seq`, or later when it was adopted.
    session_seq: int | None = None
    #: Position at which it joined its query's stream: `seq`, or later when its query became known later.
    query_seq: int | None = None
    recorded_at: int = 0
    duration: int | None = None

    session_id: str | None = None
    namespace: str | None = None
    #: Name of the query; `trace:<trace id>` for a trace whose query nobody named.
    query: str | None = None
    query_uid: str | None = None
    conversation_id: str | None = None
    agent: str | None = None
    model: str | None = None
    #: Who serves the model, as OpenTelemetry names it (`gen_ai.provider.name`): `openai`, `azure.ai.openai`, …
    provider: str | None = None
    #: The end user on whose behalf it happened.
    user_id: str | None = None

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None

    tool: str | None = None
    tool_call_id: str | None = None
    #: MCP server the session id belongs to; the key in a view's `mcpSessions`.
    mcp_server: str | None = None
    mcp_session_id: str | None = None
    #: A2A task, and its state in lower case with underscores: `input_required`.
    task_id: str | None = None
    task_state: str | None = None
    question_id: str | None = None
    stream_id: str | None = None

    #: Phase of the query, where the producer says it: `running`, `done`, `error`, `canceled`, …
    phase: str | None = None
    #: `ok` or `error` where the producer said so.
    status: str | None = None
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    #: Of the input tokens, those read from the provider's cache; of the output tokens, those spent on reasoning.
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    #: US dollars.
    cost: float | None = None
    #: `table` for a cost that the broker worked out from its price table; None for one that the producer named.
    cost_by: str | None = None

    #: The rule that decided its session, see `ark_broker.sessions.correlate`.
    correlated_by: str | None = None
    #: When its producer wants it forgotten, in nanoseconds since the epoch; None for when retention says so.
    expires_at: int | None = None
    #: Whoever sent it may reach its namespace only. Not stored: it decides what the event may join.
    confined: bool = False

    @property
    def is_trace_root(self) -> bool:
        """A span without a parent: its end is the end of the trace's own work."""
        return self.kind == "span" and self.trace_id is not None and self.parent_span_id is None

    @property
    def end(self) -> int:
        """When it was over, in nanoseconds: `time` for an event without a duration."""
        return min(self.time + (self.duration or 0), MAX_INT64)


def event_id(*parts: str | bytes | int) -> bytes:
    """A 16-byte identity made of `parts`: equal parts give an equal id, on every machine.

    The parts are hashed as Python's ASCII literals, which say where each ends: ("ab", "c") and ("a", "bc") differ.
    """
    return blake2b(ascii(parts).encode("ascii"), digest_size=16).digest()
