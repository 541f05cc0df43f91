"""Which attribute fills which field, what names and operations mean, and where sessions come from."""

from __future__ import annotations

from typing import Any

import pytest

from ark_broker.model import Event, vocabulary
from ark_broker.receive.conventions import FAMILIES, inherited
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.conventions.family import Family
from ark_broker.receive.otlp import decode_traces
from tests.support.otlp import attribute, traces


def span(
    name: str = "step",
    attributes: dict[str, Any] | None = None,
    *,
    resource: dict[str, Any] | None = None,
    scope: dict[str, Any] | None = None,
    failed: bool = False,
) -> Event:
    """The event of a span with these attributes."""
    request = traces({"name": name, "attributes": attributes or {}, "status": {"code": 2 if failed else 0}})
    group = request.resource_spans[0]
    group.resource.attributes.extend(attribute(key, value) for key, value in (resource or {}).items())
    group.scope_spans[0].scope.attributes.extend(attribute(key, value) for key, value in (scope or {}).items())
    (event,) = decode_traces(request.SerializeToString(), "protobuf").events
    return event


TYPES = sorted(
    value
    for name, value in vars(vocabulary).items()
    if name.isupper() and isinstance(value, str) and "." in value and value not in vocabulary.RESERVED
)


@pytest.mark.parametrize("name", TYPES)
def test_names_of_the_vocabulary_are_types(name: str) -> None:
    assert span(name).type == name
    assert span(name, {"gen_ai.operation.name": "chat"}).type == name


def test_any_other_name_is_kept_as_it_came() -> None:
    assert span("GET /weather").type == "GET /weather"


@pytest.mark.parametrize("name", sorted(vocabulary.RESERVED))
def test_a_reserved_type_is_only_a_name(name: str) -> None:
    event = span(name)
    assert event.type == "span"
    assert describe(event).display_name == name


@pytest.mark.parametrize(
    ("operation", "well", "failed"),
    [
        ("chat", "llm.request", "llm.request"),
        ("text_completion", "llm.request", "llm.request"),
        ("generate_content", "llm.request", "llm.request"),
        ("invoke_agent", "agent.completed", "agent.failed"),
        ("execute_tool", "tool.call", "tool.failed"),
        ("embeddings", "llm.embedding", "llm.embedding"),
        ("somersault", "step", "step"),
        (5, "step", "step"),
        ("", "step", "step"),
    ],
)
def test_genai_operations_have_a_meaning(operation: object, well: str, failed: str) -> None:
    attributes = {"gen_ai.operation.name": operation}
    assert span("step", attributes).type == well
    assert span("step", attributes, failed=True).type == failed


#: The lines of the prototype: a span's name, what it carries, and what of it the event says.
PROTOTYPE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "query.started",
        {"session.id": "s1", "query.name": "q1", "query.namespace": "default", "query.uid": "8d1c"},
        {"session_id": "s1", "query": "q1", "namespace": "default", "query_uid": "8d1c"},
    ),
    (
        "tool.call",
        {"tool.name": "search", "tool.call.id": "c1", "mcp.session.id": "m1", "mcp.server.name": "web"},
        {"tool": "search", "tool_call_id": "c1", "mcp_session_id": "m1", "mcp_server": "web"},
    ),
    ("tool.result", {"tool.name": "search", "tool.id": "c1"}, {"tool": "search", "tool_call_id": "c1"}),
    ("tool.failed", {"error.message": "no route"}, {"error": "no route"}),
    ("query.waiting", {"question.uri": "ark://questions/q-7"}, {"question_id": "q-7"}),
    ("query.waiting", {"question.uri": "ark://questions/q-7", "question.id": "q-8"}, {"question_id": "q-8"}),
    ("query.resumed", {"stream.id": "st1", "a2a.task.id": "t1"}, {"stream_id": "st1", "task_id": "t1"}),
    ("agent.started", {"agent.name": "a", "conversation.id": "c"}, {"agent": "a", "conversation_id": "c"}),
]


@pytest.mark.parametrize(("name", "attributes", "fields"), PROTOTYPE)
def test_lines_of_the_prototype_fill_their_fields(
    name: str, attributes: dict[str, Any], fields: dict[str, Any]
) -> None:
    event = span(name, attributes)
    assert {field: getattr(event, field) for field in fields} == fields


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ({"gen_ai.agent.name": "a", "agent.name": "b"}, {"agent": "b"}),
        ({"gen_ai.response.model": "r", "gen_ai.request.model": "q"}, {"model": "r"}),
        ({"gen_ai.request.model": "q"}, {"model": "q"}),
        ({"gen_ai.response.model": "", "gen_ai.request.model": "q"}, {"model": "q"}),
        ({"llm.model.name": "l", "gen_ai.response.model": "r"}, {"model": "l"}),
        (
            {"gen_ai.usage.prompt_tokens": 3, "gen_ai.usage.completion_tokens": 4},
            {"input_tokens": 3, "output_tokens": 4},
        ),
        ({"gen_ai.usage.input_tokens": 1, "gen_ai.usage.prompt_tokens": 3}, {"input_tokens": 1}),
        (
            {"gen_ai.usage.input_tokens": "12", "gen_ai.usage.output_tokens": -1},
            {"input_tokens": 12, "output_tokens": None},
        ),
        ({"gen_ai.usage.cost": 0.5}, {"cost": 0.5}),
        ({"operation.cost": "0.25"}, {"cost": 0.25}),
        ({"operation.cost": "free"}, {"cost": None}),
        ({"gen_ai.tool.name": "t", "gen_ai.tool.call.id": "c"}, {"tool": "t", "tool_call_id": "c"}),
        ({"error.type": "Timeout", "error.message": "late"}, {"error": "late"}),
        ({"error.type": "Timeout"}, {"error": "Timeout", "status": None}),
        ({"error": True}, {"error": None, "status": "error"}),
        ({"error": False}, {"error": None, "status": None}),
        ({"ark.query.name": "a", "query.name": "b"}, {"query": "b"}),
        ({"ark.query": "uid"}, {"query_uid": "uid"}),
        ({"server.name": "s"}, {"mcp_server": "s"}),
        ({"session.id": 5, "tool.name": True}, {"session_id": "5", "tool": "true"}),
        ({"question.uri": "ark://questions/"}, {"question_id": "questions"}),
        ({"question.uri": ""}, {"question_id": None}),
        ({"session.id": None}, {"session_id": None}),
    ],
)
def test_the_best_attribute_that_has_a_value_wins(attributes: dict[str, Any], fields: dict[str, Any]) -> None:
    event = span("step", attributes)
    assert {field: getattr(event, field) for field in fields} == fields


@pytest.mark.parametrize(
    ("attributes", "session"),
    [
        ({"ark.session.id": "a", "session.id": "s", "gen_ai.conversation.id": "c"}, "a"),
        ({"session.id": "s", "gen_ai.conversation.id": "c"}, "s"),
        ({"session.id": "s", "langfuse.session.id": "l"}, "s"),
        ({"gen_ai.conversation.id": "c"}, None),
        ({}, None),
    ],
)
def test_the_session_is_taken_in_order(attributes: dict[str, str], session: str | None) -> None:
    assert span("step", attributes).session_id == session
    assert span("step", resource=attributes).session_id == session
    assert span("step", scope=attributes).session_id == session


def test_a_span_goes_before_its_resource_and_that_before_its_scope() -> None:
    own, resource, scope = {"session.id": "own"}, {"session.id": "resource"}, {"ark.session.id": "scope"}
    assert span("step", own, resource=resource, scope=scope).session_id == "own"
    assert span("step", resource=resource, scope=scope).session_id == "resource"
    assert span("step", scope=scope).session_id == "scope"


def test_the_namespace_comes_from_the_span_or_the_pod_and_nothing_else_is_inherited() -> None:
    resource = {"k8s.namespace.name": "pods", "agent.name": "no", "query.name": "no"}
    event = span("step", resource=resource)
    assert (event.namespace, event.agent, event.query) == ("pods", None, None)
    assert span("step", {"query.namespace": "own"}, resource=resource).namespace == "own"
    assert inherited({"k8s.namespace.name": ""}, {}) == {}


def test_the_order_of_attributes_does_not_matter() -> None:
    attributes = {"agent.name": "b", "gen_ai.agent.name": "a", "session.id": "s", "gen_ai.conversation.id": "c"}
    one = span("step", attributes)
    other = span("step", dict(reversed(attributes.items())))
    for field in ("agent", "session_id", "conversation_id"):
        assert getattr(one, field) == getattr(other, field)


def test_the_last_of_repeated_attributes_counts() -> None:
    request = traces({"attributes": {"session.id": "first"}})
    request.resource_spans[0].scope_spans[0].spans[0].attributes.append(attribute("session.id", "last"))
    assert decode_traces(request.SerializeToString(), "protobuf").events[0].session_id == "last"


def test_a_family_cannot_name_a_field_that_does_not_exist() -> None:
    for table in ("fields", "inherited", "content"):
        with pytest.raises(ValueError, match="names unknown fields"):
            Family(name="x", **{"fields": {}} | {table: {"colour": ("a",)}})  # type: ignore[arg-type]
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
