"""What was used: tool calls, tokens, money. Sums of whole numbers, so that order does not matter."""

from __future__ import annotations

from typing import Final

import msgspec

from ark_broker.model import Event
from ark_broker.model.vocabulary import (
    AGENT_COMPLETED,
    AGENT_FAILED,
    AGENT_STARTED,
    LLM_CHUNK,
    LLM_REQUEST,
    LLM_USAGE,
    QUERY_CANCELED,
    QUERY_COMPLETED,
    QUERY_FAILED,
    QUERY_RESUMED,
    QUERY_STARTED,
    QUERY_WAITING,
    TOOL_CALL,
    TOOL_FAILED,
    TOOL_RESULT,
)

#: Types whose price is the sum of what happened below them.
_TOTALS: Final = frozenset({AGENT_STARTED, AGENT_COMPLETED, AGENT_FAILED}) | frozenset(
    {QUERY_STARTED, QUERY_WAITING, QUERY_RESUMED, QUERY_COMPLETED, QUERY_FAILED, QUERY_CANCELED}
)
_NANO: Final = 1_000_000_000
#: Dollars. Who reports more for one event reports nonsense.
_MOST: Final = 1e9

#: Tool calls, input tokens, output tokens: by how much what is to show has changed.
Change = tuple[int, int, int]
NO_CHANGE: Final[Change] = (0, 0, 0)
_ONE_TOKEN: Final[Change] = (0, 0, 1)
_ONE_CALL: Final[Change] = (1, 0, 0)


def nano_dollars(event: Event) -> int:
    """What the event itself cost, in billionths of a dollar: a sum of floats would depend on their order."""
    cost = event.cost
    if cost is None or not -_MOST <= cost <= _MOST or event.type in _TOTALS:
        return 0
    return round(cost * _NANO)


def dollars(nano: int) -> float | None:
    """Billionths of a dollar in dollars; None for nothing."""
    return nano / _NANO if nano else None


class Tally(msgspec.Struct, omit_defaults=True, gc=False):
    """Running sums over events. `tool_calls`, `input_tokens` and `output_tokens` say what to show."""

    calls_begun: int = 0
    calls_ended: int = 0
    #: Tokens as model calls (spans) reported them.
    request_input: int = 0
    request_output: int = 0
    #: Tokens as the stream's usage chunks reported them.
    usage_input: int = 0
    usage_output: int = 0
    #: Chunks that carried something the model produced.
    counted: int = 0

    def count(self, event: Event) -> Change:
        """Add an event."""
        kind = event.type
        if kind == LLM_CHUNK:
            # By far the most frequent one.
            self.counted += 1
            return NO_CHANGE if self.request_output or self.usage_output else _ONE_TOKEN
        if kind in (LLM_REQUEST, LLM_USAGE):
            return self._count_tokens(event)
        if kind == TOOL_CALL:
            self.calls_begun += 1
            return _ONE_CALL if self.calls_begun > self.calls_ended else NO_CHANGE
        if kind in (TOOL_RESULT, TOOL_FAILED):
            self.calls_ended += 1
            return _ONE_CALL if self.calls_ended > self.calls_begun else NO_CHANGE
        return NO_CHANGE

    def _count_tokens(self, event: Event) -> Change:
        _, given, produced = self.shown
        if event.type == LLM_REQUEST:
            self.request_input += event.input_tokens or 0
            self.request_output += event.output_tokens or 0
        else:
            self.usage_input += event.input_tokens or 0
            self.usage_output += event.output_tokens or 0
        _, given_now, produced_now = self.shown
        return (0, given_now - given, produced_now - produced)

    @property
    def shown(self) -> Change:
        """(tool calls, input tokens, output tokens), as they have changed from nothing.

        Calls: as often as one began, or ended: some producers report a call that failed by its end alone. Tokens:
        as the model calls reported them, else as the stream did, else as many as chunks were counted.
        """
        return (
            max(self.calls_begun, self.calls_ended),
            self.request_input or self.usage_input,
            self.request_output or self.usage_output or self.counted,
        )
