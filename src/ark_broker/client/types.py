"""Shapes of the broker's JSON, as docs/api.md and docs/events.md describe them: camelCase, absent where nobody said.

A newer broker may say more: what is not listed here is there all the same.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, Required, TypedDict

SessionStatus = Literal["active", "waiting", "idle", "error"]
QuestionState = Literal["open", "answered", "expired", "canceled"]
Speed = Literal["1", "2", "10", "max"]
Start = Literal["start", "now"]
OnDeadline = Literal["fail", "default", "escalate"]
#: A completion chunk as it was posted, or `{"type": "event", "event": {…}}`.
Chunk = dict[str, Any]


class Tokens(TypedDict, total=False):
    """What models were given and gave; `cached` is part of `input`, `reasoning` of `output`."""

    input: int
    output: int
    cached: int
    reasoning: int


class Counts(TypedDict, total=False):
    """How much there is; `phases` counts the queries of a session by phase."""

    queries: int
    phases: dict[str, int]
    events: int
    chunks: int
    toolCalls: int
    modelCalls: int
    errors: int


class SessionSummary(TypedDict, total=False):
    """A session in a list. Times are RFC 3339, costs US dollars; `activityInterval` is milliseconds."""

    id: Required[str]
    status: str
    namespace: str
    agents: list[str]
    participants: list[str]
    models: list[str]
    providers: list[str]
    users: list[str]
    conversationIds: list[str]
    counts: Counts
    tokens: Tokens
    cost: float
    estimatedCost: float
    firstActivity: str
    lastActivity: str
    activity: list[int]
    activityInterval: float
    seq: int


class SessionChange(TypedDict):
    """A session that changed; with `gone` it is no more, and only its `id` is said."""

    session: SessionSummary
    gone: NotRequired[bool]


class Entry(TypedDict, total=False):
    """One thing that happened, as a view shows it: all reports of a tool call are one entry, a run of chunks too.

    Durations are milliseconds. `tokens` of a stream is their number. `seq` is the position of the entry's first event.
    """

    type: Required[str]
    ts: str
    seq: int
    name: str
    duration: float
    agent: str
    model: str
    provider: str
    tool: str
    toolCallId: str
    mcpServer: str
    taskId: str
    taskState: str
    questionId: str
    questionUri: str
    input: Any
    output: Any
    message: str
    status: str
    error: str
    spanId: str
    finishReason: str
    timeToFirstToken: float
    tokens: Tokens | int
    cost: float
    costBy: str
    stream: str
    chunks: int
    complete: bool


class QueryView(TypedDict, total=False):
    """A query in its session's view."""

    phase: str
    traceId: str
    traceIds: list[str]
    mcpSessions: dict[str, str]
    streamId: str
    namespace: str
    uid: str
    agents: list[str]
    models: list[str]
    providers: list[str]
    users: list[str]
    conversationIds: list[str]
    taskIds: list[str]
    tasks: dict[str, dict[str, Any]]
    streams: list[str]
    error: str
    errorSpan: str
    tokens: Tokens
    cost: float
    estimatedCost: float
    unpricedModels: list[str]
    retries: int
    timeToFirstToken: float
    startedAt: str
    endedAt: str
    duration: float
    events: list[Entry]
    truncated: bool
    omitted: int


class Query(QueryView, total=False):
    """One query by itself."""

    name: Required[str]
    session: str
    counts: Counts
    firstActivity: str
    lastActivity: str
    seq: int
    log: str


class Session(SessionSummary, total=False):
    """One session, aggregated: its queries by name, and the events that belong to none of them."""

    queries: Required[dict[str, QueryView]]
    events: list[Entry]
    log: str
    truncated: bool
    truncatedAfter: int


class Event(TypedDict, total=False):
    """An event as it is stored. `body` is the original, whole."""

    seq: Required[int]
    id: Required[str]
    kind: Required[str]
    type: Required[str]
    time: str
    recordedAt: str
    duration: float
    sessionSeq: int
    querySeq: int
    sessionId: str
    namespace: str
    query: str
    queryUid: str
    conversationId: str
    agent: str
    model: str
    provider: str
    userId: str
    traceId: str
    spanId: str
    parentSpanId: str
    tool: str
    toolCallId: str
    mcpServer: str
    mcpSessionId: str
    taskId: str
    taskState: str
    questionId: str
    streamId: str
    status: str
    error: str
    phase: str
    inputTokens: int
    outputTokens: int
    cachedTokens: int
    reasoningTokens: int
    cost: float
    costBy: str
    expiresAt: str
    correlatedBy: str
    body: Any


class Message(TypedDict, total=False):
    """An OpenAI chat message."""

    role: Required[str]
    content: Any
    name: str
    tool_calls: list[dict[str, Any]]
    tool_call_id: str


class ConversationPart(TypedDict, total=False):
    """One conversation of a session."""

    id: str
    queries: list[str]
    messages: Required[list[Message]]


class Conversation(TypedDict, total=False):
    """What was said in a session: `messages` of all its conversations, and each apart."""

    id: Required[str]
    messages: Required[list[Message]]
    conversations: list[ConversationPart]
    truncated: bool
    truncatedAfter: int


class Correlation(TypedDict, total=False):
    """Where something belongs; `rule` is the key that decided."""

    session: str | None
    query: str | None
    trace: str | None
    rule: str
    key: str
    link: str
    namedBy: str


class Question(TypedDict, total=False):
    """What waits for an answer, and what came of it. `answer` is there once `state` is `answered`."""

    id: Required[str]
    state: Required[QuestionState]
    uri: str
    session: str
    query: str
    namespace: str
    traceId: str
    askedBy: str
    source: str
    text: str
    context: str
    schema: dict[str, Any]
    options: list[Any]
    blocking: bool
    secret: bool
    deadline: str
    onDeadline: OnDeadline
    escalatedAt: str
    askedAt: str
    endedAt: str
    answeredBy: str
    reason: str
    answerable: bool
    answer: Any


class Stored(TypedDict):
    """What became of events that were sent."""

    stored: int
    duplicates: int
    head: int


#: The first frame of a stream: where it really starts; `recovered` is false where something may be missing.
StreamHello = TypedDict(
    "StreamHello",
    {"log": str, "from": int, "head": int, "recovered": bool, "reason": NotRequired[str], "until": NotRequired[int]},
)
