"""The spans of one query, as the controller and the executor make them: OTLP/HTTP in protobuf from the real SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Tracer

from tests.e2e.ark.go_clients import Query


class Spans:
    """One exporter to one broker: in batches, as they are made."""

    def __init__(self, broker: str) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "ark-controller"}))
        exporter = OTLPSpanExporter(endpoint=f"{broker}/v1/traces", timeout=30)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
        self.tracer: Tracer = self._provider.get_tracer("ark")

    def flush(self) -> None:
        """Export what is left; blocks."""
        self._provider.force_flush(30_000)

    def close(self) -> None:
        """Flush, and stop."""
        self._provider.shutdown()


class QuerySpans:
    """Spans of one query; each has what says whose they are."""

    def __init__(self, tracer: Tracer, query: Query) -> None:
        self._tracer = tracer
        self._query = query
        #: Set by `root`: 32 hex digits.
        self.trace_id = ""
        #: Hex ids of the spans made.
        self.span_ids: list[str] = []

    @contextmanager
    def root(self, text: str) -> Iterator[Span]:
        """`query.<name>` and below it `target.<name>`."""
        name, agent = self._query.name, self._query.agent
        with self.span(f"query.{name}", "CHAIN", {"query.phase": "running", "input.value": text}) as span:
            self.trace_id = f"{span.get_span_context().trace_id:032x}"
            with self.span(
                f"target.{agent}", None, {"target.type": "agent", "target.name": agent, "query.input": text}
            ):
                yield span

    @contextmanager
    def span(self, name: str, kind: str | None, attributes: dict[str, str | int]) -> Iterator[Span]:
        """One span below the current one."""
        query = self._query
        common: dict[str, str | int] = {
            "query.name": query.name,
            "query.namespace": query.namespace,
            "ark.session.id": query.session,
        }
        if query.conversation:
            common["conversation.id"] = query.conversation
        if kind is not None:
            common["openinference.span.kind"] = kind
        with self._tracer.start_as_current_span(name, attributes=common | attributes) as span:
            self.span_ids.append(f"{span.get_span_context().span_id:016x}")
            yield span

    def agent(self) -> AbstractContextManager[Span]:
        query = self._query
        return self.span(f"agent.{query.namespace}/{query.agent}", "AGENT", {"agent.name": query.agent})

    def model_call(self, model: str, text: str, answer: str) -> AbstractContextManager[Span]:
        attributes: dict[str, str | int] = {
            "llm.model.name": model,
            "llm.model.type": "openai",
            "messages.input": text,
            "messages.output": answer,
            "gen_ai.usage.input_tokens": 11,
            "gen_ai.usage.output_tokens": 7,
        }
        return self.span(f"llm.{model}", "LLM", attributes)

    def tool_call(self, tool: str, call_id: str, given: str, answer: str) -> AbstractContextManager[Span]:
        attributes: dict[str, str | int] = {
            "tool.name": tool,
            "tool.type": "function",
            "tool.id": call_id,
            "tool.input": given,
            "tool.output": answer,
        }
        return self.span(f"tool.{tool}", "TOOL", attributes)
