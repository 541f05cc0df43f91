"""Processor time of the processes that take part: on a shared machine it says more than the clock does."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import psutil

from bench.broker import Broker


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of processor time."""

    broker: float
    postgres: float

    def __sub__(self, other: Used) -> Used:
        return Used(self.broker - other.broker, self.postgres - other.postgres)


def used(broker: Broker, database_url: str) -> Used:
    """By the broker and by PostgreSQL's processes, also those that have ended, since they started."""
    found = re.search(rb"^process_cpu_seconds_total (\S+)", broker.get("/metrics"), re.MULTILINE)
    assert found is not None, "/metrics does not tell process_cpu_seconds_total"
    server = psutil.Process(asyncio.run(_server_pid(database_url)))
    own = server.cpu_times()
    alive = list(_times(server.children(recursive=True)))
    ended = own.children_user + own.children_system
    return Used(float(found[1]), ended + sum(each.user + each.system for each in (own, *alive)))


async def _server_pid(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        backend = int(await connection.fetchval("SELECT pg_backend_pid()"))
        return int(psutil.Process(backend).ppid())
    finally:
        await connection.close()


def _times(processes: Iterable[psutil.Process]) -> Iterator[Any]:
    for process in processes:
        # A backend may end between the two.
        with contextlib.suppress(psutil.NoSuchProcess):
            yield process.cpu_times()
