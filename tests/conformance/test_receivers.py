"""Real receivers of what the broker hands on: Jaeger and Phoenix, where they are installed (`make receivers`).

ARK_BROKER_TEST_JAEGER names Jaeger's all-in-one program, ARK_BROKER_TEST_PHOENIX the `phoenix` command.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from tests.support.process import StartBroker, free_port
from tests.support.waiting import wait_until

JAEGER = os.environ.get("ARK_BROKER_TEST_JAEGER")
PHOENIX = os.environ.get("ARK_BROKER_TEST_PHOENIX")
needs_jaeger = pytest.mark.skipif(JAEGER is None, reason="NOT TESTED: Jaeger is not installed: `make receivers`")
needs_phoenix = pytest.mark.skipif(PHOENIX is None, reason="NOT TESTED: Phoenix is not installed: `make receivers`")

ATTRIBUTES: dict[str, Any] = {
    "session.id": "s1",
    "text": "é</script>",
    "count": 2**53,
    "ratio": 0.5,
    "yes": True,
    "list": ["a", "b"],
}


@contextmanager
def running(command: list[str], log: Path, ready: str, more: Mapping[str, str] | None = None) -> Iterator[None]:
    """A program, until the block is left; `ready` is a URL that answers once it is up."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(more or {})})
    try:

        def is_up() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            try:
                return httpx.get(ready, timeout=5).status_code < 500
            except httpx.TransportError:
                return False

        wait_until(is_up, timeout=120, what=ready)
        yield
    finally:
        process.terminate()
        process.wait(60)


def send(url: str, name: str, count: int = 10) -> str:
    """Spans of one trace, by the SDK; returns the trace id."""
    provider = TracerProvider(resource=Resource({"service.name": "tests"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
    tracer = provider.get_tracer("tests", "1.0")
    with tracer.start_as_current_span(f"{name} root", kind=SpanKind.SERVER, attributes=ATTRIBUTES) as root:
        for number in range(count - 1):
            with tracer.start_as_current_span(f"{name} {number}", attributes={"n": number}) as span:
                span.add_event("token", {"text": "hello"})
                span.set_status(Status(StatusCode.ERROR, "no"))
        trace_id = f"{root.get_span_context().trace_id:032x}"
    provider.shutdown()
    return trace_id


def spans_in(url: str, trace_id: str) -> list[dict[str, Any]]:
    """The spans that the broker has of the trace, in OTLP/JSON."""
    page = httpx.get(f"{url}/v1/events", params={"limit": 1000}).json()["items"]
    return [event["body"]["span"] for event in page if event.get("traceId") == trace_id]


class Jaeger:
    """Jaeger's all-in-one, with its store in memory."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "jaeger.log"
        self.otlp, self._query, *self._others = (free_port() for _ in range(8))

    @contextmanager
    def running(self) -> Iterator[None]:
        grpc, admin, query_grpc, collector_http, collector_grpc, _ = self._others
        command = [
            str(JAEGER),
            f"--collector.otlp.http.host-port=127.0.0.1:{self.otlp}",
            f"--collector.otlp.grpc.host-port=127.0.0.1:{grpc}",
            f"--query.http-server.host-port=127.0.0.1:{self._query}",
            f"--query.grpc-server.host-port=127.0.0.1:{query_grpc}",
            f"--admin.http.host-port=127.0.0.1:{admin}",
            f"--collector.http-server.host-port=127.0.0.1:{collector_http}",
            f"--collector.grpc-server.host-port=127.0.0.1:{collector_grpc}",
        ]
        with running(command, self._log, f"http://127.0.0.1:{self._query}/api/services"):
            yield

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        response = httpx.get(f"http://127.0.0.1:{self._query}/api/traces/{trace_id}")
        if response.status_code != 200:
            return []
        return [span for trace in response.json()["data"] or () for span in trace["spans"]]

    def wait_for(self, trace_id: str, count: int) -> list[dict[str, Any]]:
        def whole() -> list[dict[str, Any]] | None:
            found = self.trace(trace_id)
            assert len(found) <= count, "a span arrived twice"
            return found if len(found) == count else None

        return wait_until(whole, timeout=60, what=f"{count} spans in Jaeger")


@needs_jaeger
@pytest.mark.timeout(300)
def test_what_jaeger_shows_equals_what_was_sent(start_broker: StartBroker, database_url: str, tmp_path: Path) -> None:
    jaeger = Jaeger(tmp_path)
    with jaeger.running():
        broker = start_broker(database_url, upstreams=f"http://127.0.0.1:{jaeger.otlp}")
        trace_id = send(broker.url, "work")
        found = {span["spanID"]: span for span in jaeger.wait_for(trace_id, 10)}

    for sent in spans_in(broker.url, trace_id):
        shown = found.pop(sent["spanId"])
        tags = {tag["key"]: tag["value"] for tag in shown["tags"]}
        assert shown["operationName"] == sent["name"]
        assert shown["startTime"] == int(sent["startTimeUnixNano"]) // 1000
        assert shown["duration"] == pytest.approx(
            (int(sent["endTimeUnixNano"]) - int(sent["startTimeUnixNano"])) / 1000, abs=1
        )
        if "parentSpanId" in sent:
            assert [each["spanID"] for each in shown["references"]] == [sent["parentSpanId"]]
            assert (tags["otel.status_code"], tags["otel.status_description"]) == ("ERROR", "no")
            assert {field["value"] for log in shown["logs"] for field in log["fields"]} == {"token", "hello"}
        else:
            assert tags.items() >= {"text": "é</script>", "ratio": 0.5, "yes": True}.items()
            # Jaeger writes what a browser's numbers cannot hold as text.
            assert int(tags["count"]) == 2**53
            assert tags["list"] == '["a","b"]'
    assert found == {}


@needs_jaeger
@pytest.mark.timeout(300)
def test_an_outage_with_a_restart_in_it_is_delivered_in_full(
    start_broker: StartBroker, database_url: str, tmp_path: Path
) -> None:
    jaeger = Jaeger(tmp_path)
    broker = start_broker(database_url, upstreams=f"http://127.0.0.1:{jaeger.otlp}")
    before = [send(broker.url, f"before {number}") for number in range(3)]
    broker.kill()
    broker.start()
    after = [send(broker.url, f"after {number}") for number in range(3)]
    with jaeger.running():
        for trace_id in (*before, *after):
            assert len(jaeger.wait_for(trace_id, 10)) == 10


@needs_phoenix
@pytest.mark.timeout(300)
def test_what_phoenix_shows_equals_what_was_sent(start_broker: StartBroker, database_url: str, tmp_path: Path) -> None:
    port, grpc = free_port(), free_port()
    settings = {
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_WORKING_DIR": str(tmp_path / "phoenix"),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with running([str(PHOENIX), "serve"], tmp_path / "phoenix.log", f"http://127.0.0.1:{port}/healthz", settings):
        broker = start_broker(database_url, upstreams=f"phoenix://127.0.0.1:{port}?project=tests&tls=false")
        trace_id = send(broker.url, "work")

        def whole() -> list[dict[str, Any]] | None:
            response = httpx.get(f"http://127.0.0.1:{port}/v1/projects/tests/spans", params={"limit": 100})
            found = response.json()["data"] if response.status_code == 200 else []
            return found if len(found) == 10 else None

        found = {span["context"]["span_id"]: span for span in wait_until(whole, timeout=60, what="spans in Phoenix")}

    sent = spans_in(broker.url, trace_id)
    assert {span["spanId"] for span in sent} == set(found)
    for span in sent:
        shown = found[span["spanId"]]
        assert (shown["name"], shown["context"]["trace_id"]) == (span["name"], trace_id)
        assert shown.get("parent_id") == span.get("parentSpanId")
        if "parentSpanId" in span:
            assert (shown["status_code"], shown["status_message"]) == ("ERROR", "no")
        else:
            assert _flat(shown["attributes"]).items() >= {"text": "é</script>", "ratio": 0.5, "yes": True}.items()


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{before}{key}"
        found |= _flat(item, name + ".") if isinstance(item, dict) else {name: item}
    return found
