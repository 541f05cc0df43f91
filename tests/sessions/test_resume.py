"""The state of a query that somebody else is to go on with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ark_broker.api.v1.resume import SCHEMA
from ark_broker.model import Event
from ark_broker.receive.chunks import ChunkReader, completion_event
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.conventions.exchange import exchange
from ark_broker.receive.custom import decode_events
from ark_broker.sessions.resume import Resume
from tests.support.events import NOON
from tests.support.executor import PROMPT, Executor, Step, Turn, transcript

SECOND = 1_000_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
USER = {"role": "user", "content": PROMPT}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q":"NYC"}'}}],
}
STORY = [Turn("Let me look.", {"c1": ("search", '{"q":"NYC"}'), "c2": ("clock", "{}")}), Turn("It is 22 degrees.")]


class Told:
    """Events in the order of the log, a second apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def step(self, step: Step) -> None:
        match step:
            case None:
                self._append([completion_event("q1", "q1", self._now)])
            case str():
                reader = ChunkReader("q1", "q1", f"connection-{len(self.events)}", lambda: self._now)
                event = reader.read(step.encode())
                assert event is not None
                self._append([event])
            case _:
                self.event(**step)

    def event(self, **fields: Any) -> None:
        given = {"query": "q1", "sessionId": "s1", "time": self._now} | fields
        self._append(decode_events(orjson.dumps(given), "application/json", {}).events)

    def span(self, **fields: Any) -> None:
        """A report of the same content, as a span."""
        self.event(**fields)
        self.events[-1].kind = "span"

    def llm(self, given: list[Any], gave: list[Any], **fields: Any) -> None:
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": orjson.dumps(given).decode(),
            "gen_ai.output.messages": orjson.dumps(gave).decode(),
        }
        self.event(name="chat m", type="llm.request", attributes=attributes, **fields)

    def chunks(self, *texts: str, completion: str = "x", finish: str | None = None) -> None:
        for text in texts:
            self.step(orjson.dumps({"id": completion, "choices": [{"delta": {"content": text}}]}).decode())
        if finish:
            self.step(orjson.dumps({"id": completion, "choices": [{"delta": {}, "finish_reason": finish}]}).decode())

    @property
    def _now(self) -> int:
        return NOON + len(self.events) * SECOND

    def _append(self, events: list[Event]) -> None:
        for event in events:
            event.seq = event.query_seq = event.session_seq = len(self.events) + 1
            self.events.append(event)

    def state(self) -> dict[str, Any]:
        return fold(self.events)


def fold(events: Iterable[Event]) -> dict[str, Any]:
    """The state, which the schema allows."""
    resume = Resume("s1", "q1", exchange, describe)
    for event in events:
        resume.add(event)
    built: dict[str, Any] = orjson.loads(orjson.dumps(resume.build()))
    jsonschema.validate(built | {"openQuestions": [], "seq": 0, "log": "l"}, orjson.loads(SCHEMA))
    return built


@pytest.fixture
def told() -> Told:
    return Told()


# -- a run that is cut off anywhere

_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
_ARGUMENTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 999), max_size=3).map(
    lambda value: orjson.dumps(value).decode()
)


@st.composite
def scripts(draw: st.DrawFn) -> list[Turn]:
    turns = []
    for number in range(draw(st.integers(0, 3))):
        # Some models give the same ids in every turn.
        prefix = draw(st.sampled_from([f"t{number}-", "call_"]))
        calls = draw(st.lists(st.tuples(st.sampled_from(["search", "clock"]), _ARGUMENTS), min_size=1, max_size=3))
        turns.append(Turn(draw(_TEXT), {f"{prefix}{index}": call for index, call in enumerate(calls)}))
    return [*turns, Turn(draw(_TEXT.filter(bool)))]


def _run(script: list[Turn], name: str, told: Told, state: dict[str, Any] | None = None, most: int = 10**9) -> int:
    steps = 0
    for step in Executor(script, name).steps(state):
        if steps == most:
            break
        told.step(step)
        steps += 1
    return steps


@settings(deadline=None)
@given(script=scripts(), data=st.data())
def test_a_run_cut_off_anywhere_is_finished_by_another_as_if_it_had_not_been(script: list[Turn], data: Any) -> None:
    whole = Told()
    steps = _run(script, "whole", whole)
    assert whole.state()["messages"] == transcript(script)
    told = Told()
    for attempt in range(data.draw(st.integers(1, 3), "cuts")):
        state = told.state() if attempt else None
        _run(script, f"run-{attempt}", told, state, data.draw(st.integers(1, steps), "steps"))

    _run(script, "last", told, told.state())

    final = told.state()
    assert final["messages"] == transcript(script)
    assert final["phase"] == "done"
    assert "partial" not in final
    assert final["pendingToolCalls"] == []


@settings(deadline=None)
@given(script=scripts(), data=st.data())
def test_at_every_moment_what_is_said_and_what_is_pending_make_a_valid_request(script: list[Turn], data: Any) -> None:
    told = Told()
    _run(script, "run", told, most=data.draw(st.integers(1, 200)))
    state = told.state()

    full = transcript(script)
    messages = state["messages"]
    said = [each for each in messages if each["role"] != "tool"]
    assert said == [each for each in full if each["role"] != "tool"][: len(said)]
    announced = {call["id"] for call in said[-1].get("tool_calls", [])}
    last = max(number for number, each in enumerate(messages) if each["role"] != "tool")
    answered = {each["tool_call_id"] for each in messages[last + 1 :]}
    if state["phase"] != "done":
        assert [call["id"] for call in state["pendingToolCalls"]] == sorted(announced - answered)
    if "partial" in state:
        assert script[len(said) - 1].text.startswith(state["partial"]["content"])


# -- messages


def test_a_query_that_only_began_has_what_it_was_asked(told: Told) -> None:
    told.event(type="query.started", input=PROMPT, namespace="default", queryUid="u1", conversationId="c9")

    state = told.state()

    assert state["messages"] == [USER]
    assert (state["version"], state["name"], state["session"], state["phase"]) == (1, "q1", "s1", "running")
    assert (state["namespace"], state["uid"], state["conversationId"]) == ("default", "u1", "c9")
    assert (state["pendingToolCalls"], state["lastSeq"]) == ([], 1)
    assert "partial" not in state


def test_what_a_model_call_tells_is_joined_with_results_that_came_since(told: Told) -> None:
    told.llm([USER], [CALL])
    told.event(type="tool.call", tool="search", toolCallId="c1", input={"q": "NYC"})
    told.event(type="tool.result", tool="search", toolCallId="c1", output={"degrees": 22})

    state = told.state()

    result = {"role": "tool", "tool_call_id": "c1", "content": '{"degrees":22}'}
    assert state["messages"] == [USER, CALL, result]
    assert state["pendingToolCalls"] == []


def test_turns_that_only_the_stream_has_stand_where_they_were_said(told: Told) -> None:
    told.event(type="query.started", input=PROMPT)
    told.chunks("Let me ", "look.", completion="a", finish="stop")
    told.chunks("It is 22.", completion="b", finish="stop")
    told.llm([USER], [{"role": "assistant", "content": "It is 22."}])

    said = [message["content"] for message in told.state()["messages"]]

    assert said == [PROMPT, "Let me look.", "It is 22."]


def test_a_failed_tool_has_its_error_as_the_result(told: Told) -> None:
    told.llm([USER], [CALL])
    told.event(type="tool.failed", tool="search", toolCallId="c1", error="no such city")

    state = told.state()

    assert state["messages"][-1] == {"role": "tool", "tool_call_id": "c1", "content": "no such city"}


# -- calls


def test_a_call_that_the_model_asks_for_is_pending_with_its_arguments(told: Told) -> None:
    told.llm([USER], [CALL])

    assert told.state()["pendingToolCalls"] == [
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "search", "arguments": '{"q":"NYC"}'},
            "state": "announced",
            "inMessages": True,
        }
    ]


def test_a_call_that_began_says_since_when_and_where(told: Told) -> None:
    told.llm([USER], [CALL])
    told.event(type="tool.call", tool="search", toolCallId="c1", agent="weather", mcpServer="web")

    [call] = told.state()["pendingToolCalls"]

    assert (call["state"], call["startedAt"]) == ("started", "2024-01-15T10:30:01Z")
    assert (call["agent"], call["mcpServer"]) == ("weather", "web")


def test_a_call_that_ended_without_saying_what_it_gave_is_not_called_announced(told: Told) -> None:
    told.llm([USER], [CALL])
    ids = {"traceId": TRACE, "spanId": "00000000000000a2", "parentSpanId": "00000000000000a1"}
    told.span(type="tool.call", tool="search", durationMs=5, **ids)

    [call] = told.state()["pendingToolCalls"]

    assert (call["id"], call["state"]) == ("c1", "unrecorded")


def test_a_call_that_no_message_announces_is_pending_and_says_so(told: Told) -> None:
    told.event(type="query.started", input=PROMPT)
    told.event(type="tool.call", tool="search", input={"q": "NYC"}, toolCallId="c7")

    state = told.state()

    assert state["messages"] == [USER]
    [call] = state["pendingToolCalls"]
    assert (call["id"], call["function"]["arguments"], call["inMessages"]) == ("c7", '{"q":"NYC"}', False)


def test_reports_without_an_id_are_of_the_next_call_of_that_tool(told: Told) -> None:
    answer = {"role": "tool", "tool_call_id": "c1", "content": "one"}
    told.event(type="tool.call", tool="search", input={"q": "NYC"})
    told.event(type="tool.result", tool="search", output="one")
    second = {**CALL, "tool_calls": [{**CALL["tool_calls"][0], "id": "c2"}]}  # type: ignore[index]
    told.llm([USER, CALL, answer], [second])
    assert [call["state"] for call in told.state()["pendingToolCalls"]] == ["announced"]
    told.event(type="tool.call", tool="search", input={"q": "NYC"})
    assert [call["state"] for call in told.state()["pendingToolCalls"]] == ["started"]
    told.event(type="tool.result", tool="search", output="two")

    state = told.state()

    assert [each["content"] for each in state["messages"] if each["role"] == "tool"] == ["one", "two"]
    assert state["pendingToolCalls"] == []


def test_a_call_that_the_model_went_on_without_is_not_pending(told: Told) -> None:
    told.llm([USER, CALL], [{"role": "assistant", "content": "Never mind."}])

    assert told.state()["pendingToolCalls"] == []


def test_the_oldest_of_very_many_reports_are_forgotten_not_the_newest(told: Told) -> None:
    for number in range(600):
        told.event(type="tool.call", tool="search", toolCallId=f"c{number}")

    ids = [call["id"] for call in told.state()["pendingToolCalls"]]

    assert ids == [f"c{number}" for number in range(100, 600)]


# -- what was being said


def test_what_was_being_said_is_partial_and_no_message(told: Told) -> None:
    told.event(type="query.started", input=PROMPT)
    told.chunks("It ", "is ")

    state = told.state()

    assert state["messages"] == [USER]
    assert state["partial"] == {
        "role": "assistant",
        "content": "It is ",
        "startedAt": "2024-01-15T10:30:01Z",
        "updatedAt": "2024-01-15T10:30:02Z",
    }


def test_the_marker_of_the_stream_makes_it_whole(told: Told) -> None:
    told.chunks("It ", "is 22.")
    told.step(None)

    state = told.state()

    assert state["messages"] == [{"role": "assistant", "content": "It is 22."}]
    assert "partial" not in state


def test_what_came_whole_by_another_way_is_not_partial(told: Told) -> None:
    told.chunks("It ", "is 2")
    told.llm([USER], [{"role": "assistant", "content": "It is 22."}], time=NOON, durationMs=60_000)

    state = told.state()

    assert state["messages"][-1]["content"] == "It is 22."
    assert "partial" not in state


def test_what_was_said_anew_is_not_partial_any_more(told: Told) -> None:
    told.chunks("It ", completion="a")
    told.chunks("The weather ", completion="b")
    assert told.state()["partial"]["content"] == "The weather "
    told.event(type="query.resumed")
    assert told.state()["partial"]["content"] == "The weather "
    told.chunks("Once", completion="b")

    assert told.state()["partial"]["content"] == "Once"


def test_two_agents_that_speak_at_once_are_kept_apart(told: Told) -> None:
    for text, agent in (("A1", "a"), ("B1", "b"), ("A2", "a")):
        told.step(orjson.dumps({"choices": [{"delta": {"content": text}}], "ark": {"agent": agent}}).decode())

    partial = told.state()["partial"]

    assert (partial["content"], partial["agent"]) == ("A1A2", "a")


def test_calls_that_a_service_streams_under_one_index_are_kept_apart(told: Told) -> None:
    for number in (1, 2):
        call = {"index": 0, "id": f"c{number}", "function": {"name": "search", "arguments": "{}"}}
        told.step(orjson.dumps({"id": "x", "choices": [{"delta": {"tool_calls": [call]}}]}).decode())
    told.step(None)

    assert [call["id"] for call in told.state()["pendingToolCalls"]] == ["c1", "c2"]


@pytest.mark.parametrize(
    "line",
    [
        '"text"',
        "[]",
        "{}",
        '{"choices":null}',
        '{"choices":[1]}',
        '{"choices":[{"delta":1}]}',
        '{"error":{"message":"x"}}',
        '{"choices":[{"delta":{"tool_calls":[1,{"index":"x","id":4,"function":7}]}}]}',
        '{"choices":[{"index":1,"delta":{"content":"another"}}]}',
    ],
)
def test_odd_chunks_say_nothing(told: Told, line: str) -> None:
    told.chunks("It ")
    told.step(line)
    told.chunks("is")

    assert told.state()["partial"]["content"] == "It is"


# -- where it happened


def test_the_trace_goes_on_below_its_root(told: Told) -> None:
    told.span(type="step", traceId=TRACE, spanId="00000000000000a3", parentSpanId="00000000000000a2", time=NOON + 5)
    told.span(type="step", traceId=TRACE, spanId="00000000000000a2", parentSpanId="00000000000000a1", time=NOON + 4)

    trace = told.state()["trace"]

    # The root itself has not ended, and is known only as what lies above.
    assert trace == {
        "traceId": TRACE,
        "rootSpanId": "00000000000000a1",
        "lastSpanId": "00000000000000a3",
        "traceparent": f"00-{TRACE}-00000000000000a1-01",
    }
    told.span(type="agent.completed", traceId=TRACE, spanId="00000000000000a1", time=NOON, durationMs=60_000)
    assert told.state()["trace"]["rootSpanId"] == "00000000000000a1"


def test_a_trace_of_which_only_an_event_is_known_goes_on_where_that_was_written(told: Told) -> None:
    told.event(type="query.started", traceId=TRACE, parentSpanId="00000000000000b1")

    assert told.state()["trace"]["traceparent"] == f"00-{TRACE}-00000000000000b1-01"


def test_a_trace_without_spans_is_named_and_spans_in_a_circle_end(told: Told) -> None:
    told.event(type="query.started", traceId=TRACE)
    assert told.state()["trace"] == {"traceId": TRACE}
    for one, other in (("a1", "a2"), ("a2", "a1")):
        ids = {"spanId": f"00000000000000{one}", "parentSpanId": f"00000000000000{other}"}
        told.span(type="step", traceId=TRACE, **ids)

    assert told.state()["trace"]["rootSpanId"] in ("00000000000000a1", "00000000000000a2")


def test_tasks_contexts_and_mcp_sessions_are_there_to_be_taken_up(told: Told) -> None:
    told.event(type="query.started", conversationId="mine")
    told.event(type="task.updated", taskId="t1", taskState="working", conversationId="ctx1", agent="other")
    told.event(type="task.updated", taskId="t1", taskState="input_required")
    told.event(type="task.updated", taskId="t2")
    told.event(type="tool.result", tool="search", mcpServer="web", mcpSessionId="m1")

    state = told.state()

    assert state["tasks"] == {"t1": {"state": "input_required", "contextId": "ctx1", "agent": "other"}, "t2": {}}
    assert (state["contexts"], state["conversationId"]) == (["ctx1"], "mine")
    assert state["mcpSessions"] == {"web": "m1"}


def test_the_only_context_is_the_conversation_where_nobody_names_another(told: Told) -> None:
    told.event(type="task.updated", taskId="t1", taskState="working", conversationId="ctx1")

    assert told.state()["conversationId"] == "ctx1"


def test_a_query_that_failed_says_why_and_can_be_gone_on_with(told: Told) -> None:
    told.llm([USER], [CALL])
    told.event(type="query.failed", error="out of memory")

    state = told.state()

    assert (state["phase"], state["error"]) == ("error", "out of memory")
    assert len(state["pendingToolCalls"]) == 1
