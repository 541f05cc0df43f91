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

#: Types that report in total what happened below them.
_TOTALS: Final = frozenset({AGENT_STARTED, AGENT_COMPLETED, AGENT_FAILED}) | frozenset(
    {QUERY_STARTED, QUERY_WAITING, QUERY_RESUMED, QUERY_COMPLETED, QUERY_FAILED, QUERY_CANCELED}
)
_NANO: Final = 1_000_000_000
#: Dollars. Who reports more for one event, or less than nothing, reports nonsense.
_MOST: Final = 1e9

#: (tool calls, input tokens, output tokens, billionths of a dollar): by how much what is to show has changed.
Change = tuple[int, int, int, int]
NO_CHANGE: Final[Change] = (0, 0, 0, 0)
_ONE_TOKEN: Final[Change] = (0, 0, 1, 0)
_ONE_CALL: Final[Change] = (1, 0, 0, 0)


def dollars(nano: int) -> float | None:
    """Billionths of a dollar in dollars; None for nothing."""
    return nano / _NANO if nano else None


class Tally(msgspec.Struct, omit_defaults=True, gc=False):
    """Running sums over events, and with `shown` what to make of them."""

    calls_begun: int = 0
    calls_ended: int = 0
    #: Tokens as model calls (spans) reported them.
    request_input: int = 0
    request_output: int = 0
    #: What single events cost, in billionths of a dollar: a sum of floats would depend on their order.
    nano_cost: int = 0
    #: The greatest totals that the query, or an agent, reported for all that it did.
    total_input: int = 0
    total_output: int = 0
    total_nano_cost: int = 0
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
            known = self.request_output or self.total_output or self.usage_output
            return NO_CHANGE if known else _ONE_TOKEN
        if event.input_tokens is not None or event.output_tokens is not None or event.cost is not None:
            return self._count_figures(event)
        return self._count_call(kind)

    def _count_call(self, kind: str) -> Change:
        if kind == TOOL_CALL:
            self.calls_begun += 1
            return _ONE_CALL if self.calls_begun > self.calls_ended else NO_CHANGE
        if kind in (TOOL_RESULT, TOOL_FAILED):
            self.calls_ended += 1
            return _ONE_CALL if self.calls_ended > self.calls_begun else NO_CHANGE
        return NO_CHANGE

    def _count_figures(self, event: Event) -> Change:
        given, produced, nano = event.input_tokens or 0, event.output_tokens or 0, _nano_dollars(event)
        if event.type == LLM_REQUEST and self.request_input and self.request_output and self.nano_cost:
            # Not the first one: no other figure is shown any more.
            self.request_input += given
            self.request_output += produced
            self.nano_cost += nano
            return (0, given, produced, nano)
        before = self.shown
        self._count_call(event.type)
        if event.type == LLM_USAGE:
            self.usage_input += given
            self.usage_output += produced
        elif event.type in _TOTALS:
            self.total_input = max(self.total_input, given)
            self.total_output = max(self.total_output, produced)
            self.total_nano_cost = max(self.total_nano_cost, nano)
        else:
            self.nano_cost += nano
            if event.type == LLM_REQUEST:
                self.request_input += given
                self.request_output += produced
        after = self.shown
        return (after[0] - before[0], after[1] - before[1], after[2] - before[2], after[3] - before[3])

    @property
    def shown(self) -> Change:
        """What to show, as it has changed from nothing.

        Calls: as often as one began, or ended: some producers report a call that failed by its end alone. Tokens:
        as the model calls reported them, else the total that was reported, else as the stream said, else as many
        as chunks were counted. Cost: the sum of what was priced singly, else the total that was reported.
        """
        return (
            max(self.calls_begun, self.calls_ended),
            self.request_input or self.total_input or self.usage_input,
            self.request_output or self.total_output or self.usage_output or self.counted,
            self.nano_cost or self.total_nano_cost,
        )


def _nano_dollars(event: Event) -> int:
    cost = event.cost
    return 0 if cost is None or not 0 <= cost <= _MOST else round(cost * _NANO)
