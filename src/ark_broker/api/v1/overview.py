"""Figures over time, for charts: sessions, queries, errors, tokens, cost and latency, by agent and by model."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from ark_broker.api.paths import json_response
from ark_broker.api.services import Deps
from ark_broker.api.v1.sessions import Name
from ark_broker.log.overview import OTHERS, By, Figures, Groups, Window, read_groups
from ark_broker.log.rollups import WIDTHS
from ark_broker.model.errors import BadInput
from ark_broker.model.timestamps import rfc3339
from ark_broker.sessions.ledger import Measure
from ark_broker.sessions.parts import percentile
from ark_broker.sessions.tally import dollars

router = APIRouter(tags=["overview"])

_NANOSECONDS: Final = 1_000_000_000
#: Seconds since the epoch: the year 2514.
_LATEST: Final = 2**34
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
#: Lengths of a bar (seconds) where the request leaves it to us: the first that makes `_MOST_CHOSEN` bars at most.
_CHOICES: Final = (
    _MINUTE,
    5 * _MINUTE,
    15 * _MINUTE,
    _HOUR,
    3 * _HOUR,
    6 * _HOUR,
    _DAY,
    7 * _DAY,
    30 * _DAY,
    365 * _DAY,
)
_MOST_CHOSEN: Final = 100
_MOST_BARS: Final = 1_500
_UNITS: Final = {"m": _MINUTE, "h": _HOUR, "d": _DAY}

_POINT_EXAMPLE: Final[dict[str, Any]] = {
    "at": "2024-01-15T10:00:00Z",
    "sessions": {"total": 2, "active": 1, "waiting": 0, "idle": 1, "error": 0},
    "queries": {"total": 5, "running": 1, "waiting": 0, "done": 3, "error": 1, "canceled": 0},
    "modelCalls": 9,
    "modelErrors": 1,
    "toolCalls": 4,
    "tokens": {"input": 5120, "output": 870},
    "cost": 0.0183,
    "latency": {"count": 4, "average": 2150, "p50": 1800, "p95": 5200},
    "timeToFirstToken": {"count": 4, "average": 410, "p50": 380, "p95": 720},
    "modelLatency": {"count": 9, "average": 940, "p50": 810, "p95": 2300},
}
_EXAMPLE: Final[dict[str, Any]] = {
    "since": "2024-01-15T10:00:00Z",
    "until": "2024-01-15T11:00:00Z",
    "bucket": 3600,
    "total": {key: value for key, value in _POINT_EXAMPLE.items() if key != "at"},
    "points": [_POINT_EXAMPLE],
    "agents": [
        {
            "name": "planner",
            "total": {key: value for key, value in _POINT_EXAMPLE.items() if key != "at"},
            "points": [_POINT_EXAMPLE],
        }
    ],
    "models": [],
}


@router.get(
    "/v1/overview",
    summary="Figures over time, by agent and by model",
    description="Bars of `bucket` (`5m`, `1h`, `1d`; chosen by the length where it is left out) from `since` to "
    "`until`, by default the last 24 hours. A query counts where it began, with all that it used since. `points` has a "
    "bar each, `agents` and `models` only those with anything in them; the busiest twenty names are apart, and all "
    "others are `others`. Minutes are kept for three days, hours for a hundred.",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
async def overview(
    services: Deps,
    since: Annotated[datetime | None, Query(description="RFC 3339; a day before `until` by default.")] = None,
    until: Annotated[datetime | None, Query(description="RFC 3339; now by default.")] = None,
    bucket: Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,4}[mhd]$", description="Length of a bar.")] = None,
    namespace: Name = None,
    agent: Name = None,
    model: Name = None,
) -> Response:
    now = time.time_ns() // _NANOSECONDS
    window = _window(since, until, bucket, now, (namespace, agent, model))
    groups: dict[By, Groups] = {}
    async with services.reader.snapshot() as connection:
        for by in ("agent", "model"):
            groups[by] = await read_groups(connection, window, by)
    # Of many short bars and many names it is much, and would hold everybody up.
    return await asyncio.to_thread(lambda: json_response(_content(window, groups)))


def _content(window: Window, groups: Mapping[By, Groups]) -> dict[str, object]:
    bars = {at: Figures() for at in range(window.since, window.until, window.bucket)}
    for found in groups["agent"].values():
        for at, figures in found.items():
            bars[at].add(figures)
    return {
        "since": _time(window.since),
        "until": _time(window.until),
        "bucket": window.bucket,
        "total": _total(bars),
        "points": _points(bars),
        "agents": _groups_json(groups["agent"]),
        "models": _groups_json(groups["model"]),
    }


def _window(
    since: datetime | None,
    until: datetime | None,
    bucket: str | None,
    now: int,
    names: tuple[str | None, str | None, str | None],
) -> Window:
    """Whole bars that hold what was asked for. Raises BadInput."""
    end = now + 1 if until is None else _seconds(until)
    begin = max(0, end - _DAY) if since is None else _seconds(since)
    if begin >= end:
        raise BadInput("must be before until", "since")
    if bucket is None:
        finest = max(_finest(begin, now), (end - begin) // _MOST_CHOSEN)
        width = next((each for each in _CHOICES if each >= finest), _CHOICES[-1])
    else:
        width = int(bucket[:-1]) * _UNITS[bucket[-1]]
    window = Window(begin - begin % width, end + -end % width, width, *names)
    if (window.until - window.since) // width > _MOST_BARS:
        raise BadInput(f"makes more than {_MOST_BARS} bars", "bucket")
    return window


def _seconds(moment: datetime) -> int:
    """Seconds since the epoch, within what every bar's ends can be written in."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0, math.ceil(moment.timestamp())), _LATEST)


def _finest(since: int, now: int) -> int:
    """The shortest time of which there are figures still."""
    return next((width for width, seconds in WIDTHS.items() if since >= now - seconds), _DAY)


def _groups_json(groups: Groups) -> list[dict[str, object]]:
    """The busiest first, the others last."""

    def order(item: tuple[str, dict[int, Figures]]) -> tuple[bool, int, str]:
        weight = sum(figures["queries"] + figures["model_calls"] for figures in item[1].values())
        return item[0] == OTHERS, -weight, item[0]

    return [
        ({"others": True} if name == OTHERS else {"name": name or None})
        | {"total": _total(found), "points": _points(found)}
        for name, found in sorted(groups.items(), key=order)
    ]


def _total(bars: Mapping[int, Figures]) -> dict[str, object]:
    total = Figures()
    for figures in bars.values():
        total.add(figures)
    return _figures_json(total)


def _points(bars: Mapping[int, Figures]) -> list[dict[str, object]]:
    return [{"at": _time(at), **_figures_json(figures)} for at, figures in sorted(bars.items())]


def _figures_json(figures: Figures) -> dict[str, object]:
    sessions = {name: figures[f"sessions_{name}"] for name in ("active", "waiting", "error")}
    queries = {name: figures[f"queries_{name}"] for name in ("running", "waiting", "done", "error", "canceled")}
    latencies = {
        "latency": _latency_json(figures, "query", "query_ms"),
        "timeToFirstToken": _latency_json(figures, "first_token", "first_token_ms"),
        "modelLatency": _latency_json(figures, "model", "model_ms"),
    }
    return {
        "sessions": {
            "total": figures["sessions"],
            **sessions,
            "idle": figures["sessions"] - sum(sessions.values()),
        },
        "queries": {"total": figures["queries"], **queries},
        "modelCalls": figures["model_calls"],
        "modelErrors": figures["model_errors"],
        "toolCalls": figures["tool_calls"],
        "tokens": {"input": figures["input_tokens"], "output": figures["output_tokens"]},
        "cost": dollars(figures["cost"]) or 0,
        **{name: found for name, found in latencies.items() if found is not None},
    }


def _latency_json(figures: Figures, measure: Measure, total: str) -> dict[str, object] | None:
    """Milliseconds; None where nothing of the sort was measured."""
    slots = figures.slots[measure]
    count = sum(slots.values())
    if count <= 0:
        return None
    p50, p95 = percentile(slots, 0.5), percentile(slots, 0.95)
    return {
        "count": count,
        "average": round(figures[total] / count),
        "p50": None if p50 is None else round(p50),
        "p95": None if p95 is None else round(p95),
    }


def _time(seconds: int) -> str:
    return rfc3339(seconds * _NANOSECONDS)
