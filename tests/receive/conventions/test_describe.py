"""Content that readers ask for, from the stored body."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ark_broker.model import Event
from ark_broker.model.details import Details
from ark_broker.receive.chunks import ChunkReader
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.custom import decode_events
from ark_broker.receive.otlp import decode_logs, decode_traces
from tests.support.events import make
from tests.support.otlp import logs, traces


def of_span(name: str = "tool.call", **attributes: Any) -> Details:
    request = traces({"name": name, "attributes": {key.replace("__", "."): text for key, text in attributes.items()}})
    return describe(decode_traces(request.SerializeToString(), "protobuf").events[0])


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({"tool__input": "in", "tool__output": "out"}, ("in", "out")),
        ({"query__input": "in", "query__output": "out"}, ("in", "out")),
        ({"input__value": "in", "output__value": "out"}, ("in", "out")),
        ({"gen_ai__tool__call__arguments": "in", "gen_ai__tool__call__result": "out"}, ("in", "out")),
        ({"gen_ai__input__messages": "in", "gen_ai__output__messages": "out"}, ("in", "out")),
        ({"gen_ai__prompt": "in", "gen_ai__completion": "out"}, ("in", "out")),
        ({"tool__input": "best", "input__value": "other"}, ("best", None)),
        ({"input": "plain", "output": 5}, ("plain", 5)),
        ({}, (None, None)),
    ],
)
def test_input_and_output_come_from_the_best_attribute(attributes: dict[str, Any], found: tuple[Any, Any]) -> None:
    details = of_span(**attributes)
    assert (details.input, details.output) == found


def test_the_span_name_is_shown_where_the_type_says_something_else() -> None:
    assert of_span("tool.call").display_name is None
    assert of_span("chat gpt-4o", gen_ai__operation__name="chat").display_name == "chat gpt-4o"


def test_questions_durations_and_reasons() -> None:
    details = of_span(question__uri="ark://questions/7", duration__ms=12)
    assert (details.question_uri, details.duration_ms) == ("ark://questions/7", 12.0)
    assert of_span(duration__ms="long").duration_ms is None
    assert of_span(duration__ms=True).duration_ms is None
    request = traces({})
    reasons = request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="gen_ai.response.finish_reasons")
    reasons.value.array_value.values.add().string_value = "stop"
    assert describe(decode_traces(request.SerializeToString(), "protobuf").events[0]).finish_reason == "stop"


def test_structured_values_are_plain_json_values() -> None:
    request = traces({})
    item = request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="tool.input")
    members = item.value.kvlist_value.values
    members.add(key="n").value.int_value = 5
    members.add(key="d").value.double_value = 0.5
    members.add(key="empty")
    members.add(key="list").value.array_value.values.add().bool_value = True
    details = describe(decode_traces(request.SerializeToString(), "protobuf").events[0])
    assert details.input == {"n": 5, "d": 0.5, "empty": None, "list": [True]}


def test_a_log_record_has_its_text_as_the_message() -> None:
    assert describe(decode_logs(logs({}).SerializeToString(), "protobuf").events[0]).message == "said"
    structured = logs({"event_name": "e"})
    structured.resource_logs[0].scope_logs[0].log_records[0].body.int_value = 5
    details = describe(decode_logs(structured.SerializeToString(), "protobuf").events[0])
    assert (details.message, details.display_name) == (None, None)


def test_a_custom_event_has_its_fields_and_its_attributes() -> None:
    body = {"type": "x", "message": "done", "input": [1], "attributes": {"tool.output": {"a": 1}}}
    details = describe(decode_events(orjson.dumps(body), None, {}).events[0])
    assert (details.message, details.input, details.output) == ("done", [1], {"a": 1})


def test_chunks_and_bodies_of_any_shape_are_described_without_fail() -> None:
    reader = ChunkReader("q", "s", "c", lambda: 1)
    for line in (b"5", b'"text"', b"[1]", b'{"choices":[]}', b'{"span":5}', b'{"attributes":[]}', b'{"message":{}}'):
        event = reader.read(line)
        assert isinstance(event, Event)
        assert describe(event).message == ("text" if line == b'"text"' else None)
    assert describe(make("broken", body=b"{")) == Details()
    assert describe(make("odd", body=b'{"span":"x"}')) == Details()
