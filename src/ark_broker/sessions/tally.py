"""What was used: tool calls, tokens, money. Order does not matter, and every call counts once, see `sessions.calls`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from ark_broker.model import Event
from ark_broker.model.vocabulary import (
    AGENT_COMPLETED,
    AGENT_FAILED,
    AGENT_STARTED,
    LLM_CHUNK,
    LLM_MESSAGE,
    LLM_USAGE,
    QUERY_CANCELED,
    QUERY_COMPLETED,
    QUERY_FAILED,
    QUERY_RESUMED,
    QUERY_STARTED,
    QUERY_WAITING,
    WORKFLOW_COMPLETED,
    WORKFLOW_FAILED,
)
from ark_broker.sessions.calls import (
    MODEL_TYPES,
    TOOL_TYPES,
    ModelReport,
    ToolCall,
    ToolReport,
    leaves,
    report_order,
    span_key,
    tool_calls,
    tool_report,
)
from ark_broker.sessions.footprint import include
from ark_broker.sessions.ledger import Row
from ark_broker.sessions.parts import Pair, add_rows, count_calls

#: Types that report in total what happened below them.
_TOTALS: Final = frozenset(
    {
        AGENT_STARTED,
        AGENT_COMPLETED,
        AGENT_FAILED,
        WORKFLOW_COMPLETED,
        WORKFLOW_FAILED,
        QUERY_STARTED,
        QUERY_WAITING,
        QUERY_RESUMED,
        QUERY_COMPLETED,
        QUERY_FAILED,
        QUERY_CANCELED,
    }
)
_NANO: Final = 1_000_000_000
#: Dollars. Who reports more for one event, or less than nothing, reports nonsense: the sums of a session have to fit
#: into 64 bits.
_MOST: Final = 1e6
#: Reports of each sort that are kept, to know a further report of the same call by. Where there are more, the older
#: ones are settled: a report that comes later than so many others counts as a call of its own.
MAX_REPORTS: Final = 48
_KEPT: Final = MAX_REPORTS // 2
#: Reports of one call that are kept, at most.
_MOST_OF_ONE: Final = 8


class Usage(msgspec.Struct, array_like=True, omit_defaults=True, gc=False, frozen=True):
    """What is shown of a tally. Costs in billionths of a dollar."""

    tool_calls: int = 0
    model_calls: int = 0
    retries: int = 0
    input: int = 0
    output: int = 0
    #: Of `input` and `output`: read from a cache, spent on reasoning.
    cached: int = 0
    reasoning: int = 0
    cost: int = 0
    #: The part of `cost` that the price table says.
    estimated: int = 0

    def plus(self, other: Usage, sign: int = 1) -> Usage:
        """The sum (`sign` -1: the difference), figure by figure."""
        return Usage(
            self.tool_calls + sign * other.tool_calls,
            self.model_calls + sign * other.model_calls,
            self.retries + sign * other.retries,
            self.input + sign * other.input,
            self.output + sign * other.output,
            self.cached + sign * other.cached,
            self.reasoning + sign * other.reasoning,
            self.cost + sign * other.cost,
            self.estimated + sign * other.estimated,
        )


NOTHING: Final = Usage()


def dollars(nano: int) -> float | None:
    """Billionths of a dollar in dollars; None for nothing."""
    return nano / _NANO if nano else None


class Tally(msgspec.Struct, omit_defaults=True, gc=False):
    """Running sums over events, and with `shown` what to make of them."""

    tools: list[ToolReport] = msgspec.field(default_factory=list)
    models: list[ModelReport] = msgspec.field(default_factory=list)
    #: Spans above model calls that are not among the reports any more: they are no leaves.
    covered: list[bytes] = msgspec.field(default_factory=list)
    #: Of calls that are not among the reports any more.
    settled: Usage = NOTHING
    #: Of the model calls among them: by agent and model.
    settled_rows: list[Row] = msgspec.field(default_factory=list)
    #: Of the calls that are; worked out anew after a further report.
    recent: Usage = NOTHING
    #: What single events other than model calls cost.
    other_cost: int = 0
    #: The greatest totals that the query, or an agent, reported for all that it did.
    total_input: int = 0
    total_output: int = 0
    total_cost: int = 0
    #: Tokens as the stream's usage chunks reported them.
    usage_input: int = 0
    usage_output: int = 0
    #: Chunks that carried something the model produced.
    counted: int = 0
    #: Models that were called, and that neither the producer nor the price table had a price for.
    unpriced: list[str] = msgspec.field(default_factory=list)
    #: What was shown when the session was last told of it.
    told: Usage = NOTHING
    #: True where `recent` is out of date.
    stale: bool = False

    def count(self, event: Event) -> None:
        """Add an event."""
        kind = event.type
        if kind == LLM_CHUNK:
            # By far the most frequent one.
            self.counted += 1
        elif kind in TOOL_TYPES:
            self.tools.append(tool_report(event))
            self.stale = True
            self.other_cost += _nano_dollars(event) or 0
        elif kind in MODEL_TYPES and event.kind != "chunk":
            self._count_model_call(event)
        elif kind != LLM_MESSAGE and (
            event.input_tokens is not None or event.output_tokens is not None or event.cost is not None
        ):
            self._count_figures(event)

    def _count_model_call(self, event: Event) -> None:
        is_span = event.kind == "span"
        nano = _nano_dollars(event)
        by_table = event.cost_by is not None
        self.models.append(
            ModelReport(
                time=event.time,
                id=event.id[:8],
                span=span_key(event.trace_id, event.span_id) if is_span else None,
                parent=span_key(event.trace_id, event.parent_span_id if is_span else event.span_id),
                failed=event.status == "error",
                input=event.input_tokens or 0,
                output=event.output_tokens or 0,
                cached=event.cached_tokens or 0,
                reasoning=event.reasoning_tokens or 0,
                said=None if by_table else nano,
                priced=nano if by_table else None,
                duration=event.duration,
                agent=event.agent,
                model=event.model,
            )
        )
        self.stale = True
        if nano is None and event.model is not None and (event.input_tokens or event.output_tokens):
            include(self.unpriced, event.model)

    def _count_figures(self, event: Event) -> None:
        given, produced, nano = event.input_tokens or 0, event.output_tokens or 0, _nano_dollars(event) or 0
        if event.type == LLM_USAGE:
            self.usage_input += given
            self.usage_output += produced
        elif event.type in _TOTALS:
            self.total_input = max(self.total_input, given)
            self.total_output = max(self.total_output, produced)
            self.total_cost = max(self.total_cost, nano)
        else:
            self.other_cost += nano

    def settle(self) -> Usage:
        """By how much what is shown has changed since this was asked last."""
        if self.stale:
            self.models.sort(key=_model_order)
            calls = tool_calls(self.tools)
            if len(self.tools) > MAX_REPORTS or len(self.models) > MAX_REPORTS:
                self._forget(calls)
            else:
                self.tools.sort(key=report_order)
                self.recent = _usage(calls, self.models, self.covered)
            self.stale = False
        shown = self.shown
        change = shown.plus(self.told, -1) if shown != self.told else NOTHING
        self.told = shown
        return change

    def _forget(self, calls: list[ToolCall]) -> None:
        """Keep the newest reports, and of the others only the sums."""
        kept: list[ToolReport] = []
        old = len(calls)
        for call in reversed(calls):
            # Of a call that is told again and again the first and the last reports say enough.
            reports = call.reports if len(call.reports) <= _MOST_OF_ONE else call.reports[:4] + call.reports[-4:]
            if len(kept) + len(reports) > _KEPT:
                break
            kept += reports
            old -= 1
        models, covered = self.models[-_KEPT:], self.covered
        settled = self.models[: -len(models)] if len(self.models) > _KEPT else []
        if settled:
            counted = {report.id for report in leaves(self.models, covered)}
            self.covered = [*covered, *(report.parent for report in settled if report.parent is not None)][-_KEPT:]
            leaf_reports = [report for report in settled if report.id in counted]
        else:
            leaf_reports = []
        self.settled = self.settled.plus(_usage(calls[:old], leaf_reports, ()))
        if leaf_reports:
            rows = {(row.agent, row.model): row for row in self.settled_rows}
            count_calls(rows, leaf_reports)
            self.settled_rows = list(rows.values())
        self.tools, self.models = sorted(kept, key=report_order), models
        self.recent = _usage(tool_calls(self.tools), self.models, self.covered)

    def rows(self, agent: str) -> dict[Pair, Row]:
        """The model calls that count, by agent and model. `agent`: whose they are where nobody said."""
        found: dict[Pair, Row] = {}
        add_rows(found, self.settled_rows, agent)
        count_calls(found, leaves(self.models, self.covered), agent)
        return found

    @property
    def is_output_counted(self) -> bool:
        """True while nobody said how many tokens were produced, so that chunks are counted."""
        return not (self.settled.output or self.recent.output or self.total_output or self.usage_output)

    @property
    def shown(self) -> Usage:
        """What to show.

        Tokens: as the model calls reported them, else the total that was reported, else as the stream said, else as
        many as chunks were counted. Cost: what was priced singly, else the total that was reported, else what the
        price table says.
        """
        recent = _usage(tool_calls(self.tools), self.models, self.covered) if self.stale else self.recent
        calls = self.settled.plus(recent)
        said = calls.cost - calls.estimated + self.other_cost
        if said or not self.total_cost:
            cost, estimated = said + calls.estimated, calls.estimated
        else:
            cost, estimated = self.total_cost, 0
        return msgspec.structs.replace(
            calls,
            input=calls.input or self.total_input or self.usage_input,
            output=calls.output or self.total_output or self.usage_output or self.counted,
            cost=cost,
            estimated=estimated,
        )


def _model_order(report: ModelReport) -> tuple[int, bytes]:
    return (report.time, report.id)


def _usage(tools: list[ToolCall], models: list[ModelReport], covered: Iterable[bytes]) -> Usage:
    counted = leaves(models, covered)
    given = produced = cached = reasoning = said = priced = 0
    for report in counted:
        given += report.input
        produced += report.output
        cached += report.cached
        reasoning += report.reasoning
        said += report.said or 0
        priced += report.priced or 0
    return Usage(
        tool_calls=len(tools),
        model_calls=len(counted),
        retries=_retries(tools, counted),
        input=given,
        output=produced,
        cached=cached,
        reasoning=reasoning,
        cost=said + priced,
        estimated=priced,
    )


def _retries(tools: list[ToolCall], models: list[ModelReport]) -> int:
    """Calls of the same id after the first, and model calls under the same parent after one that failed."""
    seen: set[str] = set()
    retries = 0
    for call in tools:
        call_id = call.call_id
        if call_id is not None:
            retries += call_id in seen
            seen.add(call_id)
    failed: set[bytes | None] = set()
    for report in sorted(models, key=_model_order):
        retries += report.parent in failed
        failed.discard(report.parent)
        if report.failed:
            failed.add(report.parent)
    return retries


def _nano_dollars(event: Event) -> int | None:
    cost = event.cost
    return None if cost is None or not 0 <= cost <= _MOST else round(cost * _NANO)
