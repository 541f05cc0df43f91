"""The demo's way to the broker: the OpenTelemetry SDK for spans, one open POST for a query's chunks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from ark_broker import __version__
from ark_broker.cli.connection import bearer

_TIMEOUT_SECONDS: Final = 30.0


class ProducerError(Exception):
    """The broker is not there, or did not take something. The message is for the person at the terminal."""


@dataclass(frozen=True)
class SpanIds:
    """Which span is meant. An SDK draws ids by chance; here one span is told about several times."""

    trace_id: int
    span_id: int
    parent: SpanIds | None = None

    @classmethod
    def root(cls) -> SpanIds:
        ids = RandomIdGenerator()
        return cls(ids.generate_trace_id(), ids.generate_span_id())

    def child(self) -> SpanIds:
        return SpanIds(self.trace_id, RandomIdGenerator().generate_span_id(), parent=self)


@dataclass
class _GivenIds(RandomIdGenerator):
    """Hands the SDK the ids that were laid out for its next span."""

    next: SpanIds = field(default_factory=SpanIds.root)

    def generate_trace_id(self) -> int:
        return self.next.trace_id

    def generate_span_id(self) -> int:
        return self.next.span_id


class _CheckedExporter(SpanExporter):
    """Remembers that an export failed: a span processor itself never says so."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        self.failed = result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _LastWords(logging.Handler):
    """Keeps the exporter's last complaint, which is the only place that names the reason."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class Producer:
    """Sends spans and chunks to the broker at `url`.

    Every method raises ProducerError where the broker is away or refuses.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.Client(timeout=_TIMEOUT_SECONDS, headers=bearer(url))
        self._ids = _GivenIds()
        self._last_words = _LastWords()
        exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", headers=bearer(url), timeout=_TIMEOUT_SECONDS)
        self._exporter = _CheckedExporter(exporter)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": "ark-broker-demo", "service.version": __version__}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        # Simple, not batching: each step of the story is to be seen when it happens.
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("ark_broker.demo", __version__)

    def __enter__(self) -> Self:
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self._last_words)
        logger.propagate = False
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._provider.shutdown()
        self._http.close()
        logger = logging.getLogger("opentelemetry")
        logger.removeHandler(self._last_words)
        logger.propagate = True

    def has_session(self, session: str) -> bool:
        """Whether the broker knows a session of that name already."""
        response = self._request("GET", f"/v1/sessions/{quote(session, safe='')}", accept=(200, 404))
        return response.status_code == 200

    def span(
        self,
        name: str,
        ids: SpanIds,
        attributes: Mapping[str, AttributeValue],
        *,
        start: int | None = None,
        error: str | None = None,
    ) -> None:
        """Export one span that ends now, and began at `start` (Unix nanoseconds; now where not given).

        With `error` its status is an error of that description.
        """
        self._ids.next = ids
        self._exporter.failed = False
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(_parent_span(ids.parent)),
            attributes=attributes,
            start_time=start,
        )
        if error is not None:
            span.set_status(StatusCode.ERROR, error)
        span.end()
        if self._exporter.failed:
            raise ProducerError(f"{self._url} did not take the span {name}: {self._last_words.text}")

    def stream(self, query: str, chunks: Iterator[Mapping[str, Any]]) -> int:
        """POST chunks as NDJSON over one request, open until `chunks` ends; returns how many there were."""
        sent = 0

        def lines() -> Iterator[bytes]:
            nonlocal sent
            for chunk in chunks:
                yield msgspec.json.encode(chunk) + b"\n"
                sent += 1

        path = f"/stream/{quote(query, safe='')}"
        response = self._request("POST", path, content=lines(), headers={"Content-Type": "application/x-ndjson"})
        received = response.json().get("chunks_received")
        if received != sent:
            raise ProducerError(f"{self._url}{path} took {received} of {sent} chunks: {response.text}")
        return sent

    def task(self, session: str, query: str, task_id: str, state: str) -> None:
        """Tell of an A2A task, as a producer relays a frame of its stream."""
        frame = {
            "kind": "status-update",
            "taskId": task_id,
            "contextId": f"context-{task_id}",
            "status": {"state": state},
            "final": False,
        }
        self._request("POST", "/v1/a2a/events", params={"session": session, "query": query}, json=frame)

    @property
    def url(self) -> str:
        """The broker's, without a slash at the end."""
        return self._url

    def complete(self, query: str) -> None:
        """Say that no more chunks of this query will come."""
        self._request("POST", f"/stream/{quote(query, safe='')}/complete", json={})

    def _request(
        self, method: str, path: str, *, accept: tuple[int, ...] = (200, 202), **options: Any
    ) -> httpx.Response:
        try:
            response = self._http.request(method, self._url + path, **options)
        except httpx.ConnectError as error:
            raise ProducerError(
                f"no broker at {self._url} ({error}): start one with `make run` or `ark-broker serve`, "
                "or name another with --url or ARK_BROKER_URL"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProducerError(f"{method} {self._url}{path} failed: {error or type(error).__name__}") from error
        if response.status_code not in accept:
            raise ProducerError(
                f"{method} {self._url}{path} answered {response.status_code}: {response.text[:300].strip()}"
            )
        return response


def _parent_span(ids: SpanIds | None) -> Span:
    """The parent as a context holds it; nothing of what may be current where the demo runs."""
    if ids is None:
        return INVALID_SPAN
    return NonRecordingSpan(
        SpanContext(ids.trace_id, ids.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    )
