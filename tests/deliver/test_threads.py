"""Threads of the deliveries: a name server that does not answer holds up nobody else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ark_broker.deliver import guard
from ark_broker.deliver.cursor import Timing
from ark_broker.deliver.threads import Threads
from tests.deliver.conftest import Process
from tests.deliver.test_deliveries import caught_up, until_status, upstream
from tests.support.receivers import Receiver
from tests.support.waiting import until


class NameServers:
    """Stands for the system's resolver: names that begin with `lost` have no answer before `found` is set."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.found = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, port: int | None, *arguments: Any, **named: Any) -> Any:
        self.asked.append(host)
        if host.startswith("lost"):
            self.found.wait(60)
            host = "127.0.0.1"
        if host == "nowhere.test":
            raise socket.gaierror("unknown")
        return self._real(host, port, *arguments, **named)


@pytest.fixture
def name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    found = NameServers(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", found)
    yield found
    found.found.set()


@pytest.fixture
def threads() -> Iterator[Threads]:
    found = Threads()
    yield found
    found.close()


async def test_names_that_nobody_answers_for_hold_up_no_other_work(
    sqlite_process: Process, receiver: Receiver, name_servers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "RESOLVE_TIMEOUT", 0.2)
    # More than the default executor has threads.
    lost = [upstream(receiver, name=f"lost{number}", url=f"http://lost{number}.test/") for number in range(40)]
    deliveries = await sqlite_process.deliveries(
        upstreams=[*lost, upstream(receiver)], timing=Timing(stand_by=0.1, idle=5.0)
    )

    await sqlite_process.spans("a")
    for each in lost:
        await until_status(deliveries, lambda found: found.state.failures >= 1, f"otlp:{each.name}")

    # As a request is decoded that comes in meanwhile.
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "decoded"), 20) == "decoded"
    await receiver.until_named("a")
    assert (await caught_up(deliveries)).state.failures == 0


async def test_a_name_is_looked_up_once_at_a_time_however_many_ask(threads: Threads, name_servers: NameServers) -> None:
    asking = [asyncio.create_task(threads.resolve("lost.test", port)) for port in (80, 443, 80, 443)]

    async def asked() -> bool:
        return bool(name_servers.asked)

    await until(asked)
    # One of them does not wait any longer: the others do.
    asking[0].cancel()
    await asyncio.gather(asking[0], return_exceptions=True)
    later = asyncio.create_task(threads.resolve("lost.test", 80))
    name_servers.found.set()

    assert [list(found) for found in await asyncio.gather(*asking[1:], later)] == [["127.0.0.1"]] * 4
    assert name_servers.asked == ["lost.test"]
    assert list(await threads.resolve("lost.test", 80)) == ["127.0.0.1"]
    assert name_servers.asked == ["lost.test"] * 2


async def test_a_name_that_is_unknown_is_asked_for_again(threads: Threads, name_servers: NameServers) -> None:
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await threads.resolve("nowhere.test", 80)

    assert name_servers.asked == ["nowhere.test"] * 2


async def test_work_is_done_outside_of_the_event_loop_and_its_errors_come_back(threads: Threads) -> None:
    assert await threads.run(threading.get_ident) != threading.get_ident()
    assert await threads.run(int, "10", base=2) == 2
    with pytest.raises(ValueError, match="invalid literal"):
        await threads.run(int, "x")


async def test_the_end_waits_for_no_name_server(threads: Threads, name_servers: NameServers) -> None:
    asking = asyncio.create_task(threads.resolve("lost.test", 80))

    async def asked() -> bool:
        return bool(name_servers.asked)

    await until(asked)
    threads.close()

    with pytest.raises(OSError, match="closing"):
        await asking
    assert not name_servers.found.is_set()
