"""What redaction adds to an event on its way in: spans of every family that hold no secret, and one that does.

Prints microseconds an event, and the time as a share of parsing the same body. `python -m bench.redaction`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import orjson

from ark_broker.receive.otlp import decode_traces
from ark_broker.receive.redaction import RedactionRules, compile_rules
from bench.normalise import mixed_batch

_ROUNDS: Final = 7
_SECRET: Final = "sk-" + "proj-" + "aB3dE6gH9jK2mN5pQ8sT1vW4xY7z"


def main() -> None:
    """Print the figures."""
    redactor = compile_rules(RedactionRules())
    redact = redactor.redact
    events = decode_traces(mixed_batch(), "protobuf").events
    bodies = [event.body for event in events]
    clean = [event for event in events if not redactor.may_apply(event)]
    looked_at = [event for event in events if redactor.may_apply(event)]
    parse = _each(len(bodies), lambda: [orjson.loads(body) for body in bodies])
    quick = _each(len(clean), lambda: [redact(event) for event in clean])
    print("%d spans, %.0f bytes each" % (len(bodies), sum(map(len, bodies)) / len(bodies)))
    print("parse                  %6.2f us" % parse)
    print("no hit, quick look     %6.2f us   %.2f of parsing" % (quick, quick / parse))
    if looked_at:
        walked = _each(len(looked_at), lambda: [redact(event) for event in looked_at])
        print("no hit, walked         %6.2f us   (%d of %d spans)" % (walked, len(looked_at), len(bodies)))
    hit = [body.replace(b'"service.name"', b'"%s"' % _SECRET.encode()) for body in bodies]

    def redact_hits() -> None:
        for event, body in zip(events, hit, strict=True):
            event.body = body
            redact(event)

    print("one secret replaced    %6.2f us" % _each(len(bodies), redact_hits))


def _each(count: int, work: Callable[[], object]) -> float:
    """Microseconds for each of `count`, the best of some rounds."""
    best = float("inf")
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best / count * 1e6


if __name__ == "__main__":
    main()
