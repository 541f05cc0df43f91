"""OTLP/gRPC takes tokens as OTLP/HTTP does: in `authorization`, with `ingest`, each for its namespaces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from ark_broker.api.intake import Intake
from tests.api.access.conftest import ADMIN, Locked, locked_broker
from tests.support.otlp import logs, metrics, traces
from tests.support.process import free_port
from tests.support.waiting import until

grpc = pytest.importorskip("grpc")
pytest.importorskip("grpc.aio")

#: What the budget must have room for before a call's message is read.
UNREAD = 64 * 1024
METHODS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": traces,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": logs,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": metrics,
}


@dataclass
class Exporter:
    """A broker that wants tokens, and a channel to its gRPC port."""

    locked: Locked
    channel: Any

    async def export(self, method: str, token: str | None, message: Any = None) -> Any:
        """The status of the call."""
        metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        content = (METHODS[method]() if message is None else message).SerializeToString()
        try:
            await self.channel.unary_unary(method)(content, metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def begin(self, token: str) -> Any:
        """A call that is open, and in which no message is sent."""
        metadata = (("authorization", f"Bearer {token}"),)
        return self.channel.stream_unary(next(iter(METHODS)))(metadata=metadata, timeout=20)

    async def ended(self, call: Any) -> Any:
        """The status that it ended with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return caught.value.code()


@asynccontextmanager
async def exporting(database_url: str, **settings: Any) -> AsyncIterator[Exporter]:
    port = free_port()
    async with (
        locked_broker(database_url, grpc_port=port, **settings) as locked,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Exporter(locked, channel)


async def test_each_export_takes_a_token_with_ingest(sqlite_url: str) -> None:
    async with exporting(sqlite_url) as exporter:
        good, reader = await exporter.locked.token("ingest"), await exporter.locked.token("read")
        revoked = await exporter.locked.token("ingest")
        await exporter.locked.operator.http.delete(f"/v1/tokens/{revoked.split('_')[1]}")
        for method in METHODS:
            for token in (None, "", "wrong", good[:-1], revoked):
                assert await exporter.export(method, token) is grpc.StatusCode.UNAUTHENTICATED, (method, token)
            assert await exporter.export(method, reader) is grpc.StatusCode.PERMISSION_DENIED
            for token in (good, ADMIN):
                assert await exporter.export(method, token) is grpc.StatusCode.OK
        kinds = {each["kind"] for each in (await exporter.locked.operator.get("/v1/events", limit=1000))["items"]}
        assert {"span", "log"} <= kinds


async def test_what_is_exported_belongs_to_the_tokens_namespace(database_url: str) -> None:
    async with exporting(database_url) as exporter:
        method = next(iter(METHODS))
        for namespace in ("team-a", "team-b"):
            # The same trace, span and session.
            token = await exporter.locked.token("ingest", [namespace])
            assert await exporter.export(method, token) is grpc.StatusCode.OK
        for namespace in ("team-a", "team-b"):
            who = await exporter.locked.person("read", [namespace])
            (event,) = (await who.get("/v1/events"))["items"]
            assert event["namespace"] == namespace


async def test_more_calls_than_the_limit_are_refused_with_a_time_to_come_again(sqlite_url: str) -> None:
    async with exporting(sqlite_url) as exporter:
        token = await exporter.locked.token("ingest", requestsPerMinute=1)
        method = next(iter(METHODS))
        assert await exporter.export(method, token) is grpc.StatusCode.OK
        assert await exporter.export(method, token) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_bytes_count_here_too(sqlite_url: str) -> None:
    # gRPC has no content-length: the message itself has to be counted.
    async with exporting(sqlite_url) as exporter:
        token = await exporter.locked.token("ingest", bytesPerMinute=1_000)
        method = next(iter(METHODS))
        large = traces({"name": "x" * 3_000})
        assert await exporter.export(method, token, large) is grpc.StatusCode.OK
        assert await exporter.export(method, token, large) is grpc.StatusCode.RESOURCE_EXHAUSTED


# -- calls that are open -----------------------------------------------------------------------------------------------


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Awaitable[None]]:
    """Returns once so many calls were let in and wait for their message: room for it is looked for by then."""
    looked: list[int] = []
    reserve = Intake.reserve

    def counting(intake: Intake, size: int) -> None:
        # That of a call; what HTTP reserves here is a few bytes.
        if size == UNREAD:
            looked.append(size)
        reserve(intake, size)

    monkeypatch.setattr(Intake, "reserve", counting)

    async def wait(count: int) -> None:
        async def enough() -> bool:
            return len(looked) >= count

        await until(enough, what=f"{count} calls to be open")

    return wait


async def test_one_token_has_so_many_calls_open_and_not_more(
    sqlite_url: str, begun: Callable[[int], Awaitable[None]]
) -> None:
    async with exporting(sqlite_url, token_max_open=2) as exporter:
        method = next(iter(METHODS))
        one, other = await exporter.locked.token("ingest"), await exporter.locked.token("ingest")
        calls = [exporter.begin(one) for _ in range(2)]
        await begun(2)
        assert await exporter.export(method, one) is grpc.StatusCode.RESOURCE_EXHAUSTED
        # It is one count for both ways in.
        assert (await (await exporter.locked.holder(one)).http.get("/v1/me")).status_code == 429
        assert await exporter.export(method, other) is grpc.StatusCode.OK
        for call in calls:
            call.cancel()

        async def free() -> bool:
            return await exporter.export(method, one) is grpc.StatusCode.OK

        await until(free, what="room for another call")


async def test_a_call_that_is_open_ends_with_its_token(
    sqlite_url: str, begun: Callable[[int], Awaitable[None]]
) -> None:
    async with exporting(sqlite_url) as exporter:
        revoked, other = await exporter.locked.token("ingest"), await exporter.locked.token("ingest")
        ending, going_on = exporter.begin(revoked), exporter.begin(other)
        await begun(2)
        await exporter.locked.operator.http.delete(f"/v1/tokens/{revoked.split('_')[1]}")
        assert await exporter.ended(ending) is grpc.StatusCode.UNAUTHENTICATED
        await going_on.write(traces().SerializeToString())
        await going_on.done_writing()
        assert await going_on == b""
