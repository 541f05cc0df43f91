"""`GET /v1/queries/{query}/resume`: what an executor needs to go on with a query that another one left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby, islice
from typing import Any

import jsonschema
import pytest

from ark_broker.api.v1 import resume
from tests.support.api import Api, serve
from tests.support.events import NOON
from tests.support.executor import PROMPT, Executor, Step, Turn, transcript
from tests.support.otlp import TRACE
from tests.support.stored import query as sql
from tests.support.waiting import until

SECOND = 1_000_000_000
STORY = [
    Turn("Let me look.", {"c1": ("search", '{"q":"NYC"}'), "c2": ("clock", "{}")}),
    Turn("And once more.", {"c3": ("search", '{"q":"LA"}')}),
    Turn("It is 22 degrees in both of them."),
]


async def post(api: Api, steps: Iterable[Step]) -> None:
    """What an executor reports: lines of the stream that follow each other are one request."""
    for is_line, run in groupby(steps, key=lambda step: isinstance(step, str)):
        if is_line:
            await api.chunks("q1", *map(str, run))
            continue
        for step in run:
            if step is None:
                await api.complete("q1")
            else:
                response = await api.http.post("/v1/events", json=step)
                assert response.status_code == 200, response.text


async def state_of(api: Api, query: str = "q1", **params: str) -> dict[str, Any]:
    """The state, which the published schema allows."""
    found = await api.get(f"/v1/queries/{query}/resume", **params)
    jsonschema.validate(found, await api.get("/v1/schemas/resume.json"), jsonschema.Draft202012Validator)
    return found


@pytest.mark.parametrize("cut", range(1, 40, 7))
async def test_a_second_executor_finishes_what_the_first_one_left(each_api: Api, cut: int) -> None:
    api = each_api
    await post(api, islice(Executor(STORY, "first").steps(), cut))

    left = await state_of(api)
    await post(api, Executor(STORY, "second").steps(left))

    assert left["phase"] == "running"
    finished = await state_of(api)
    assert finished["messages"] == transcript(STORY)
    assert (finished["phase"], finished["pendingToolCalls"]) == ("done", [])
    assert "partial" not in finished
    assert (await api.get("/v1/queries/q1"))["phase"] == "done"


async def test_everything_that_is_open_is_in_the_answer(each_api: Api) -> None:
    api = each_api
    head: Mapping[str, Any] = {"query": "q1", "sessionId": "s1", "traceId": TRACE}
    ids = {"parentSpanId": "00000000000000a1"}
    await api.events(
        {**head, **ids, "type": "query.started", "input": PROMPT, "conversationId": "c1", "queryUid": "uid-1"},
        {**head, "type": "task.updated", "taskId": "t1", "taskState": "working", "conversationId": "ctx"},
        {**head, "type": "tool.call", "tool": "search", "toolCallId": "k1", "input": {"q": 1}, "mcpServer": "web"},
        {**head, "type": "tool.result", "tool": "web", "mcpServer": "web", "mcpSessionId": "m1", "toolCallId": "k0"},
        {**head, "type": "question.asked", "questionId": "ask-1", "text": "Go on?"},
        {**head, "type": "question.asked", "questionId": "ask-2", "text": "Sure?"},
        {**head, "type": "question.answered", "questionId": "ask-2", "answer": "yes"},
    )
    await api.chunks("q1", '{"id":"x","choices":[{"delta":{"content":"It is"}}]}')

    state = await state_of(api)

    assert state["messages"] == [{"role": "user", "content": PROMPT}]
    assert state["partial"]["content"] == "It is"
    assert [(call["id"], call["function"]["arguments"]) for call in state["pendingToolCalls"]] == [("k1", '{"q":1}')]
    assert [question["id"] for question in state["openQuestions"]] == ["ask-1"]
    assert state["mcpSessions"] == {"web": "m1"}
    assert state["tasks"] == {"t1": {"state": "working", "contextId": "ctx"}}
    assert (state["contexts"], state["conversationId"]) == (["ctx"], "c1")
    assert state["trace"]["traceparent"] == f"00-{TRACE}-00000000000000a1-01"
    assert (state["session"], state["uid"], state["phase"]) == ("s1", "uid-1", "waiting")
    assert (state["lastSeq"], state["seq"]) == (8, 8)
    assert state["log"] == (await api.get("/v1/events"))["log"]


async def test_spans_alone_are_enough(each_api: Api) -> None:
    given = '[{"role":"user","content":"hi"}]'
    gave = (
        '[{"role":"assistant","content":null,"tool_calls":'
        '[{"id":"c1","type":"function","function":{"name":"search","arguments":"{}"}}]}]'
    )
    named = {"session.id": "s1", "query.name": "q1"}
    await each_api.spans(
        {
            "parent_span_id": bytes(7) + b"\x09",
            "name": "chat m",
            "attributes": {
                **named,
                "gen_ai.operation.name": "chat",
                "gen_ai.input.messages": given,
                "gen_ai.output.messages": gave,
            },
        },
    )

    state = await state_of(each_api)

    assert [message["role"] for message in state["messages"]] == ["user", "assistant"]
    assert [(call["id"], call["state"]) for call in state["pendingToolCalls"]] == [("c1", "announced")]
    assert state["trace"] == {
        "traceId": TRACE,
        "rootSpanId": "0000000000000009",
        "lastSpanId": "0000000000000001",
        "traceparent": f"00-{TRACE}-0000000000000009-01",
    }


async def test_which_query_is_meant_is_asked_where_there_are_several(each_api: Api) -> None:
    for session, namespace in (("s1", "a"), ("s2", "b")):
        event = {"type": "query.started", "query": "q1", "sessionId": session, "namespace": namespace, "input": session}
        await each_api.events(event)

    candidates = (await each_api.error("/v1/queries/q1/resume", 409))["candidates"]

    assert [found["session"] for found in candidates] == ["s1", "s2"]
    assert (await state_of(each_api, namespace="b"))["messages"] == [{"role": "user", "content": "s2"}]
    assert (await state_of(each_api, session="s1"))["lastSeq"] == 1
    assert (await each_api.error("/v1/queries/other/resume", 404))["code"] == "NOT_FOUND"


async def test_a_query_that_only_has_chunks_has_a_state(each_api: Api) -> None:
    await each_api.chunks("early", '{"choices":[{"delta":{"content":"Hi"}}]}')

    state = await state_of(each_api, "early")

    assert (state["messages"], state["partial"]["content"], state["phase"]) == ([], "Hi", "running")
    assert "session" not in state


async def test_packed_streams_give_the_same_state(database_url: str) -> None:
    async with serve(database_url, pack_after_seconds=3600) as api:
        steps = list(Executor(STORY, "first").steps())
        await post(api, [*steps[:30], None])
        before = await state_of(api)
    async with serve(database_url, pack_after_seconds=0.05) as api:

        async def is_packed() -> bool:
            return (await sql(database_url, "SELECT coalesce(sum(events), 0) FROM packs"))[0][0] > 20

        await until(is_packed)
        assert await state_of(api) == before


async def test_a_query_of_too_many_events_says_that_it_is_cut(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "MAX_EVENTS", 3)
    await api.events(*({"type": "step", "query": "q1", "sessionId": "s1"} for _ in range(12)))

    state = await state_of(api)

    assert state["truncated"] is True
    assert 3 <= state["lastSeq"] < 12


async def test_the_schema_is_one_and_refuses_what_is_no_state(api: Api) -> None:
    response = await api.http.get("/v1/schemas/resume.json")

    assert response.headers["content-type"] == "application/schema+json"
    jsonschema.Draft202012Validator.check_schema(response.json())
    await api.events({"type": "query.started", "query": "q1", "sessionId": "s1", "time": NOON})
    state = await state_of(api)
    for name in response.json()["required"]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in state.items() if key != name}, response.json())
