"""`ark_broker.client.otel`: a span's start is told at once, and never at the expense of the traced program."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from ark_broker.client import Client, Refused
from ark_broker.client.otel import StartSpanProcessor, instrument
from tests.support.process import Broker
from tests.support.waiting import wait_until


@contextmanager
def traced(processor: StartSpanProcessor, **options: Any) -> Iterator[TracerProvider]:
    """An SDK with this processor alone."""
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(processor)
    try:
        yield provider
    finally:
        provider.shutdown()


class Blocked(SpanExporter):
    """An exporter that is held up until it is let go."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.entered = threading.Event()
        self.names: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.entered.set()
        self.released.wait(20)
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to close."""


def entries(client: Client, session: str, query: str) -> list[dict[str, Any]]:
    """Entries of the query's view; none where it is not there yet."""
    try:
        return [dict(entry) for entry in client.session(session)["queries"][query]["events"]]
    except (Refused, KeyError):
        return []


def test_a_tool_call_shows_while_it_runs_and_is_one_call_when_it_has_ended(
    running: Broker, sync_client: Client, name: str
) -> None:
    provider = instrument("tests", running.url, set_global=False)
    place = {"session.id": name, "query.name": "q"}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search", **place}
    tracer = provider.get_tracer("tests")
    with (
        tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent", **place}),
        tracer.start_as_current_span("execute_tool web_search", attributes=tool) as span,
    ):
        [begun] = wait_until(lambda: [each for each in entries(sync_client, name, "q") if each["type"] == "tool.call"])
        assert begun["tool"] == "web_search"
        assert "output" not in begun
        assert sync_client.query("q", session=name)["phase"] == "running"
        span.set_attribute("gen_ai.tool.call.result", "72F sunny")
    provider.shutdown()
    [ended] = wait_until(lambda: [each for each in entries(sync_client, name, "q") if each.get("output")])
    assert (ended["type"], ended["output"]) == ("tool.call", "72F sunny")
    query = sync_client.query("q", session=name)
    assert (query["phase"], query["counts"]["toolCalls"]) == ("done", 1)
    assert [each["type"] for each in query["events"] if each["type"].startswith("agent.")] == [
        "agent.started",
        "agent.completed",
    ]


def test_a_pending_span_lies_below_the_real_one_and_has_what_it_began_with() -> None:
    exporter = InMemorySpanExporter()
    processor = StartSpanProcessor(exporter)
    with traced(processor) as provider, provider.get_tracer("t").start_as_current_span("outer") as outer:
        with provider.get_tracer("t").start_as_current_span("inner", attributes={"a": 1}) as inner:
            assert processor.force_flush()
            inner.set_attribute("b", 2)
        _, pending = exporter.get_finished_spans()
    real = inner.get_span_context()
    assert pending.context is not None
    assert (pending.context.trace_id, pending.parent) == (real.trace_id, real)
    assert pending.context.span_id != real.span_id
    assert pending.attributes == {
        "a": 1,
        "logfire.span_type": "pending_span",
        "logfire.pending_parent_id": f"{outer.get_span_context().span_id:016x}",
    }
    assert pending.start_time == pending.end_time == inner.start_time  # type: ignore[attr-defined]


def test_what_is_not_sampled_or_not_wanted_is_not_told() -> None:
    exporter = InMemorySpanExporter()
    with traced(StartSpanProcessor(exporter), sampler=ALWAYS_OFF) as provider:
        provider.get_tracer("t").start_span("unsampled")
    chosen = InMemorySpanExporter()
    processor = StartSpanProcessor(chosen, wanted=lambda span: span.name == "yes")
    with traced(processor) as provider:
        for name in ("yes", "no"):
            provider.get_tracer("t").start_span(name).end()
        processor.force_flush()
        assert [span.name for span in chosen.get_finished_spans()] == ["yes"]
    assert exporter.get_finished_spans() == ()


def test_a_full_queue_drops_the_oldest_and_never_waits(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Blocked()
    processor = StartSpanProcessor(exporter, max_queue_size=3)
    with traced(processor) as provider:
        tracer = provider.get_tracer("t")
        tracer.start_span("first").end()
        assert exporter.entered.wait(20)
        for number in range(10):
            tracer.start_span(str(number)).end()
        assert not processor.force_flush(timeout_millis=1)
        exporter.released.set()
        assert processor.force_flush()
    assert exporter.names == ["first", "7", "8", "9"]
    assert "7 starts of spans were dropped" in caplog.text


def test_nothing_that_goes_wrong_is_raised_into_the_program(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise RuntimeError("no room")

    def no_opinion(_span: ReadableSpan) -> bool:
        raise LookupError("who knows")

    for processor in (StartSpanProcessor(Broken()), StartSpanProcessor(InMemorySpanExporter(), wanted=no_opinion)):
        with traced(processor) as provider:
            provider.get_tracer("t").start_span("s").end()
            assert processor.force_flush()
    assert {"no room", "who knows"} <= {str(record.exc_info[1]) for record in caplog.records if record.exc_info}


def test_after_a_shutdown_nothing_is_sent() -> None:
    exporter = InMemorySpanExporter()
    processor = StartSpanProcessor(exporter)
    with traced(processor) as provider:
        processor.shutdown()
        processor.shutdown()
        provider.get_tracer("t").start_span("late").end()
        assert processor.force_flush()
    assert exporter.get_finished_spans() == ()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_sends_its_own() -> None:
    exporter = InMemorySpanExporter()
    processor = StartSpanProcessor(exporter)
    with traced(processor) as provider:
        child = os.fork()
        if child == 0:
            provider.get_tracer("t").start_span("child").end()
            sent = processor.force_flush(10_000) and len(exporter.get_finished_spans()) == 1
            os._exit(0 if sent else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert exporter.get_finished_spans() == ()


def test_a_broker_that_is_away_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    processor = StartSpanProcessor("http://127.0.0.1:1")
    with traced(processor) as provider:
        provider.get_tracer("t").start_span("s").end()
        assert processor.force_flush()
    assert "1 starts of spans were not sent" in caplog.text
