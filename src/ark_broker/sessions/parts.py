"""What model calls used, by the agent that made them and by the model; and durations in slots, to sum them up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ark_broker.sessions.calls import ModelReport
from ark_broker.sessions.ledger import MEASURE_STEP, MEASURES, PLACE, Row

_NS_PER_MS: Final = 1_000_000
#: Durations above the last slot's beginning (2**31 ms, some 25 days) are all in it.
MAX_SLOT: Final = 125
#: Pairs of agent and model that the calls of one query are kept by; what is beyond has neither.
MAX_PAIRS: Final = 100

#: An agent and a model; "" for one that nobody named.
Pair = tuple[str, str]

_CALLS: Final = PLACE["model_calls"]
_FAILED: Final = PLACE["model_errors"]
_INPUT: Final = PLACE["input_tokens"]
_OUTPUT: Final = PLACE["output_tokens"]
_COST: Final = PLACE["cost"]
_SUM: Final = PLACE["model_ms"]
_MODEL: Final = MEASURES["model"] * MEASURE_STEP


def slot_of(duration_ms: int) -> int:
    """The slot of a duration. They are quarters of octaves: 0, 1, …, 4, 5, 6, 7, 8, 10, 12, 14, 16 ms, …."""
    if duration_ms < 1:
        return 0
    octave = duration_ms.bit_length() - 1
    quarter = (duration_ms << 2 >> octave) & 3
    return min(MAX_SLOT, 1 + 4 * octave + quarter)


def slot_start(slot: int) -> float:
    """Where a slot begins, in milliseconds."""
    if slot == 0:
        return 0.0
    octave, quarter = divmod(slot - 1, 4)
    return (1 + quarter / 4) * float(2**octave)


def percentile(slots: Mapping[int, int], share: float) -> float | None:
    """The duration (ms) that `share` of those counted do not exceed, as near as the slots tell; None for none."""
    rest = share * sum(slots.values())
    for slot in sorted(slots):
        number = slots[slot]
        if number > 0 and number >= rest:
            begin, end = slot_start(slot), slot_start(slot + 1)
            return begin + (end - begin) * rest / number
        rest -= number
    return None


def count_calls(rows: dict[Pair, Row], reports: Iterable[ModelReport], agent: str = "") -> None:
    """Add model calls to the rows of their agents and models. `agent`: whose they are where a report does not say."""
    for report in reports:
        pair = (report.agent or agent, report.model or "")
        row = rows.get(pair)
        if row is None:
            if len(rows) >= MAX_PAIRS:
                pair = ("", "")
            row = rows.setdefault(pair, Row(*pair))
        figures = row.figures
        figures[_CALLS] += 1
        figures[_FAILED] += report.failed
        figures[_INPUT] += report.input
        figures[_OUTPUT] += report.output
        figures[_COST] += (report.said or 0) + (report.priced or 0)
        if report.duration is not None:
            duration = report.duration // _NS_PER_MS
            figures[_SUM] += duration
            code = _MODEL + slot_of(duration)
            row.durations[code] = row.durations.get(code, 0) + 1


def add_rows(rows: dict[Pair, Row], others: Iterable[Row], agent: str = "") -> None:
    """Add figures to those of the same agent and model. `agent`: whose they are where a row does not say."""
    for other in others:
        pair = (other.agent or agent, other.model)
        row = rows.get(pair)
        if row is None:
            rows[pair] = Row(*pair, other.figures.copy(), other.durations.copy())
            continue
        row.figures = [mine + more for mine, more in zip(row.figures, other.figures, strict=True)]
        for code, count in other.durations.items():
            row.durations[code] = row.durations.get(code, 0) + count
