"""Realistic telemetry for load: an agent's query as OpenTelemetry GenAI spans, about 1.2 KB a span."""

from __future__ import annotations

import itertools
import os
import random
import re
import time
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

_WORDS = [
    "the",
    "agent",
    "reads",
    "the",
    "weather",
    "report",
    "for",
    "New",
    "York",
    "and",
    "compares",
    "it",
    "with",
    "the",
    "forecast",
    "of",
    "last",
    "week",
    "before",
    "it",
    "answers",
    "that",
    "tomorrow",
    "will",
    "be",
    "sunny",
    "with",
    "a",
    "light",
    "breeze",
    "from",
    "the",
    "west",
    "and",
    "72",
    "degrees",
    "Fahrenheit",
    "at",
    "noon",
]


def _text(chance: random.Random, size: int) -> str:
    words = []
    while size > 0:
        word = chance.choice(_WORDS)
        words.append(word)
        size -= len(word) + 1
    return " ".join(words)


def _attribute(key: str, value: str | int | float | bool) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    if isinstance(value, float):
        return KeyValue(key=key, value=AnyValue(double_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _attributes(values: dict[str, str | int | float | bool]) -> list[KeyValue]:
    return [_attribute(key, value) for key, value in values.items()]


def _llm_call(chance: random.Random, number: int) -> dict[str, str | int | float | bool]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{number:012x}",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.usage.input_tokens": chance.randrange(100, 4000),
        "gen_ai.usage.output_tokens": chance.randrange(10, 800),
        "gen_ai.conversation.id": f"conversation-{number % 64}",
        "server.address": "api.openai.com",
        "server.port": 443,
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"%s"}]}]' % _text(chance, 350),
        "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"%s"}]}]'
        % _text(chance, 200),
    }


def _tool_call(chance: random.Random, number: int) -> dict[str, str | int | float | bool]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "web_search",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": f"call_{number:016x}",
        "gen_ai.tool.call.arguments": '{"query":"%s"}' % _text(chance, 1000),
        "gen_ai.tool.call.result": '{"answer":"%s"}' % _text(chance, 120),
    }


def batch(chance: random.Random, spans: int, session: str) -> bytes:
    """One `ExportTraceServiceRequest` of `spans` spans: traces of ten, each an agent with LLM and tool calls."""
    resource = Resource(
        attributes=_attributes(
            {"service.name": "bench-agent", "service.version": "1.0", "k8s.namespace.name": "bench", "host.name": "n1"}
        )
    )
    scope = ScopeSpans()
    scope.scope.name, scope.scope.version = "bench.instrumentation", "1.0"
    now = time.time_ns()
    for start in range(0, spans, 10):
        scope.spans.extend(_trace(chance, min(10, spans - start), session, now))
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])])
    return request.SerializeToString()


def _trace(chance: random.Random, spans: int, session: str, now: int) -> Iterator[Span]:
    trace_id, root = os.urandom(16), os.urandom(8)
    query = f"query-{trace_id.hex()[:12]}"
    for number in range(spans):
        last = number == spans - 1
        serial = chance.getrandbits(40)
        if last:
            name, values = (
                "invoke_agent researcher",
                {
                    "gen_ai.operation.name": "invoke_agent",
                    "gen_ai.agent.name": "researcher",
                    "query.name": query,
                    "input.value": _text(chance, 500),
                    "output.value": _text(chance, 400),
                },
            )
        elif number % 3 == 2:
            name, values = "execute_tool web_search", _tool_call(chance, serial)
        else:
            name, values = "chat gpt-4o", _llm_call(chance, serial)
        yield Span(
            trace_id=trace_id,
            span_id=root if last else os.urandom(8),
            parent_span_id=b"" if last else root,
            name=name,
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=now + number * 1_000_000,
            end_time_unix_nano=now + (number + 1) * 1_000_000,
            attributes=_attributes({**values, "session.id": session}),
        )


class Batches:
    """Endless different batches, cheaply: real ones made once, given new trace and span ids each time.

    Ids stand in the encoded bytes as they are; so the generator's own cost is a few replacements a batch. The names of
    queries, which are made of their trace's id, and the ids of tool calls change with them: a query is one trace, as in
    life, and does not grow for ever.
    """

    def __init__(self, spans: int = 100, templates: int = 24, sessions: int = 64, seed: int = 1) -> None:
        chance = random.Random(seed)
        self.spans = spans
        self._templates = []
        for number in range(templates):
            body = batch(chance, spans, f"session-{number % sessions:03d}")
            calls = [match.end() for match in re.finditer(rb"call_(?=[0-9a-f]{16})", body)]
            self._templates.append((body, _id_offsets(body), _name_offsets(body), calls))
        self._next = itertools.cycle(self._templates)

    def __next__(self) -> bytes:
        body, offsets, names, calls = next(self._next)
        fresh = bytearray(body)
        trace_ids: dict[bytes, bytes] = {}
        for at, size in offsets:
            old = body[at : at + size]
            new = trace_ids.get(old)
            if new is None:
                new = trace_ids[old] = os.urandom(size)
            fresh[at : at + size] = new
        for at, old in names:
            fresh[at : at + 12] = trace_ids[old].hex()[:12].encode()
        for at in calls:
            fresh[at : at + 16] = os.urandom(8).hex().encode()
        return bytes(fresh)

    def __iter__(self) -> Batches:
        return self


def _name_offsets(body: bytes) -> list[tuple[int, bytes]]:
    """Where the names of queries have the beginning of their trace's id, and that id."""
    request = ExportTraceServiceRequest.FromString(body)
    ids = {span.trace_id for span in request.resource_spans[0].scope_spans[0].spans}
    return [(body.index(b"query-" + old.hex()[:12].encode()) + len("query-"), old) for old in ids]


def _id_offsets(body: bytes) -> list[tuple[int, int]]:
    """Where ids stand in the encoded request."""
    request = ExportTraceServiceRequest.FromString(body)
    offsets = []
    at = 0
    for span in request.resource_spans[0].scope_spans[0].spans:
        # trace_id is field 1 (16 bytes), span_id field 2 (8 bytes), parent_span_id field 4 (8 bytes).
        at = body.index(b"\x0a\x10" + span.trace_id + b"\x12\x08" + span.span_id, at)
        offsets += [(at + 2, 16), (at + 20, 8)]
        at += 28
        if span.parent_span_id:
            parent = body.index(b"\x22\x08" + span.parent_span_id, at)
            offsets.append((parent + 2, 8))
    return offsets
