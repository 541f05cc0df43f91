"""The OpenAI SDK, as it comes, attached to queries: while they run, wait, and after they have ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

from ark_broker.api.v1.attach import chunk_format
from tests.support.api import Api
from tests.support.events import make
from tests.support.waiting import until

#: What every SDK sends, and nobody looks at.
MESSAGES: Any = [{"role": "user", "content": "hello?"}]
PATIENCE = 20


def said(text: str, **choice: Any) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, **choice}]})


END = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'


def report(type_: str, **fields: Any) -> dict[str, Any]:
    return {"type": type_, "sessionId": "s", "query": "q"} | fields


def sdk_of(api: Api, **more: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{api.http.base_url}/v1", api_key="none", max_retries=0, timeout=PATIENCE, **more)


@pytest.fixture
async def sdk(api: Api) -> AsyncIterator[AsyncOpenAI]:
    async with sdk_of(api) as client:
        yield client


async def stream(sdk: AsyncOpenAI, model: str = "query/q", **more: Any) -> Any:
    return await sdk.chat.completions.create(model=model, messages=MESSAGES, stream=True, **more)


async def rest(chunks: Any) -> list[ChatCompletionChunk]:
    async with asyncio.timeout(PATIENCE):
        return [chunk async for chunk in chunks]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


# -- streams -----------------------------------------------------------------------------------------------------------


async def test_a_live_query_is_read_while_it_is_produced(each_api: Api) -> None:
    api = each_api
    await api.events(report("query.started"))
    async with sdk_of(api) as sdk:
        await api.chunks("q", said("Hel"))
        chunks = await stream(sdk)
        first = await anext(chunks)
        assert first.choices[0].delta.content == "Hel"
        await api.chunks("q", said("lo"))
        second = await anext(chunks)
        assert second.choices[0].delta.content == "lo"
        await api.chunks("q", END)
        await api.complete("q")
        [last] = await rest(chunks)
    assert last.choices[0].finish_reason == "stop"


async def test_a_chunk_has_all_that_the_api_promises(api: Api, sdk: AsyncOpenAI) -> None:
    whole = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o", "mine": 1}
    await api.chunks("q", json.dumps(whole | json.loads(said("a"))), said("b"))
    await api.complete("q")
    posted, bare, end = await rest(await stream(sdk))
    assert posted.to_dict() == whole | {
        "choices": [{"index": 0, "finish_reason": None, "delta": {"content": "a"}}],
    }
    assert (bare.id, bare.object, bare.model) == ("chatcmpl-q", "chat.completion.chunk", "query/q")
    assert bare.created > 0
    assert (end.choices[0].finish_reason, end.choices[0].delta.content) == ("stop", None)


async def test_a_finished_query_is_read_from_the_beginning_and_ends(each_api: Api) -> None:
    api = each_api
    await api.chunks("q", said("Hello"), said(" world"), END)
    await api.complete("q")
    await api.events(report("query.started"), report("tool.call", tool="search"), report("query.completed"))
    async with sdk_of(api) as sdk:
        chunks = await rest(await stream(sdk))
    assert text_of(chunks) == "Hello world"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices] == [None, None, "stop"]


async def test_it_is_plain_sse(api: Api) -> None:
    await api.chunks("q", said("Hello"))
    await api.complete("q")
    answer = await api.http.post("/v1/chat/completions", json={"model": "query/q", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    assert frames[-1] == "data: [DONE]"
    assert len(frames) == 3


def test_a_chunk_that_nests_deeper_than_can_be_written_comes_as_it_was_posted() -> None:
    deep = b'{"choices":[{"index":0,"delta":{"content":"deep"}}],"more":' + b"[" * 400 + b"]" * 400 + b"}"
    form = chunk_format(events=False, session_id=None, namespace=None)
    assert form.encode(make(1, kind="chunk", type="llm.chunk", query="q", body=deep), 1) == b"data: " + deep + b"\n\n"


async def test_events_come_only_where_they_are_asked_for(api: Api, sdk: AsyncOpenAI) -> None:
    await api.events(report("query.started"), report("tool.call", tool="search"))
    await api.chunks("q", said("Hello"), '{"type":"tool_approval_request","taskId":"t"}')
    await api.events(report("query.completed"))
    assert [chunk.choices != [] for chunk in await rest(await stream(sdk))] == [True, True]

    found = await rest(await stream(sdk, extra_body={"events": True}))

    shown: list[dict[str, Any]] = [chunk.to_dict() for chunk in found]
    events = [chunk["event"]["type"] for chunk in shown if chunk.get("type") == "event"]
    assert events == ["query.started", "tool.called", "query.completed"]
    assert text_of([chunk for chunk in found if getattr(chunk, "choices", None)]) == "Hello"


async def test_a_query_that_waits_goes_on_in_the_same_stream(api: Api, sdk: AsyncOpenAI) -> None:
    await api.chunks("q", said("May I?"))
    await api.events(report("query.started"), report("query.waiting"))
    chunks = await stream(sdk)
    assert (await anext(chunks)).choices[0].delta.content == "May I?"
    await api.events(report("query.resumed", time="2024-01-15T10:31:00Z"))
    await api.chunks("q", said(" Thanks."))
    assert (await anext(chunks)).choices[0].delta.content == " Thanks."
    await api.events(report("query.completed", time="2024-01-15T10:32:00Z"))
    await api.complete("q")
    [end] = await rest(chunks)
    assert end.choices[0].finish_reason == "stop"


async def test_what_was_streamed_before_can_be_left_out(api: Api, sdk: AsyncOpenAI) -> None:
    await api.chunks("q", said("before"))
    chunks = await stream(sdk, extra_body={"from": "now"})
    await api.chunks("q", said("after"))
    await api.complete("q")
    assert text_of(await rest(chunks)) == "after"


async def test_usage_is_said_where_it_is_asked_for(api: Api, sdk: AsyncOpenAI) -> None:
    await api.chunks("q", said("Hello"))
    await api.events(report("llm.request", inputTokens=7, outputTokens=3), report("query.completed"))
    with_usage = await rest(await stream(sdk, stream_options={"include_usage": True}))
    assert with_usage[-1].choices == []
    assert with_usage[-1].usage is not None
    assert (with_usage[-1].usage.prompt_tokens, with_usage[-1].usage.total_tokens) == (7, 10)
    assert all(chunk.usage is None for chunk in await rest(await stream(sdk)))


async def test_a_query_that_streamed_nothing_says_its_answer_at_the_end(api: Api, sdk: AsyncOpenAI) -> None:
    await api.http.post(
        "/messages",
        json={
            "conversation_id": "c",
            "query_id": "q",
            "messages": [{"role": "user", "content": "weather?"}, {"role": "assistant", "content": "72F"}],
        },
    )
    await api.events(report("query.started"), report("query.completed"))
    assert text_of(await rest(await stream(sdk))) == "72F"


async def test_who_cancels_leaves_nothing_behind(api: Api, sdk: AsyncOpenAI) -> None:
    await api.chunks("q", said("Hello"))
    chunks = await stream(sdk)
    await anext(chunks)
    assert api.services.metrics.subscribers._value.get() == 1
    await chunks.close()

    async def is_gone() -> bool:
        return bool(api.services.metrics.subscribers._value.get() == 0)

    await until(is_gone)


async def test_who_waits_for_the_whole_and_goes_away_leaves_nothing_behind(api: Api, sdk: AsyncOpenAI) -> None:
    await api.chunks("q", said("Hello"))
    asking = asyncio.create_task(sdk.chat.completions.create(model="query/q", messages=MESSAGES))

    async def readers(wanted: int) -> bool:
        return bool(api.services.metrics.subscribers._value.get() == wanted)

    await until(lambda: readers(1))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: readers(0))


# -- the whole ---------------------------------------------------------------------------------------------------------


async def test_without_stream_the_whole_comes_at_the_end(each_api: Api) -> None:
    api = each_api
    await api.chunks("q", said("Hello"))
    await api.events(report("query.started"), report("llm.request", inputTokens=7, outputTokens=3))
    async with sdk_of(api) as sdk:
        asking = asyncio.create_task(sdk.chat.completions.create(model="query/q", messages=MESSAGES))
        await api.chunks("q", said(" world"), END)
        assert not asking.done()
        await api.events(report("query.completed"))
        await api.complete("q")
        found = await asking
    assert (found.object, found.model, found.id) == ("chat.completion", "query/q", "chatcmpl-q")
    assert found.choices[0].message.content == "Hello world"
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (7, 3, 10)


async def test_the_answer_is_what_was_said_last_and_tools_that_it_asks_for(api: Api, sdk: AsyncOpenAI) -> None:
    call = {"index": 0, "id": "call-1", "function": {"name": "search", "arguments": '{"q":'}}
    more = {"index": 0, "function": {"arguments": '"NYC"}'}}
    await api.chunks(
        "q",
        json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}),
        json.dumps({"choices": [{"delta": {"tool_calls": [more]}}]}),
        '{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
    )
    await api.complete("q")
    asked = (await sdk.chat.completions.create(model="query/q", messages=MESSAGES)).choices[0]
    assert (asked.finish_reason, asked.message.content) == ("tool_calls", None)
    assert asked.message.tool_calls is not None
    [tool] = asked.message.tool_calls
    assert tool.to_dict()["function"] == {"name": "search", "arguments": '{"q":"NYC"}'}

    await api.chunks("q", said("72F"), '{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}')
    await api.complete("q")
    answered = (await sdk.chat.completions.create(model="query/q", messages=MESSAGES)).choices[0]
    assert (answered.message.content, answered.finish_reason) == ("72F", "length")
    assert answered.message.tool_calls is None


# -- failures ----------------------------------------------------------------------------------------------------------


async def test_a_query_that_failed_is_an_error(each_api: Api) -> None:
    api = each_api
    await api.chunks("q", said("Hel"))
    await api.events(report("query.started"), report("query.failed", error="the model is on fire"))
    async with sdk_of(api) as sdk:
        chunks = await stream(sdk)
        assert (await anext(chunks)).choices[0].delta.content == "Hel"
        with pytest.raises(openai.APIError, match="the model is on fire"):
            await rest(chunks)
        with pytest.raises(openai.InternalServerError, match="the model is on fire") as caught:
            await sdk.chat.completions.create(model="query/q", messages=MESSAGES)
    assert caught.value.code == "query_failed"


async def test_an_error_in_a_live_stream_ends_it(api: Api, sdk: AsyncOpenAI) -> None:
    await api.chunks("q", said("Hel"))
    chunks = await stream(sdk)
    await anext(chunks)
    await api.chunks("q", '{"error":{"message":"rate limited","type":"x","code":"429"}}')
    with pytest.raises(openai.APIError, match="rate limited"):
        await rest(chunks)


async def test_an_error_that_was_got_over_is_none(api: Api, sdk: AsyncOpenAI) -> None:
    await api.chunks("q", '{"error":{"message":"rate limited"}}', said("Hello"))
    await api.complete("q")
    assert text_of(await rest(await stream(sdk))) == "Hello"


async def test_a_canceled_query_is_an_error_that_says_so(api: Api, sdk: AsyncOpenAI) -> None:
    await api.events(report("query.started"), report("query.canceled"))
    with pytest.raises(openai.InternalServerError) as caught:
        await sdk.chat.completions.create(model="query/q", messages=MESSAGES)
    assert caught.value.code == "query_canceled"


@pytest.mark.parametrize("model", ["gpt-4o", "query/unknown", "query/", "unknown", "query/" + "x" * 300])
async def test_what_is_no_query_is_a_model_that_does_not_exist(api: Api, sdk: AsyncOpenAI, model: str) -> None:
    for streamed in (True, False):
        with pytest.raises(openai.NotFoundError) as caught:
            await sdk.chat.completions.create(model=model, messages=MESSAGES, stream=streamed)
        error = caught.value
        assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
        assert isinstance(error.body, dict)
        assert {"message", "type", "param", "code"} <= error.body.keys()


async def test_a_name_of_several_queries_takes_a_word_more(api: Api, sdk: AsyncOpenAI) -> None:
    for session, namespace in (("s1", "a"), ("s2", "b")):
        told = report("query.completed", sessionId=session, namespace=namespace, queryUid=f"uid of {session}")
        await api.events(told, told | {"type": "llm.request", "outputTokens": len(namespace)})
    with pytest.raises(openai.ConflictError) as caught:
        await stream(sdk)
    assert isinstance(caught.value.body, dict)
    assert [each["session"] for each in caught.value.body["candidates"]] == ["s1", "s2"]
    for more in (
        {"extra_body": {"session": "s2"}},
        {"extra_body": {"namespace": "b"}},
        {"metadata": {"session": "s2"}},
    ):
        found = await sdk.chat.completions.create(model="query/q", messages=MESSAGES, **more)  # type: ignore[call-overload]
        assert found.choices[0].finish_reason == "stop"
    by_uid = await sdk.chat.completions.create(model="query/uid of s1", messages=MESSAGES)
    assert by_uid.model == "query/q"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"not json", "body"),
        (b"[]", "body"),
        (b"{}", "model"),
        (b'{"model":7}', "model"),
        (b'{"model":"query/q","stream":"yes"}', "stream"),
        (b'{"model":"query/q","session":7}', "session"),
        (b'{"model":"query/q","namespace":"a\\u0000"}', "namespace"),
        (b'{"model":"query/q","from":"there"}', "from"),
    ],
)
async def test_what_cannot_be_read_is_refused_as_openai_would(api: Api, body: bytes, param: str) -> None:
    answer = await api.http.post("/v1/chat/completions", content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert error["message"]


async def test_a_body_has_a_limit(start_api: Any) -> None:
    async with start_api(max_body_bytes=65_536) as api:
        answer = await api.http.post("/v1/chat/completions", json={"model": "query/q", "messages": ["x" * 70_000]})
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "invalid_request_error")


# -- models ------------------------------------------------------------------------------------------------------------


async def test_recent_queries_are_listed_as_models(each_api: Api) -> None:
    api = each_api
    await api.events(report("query.started", namespace="a"), report("query.started", query="a/b", sessionId="later"))
    async with sdk_of(api) as sdk:
        models = {model.id: model async for model in sdk.models.list()}
        assert models.keys() == {"query/q", "query/a/b"}
        assert (models["query/q"].owned_by, models["query/q"].object) == ("a", "model")
        assert models["query/q"].created == 1_705_314_600
        for name in models:
            assert (await sdk.models.retrieve(name)).id == name
        with pytest.raises(openai.NotFoundError):
            await sdk.models.retrieve("gpt-4o")


async def test_a_client_of_another_thread_is_served_too(api: Api) -> None:
    """The SDK without asyncio."""
    await api.chunks("q", said("Hello"))
    await api.complete("q")

    def read() -> str:
        with openai.OpenAI(base_url=f"{api.http.base_url}/v1", api_key="none", timeout=PATIENCE) as sdk:
            chunks = sdk.chat.completions.create(model="query/q", messages=MESSAGES, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    assert await asyncio.to_thread(read) == "Hello"
