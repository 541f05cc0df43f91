"""What a reader wants from an event's body: taken from it on read, never stored twice."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ark_broker.model.event import Event


class Details(msgspec.Struct, kw_only=True, gc=False):
    """Content of one event, whoever sent it. Values are plain JSON values."""

    #: Tool arguments, prompt or messages.
    input: object | None = None
    #: Tool result, completion or messages.
    output: object | None = None
    #: `ark://questions/<id>`
    question_uri: str | None = None
    #: Human-readable text of a log record or custom event.
    message: str | None = None
    finish_reason: str | None = None
    #: Name of the span, where `type` says something else.
    display_name: str | None = None
    #: Milliseconds the producer claims in an attribute (`duration.ms`), where the span itself has no length.
    duration_ms: float | None = None
    #: Milliseconds from a model call to its first token.
    first_token_ms: float | None = None


#: How a fold asks for content: handed in by the caller, so that folds know no wire format.
Describe = Callable[[Event], Details]

#: An OpenAI chat message.
Message = dict[str, object]


class Exchange(msgspec.Struct, kw_only=True, gc=False):
    """What was said to a model or agent, and what it said: messages in order."""

    given: list[Message] = msgspec.field(default_factory=list)
    gave: list[Message] = msgspec.field(default_factory=list)


#: How a fold asks for messages, likewise.
Exchanges = Callable[[Event], Exchange]
