"""A broker that dies under its clients, and comes back: nothing is missing, and nothing twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ark_broker.client import AsyncClient, Client, GapError
from ark_broker.client.types import StreamHello
from tests.support.process import Broker, StartBroker, free_port
from tests.support.waiting import until, wait_until

Stop = Callable[[Broker], object]

#: By force in the middle of whatever it does, and as Kubernetes does it.
_STOPS = pytest.mark.parametrize("stop", [Broker.kill, Broker.terminate], ids=["killed", "told to stop"])


@pytest.fixture
def mortal(start_broker: StartBroker, sqlite_url: str) -> Broker:
    """A broker of the test's own."""
    return start_broker(sqlite_url, shutdown_seconds=1)


async def restart(broker: Broker, stop: Stop) -> None:
    """Stop the broker, and start it again where it was."""
    await asyncio.to_thread(stop, broker)
    await asyncio.to_thread(broker.start)


def numbered(session: str, number: int) -> dict[str, Any]:
    """An event that says which one it is."""
    return {"type": "step.done", "sessionId": session, "number": number}


def text_of(chunks: list[dict[str, Any]]) -> str:
    """The text of OpenAI chunks."""
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", []))


@_STOPS
async def test_who_follows_a_session_gets_each_event_once_and_in_order(mortal: Broker, stop: Stop) -> None:
    count, seen = 150, []
    half = asyncio.Event()

    async def read(client: AsyncClient) -> None:
        async for event in client.tail("s"):
            seen.append(event["body"]["number"])
            if len(seen) == count:
                return

    async def write(client: AsyncClient) -> None:
        for number in range(count):
            await client.send(numbered("s", number))
            if number == count // 3:
                half.set()

    async with AsyncClient(mortal.url) as client, asyncio.timeout(100), asyncio.TaskGroup() as tasks:
        tasks.create_task(read(client))
        tasks.create_task(write(client))
        await half.wait()
        await restart(mortal, stop)
    assert seen == list(range(count))


@_STOPS
async def test_a_stream_of_chunks_is_whole_and_complete(mortal: Broker, stop: Stop) -> None:
    words = [f"{number} " for number in range(250)]
    found: list[dict[str, Any]] = []
    read_some = asyncio.Event()

    async def read(client: AsyncClient) -> None:
        async for chunk in client.tail_query("q", events=False):
            found.append(chunk)
            if len(found) == 50:
                read_some.set()

    async def write(client: AsyncClient) -> None:
        async with client.stream_chunks("q", session="s") as chunks:
            for number, word in enumerate(words):
                await chunks.send(word)
                if number == 100:
                    await restarted.wait()

    restarted = asyncio.Event()
    async with AsyncClient(mortal.url) as client, asyncio.timeout(100), asyncio.TaskGroup() as tasks:
        tasks.create_task(read(client))
        tasks.create_task(write(client))
        await read_some.wait()
        await restart(mortal, stop)
        restarted.set()
    assert text_of(found) == "".join(words)
    async with AsyncClient(mortal.url) as client:
        query = await client.query("q")
        assert query["counts"]["chunks"] == len(words) + 1
        assert query["events"][0]["complete"] is True


@_STOPS
def test_a_program_without_asyncio_survives_alike(mortal: Broker, stop: Stop) -> None:
    words = [f"{number} " for number in range(200)]
    seen: list[dict[str, Any]] = []

    def read() -> None:
        with Client(mortal.url) as client:
            seen.extend(client.tail_query("q", events=False))

    reader = threading.Thread(target=read)
    with Client(mortal.url) as client, client.stream_chunks("q", session="s") as chunks:
        reader.start()
        for word in words[:100]:
            chunks.send(word)
        wait_until(lambda: chunk_count(mortal.url) >= 50)
        stop(mortal)
        for word in words[100:]:
            chunks.send(word)
        mortal.start()
    reader.join(30)
    assert text_of(seen) == "".join(words)


def chunk_count(url: str) -> int:
    """Chunks that the broker has stored of the one session."""
    with Client(url) as client:
        return sum(session["counts"]["chunks"] for session in client.sessions())


async def test_a_chunk_that_fell_into_a_dead_connection_arrives_without_another(mortal: Broker) -> None:
    """The first write after the other side has gone succeeds, for all the sender knows."""
    async with AsyncClient(mortal.url) as client, asyncio.timeout(100), client.stream_chunks("q") as chunks:
        await chunks.send("one ")
        await restart(mortal, Broker.kill)
        await chunks.send("two")
        reader = client.tail_query("q", events=False)
        assert text_of([await anext(reader), await anext(reader)]) == "one two"
        await reader.aclose()


@_STOPS
async def test_who_asks_gets_the_answer_that_was_given_after_a_restart(mortal: Broker, stop: Stop) -> None:
    async with AsyncClient(mortal.url) as client, asyncio.timeout(100):
        asking = asyncio.create_task(client.ask("Deploy?", session="s", options=["yes", "no"]))
        await until(lambda: open_question(client))
        await restart(mortal, stop)
        question = await open_question(client)
        assert question is not None
        await client.answer(question, "yes", by="ops")
        answered = await asking
    assert (answered["state"], answered["answer"], answered["answeredBy"]) == ("answered", "yes", "ops")


async def open_question(client: AsyncClient) -> str | None:
    """Id of the question that waits."""
    return next(iter([question["id"] async for question in client.questions(state="open")]), None)


async def test_a_question_is_asked_once_where_the_broker_comes_late(start_broker: StartBroker, sqlite_url: str) -> None:
    port = free_port()
    async with AsyncClient(f"http://127.0.0.1:{port}") as client, asyncio.timeout(100):
        asking = asyncio.create_task(client.ask("Deploy?", wait=0))
        await asyncio.to_thread(start_broker, sqlite_url, port=port)
        asked = await asking
        assert [question["id"] async for question in client.questions()] == [asked["id"]]


async def test_another_database_behind_the_same_url_is_a_gap(
    start_broker: StartBroker, sqlite_url: str, tmp_path: Any
) -> None:
    port = free_port()
    first = await asyncio.to_thread(start_broker, sqlite_url, port=port)
    hellos: list[StreamHello] = []
    async with AsyncClient(first.url) as client, asyncio.timeout(100):
        for number in range(3):
            await client.send(numbered("s", number))
        honest, told = client.tail("s"), client.tail("s", on_gap=hellos.append)
        for reader in (honest, told):
            assert [(await anext(reader))["body"]["number"] for _ in range(3)] == [0, 1, 2]
        await asyncio.to_thread(first.kill)
        await asyncio.to_thread(start_broker, f"sqlite:///{tmp_path}/other.db", port=port)
        await client.send(numbered("s", 7))
        assert (await anext(told))["body"]["number"] == 7
        with pytest.raises(GapError, match="other-log"):
            await anext(honest)
        await told.aclose()
    assert [hello.get("reason") for hello in hellos] == ["other-log"]


def test_a_reader_without_asyncio_comes_back(mortal: Broker) -> None:
    with Client(mortal.url) as client:
        client.send(numbered("s", 0))
        reader: Iterator[Any] = client.tail("s")
        assert next(reader)["body"]["number"] == 0
        mortal.kill()
        mortal.start()
        client.send(numbered("s", 1))
        assert next(reader)["body"]["number"] == 1
