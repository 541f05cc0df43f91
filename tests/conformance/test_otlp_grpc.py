"""OTLP/gRPC, rule by rule of the specification: with the Python SDK's exporters, and with bytes of our own.

https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import grpc
import grpc.aio
import httpx
import pytest
import structlog
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ark_broker.api import grpc_port
from ark_broker.log.writer import Writer
from ark_broker.model.errors import LogUnavailable, Overloaded
from ark_broker.settings import Settings, SettingsError, load_settings
from tests.support.api import Api, StartApi, serve
from tests.support.otlp import PROTOBUF, logs, metrics, traces
from tests.support.process import StartBroker, free_port, run_command
from tests.support.stored import stored_spans
from tests.support.waiting import until

METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}


@dataclass
class Client:
    """One gRPC channel to a broker."""

    channel: Any

    async def export(self, signal: str, message: Any, **options: Any) -> bytes:
        """The answer's bytes to a message, or to raw bytes."""
        content = message if isinstance(message, bytes) else message.SerializeToString()
        answer: bytes = await self.channel.unary_unary(METHODS[signal])(content, timeout=20, **options)
        return answer

    async def refused(self, signal: str, message: Any, **options: Any) -> grpc.aio.AioRpcError:
        """The error of an export that must fail."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.export(signal, message, **options)
        return caught.value


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        yield Client(channel)


async def stored(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/v1/events", limit=1000))["items"]
    return items


def retry_info(error: grpc.aio.AioRpcError) -> RetryInfo | None:
    """What the error's `google.rpc.Status` says about coming back."""
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
    if details is None:
        return None
    found = Status.FromString(details)
    assert (found.code, found.message) == (error.code().value[0], error.details())
    (packed,) = found.details
    retry = RetryInfo()
    assert packed.Unpack(retry)
    return retry


@pytest.fixture
async def each_api_with_grpc(database_url: str) -> AsyncIterator[tuple[Api, int]]:
    """A broker and its gRPC port; the test runs once on SQLite and once on PostgreSQL."""
    port = free_port()
    async with serve(database_url, grpc_port=port) as api:
        yield api, port


# -- a real SDK --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_python_sdk(
    start_broker: StartBroker, sqlite_url: str, caplog: pytest.LogCaptureFixture, compression: grpc.Compression
) -> None:
    port = free_port()
    broker = start_broker(sqlite_url, grpc_port=port)
    caplog.set_level(logging.WARNING)
    target: dict[str, Any] = {"endpoint": f"http://127.0.0.1:{port}", "compression": compression}
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**target)))
    records = LoggerProvider(shutdown_on_exit=False)
    records.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(**target)))

    tracer = spans.get_tracer("tests", "1.0")
    with tracer.start_as_current_span("invoke_agent planner", attributes={"session.id": "s1"}):
        for number in range(100):
            with tracer.start_as_current_span(f"step {number}") as span:
                span.set_attributes({"n": number, "list": ["a", "b"], "ratio": 0.5, "yes": True})
    record = LogRecord(timestamp=1, body={"content": "hi"}, severity_number=SeverityNumber.INFO, event_name="said")
    records.get_logger("tests").emit(record)
    assert spans.force_flush()
    assert records.force_flush()
    spans.shutdown()
    records.shutdown()

    kinds = [
        event["kind"]
        for event in httpx.get(f"{broker.url}/v1/events", params={"limit": 1000}, timeout=60).json()["items"]
    ]
    assert (kinds.count("span"), kinds.count("log")) == (101, 1)
    assert httpx.get(f"{broker.url}/v1/sessions/s1", timeout=60).json()["counts"]["events"] == 101
    assert caplog.records == []
    assert '"level": "warning"' not in broker.logs
    assert broker.terminate() == 0


def test_the_python_sdk_with_metrics_on(
    start_broker: StartBroker, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    start_broker(sqlite_url, grpc_port=port)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"http://127.0.0.1:{port}", timeout=60))
    meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meters.get_meter("tests").create_counter("tokens").add(7)
    assert meters.force_flush(60_000)
    meters.shutdown()

    assert [entry for entry in caplog.records if entry.levelno >= logging.ERROR] == []


# -- answers -----------------------------------------------------------------------------------------------------------


async def test_what_is_stored_is_answered_with_an_empty_response(start_api: StartApi) -> None:
    port = free_port()
    async with start_api(grpc_port=port) as api, connected(port) as client:
        assert await client.export("traces", traces({}, {})) == b""
        assert await client.export("logs", logs()) == b""
        for signal in METHODS:
            assert await client.export(signal, b"") == b""
        assert [event["kind"] for event in await stored(api)] == ["span", "span", "log"]
        assert api.services.intake.used == 0


async def test_gzip(start_api: StartApi) -> None:
    port = free_port()
    async with start_api(grpc_port=port) as api, connected(port) as client:
        assert await client.export("traces", traces({}, {}), compression=grpc.Compression.Gzip) == b""
        assert len(await stored(api)) == 2
        assert api.services.intake.used == 0


async def test_bad_spans_are_a_partial_success_and_the_others_are_stored(start_api: StartApi) -> None:
    port = free_port()
    async with start_api(grpc_port=port) as api, connected(port) as client:
        answer = await client.export("traces", traces({}, {"span_id": b"short"}, {"trace_id": bytes(16)}))
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
        assert partial.rejected_spans == 2
        assert partial.error_message
        assert len(await stored(api)) == 1


async def test_metrics_are_accepted_and_dropped_with_a_warning(start_api: StartApi) -> None:
    port = free_port()
    async with start_api(grpc_port=port) as api, connected(port) as client:
        partial = ExportMetricsServiceResponse.FromString(await client.export("metrics", metrics(3))).partial_success
        assert partial.rejected_data_points == 0
        assert "dropped" in partial.error_message
        assert await stored(api) == []


async def test_the_same_batch_over_http_and_grpc_is_stored_once(each_api_with_grpc: tuple[Api, int]) -> None:
    api, port = each_api_with_grpc
    async with connected(port) as client:
        for signal, message in (("traces", traces({}, {})), ("logs", logs({"event_name": "said"}))):
            content = message.SerializeToString()
            response = await api.http.post(f"/v1/{signal}", content=content, headers=PROTOBUF)
            assert (response.status_code, response.content) == (200, b"")
            assert await client.export(signal, content) == b""
            assert await client.export(signal, content) == b""
    assert len(await stored(api)) == 3


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_read_is_refused_for_good(start_api: StartApi) -> None:
    port = free_port()
    packed = gzip.compress(traces().SerializeToString() * 50)
    async with start_api(grpc_port=port) as api, connected(port) as client:
        for signal in METHODS:
            for content in (b"\xff\xff\xff", b"not protobuf at all", packed[:-9], packed + b"trailing", packed[:2]):
                error = await client.refused(signal, content)
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, content
                assert error.details()
                assert retry_info(error) is None
        assert await stored(api) == []
        assert api.services.intake.used == 0
        assert 'reason="400",signal="traces"' in (await api.http.get("/metrics")).text


async def test_a_message_that_is_too_large_is_refused_and_its_neighbours_are_stored(start_api: StartApi) -> None:
    port = free_port()
    large = traces({"attributes": {"text": "x" * 5000}}).SerializeToString()
    async with start_api(grpc_port=port, max_body_bytes="4KiB") as api, connected(port) as client:
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            before, error, after = await asyncio.gather(
                client.export("traces", traces({"number": 11})),
                client.refused("traces", large, compression=compression),
                client.export("logs", logs()),
            )
            assert (before, after) == (b"", b"")
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "4096" in error.details()
            assert retry_info(error) is None
        assert sorted(event["kind"] for event in await stored(api)) == ["log", "span"]
        assert api.services.intake.used == 0
        counts = (await api.http.get("/metrics")).text
        assert 'ark_broker_refused_total{reason="413",signal="traces"} 1.0' in counts
        assert 'ark_broker_refused_total{reason="unread",signal="traces"} 1.0' in counts, "gRPC itself refused it"
    async with start_api(grpc_port=port, max_events_per_request=3) as api, connected(port) as client:
        error = await client.refused("traces", traces({}, {}, {}, {}))
        assert (error.code(), retry_info(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)


async def test_a_small_message_cannot_become_a_large_one(start_api: StartApi) -> None:
    port = free_port()
    async with start_api(grpc_port=port, max_body_bytes="1MiB") as api, connected(port) as client:
        error = await client.refused("traces", bytes(200 * 2**20), compression=grpc.Compression.Gzip)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert api.services.intake.used == 0


@pytest.mark.parametrize("error", [Overloaded("the queue is full", 7), LogUnavailable("the database is away")])
async def test_overload_says_when_to_come_back(
    start_api: StartApi, monkeypatch: pytest.MonkeyPatch, error: Overloaded
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error

    port = free_port()
    async with start_api(grpc_port=port) as api, connected(port) as client:
        monkeypatch.setattr(Writer, "append", refuse)
        for signal, message in (("traces", traces()), ("logs", logs())):
            found = await client.refused(signal, message)
            assert (found.code(), found.details()) == (grpc.StatusCode.UNAVAILABLE, str(error))
            retry = retry_info(found)
            assert retry is not None
            assert retry.retry_delay.seconds == error.retry_after
        assert api.services.intake.used == 0


async def test_bodies_of_both_transports_share_one_budget(start_api: StartApi) -> None:
    port = free_port()
    async with start_api(grpc_port=port, queue_bytes="1MiB") as api, connected(port) as client:
        api.services.intake.reserve(2**20)
        error = await client.refused("traces", traces())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_info(error) is not None
        api.services.intake.release(2**20)
        assert await client.export("traces", traces()) == b""


async def test_a_message_that_never_comes_is_given_up(start_api: StartApi) -> None:
    port = free_port()
    never = asyncio.Event()

    async def silence() -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    async with start_api(grpc_port=port) as api, connected(port) as client:
        api.services.intake.patience = 0.05
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.channel.stream_unary(METHODS["traces"])(silence(), timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "0.05 seconds" in caught.value.details()


async def test_a_caller_that_goes_away_costs_nothing(start_api: StartApi) -> None:
    port = free_port()
    never = asyncio.Event()

    async def silence() -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    async with start_api(grpc_port=port) as api:
        for _ in range(20):
            async with connected(port) as client:
                call = client.channel.stream_unary(METHODS["traces"])(silence())
                assert await client.export("traces", traces()) == b""
                call.cancel()
        async with connected(port) as client:
            assert await client.export("traces", traces()) == b""
        assert api.services.intake.used == 0
        assert [line for line in api.logs if line["log_level"] != "info"] == []


async def test_a_bug_is_internal_and_tells_nothing(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    port = free_port()
    async with start_api(grpc_port=port) as api, connected(port) as client:
        monkeypatch.setattr(Writer, "append", broken)
        error = await client.refused("traces", traces())
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "Internal server error")
        assert retry_info(error) is None
        assert [entry["event"] for entry in api.errors()] == ["unhandled error"]
        api.logs.clear()


async def test_other_services_and_methods_are_unimplemented(start_api: StartApi) -> None:
    port = free_port()
    async with start_api(grpc_port=port), connected(port) as client:
        for method in ("/opentelemetry.proto.collector.trace.v1.TraceService/Import", "/other.Service/Export"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.channel.unary_unary(method)(b"", timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# -- start and stop ----------------------------------------------------------------------------------------------------


async def test_calls_that_are_open_at_sigterm_are_finished_and_no_new_ones_are_taken(
    start_broker: StartBroker, postgres_url: str
) -> None:
    port = free_port()
    broker = start_broker(postgres_url, grpc_port=port, shutdown_seconds=20, ack_timeout_seconds=20)
    lock = await asyncpg.connect(postgres_url)
    async with connected(port) as client, connected(port) as other, httpx.AsyncClient(timeout=60) as http:

        async def is_waiting() -> bool:
            return (
                'ark_broker_received_events_total{signal="traces"} 1.0'
                in (await http.get(f"{broker.url}/metrics")).text
            )

        async def is_closed() -> bool:
            try:
                await other.export("metrics", b"")
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.UNAVAILABLE
            return False

        transaction = lock.transaction()
        await transaction.start()
        await lock.execute("SELECT * FROM log_head FOR UPDATE")
        open_call = asyncio.create_task(client.export("traces", traces()))
        await until(is_waiting)
        ended = asyncio.create_task(asyncio.to_thread(broker.terminate))
        await until(is_closed)
        assert not open_call.done()
        await transaction.rollback()
        assert await open_call == b""
        assert await ended == 0
    await lock.close()
    assert sum((await stored_spans(postgres_url)).values()) == 1


def export_once(port: int, number: int) -> None:
    """One span through a channel of its own."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        content = traces({"number": number}).SerializeToString()
        assert channel.unary_unary(METHODS["traces"])(content, timeout=20, wait_for_ready=True) == b""


async def test_workers_share_the_port_and_keep_other_brokers_off_it(
    start_broker: StartBroker, postgres_url: str
) -> None:
    port = free_port()
    first = start_broker(postgres_url, grpc_port=port, workers=2)
    for number in range(1, 21):
        export_once(port, number)
    assert sum((await stored_spans(postgres_url)).values()) == 20
    for workers in (1, 2):
        second = start_broker(postgres_url, grpc_port=port, workers=workers, ready=False)
        assert second.wait() == 1
        assert f"ARK_BROKER_GRPC_PORT: cannot listen on 127.0.0.1:{port}" in second.logs
    assert first.terminate() == 0


def test_a_port_in_use_that_was_set_is_one_line_and_exit_code_1(sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_command("serve", database_url=sqlite_url, port=free_port(), grpc_port=port, log_format="json")

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"ARK_BROKER_GRPC_PORT: cannot listen on 127.0.0.1:{port}" in line


def with_default_port(port: int) -> Settings:
    """Settings in which nobody has set the port, as if that were the default."""
    return Settings.model_construct(_fields_set=set(), grpc_port=port)


def test_the_default_port_is_passed_over_with_a_warning_where_it_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, structlog.testing.capture_logs() as lines:
        settings, held = grpc_port.prepare(with_default_port(taken.getsockname()[1]))

    assert (settings.grpc_port, held) == (0, [])
    assert [line["log_level"] for line in lines] == ["warning"]


def test_without_the_extra_only_a_port_that_was_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_port, "find_spec", lambda _: None)

    assert grpc_port.prepare(load_settings())[0].grpc_port == 0
    assert grpc_port.prepare(load_settings({"grpc_port": 0}))[0].grpc_port == 0
    with pytest.raises(SettingsError, match=r"ARK_BROKER_GRPC_PORT: .*pip install 'ark-broker\[grpc\]'"):
        grpc_port.prepare(load_settings({"grpc_port": 4317}))


def test_nothing_imports_grpc_before_it_is_used() -> None:
    program = "import sys, ark_broker.app, ark_broker.cli.main; sys.exit('grpc' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
