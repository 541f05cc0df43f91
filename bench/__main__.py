"""`make bench`: the table. `python -m bench --quick` is a short run; `--only ingest` one part of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench.correlate import correlate
from bench.fanout import fanout
from bench.ingest import ingest
from bench.latency import latency
from bench.normalise import normalise
from bench.report import Row, show
from bench.resources import memory, start_and_idle


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of five: figures are rougher")
    parser.add_argument(
        "--only",
        action="append",
        help="start, normalise, ingest, latency, correlate, fanout or memory; may be repeated",
    )
    arguments = parser.parse_args()
    quick = arguments.quick
    parts: dict[str, Callable[[], list[Row]]] = {
        "start": start_and_idle,
        "normalise": lambda: normalise(0.2 if quick else 0.6),
        "ingest": lambda: ingest(4 if quick else 10),
        "latency": lambda: latency(4 if quick else 10),
        "correlate": lambda: correlate(1_000 if quick else 5_000),
        "fanout": lambda: fanout(20 if quick else 60),
        "memory": lambda: memory(100_000 if quick else 1_000_000),
    }
    rows: list[Row] = []
    for name, run in parts.items():
        if arguments.only and name not in arguments.only:
            continue
        print(f"  {name} …", flush=True)
        rows += run()
    return 0 if show(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
