"""For programs that trace with OpenTelemetry: a span's start is told at once, so that work shows while it goes on.

An ordinary span processor sends a span when it has ended. `StartSpanProcessor` goes beside it, and sends a pending
span as soon as one begins, in the form that Logfire has for it: a span of its own below the real one, with
`logfire.span_type` = `pending_span`. The broker shows it as `agent.started`, `llm.started`, `tool.call` or
`span.started` (docs/families.md), and counts the real one only. What is to be told of the work (which tool, which
agent) must be an attribute from the start.

This module needs opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http; the rest of the client does not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext

from ark_broker.client.connection import broker_headers, broker_url
from ark_broker.client.span_queue import SpanQueue

#: Attributes of a pending span, as Logfire writes them.
_SPAN_TYPE: Final = ("logfire.span_type", "pending_span")
_REAL_PARENT: Final = "logfire.pending_parent_id"
_TRACES: Final = "/v1/traces"
#: Seconds that the exporter goes on with starts that the broker does not take: later nobody cares.
_PATIENCE: Final = 5.0
#: Milliseconds until ended spans are sent: somebody is watching. (The SDK's own default is five seconds.)
_DELAY: Final = 500

_log = logging.getLogger(__name__)

Wanted = Callable[[ReadableSpan], bool]


class StartSpanProcessor(SpanProcessor):
    """Sends the start of each recorded span in the background, beside the processor that sends its end.

    `exporter` is a SpanExporter, the URL of a broker, or None for that of `ARK_BROKER_URL`. At most `max_queue_size`
    starts wait to be sent; where there are more, the oldest are dropped. `wanted` says which spans are told; all are
    without it. Nothing that goes wrong here is raised into the traced program: it is logged.
    """

    def __init__(
        self,
        exporter: SpanExporter | str | None = None,
        *,
        token: str | None = None,
        max_queue_size: int = 2048,
        wanted: Wanted | None = None,
    ) -> None:
        found = exporter if isinstance(exporter, SpanExporter) else span_exporter(exporter, token, timeout=_PATIENCE)
        self._queue = SpanQueue(found, max_queue_size)
        self._wanted = wanted
        self._ids = RandomIdGenerator()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Queue the pending span."""
        try:
            if span.is_recording() and span.get_span_context().trace_flags.sampled and self._is_wanted(span):
                self._queue.put(self._pending(span))
        except Exception:  # noqa: BLE001 - whatever it is, the traced program goes on
            _log.exception("the start of a span is not told")

    def on_end(self, span: ReadableSpan) -> None:
        """Ends are the business of the other processor."""

    def shutdown(self) -> None:
        """Send what waits, for a few seconds at most, and stop."""
        self._queue.shutdown(_PATIENCE)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything that was queued is sent; false where it is not in time."""
        return self._queue.flush(timeout_millis / 1000)

    def _is_wanted(self, span: ReadableSpan) -> bool:
        return self._wanted is None or self._wanted(span)

    def _pending(self, span: Span) -> ReadableSpan:
        real = span.get_span_context()
        parent = "0" * 16 if span.parent is None else f"{span.parent.span_id:016x}"
        return ReadableSpan(
            name=span.name,
            context=SpanContext(
                real.trace_id, self._ids.generate_span_id(), is_remote=False, trace_flags=real.trace_flags
            ),
            parent=real,
            resource=span.resource,
            attributes={**(span.attributes or {}), _SPAN_TYPE[0]: _SPAN_TYPE[1], _REAL_PARENT: parent},
            kind=span.kind,
            start_time=span.start_time,
            end_time=span.start_time,
            instrumentation_scope=span.instrumentation_scope,
        )


def span_exporter(url: str | None = None, token: str | None = None, *, timeout: float = 10.0) -> OTLPSpanExporter:
    """The ordinary OTLP exporter, to the broker at the URL (or `ARK_BROKER_URL`); a path of OTLP may be in it."""
    found = broker_url(url)
    endpoint = found if found.endswith(_TRACES) else found + _TRACES
    return OTLPSpanExporter(endpoint=endpoint, headers=broker_headers(found, token, None), timeout=timeout)


def instrument(
    service_name: str,
    url: str | None = None,
    *,
    token: str | None = None,
    set_global: bool = True,
    wanted: Wanted | None = None,
) -> TracerProvider:
    """A TracerProvider that tells the broker of starts and ends; everybody's, unless `set_global` is false.

    Keep it, and call `shutdown()` at the end of the program, where that ends other than by itself.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    provider.add_span_processor(StartSpanProcessor(url, token=token, wanted=wanted))
    provider.add_span_processor(BatchSpanProcessor(span_exporter(url, token), schedule_delay_millis=_DELAY))
    if set_global:
        trace.set_tracer_provider(provider)
    return provider
