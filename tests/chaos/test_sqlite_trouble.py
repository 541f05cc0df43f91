"""SQLite cannot write: the disk is full, or another process holds the lock."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.load import load
from tests.support.process import Broker, StartBroker
from tests.support.stored import assert_intact, session_positions, stored_spans
from tests.support.streams import following

KIB = 2**10
DISK = 64 * KIB * KIB


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files, which only Linux can")
async def test_files_that_cannot_grow_refuse_writes_serve_reads_and_heal(
    start_broker: StartBroker, sqlite_url: str
) -> None:
    broker = start_broker(sqlite_url)
    await survive(broker, sqlite_url, files_cannot_grow(broker.pid, Path(sqlite_url.removeprefix("sqlite:///"))))


async def test_a_full_disk_refuses_writes_serves_reads_and_heals(start_broker: StartBroker, small_disk: Path) -> None:
    url = f"sqlite:///{small_disk}/broker.db"
    broker = start_broker(url)
    await survive(broker, url, disk_full(small_disk))
    assert "no space" in broker.logs.lower() or "full" in broker.logs.lower()
    await asyncio.to_thread(broker.terminate)


async def survive(broker: Broker, url: str, full: AbstractContextManager[None]) -> None:
    """Load, with no room for a while."""
    async with following(f"{broker.url}/v1/sessions/session-000/stream") as reader:
        async with load(broker.port) as sent:
            await sent.until(200)
            with full:
                await sent.until_refused(20)
                async with httpx.AsyncClient(base_url=broker.url, timeout=30) as client:
                    for path in ("/v1/sessions", "/v1/sessions/session-000", "/v1/events", "/health"):
                        assert (await client.get(path)).status_code == 200
            await sent.until(len(sent.acknowledged) + 200)
        expected = await session_positions(url, "session-000")
        await reader.until(lambda seen: len(seen.positions) >= len(expected))
    stored = await stored_spans(url)

    assert set(sent.statuses) == {200, 503}
    assert all("retry-after" in answer.headers for answer in sent.refusals)
    assert sent.broken == 0
    assert sent.acknowledged == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(url)
    assert reader.positions == expected


async def test_a_lock_held_by_another_process_is_waited_for_or_503(start_broker: StartBroker, sqlite_url: str) -> None:
    broker = start_broker(sqlite_url)
    async with load(broker.port) as sent:
        await sent.until(100)
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            # Longer than SQLite itself waits: the broker has to say something.
            await sent.until_refused(1)
            async with httpx.AsyncClient(base_url=broker.url, timeout=30) as client:
                for path in ("/v1/sessions/session-000", "/v1/events", "/readyz"):
                    assert (await client.get(path)).status_code == 200
            other.execute("ROLLBACK")
        await sent.until(len(sent.acknowledged) + 100)
    stored = await stored_spans(sqlite_url)

    assert set(sent.statuses) == {200, 503}
    assert all("retry-after" in answer.headers for answer in sent.refusals)
    assert sent.acknowledged == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(sqlite_url)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here (only root on Linux can)")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@contextmanager
def disk_full(disk: Path) -> Iterator[None]:
    """The rest of the disk is taken by somebody else inside the block."""
    other = disk / "other"
    with other.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4 * KIB)):
            pass
    try:
        yield
    finally:
        other.unlink()


@contextmanager
def files_cannot_grow(pid: int, database: Path) -> Iterator[None]:
    """The broker's files cannot grow any more inside the block."""
    wal = database.with_name(database.name + "-wal")
    size = max(database.stat().st_size, wal.stat().st_size)
    process = psutil.Process(pid)
    before = process.rlimit(resource.RLIMIT_FSIZE)
    # One file may be as large as the larger of the two: the other one may still grow a little.
    process.rlimit(resource.RLIMIT_FSIZE, (size + 64 * KIB, before[1]))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, before)
