"""`POST /events` alone: 64 posters, each with a connection that stays open, each waiting for its answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import uvloop

from bench.ark.emit import IN_FLIGHT
from bench.ark.http import Pool
from bench.ark.machine import used
from bench.ark.plan import EVENTS, Plan, Query
from bench.ark.readback import Client
from bench.broker import Broker, postgres
from bench.raw import bare_commit_seconds
from bench.report import Row

#: Events a second of the paced run: what the stress run sends where nothing holds its queries up.
PACED = 600.0
#: Milliseconds.
_GOAL = 20.0


@dataclass
class Posted:
    """Answers by status, and how long each took, in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0


async def _post(port: int, seconds: float, first: int, rate: float | None) -> Posted:
    posted = Posted()
    pool = Pool(port)
    started = time.perf_counter()
    stop = started + seconds
    pause = 0.0 if rate is None else IN_FLIGHT / rate

    async def poster(place: int) -> None:
        due = started + pause * place / IN_FLIGHT
        for body in _events(first + place):
            if pause:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            # At a given rate an event's time runs from when it was due, though the one before was not answered yet.
            sent = due if pause else time.perf_counter()
            if sent >= stop:
                return
            status, _ = await pool.post("/events", body())
            posted.latencies.append(time.perf_counter() - sent)
            posted.statuses[status] += 1
            due += pause

    await asyncio.gather(*(poster(place) for place in range(IN_FLIGHT)))
    posted.seconds = time.perf_counter() - started
    pool.close()
    return posted


def _events(number: int) -> Iterator[Callable[[], bytes]]:
    """What one poster sends: the events of one query after another."""
    plan = Plan()
    while True:
        query = Query(plan, number)
        for place in range(len(EVENTS)):
            yield partial(query.event, place)
        number += IN_FLIGHT


def _post_events(port: int, seconds: float, first: int, rate: float | None = None) -> Posted:
    """Queries from number `first` on, at `rate` events a second; without one, as fast as answers come."""
    return uvloop.run(_post(port, seconds, first, rate))


def posters(seconds: float) -> list[Row]:
    """Latency of `POST /events` under 64 posters, beside a bare commit of the same server."""
    with postgres() as url, Broker(url) as broker:
        runs = [_post_events(broker.port, min(2.0, seconds), 0)]
        before = used(broker, url)
        runs.append(_post_events(broker.port, seconds, 10_000_000))
        spent = used(broker, url) - before
        runs.append(_post_events(broker.port, seconds, 20_000_000, PACED))
        commits = sorted(asyncio.run(bare_commit_seconds(url)))
        stored = sum(1 for _ in Client(broker.port).items("/events"))
    _, posted, paced = runs
    count = len(posted.latencies)
    print(f"    {count / posted.seconds:,.0f} events a second; processor: broker ", end="")
    print(f"{spent.broker / count * 1000:.2f} ms an event, PostgreSQL {spent.postgres / count * 1000:.2f} ms")
    # Where each poster sends as soon as it is answered, latency is 64 divided by the rate that the broker can do.
    rows = [
        _latency("p50, as fast as answers come", posted, commits, 0.5, None),
        _latency("p99, as fast as answers come", posted, commits, 0.99, _GOAL),
        _latency(f"p50, {PACED:.0f} a second", paced, commits, 0.5, None),
        _latency(f"p99, {PACED:.0f} a second", paced, commits, 0.99, None),
    ]
    accepted = sum(run.statuses[201] for run in runs)
    refused = sum(run.statuses.total() for run in runs) - accepted
    what = f"their events stored, of accepted ({refused} refused)"
    good = stored == accepted and not refused
    return [*rows, Row(what, f"{stored:,}", f"{accepted:,}", f"{stored / max(1, accepted):.4g}", "= accepted", good)]


def _latency(what: str, posted: Posted, commits: list[float], share: float, goal: float | None) -> Row:
    ordered = sorted(posted.latencies)
    reached, bare = (each[int(len(each) * share)] * 1000 for each in (ordered, commits))
    return Row(
        f"POST /events, 64 posters, {what}",
        f"{reached:.1f} ms",
        f"bare commit {bare:.2f} ms",
        f"{reached / bare:.1f}×",
        f"≤ {goal:.0f} ms" if goal else "",
        goal is None or reached <= goal,
    )
