"""`make bench-ark`: Ark's stress profile. `python -m bench.ark --quick` is a short run; `--only posters` one part."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from bench.ark.plan import Plan
from bench.ark.posters import posters
from bench.ark.stress import stress
from bench.report import Row, show


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200 queries, 50 at a time, instead of 5,000 and 200")
    parser.add_argument("--only", choices=["posters", "stress"], help="one of the two parts")
    parser.add_argument("--queries", type=int)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("--life", type=float, help="seconds that a query takes where nothing holds it up")
    arguments = parser.parse_args()
    plan = Plan(queries=200, concurrency=50) if arguments.quick else Plan()
    given = {name: getattr(arguments, name) for name in ("queries", "concurrency", "life")}
    plan = replace(plan, **{name: value for name, value in given.items() if value is not None})
    rows: list[Row] = []
    if arguments.only != "stress":
        print("  posters …", flush=True)
        rows += posters(4 if arguments.quick else 10)
    if arguments.only != "posters":
        print(f"  stress: {plan.queries:,} queries, {plan.concurrency} at a time …", flush=True)
        rows += stress(plan)
    return 0 if show(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
