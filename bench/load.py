"""The load generator: OTLP/HTTP protobuf at any endpoint, so that peers can be measured with the same load.

    python -m bench.load http://127.0.0.1:4318/v1/traces --seconds 10 --connections 8

It speaks HTTP by hand over kept-alive connections: what is measured is the server, not a client library.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.spans import Batches


@dataclass
class Outcome:
    """What the server made of the load."""

    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Spans a second that were answered 200."""
        return self.accepted / self.seconds

    def percentile(self, share: float) -> float:
        """Seconds within which that share of the requests was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def __str__(self) -> str:
        median = statistics.median(self.latencies) if self.latencies else 0.0
        return (
            f"{self.rate:,.0f} spans/s accepted, {self.refused} requests refused, "
            f"p50 {median * 1000:.1f} ms, p99 {self.percentile(0.99) * 1000:.1f} ms"
        )


async def generate(url: str, *, seconds: float, connections: int, spans: int = 100, seed: int = 1) -> Outcome:
    """Send batches over `connections` connections for `seconds`, each waiting for its answer before the next."""
    outcome = Outcome()
    # Made once, before the clock starts: every batch that is sent gets new ids anyway.
    templates = Batches(spans, seed=seed)
    started = time.perf_counter()
    stop = started + seconds
    await asyncio.gather(*(_connection(url, templates, stop, outcome) for _ in range(connections)))
    outcome.seconds = time.perf_counter() - started
    return outcome


async def _connection(url: str, batches: Batches, stop: float, outcome: Outcome) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    path = parts.path or "/"
    try:
        while time.perf_counter() < stop:
            body = next(batches)
            sent = time.perf_counter()
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/x-protobuf\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
            )
            writer.write(body)
            status = await _answer(reader)
            outcome.latencies.append(time.perf_counter() - sent)
            if status == 200:
                outcome.accepted += batches.spans
            else:
                outcome.refused += 1
                await asyncio.sleep(0.1)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="OTLP/HTTP traces endpoint, e.g. http://127.0.0.1:4318/v1/traces")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--spans", type=int, default=100, help="spans in one request")
    arguments = parser.parse_args()
    print(
        asyncio.run(
            generate(
                arguments.url,
                seconds=arguments.seconds,
                connections=arguments.connections,
                spans=arguments.spans,
            )
        )
    )


if __name__ == "__main__":
    main()
