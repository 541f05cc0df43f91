"""The stress run: all queries through one broker, while others watch; then what is stored is read back."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from typing import Any

from bench.ark.emit import EVENT_TIMEOUT, Emitted, emit
from bench.ark.machine import used
from bench.ark.plan import EVENTS, Plan
from bench.ark.readback import Stored, read_back
from bench.ark.watch import Watched, expected, watch
from bench.broker import Broker, postgres
from bench.report import Row

#: Seconds without a word from a process after which the run is given up.
_PATIENCE = 300.0


def stress(plan: Plan) -> list[Row]:
    """Rows that compare what was sent, accepted, stored and seen."""
    with postgres() as url, Broker(url) as broker:
        before = used(broker, url)
        with _process(watch, plan, broker.port) as reader:
            _receive(reader)
            emitted = _emit(plan, broker.port)
            print("    all sent; readers finish …", flush=True)
            reader[1].send(expected(emitted.accepted, plan))
            watched: Watched = _receive(reader)
        spent = used(broker, url) - before
        print("    reading back …", flush=True)
        started = time.perf_counter()
        stored = read_back(plan, broker.port)
        seconds = time.perf_counter() - started
    print(f"    processor: broker {spent.broker:.0f} s, PostgreSQL {spent.postgres:.0f} s, ", end="")
    print(f"emitter {emitted.cpu_seconds:.0f} s, readers {watched.cpu_seconds:.0f} s; read back in {seconds:.0f} s")
    _tell(plan, emitted, watched)
    return [*_sent(plan, emitted), *_stored(plan, emitted, stored), *_seen(plan, emitted, watched)]


def _emit(plan: Plan, port: int) -> Emitted:
    started = time.perf_counter()
    with _process(emit, plan, port) as emitter:
        while not isinstance(message := _receive(emitter), Emitted):
            rate = message / (time.perf_counter() - started)
            print(f"    {message:,} of {plan.queries:,} queries, {rate:.1f} a second", flush=True)
        return message


def _tell(plan: Plan, emitted: Emitted, watched: Watched) -> None:
    """What is worth knowing, and has no goal."""
    ordered = sorted(emitted.latencies)
    p50, p99 = statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99)] * 1000
    print(f"    {plan.queries / emitted.seconds:.1f} queries a second; POST /events under all of this: ", end="")
    print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {ordered[-1] * 1000:.0f} ms")
    print(f"    {emitted.waited:,} events found 64 others outstanding and waited (a controller would drop them)")
    print(f"    {emitted.early_completions:,} completions were answered before their stream's POST")
    for what, count in [*emitted.refused.items(), *watched.faults.items()]:
        print(f"    {count:,} × {what}")
    for seen in watched.watchers:
        if seen.error:
            print(f"    watcher of {seen.what} failed: {seen.error}")


# -- rows


def _equal(what: str, figure: int, against: int, goal: str) -> Row:
    share = figure / against if against else 0.0
    return Row(what, f"{figure:,}", f"{against:,}", f"{share:.4f}".rstrip("0").rstrip("."), goal, figure == against)


def _sent(plan: Plan, emitted: Emitted) -> list[Row]:
    counts = {
        "events": plan.queries * len(EVENTS),
        "messages": plan.queries * 4,
        "lines": plan.queries * plan.lines,
        "completions": plan.queries,
    }
    rows = [
        _equal(f"{what}: accepted, of sent", emitted.accepted[what], count, "= sent") for what, count in counts.items()
    ]
    refused = emitted.refused.total()
    late = sum(seconds > EVENT_TIMEOUT for seconds in emitted.latencies)
    rows.append(Row("answers 4xx and 5xx, and none", f"{refused:,}", "", "", "0", refused == 0))
    rows.append(Row(f"events answered after {EVENT_TIMEOUT:.0f} s", f"{late:,}", "", "", "0", late == 0))
    return rows


def _stored(plan: Plan, emitted: Emitted, stored: list[Stored]) -> list[Row]:
    rows = []
    for found in stored:
        if found.what == "sessions":
            rows.append(_equal("sessions: queries in them", found.total, plan.queries, "= sent"))
            rows.append(_equal("sessions: queries done", found.distinct, plan.queries, "= sent"))
            continue
        accepted = emitted.accepted[found.what]
        rows.append(_equal(f"{found.what}: stored, of accepted", found.total, accepted, "= accepted"))
        if found.distinct != found.total:
            rows.append(_equal(f"{found.what}: different ones", found.distinct, accepted, "= accepted"))
    return rows


def _seen(plan: Plan, emitted: Emitted, watched: Watched) -> list[Row]:
    rows = []
    for seen in watched.watchers:
        if seen.what == "sessions":
            what = f"sessions: done in the last of {seen.frames:,} frames"
            rows.append(_equal(what, seen.distinct, plan.queries, "= sent"))
            continue
        accepted = emitted.accepted[seen.what]
        # The stream of all chunks has the completion markers too.
        frames = seen.frames - (emitted.accepted["completions"] if seen.what == "lines" else 0)
        rows.append(_equal(f"{seen.what}: seen by a watcher", frames, accepted, "= accepted"))
        if seen.distinct != frames:
            rows.append(_equal(f"{seen.what}: different ones", seen.distinct, accepted, "= accepted"))
    rows.append(_equal("readers of one query with all of it", watched.complete, len(plan.sampled), "= all"))
    return rows


# -- processes


@contextmanager
def _process(target: Any, plan: Plan, port: int) -> Iterator[tuple[BaseProcess, Pipe]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(plan, port, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield process, ours
        process.join(30)
    finally:
        process.kill()


def _receive(process: tuple[BaseProcess, Pipe]) -> Any:
    """What it sends next. Raises EOFError where it has ended, TimeoutError where it is silent."""
    if not process[1].poll(_PATIENCE):
        raise TimeoutError(f"{process[0].name} is silent")
    return process[1].recv()
