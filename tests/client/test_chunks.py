"""`stream_chunks`: what a producer sends is in the log once, whole, in order, and complete."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ark_broker.client import AsyncClient, Client, Refused, Unreachable
from ark_broker.client.chunks import ChunkFormat
from tests.support.process import free_port


def text_of(chunks: list[dict[str, Any]]) -> str:
    """The text of OpenAI chunks."""
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", []))


async def followed(client: AsyncClient, query: str) -> list[dict[str, Any]]:
    """Chunks of the query, to its end."""
    async with asyncio.timeout(20):
        return [chunk async for chunk in client.tail_query(query, events=False)]


async def break_off(client: AsyncClient, query: str) -> None:
    """A producer that fails in the middle."""
    async with client.stream_chunks(query) as chunks:
        await chunks.send("Let me")
        raise LookupError("no such tool")


async def test_text_becomes_openai_chunks_that_end_with_a_finish_reason(client: AsyncClient, name: str) -> None:
    async with client.stream_chunks(name, model="gpt-4", session=name, agent="poet") as chunks:
        for word in ("Roses ", "are ", "red."):
            await chunks.send(word)
    found = await followed(client, name)
    assert text_of(found) == "Roses are red."
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert {chunk["model"] for chunk in found} == {"gpt-4"}
    assert len({chunk["id"] for chunk in found}) == 1
    seen = await client.query(name)
    assert seen["session"] == name
    assert seen["agents"] == ["poet"]
    assert seen["events"][0]["complete"] is True


async def test_readers_see_a_chunk_while_the_stream_is_open(client: AsyncClient, name: str) -> None:
    async with client.stream_chunks(name) as chunks, asyncio.timeout(20):
        await chunks.send("now")
        first = await anext(client.tail_query(name, events=False))
    assert text_of([first]) == "now"


async def test_whole_chunks_are_stored_as_they_are(client: AsyncClient, name: str) -> None:
    class Model:
        def model_dump_json(self) -> str:
            return '{"choices":[{"index":0,"delta":{"content":"b"}}],"usage":null}'

    class Plain:
        def to_dict(self) -> dict[str, Any]:
            return {"choices": [{"index": 0, "delta": {"content": "c"}}]}

    mapping = {"id": "x", "choices": [{"index": 0, "delta": {"content": "a ü\u2028"}}], "extra": 1}
    async with client.stream_chunks(name) as chunks:
        for chunk in (mapping, Model(), Plain()):
            await chunks.send(chunk)
    found = await followed(client, name)
    assert found == [mapping, json.loads(Model().model_dump_json()), Plain().to_dict()]


async def test_an_exception_is_told_as_an_error_chunk_and_goes_on(client: AsyncClient, name: str) -> None:
    with pytest.raises(LookupError, match="no such tool"):
        await break_off(client, name)
    found = await followed(client, name)
    assert text_of(found) == "Let me"
    assert found[-1] == {"error": {"message": "no such tool", "type": "LookupError"}}


async def test_a_cancelled_producer_says_so(client: AsyncClient, name: str) -> None:
    sending = asyncio.Event()

    async def produce() -> None:
        async with client.stream_chunks(name) as chunks:
            await chunks.send("Let me")
            sending.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(produce())
    await sending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await followed(client, name))[-1]["error"]["type"] == "CancelledError"


async def test_a_stream_may_be_left_for_another_to_complete(client: AsyncClient, name: str) -> None:
    async with client.stream_chunks(name, complete=False) as chunks:
        await chunks.send({"choices": [{"index": 0, "delta": {"content": "one "}}]})
    async with client.stream_chunks(name) as chunks:
        await chunks.send({"choices": [{"index": 0, "delta": {"content": "two"}}]})
    assert text_of(await followed(client, name)) == "one two"


async def test_a_stream_without_a_chunk_is_completed(client: AsyncClient, name: str) -> None:
    async with client.stream_chunks(name):
        pass
    assert await followed(client, name) == []


async def test_many_chunks_are_stored_in_order(client: AsyncClient, name: str) -> None:
    expected = [f"{number} " for number in range(5_000)]
    async with client.stream_chunks(name) as chunks:
        for word in expected:
            await chunks.send(word)
    assert text_of(await followed(client, name)) == "".join(expected)


def test_a_program_without_asyncio_streams_alike(sync_client: Client, name: str) -> None:
    with sync_client.stream_chunks(name, session=name) as chunks:
        for word in ("Roses ", "are ", "red."):
            chunks.send(word)
    assert text_of(list(sync_client.tail_query(name, events=False))) == "Roses are red."
    with pytest.raises(LookupError), sync_client.stream_chunks(f"{name}-2") as chunks:
        raise LookupError("no such tool")
    [error] = sync_client.tail_query(f"{name}-2", events=False)
    assert error["error"]["type"] == "LookupError"


async def test_what_the_broker_refuses_is_raised_at_once(client: AsyncClient, sync_client: Client, name: str) -> None:
    too_long = "x" * (11 * 1024 * 1024)
    with pytest.raises(Refused) as refused:
        async with client.stream_chunks(name) as chunks:
            await chunks.send(too_long)
    assert refused.value.status == 413
    with pytest.raises(Refused) as refused, sync_client.stream_chunks(name) as sync_chunks:
        sync_chunks.send(too_long)
    assert refused.value.status == 413


async def test_a_line_that_the_broker_rejects_is_an_error(client: AsyncClient, name: str) -> None:
    with pytest.raises(Refused, match="line 1"):
        async with client.stream_chunks(name) as chunks:
            await chunks.send("\ud800")


async def test_a_broker_that_stays_away_ends_the_stream_in_the_end() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable):
        async with AsyncClient(url, retry_seconds=0.3) as client, client.stream_chunks("q") as chunks:
            await chunks.send("lost")
    with pytest.raises(Unreachable), Client(url, retry_seconds=0.3) as sync_client:  # noqa: SIM117
        with sync_client.stream_chunks("q") as sync_chunks:
            sync_chunks.send("lost")


async def test_the_error_of_the_block_is_raised_also_where_the_broker_is_away() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with AsyncClient(url, retry_seconds=0.1) as client:
        with pytest.raises(LookupError) as raised:
            await break_off(client, "q")
    assert "could not be ended" in "".join(raised.value.__notes__)
    with pytest.raises(LookupError), Client(url, retry_seconds=0.1) as sync_client:  # noqa: SIM117
        with sync_client.stream_chunks("q"):
            raise LookupError("mine")


def test_what_is_no_chunk_is_refused_before_it_is_sent() -> None:
    chunk_format = ChunkFormat(None, None, None)
    for wrong in (3, object(), {"x": float("nan")}):
        with pytest.raises((TypeError, ValueError)):
            chunk_format.line(wrong)  # type: ignore[arg-type]
