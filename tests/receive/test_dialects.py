"""Events in other programs' words: a research orchestrator's, and Ark's operations."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ark_broker.model import Event
from ark_broker.receive.context import parse_baggage, parse_traceparent
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.custom import decode_events
from ark_broker.sessions.phase import PhaseEvidence
from ark_broker.sessions.view import build_view


def decode(*values: object) -> list[Event]:
    return decode_events(orjson.dumps(values), "application/json", {}).events


def enveloped(kind: str, second: int = 0, **data: Any) -> dict[str, Any]:
    time = f"2025-12-12T10:00:{second:02}.5"
    return {"event_type": kind, "session_id": "s1", "timestamp": time, "data": data}


#: Every kind of event with what it carries, and the type it becomes.
KINDS: list[tuple[str, dict[str, Any], str]] = [
    ("workflow_started", {"operation_id": "ab" * 16, "query": "q?"}, "query.started"),
    ("session_started", {"query": "q?", "mode": "dynamic_orchestration"}, "query.started"),
    ("agent_started", {"phase": "orchestration", "available_tools": []}, "agent.started"),
    ("agent_response", {"agent_name": "market", "response_preview": "…", "execution_time_ms": 5}, "agent.completed"),
    ("agent_completed", {"agent_name": "research-orchestrator", "content": "x"}, "agent.completed"),
    ("agent_progress", {}, "agent.progress"),
    ("agent_thinking", {}, "agent.progress"),
    ("agent_failed", {"error": "boom"}, "agent.failed"),
    ("tool_call_started", {"tool_name": "t", "tool_call_id": "t_1_x", "input_args": {"a": 1}}, "tool.call"),
    ("tool_call_completed", {"tool_name": "t", "tool_call_id": "t_1_x", "output": [1]}, "tool.result"),
    ("tool_call_failed", {"tool_name": "t", "tool_call_id": "t_1_x", "error": "boom"}, "tool.failed"),
    ("subagent_tool_started", {"subagent_name": "a", "tool_name": "t", "input_preview": "…"}, "tool.call"),
    ("subagent_tool_completed", {"subagent_name": "a", "tool_name": "t", "output_preview": "…"}, "tool.result"),
    ("subagent_progress", {"subagent_name": "a", "text_chunk": "some text"}, "agent.progress"),
    ("scratchpad_updated", {"section_name": "plan", "operation": "created"}, "artifact.updated"),
    ("scratchpad_snapshot", {"sections": [], "total_sections": 0}, "artifact.updated"),
    ("question_added", {"question_id": "q-1", "question": "Which?", "priority": "blocking"}, "question.asked"),
    ("awaiting_user_input", {"reason": "r", "blocking_question_ids": ["q-1"]}, "query.waiting"),
    ("questions_answered", {"answered_question_ids": ["q-1"], "workflow_unblocked": True}, "question.answered"),
    ("synthesis_completed", {"agent": "a", "synthesis": "text"}, "artifact.updated"),
    ("workflow_completed", {"total_tool_calls": 1, "total_time_ms": 9, "synthesis": None}, "query.completed"),
    ("workflow_failed", {"error": "boom", "tool_calls_before_failure": []}, "query.failed"),
    ("error", {"error": "boom"}, "query.failed"),
    ("trace_span_started", {"span_name": "x"}, "span.started"),
    ("trace_span_completed", {"span_name": "x"}, "span.completed"),
    ("trace_tool_call", {"tool_name": "t", "mcp_server": "m"}, "tool.call"),
]


@pytest.mark.parametrize(("kind", "data", "type_"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_every_event_of_an_orchestrator_is_understood_enveloped_and_flat(
    kind: str, data: dict[str, Any], type_: str
) -> None:
    envelope = enveloped(kind, **data)
    flat = {key: value for key, value in envelope.items() if key != "data"} | data
    for event in decode(envelope, flat):
        assert (event.type, event.session_id, event.query) == (type_, "s1", event.query)
        assert event.time == 1_765_533_600_500_000_000, "a time without a zone is UTC"
    first, _ = decode(envelope, flat)
    assert (first.tool, first.tool_call_id, first.error) == (
        data.get("tool_name"),
        data.get("tool_call_id"),
        data.get("error"),
    )


def test_heartbeats_are_left_out_and_the_same_event_is_the_same_when_sent_again() -> None:
    assert decode(enveloped("heartbeat"), {"event_type": "heartbeat"}) == []
    one, other, later = decode(*(enveloped("agent_started", second) for second in (0, 0, 1)))
    assert one.id == other.id != later.id


def test_a_run_of_an_orchestrator_is_one_query_that_waits_and_ends() -> None:
    story = [
        enveloped("workflow_started", 0, operation_id="ab" * 16),
        enveloped("tool_call_started", 1, tool_name="search", tool_call_id="c1", input_args={"q": "x"}),
        enveloped("tool_call_completed", 2, tool_name="search", tool_call_id="c1", output="found"),
        enveloped("awaiting_user_input", 3, blocking_question_ids=["q-1"]),
    ]
    view: Any = build_view("s1", decode(*story), describe)
    query = view["queries"]["s1"]
    assert (query["phase"], query["traceId"]) == ("waiting", "ab" * 16)
    call = query["events"][1]
    assert (call["type"], call["tool"], call["input"], call["output"]) == ("tool.call", "search", {"q": "x"}, "found")
    story += [enveloped("questions_answered", 4), enveloped("workflow_completed", 5)]
    done: Any = build_view("s1", decode(*story), describe)
    assert (done["queries"]["s1"]["phase"], done["queries"]["s1"]["duration"]) == ("done", 5000)


def test_what_cannot_be_a_field_is_left_to_the_body_and_refuses_nobody() -> None:
    """The words are another program's: one that does not trace sends zeros, one that counts ids sends numbers."""
    odd = enveloped(
        "question_added", operation_id="0" * 32, question_id=7, agent_name={"x": 1}, execution_time_ms="soon"
    )
    for event in decode(odd, odd | {"timestamp": 1.5}, enveloped("agent_started") | {"session_id": 5}):
        assert (event.trace_id, event.agent, event.duration) == (None, None, None)
    first, second, third = decode(odd, odd | {"timestamp": 1.5}, enveloped("agent_started") | {"session_id": 5})
    assert (first.question_id, second.time, third.session_id) == ("7", 0, "5")


def test_names_that_an_orchestrator_uses_are_anybodys() -> None:
    (event,) = decode({"type": "workflow_started", "id": "1", "query": "mine", "tool": "t"})
    assert (event.type, event.query, event.tool) == ("workflow_started", "mine", "t")
    (beat,) = decode({"type": "heartbeat", "id": "1"})
    assert beat.type == "heartbeat"


def operation(reason: str, second: int = 0, **data: str) -> dict[str, Any]:
    known = {"queryId": "8d1c", "queryName": "q1", "queryNamespace": "team", "sessionId": "s1", "conversationId": "c1"}
    return {
        "timestamp": f"2025-12-12T10:00:{second:02}Z",
        "eventType": "Normal",
        "reason": reason,
        "message": "text",
        "data": known | data,
    }


@pytest.mark.parametrize(
    ("reason", "type_"),
    [
        ("QueryExecutionStart", "query.started"),
        ("QueryExecutionComplete", "query.completed"),
        ("QueryExecutionCanceled", "query.canceled"),
        ("QueryExecutionError", "query.failed"),
        ("AgentExecutionComplete", "agent.completed"),
        ("LLMCallStart", "llm.started"),
        ("LLMCallComplete", "llm.completed"),
        ("ToolCallStart", "tool.call"),
        ("ToolCallComplete", "tool.result"),
        ("ToolCallError", "tool.failed"),
        ("TeamTurnStart", "TeamTurnStart"),
        ("SomethingNew", "SomethingNew"),
    ],
)
def test_arks_operations_are_understood(reason: str, type_: str) -> None:
    (event,) = decode(operation(reason, toolName="t", toolId="x", agent="a", durationMs="12.34"))
    assert (event.type, event.session_id, event.query, event.query_uid) == (type_, "s1", "q1", "8d1c")
    assert (event.namespace, event.conversation_id, event.agent, event.tool) == ("team", "c1", "a", "t")
    assert event.duration == 12_340_000


@pytest.mark.parametrize(
    ("reasons", "phase"),
    [
        (["QueryExecutionStart"], "running"),
        (["QueryExecutionStart", "LLMCallError"], "error"),
        (["QueryExecutionStart", "ToolCallError", "LLMCallStart"], "error"),
        (["QueryExecutionStart", "AgentExecutionError", "QueryExecutionComplete"], "done"),
        (["QueryExecutionStart", "QueryExecutionCanceled", "QueryExecutionComplete"], "canceled"),
        (["QueryExecutionStart", "QueryExecutionCanceled", "AgentExecutionError"], "error"),
        (["AgentExecutionError", "AgentExecutionCanceled"], "error"),
    ],
)
def test_arks_rules_give_the_phase_in_any_order_of_arrival(reasons: list[str], phase: str) -> None:
    events = decode(*(operation(reason, second) for second, reason in enumerate(reasons)))
    for order in (events, events[::-1]):
        evidence = PhaseEvidence()
        for event in order:
            evidence.add(event)
        assert evidence.phase == phase


@pytest.mark.parametrize(
    ("value", "trace"),
    [
        (f"00-{'ab' * 16}-{'cd' * 8}-01", "ab" * 16),
        (f"00-{'AB' * 16}-{'cd' * 8}-00", "ab" * 16),
        (f"cc-{'ab' * 16}-{'cd' * 8}-01-more", "ab" * 16),
        (f"ff-{'ab' * 16}-{'cd' * 8}-01", None),
        (f"00-{'00' * 16}-{'cd' * 8}-01", None),
        (f"00-{'ab' * 16}-{'00' * 8}-01", None),
        ("nonsense", None),
        (None, None),
        (5, None),
    ],
)
def test_traceparents_are_read_or_left_alone(value: object, trace: str | None) -> None:
    parent = parse_traceparent(value)
    assert (parent.trace_id if parent else None) == trace


def test_baggage_is_read_as_far_as_it_can_be() -> None:
    assert parse_baggage("a=1, b = two%20words ;p=x,,=,novalue,a=2") == {"a": "1", "b": "two words"}
    assert parse_baggage("x" * 20_000) == {}
    assert parse_baggage(7) == {}


def test_one_event_that_answers_several_questions_answers_each() -> None:
    answered = enveloped("questions_answered", answered_question_ids=["q-1", "q-2", {"odd": 1}, "q-3"])
    found = decode(answered, answered)
    assert [event.question_id for event in found] == ["q-1", "q-2", "q-3"] * 2
    assert [event.id for event in found[:3]] == [event.id for event in found[3:]]
    assert len({event.id for event in found}) == 3
