"""The tree of a session: its wording is a contract."""

from __future__ import annotations

from typing import Any

import pytest

from ark_broker.cli.render.failures import Span, failures, spans_of
from ark_broker.cli.render.tree import ascii_tree, session_node
from tests.cli.hostile import HOSTILE
from tests.cli.render.test_printable import is_safe

PICTURE = """\
Sessions
+-- session-abc-123 (active)
|   +-- query-001 (done)
|   |   +-- [event] query.started
|   |   +-- [stream] LLM chunks (52 tokens) > ark-broker replay query-001
|   |   +-- [tool] web_search("weather NYC") -> "72F sunny"
|   |   +-- [event] query.completed (1.2s)
|   |
|   +-- query-002 (waiting)
|   |   +-- [event] query.started
|   |   +-- [stream] LLM chunks (23 tokens) > ark-broker replay query-002
|   |   +-- [tool] ask_question -> "Approve production deploy?"
|   |   +-- [question] Waiting for response...
|   |   +-- [a2a] task-xyz (pending)
|   |
|   +-- query-003 (running)
|       +-- [event] query.started
|       +-- [stream] LLM streaming..."""


def entry(kind: str, second: float = 0, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "ts": f"2024-01-15T10:30:{second:09.6f}Z", **fields}


def session(**queries: Any) -> dict[str, Any]:
    return {"id": "s1", "status": "active", "queries": queries}


def lines(found: dict[str, Any], *, full: bool = False) -> list[str]:
    return list(ascii_tree(session_node(found, full=full)))


def one_query(*events: dict[str, Any], phase: str = "done", **fields: Any) -> list[str]:
    """The lines below the query."""
    found = lines(session(q1={"phase": phase, "events": list(events), **fields}))
    return [line.partition("+-- ")[2] for line in found[3:]]


def test_the_prototypes_session_is_the_prototypes_picture() -> None:
    stream = {"stream": "q", "chunks": 1}
    queries = {
        "query-001": {
            "phase": "done",
            "events": [
                entry("query.started"),
                entry("llm.request", 1, duration=900, model="gpt-4", tokens={"input": 1, "output": 52}),
                entry("stream", 1.1, tokens=52, complete=True, **stream),
                entry("tool.call", 2, tool="web_search", input="weather NYC", output="72F sunny", duration=710),
                entry("query.completed", 3, duration=1200),
            ],
        },
        "query-002": {
            "phase": "waiting",
            "tasks": {"task-xyz": {"state": "submitted"}},
            "events": [
                entry("query.started"),
                entry("stream", 1, tokens=23, **stream),
                entry("tool.call", 2, tool="ask_question", input="Approve production deploy?"),
                entry("query.waiting", 3, questionUri="ark://questions/q-123", questionId="q-123"),
                entry("task.updated", 4, taskId="task-xyz", taskState="submitted"),
            ],
        },
        "query-003": {"phase": "running", "events": [entry("query.started"), entry("stream", 1, tokens=3, **stream)]},
    }

    found = lines({"id": "session-abc-123", "status": "active", "queries": queries})

    assert "\n".join(found) == PICTURE


def test_a_failed_tool_call_is_marked_and_says_why() -> None:
    failed = entry("tool.call", tool="web_search", input={"q": "NYC"}, status="error", error="connection refused")

    assert one_query(failed, phase="error") == ['[tool] web_search({"q": "NYC"}) -> ERROR connection refused']


def test_a_question_is_one_line_with_its_answer_or_how_to_give_it() -> None:
    asked = entry("question.asked", questionId="q-1", message="Deploy?")
    waiting = entry("query.waiting", 1, questionId="q-1")

    assert one_query(asked, waiting, phase="waiting") == [
        '[question] Waiting for response... "Deploy?" > ark-broker answer q-1'
    ]
    answered = entry("question.answered", 2, questionId="q-1", output="yes")
    assert one_query(asked, waiting, answered) == ['[question] "Deploy?" -> "yes"']
    assert one_query(asked, entry("question.expired", 2, questionId="q-1")) == ['[question] "Deploy?" -> expired']
    assert one_query(asked) == ['[question] "Deploy?" -> not answered']


def test_a_model_call_without_a_stream_is_a_line_and_a_failed_one_always() -> None:
    call = entry("llm.request", model="gpt-4", duration=3348, cost=0.00666, tokens={"input": 118, "output": 52})

    assert one_query(call) == ["[llm] gpt-4 (118/52 tokens, 3.3s, $0.0067)"]
    failed = entry("llm.request", model="gpt-4", status="error", error="rate limit")
    assert one_query(failed, entry("stream", tokens=1))[0] == "[llm] gpt-4 -> ERROR rate limit"


def test_a_tool_that_runs_is_told_from_one_that_is_over() -> None:
    call = entry("tool.call", tool="sleep", input=3)

    assert one_query(call, phase="running") == ["[tool] sleep(3) ..."]
    assert one_query(call) == ["[tool] sleep(3)"]


def test_only_the_last_stream_of_a_running_query_is_live() -> None:
    streams = [entry("stream", number, tokens=number, stream="q") for number in (1, 2)]

    assert one_query(*streams, phase="running") == [
        "[stream] LLM chunks (1 token) > ark-broker replay q1",
        "[stream] LLM streaming...",
    ]


def test_a_task_is_one_line_with_its_latest_state() -> None:
    events = [
        entry("task.updated", n, taskId="t1", taskState=state) for n, state in enumerate(("submitted", "working"))
    ]
    tasks = {"t1": {"state": "input_required"}, "t2": {"state": "completed"}}

    assert one_query(*events, tasks=tasks) == ["[a2a] t1 (input-required)", "[a2a] t2 (completed)"]


def test_long_values_are_cut_unless_all_is_asked_for() -> None:
    events = [entry("tool.call", tool="read", input="x", output="y" * 500, duration=5)]
    short, full = (lines(session(q1={"phase": "done", "events": events}), full=each)[-1] for each in (False, True))

    assert len(short) < 150
    assert short.endswith('…"')
    assert "y" * 500 in full
    assert full.endswith("(5ms)")


def test_what_was_left_out_is_said() -> None:
    found = lines(session(q1={"phase": "done", "omitted": 7, "events": [entry("query.started")]}) | {"truncated": True})

    assert "|   |   +-- ... 7 earlier entries" in found
    assert found[-1] == "|   +-- ... the session is longer than what is shown"


def test_names_with_blanks_are_quoted_in_what_is_to_be_typed() -> None:
    found = lines(session(**{"my query; rm": {"phase": "done", "events": [entry("stream", tokens=1)]}}))

    assert found[-1].endswith("> ark-broker replay 'my query; rm'")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_in_every_field_stays_on_its_line(text: str) -> None:
    kinds = (
        "tool.call",
        "stream",
        "llm.request",
        "agent.failed",
        "question.asked",
        "task.updated",
        "query.waiting",
        text,
    )
    fields = (
        "tool",
        "input",
        "output",
        "error",
        "model",
        "name",
        "agent",
        "message",
        "questionId",
        "taskId",
        "taskState",
    )
    events = [
        entry(kind, tokens=1) | dict.fromkeys(fields, text) | {"status": status}
        for kind in kinds
        for status in ("ok", "error", text)
    ]
    events += [entry(kind, **(dict.fromkeys(fields, text) | {"error": None})) for kind in kinds]
    query = {"phase": text, "events": events, "tasks": {text: {"state": text}}, "traceId": text, "errorSpan": text}
    found = {"id": text, "status": text, "queries": {text: query, "q2": query | {"phase": "error"}}, "events": events}

    for full in (False, True):
        assert all(is_safe(line) and "\n" not in line for line in lines(found, full=full))
    assert all(
        is_safe(str(each)) and "\n" not in str(each) for each in failures(found, [Span(text, text, text, text, text)])
    )


def test_failures_name_the_call_that_failed_and_where_it_is() -> None:
    events = [
        entry("tool.call", tool="web_search", input="NYC", status="error", error="timed out"),
        entry("agent.failed", agent="planner", error="its tool failed"),
        entry("query.failed", error="its agent failed"),
    ]
    query = {
        "phase": "error",
        "traceId": "t" * 32,
        "errorSpan": "s" * 16,
        "error": "its agent failed",
        "events": events,
    }

    [found] = failures(session(q1=query), [])

    assert str(found) == f'q1: tool web_search("NYC"): timed out (span {"s" * 16} of trace {"t" * 32})'


def test_an_error_without_a_failed_call_names_the_span() -> None:
    query = {"phase": "error", "traceId": "t1", "errorSpan": "s1", "error": "boom", "events": []}

    [found] = failures(session(q1=query), [Span("s1", "t1", "GET /weather", error="boom")])

    assert str(found) == "q1: span GET /weather: boom (span s1 of trace t1)"


def test_a_session_without_errors_has_no_failures() -> None:
    assert failures(session(q1={"phase": "done", "events": [entry("tool.call", tool="t", output="1")]}), []) == []


def test_the_span_of_a_failed_call_is_found_in_its_trace() -> None:
    events = [
        entry("tool.call", tool="web_search", status="error", error="refused"),
        entry("tool.call", tool="web_search", status="error", error="timed out"),
    ]
    query = {"phase": "error", "traceId": "t1", "events": events}
    leaves = [
        {"event": {"spanId": span, "type": "tool.failed", "tool": "web_search", "error": error}, "children": []}
        for span, error in (("b", "timed out"), ("c", "refused"))
    ]
    root = {"event": {"spanId": "a", "type": "query.started", "body": {"span": {"name": "run"}}}, "children": leaves}

    spans = list(spans_of({"traceId": "t1", "roots": [root]}))
    found = failures(session(q1=query), spans)

    assert [(span.id, span.name) for span in spans] == [("a", "run"), ("b", "tool.failed"), ("c", "tool.failed")]
    assert [(each.why, each.span) for each in found] == [("refused", "c"), ("timed out", "b")]
