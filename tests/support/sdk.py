"""A real OpenTelemetry SDK with its OTLP exporter, which retries as it does in production."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

#: Seconds that the exporter goes on with one batch.
PATIENCE_SECONDS = 90


@contextmanager
def tracer_provider(url: str) -> Iterator[TracerProvider]:
    """An SDK that exports to the broker at `url`; its queue is flushed at the end."""
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=PATIENCE_SECONDS)
    provider = TracerProvider(resource=Resource.create({"service.name": "tests"}), shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=100_000, schedule_delay_millis=50, max_export_batch_size=64)
    )
    try:
        yield provider
    finally:
        provider.force_flush(PATIENCE_SECONDS * 1000)
        provider.shutdown()


class Agent:
    """An instrumented program: makes spans until it is told to stop; they are exported in the background."""

    def __init__(self, url: str, session: str) -> None:
        self._url = url
        self._session = session
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent")
        #: Trace id and span id of every span that was ended.
        self.made: set[bytes] = set()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def finish(self) -> None:
        """Stop working, and wait until the SDK has exported everything."""
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the exporter did not finish"

    def _run(self) -> None:
        with tracer_provider(self._url) as provider:
            tracer = provider.get_tracer("agent")
            while not self._stop.wait(0.01):
                with (
                    tracer.start_as_current_span("invoke_agent", attributes={"session.id": self._session}) as parent,
                    tracer.start_as_current_span("chat") as child,
                ):
                    child.set_attribute("gen_ai.operation.name", "chat")
                for ended in (parent, child):
                    context = ended.get_span_context()
                    self.made.add(context.trace_id.to_bytes(16, "big") + context.span_id.to_bytes(8, "big"))
