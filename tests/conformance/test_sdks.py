"""Real OpenTelemetry SDKs with their own exporters: everything arrives, and nothing is complained of."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from tests.support.process import Broker, StartBroker


def stored(broker: Broker) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = httpx.get(f"{broker.url}/v1/events", params={"limit": 1000}, timeout=60).json()[
        "items"
    ]
    return items


@pytest.mark.parametrize("compression", list(Compression))
def test_the_python_sdk(
    start_broker: StartBroker, sqlite_url: str, caplog: pytest.LogCaptureFixture, compression: Compression
) -> None:
    broker = start_broker(sqlite_url)
    caplog.set_level(logging.WARNING)
    spans = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{broker.url}/v1/traces", compression=compression, timeout=60)
    spans.add_span_processor(BatchSpanProcessor(exporter))
    logs = LoggerProvider(shutdown_on_exit=False)
    log_exporter = OTLPLogExporter(endpoint=f"{broker.url}/v1/logs", compression=compression, timeout=60)
    logs.add_log_record_processor(BatchLogRecordProcessor(log_exporter))

    tracer = spans.get_tracer("tests", "1.0")
    with tracer.start_as_current_span("invoke_agent planner", attributes={"session.id": "s1"}) as parent:
        parent.set_attribute("gen_ai.operation.name", "invoke_agent")
        for number in range(100):
            with tracer.start_as_current_span(f"step {number}", kind=SpanKind.CLIENT) as span:
                span.set_attributes({"n": number, "list": ["a", "b"], "ratio": 0.5, "yes": True})
                span.add_event("token", {"text": "é"})
        parent.set_status(Status(StatusCode.ERROR, "no"))
    record = LogRecord(timestamp=1, body={"content": "hi"}, severity_number=SeverityNumber.INFO, event_name="said")
    logs.get_logger("tests").emit(record)
    assert spans.force_flush()
    assert logs.force_flush()
    spans.shutdown()
    logs.shutdown()

    kinds = [event["kind"] for event in stored(broker)]
    assert (kinds.count("span"), kinds.count("log")) == (101, 1)
    view = httpx.get(f"{broker.url}/v1/sessions/s1", timeout=60).json()
    assert view["counts"]["events"] == 101
    assert caplog.records == []
    assert '"level": "warning"' not in broker.logs


def test_the_python_sdk_with_metrics_on(
    start_broker: StartBroker, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = start_broker(sqlite_url)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{broker.url}/v1/metrics", timeout=60))
    meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    meters.get_meter("tests").create_counter("tokens").add(7)
    assert meters.force_flush(60_000)
    meters.shutdown()

    assert [entry for entry in caplog.records if entry.levelno >= logging.ERROR] == []
    assert stored(broker) == []


JAVASCRIPT = """
const { diag, DiagLogLevel, SpanStatusCode } = require("@opentelemetry/api");
const complaints = [];
const note = (...words) => complaints.push(words.map(String).join(" "));
const quiet = () => {};
diag.setLogger({ error: note, warn: note, info: quiet, debug: quiet, verbose: quiet }, DiagLogLevel.WARN);
const { NodeTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-node");
const exporters = {
  json: require("@opentelemetry/exporter-trace-otlp-http").OTLPTraceExporter,
  proto: require("@opentelemetry/exporter-trace-otlp-proto").OTLPTraceExporter,
};
(async () => {
  for (const [name, Exporter] of Object.entries(exporters)) {
    for (const compression of ["none", "gzip"]) {
      const exporter = new Exporter({ url: process.argv[2] + "/v1/traces", compression });
      const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
      const tracer = provider.getTracer("tests");
      for (let i = 0; i < 25; i++) {
        const attributes = { "session.id": "js", n: i, ratio: 0.5, list: ["a", "b"] };
        const span = tracer.startSpan(`${name} ${compression} ${i}`, { attributes });
        span.addEvent("token", { text: "\\u00e9" });
        span.setStatus({ code: SpanStatusCode.ERROR, message: "no" });
        span.end();
      }
      await provider.forceFlush();
      await provider.shutdown();
    }
  }
  console.log(JSON.stringify(complaints));
})();
"""
PACKAGES = [
    "@opentelemetry/api@1",
    "@opentelemetry/sdk-trace-node@2",
    "@opentelemetry/exporter-trace-otlp-http@<1",
    "@opentelemetry/exporter-trace-otlp-proto@<1",
]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_javascript_sdk(start_broker: StartBroker, sqlite_url: str, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("NOT TESTED: the JavaScript SDK needs node and npm, which are not installed")
    install = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]
    (tmp_path / "package.json").write_text("{}")
    installed = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    if installed.returncode != 0:
        pytest.skip(f"NOT TESTED: npm could not install the JavaScript SDK: {installed.stderr[-500:]}")
    (tmp_path / "agent.js").write_text(JAVASCRIPT)
    broker = start_broker(sqlite_url)

    ran = subprocess.run(
        [node, "agent.js", broker.url], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == []
    assert {event["sessionId"] for event in stored(broker)} == {"js"}
    assert len(stored(broker)) == 100
