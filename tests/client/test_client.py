"""Both clients against a real broker: every method once, and what they have in common."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ark_broker.client import AsyncClient, BrokerError, Client, Refused, Unreachable
from ark_broker.client.surface import CORRELATION_KEYS
from tests.support.otlp import add_span
from tests.support.process import Broker, free_port
from tests.support.waiting import wait_until

#: What is awkward in a path.
ODD_NAMES = ["a/b?c#d é", "..", ".", "%41", "a b+c", "ü😀", "50%"]
TRACE_ID = "5bf92f3577b34da6a3ce929d0e0e4736"


def step(session: str, number: int, **fields: Any) -> dict[str, Any]:
    """An event that says which one it is."""
    return {"type": "step.done", "sessionId": session, "query": f"{session}-q", "number": number, **fields}


def numbers(events: list[Any]) -> list[int]:
    return [event["body"]["number"] for event in events]


def test_both_clients_have_the_same_methods() -> None:
    def methods(client: type) -> dict[str, list[tuple[str, Any, Any]]]:
        return {
            name.removeprefix("a") if name == "aclose" else name: [
                (parameter.name, parameter.kind, parameter.default)
                for parameter in inspect.signature(method).parameters.values()
            ]
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    assert methods(AsyncClient) == methods(Client)


def test_every_key_of_correlation_is_the_brokers(sync_client: Client) -> None:
    [shown] = [
        operation["parameters"]
        for path, operations in sync_client.openapi()["paths"].items()
        if path == "/v1/correlate"
        for operation in operations.values()
    ]
    camel = {"".join([word.capitalize() for word in key.split("_")]) for key in CORRELATION_KEYS}
    assert {parameter["name"][0].upper() + parameter["name"][1:] for parameter in shown} == camel


async def test_what_was_sent_is_read_back(client: AsyncClient, name: str) -> None:
    stored = await client.send(*(step(name, number) for number in range(5)), step(name, 5, type="other.kind"))
    assert (stored["stored"], stored["duplicates"]) == (6, 0)
    assert numbers([event async for event in client.events(name)]) == [0, 1, 2, 3, 4, 5]
    assert numbers([event async for event in client.events(name, types=["other.kind"])]) == [5]
    assert numbers([event async for event in client.events(name, query=f"{name}-q", limit=2)]) == [0, 1]
    first, *_ = [event async for event in client.events(name)]
    assert numbers([event async for event in client.events(name, after=first["seq"], limit=1)]) == [1]
    assert (await client.session(name))["queries"].keys() == {f"{name}-q"}
    query = await client.query(f"{name}-q", session=name)
    assert (query["name"], query["session"]) == (f"{name}-q", name)
    assert (await client.resume(f"{name}-q"))["version"] == 1
    assert (await client.correlate(query=f"{name}-q"))["session"] == name
    assert (await client.conversation(name))["messages"] == []


async def test_lists_page_by_themselves(client: AsyncClient, name: str) -> None:
    await client.send(*(step(f"{name}-{number}", number, agent=name) for number in range(7)))
    await client.send(*(step(name, number) for number in range(2_100)))
    assert len([event async for event in client.events(name)]) == 2_100
    assert numbers([event async for event in client.events(name, limit=1_500)])[-1] == 1_499
    assert len([session async for session in client.sessions(agent=name)]) == 7
    assert len([session async for session in client.sessions(agent=name, limit=3)]) == 3
    assert len([session async for session in client.sessions(search=f"{name}-6")]) == 1
    assert [session async for session in client.sessions(agent=name, until="2001-01-01T00:00:00Z")] == []
    assert [session async for session in client.sessions(limit=0)] == []


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_a_name_may_be_anything(sync_client: Client, name: str, odd: str) -> None:
    session, query = f"{odd}", f"{odd}-{name}"
    sync_client.send({"type": "step.done", "sessionId": session, "query": query, "number": 1})
    assert query in sync_client.session(session)["queries"]
    assert sync_client.query(query)["session"] == session
    with sync_client.stream_chunks(odd) as chunks:
        chunks.send("x")
    assert list(sync_client.tail_query(odd, events=False))


def test_what_is_not_there_is_refused(sync_client: Client, name: str) -> None:
    with pytest.raises(Refused) as refused:
        sync_client.session(name)
    assert (refused.value.status, refused.value.code) == (404, "NOT_FOUND")
    assert refused.value.request_id
    with pytest.raises(Refused) as refused:
        sync_client.send({"type": "x", "traceId": "short"})
    assert (refused.value.status, refused.value.code) == (400, "VALIDATION_ERROR")
    with pytest.raises(TypeError, match="nothing_known"):
        sync_client.correlate(nothing_known="1")
    with pytest.raises(ValueError, match="both"):
        next(sync_client.tail(name, after=1, start="now"))
    with pytest.raises(ValueError, match="session"):
        next(sync_client.events(query="q"))


def test_nobody_there_is_unreachable_at_once() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", retry_seconds=0) as client:
        for call in (client.me, client.health, lambda: client.send({"type": "x"}), lambda: list(client.sessions())):
            with pytest.raises(Unreachable, match="no answer from"):
                call()


def test_who_is_no_broker_is_found_out(sync_client: Client) -> None:
    with Client(f"{sync_client.url}/docs#") as client, pytest.raises(BrokerError):
        client.me()
    assert sync_client.health() == sync_client.readyz() == {"status": "OK"}
    assert "admin" in sync_client.me()["permissions"]


async def test_a_deleted_session_is_gone(client: AsyncClient, name: str) -> None:
    await client.send(step(name, 1))
    await client.delete_session(name)
    with pytest.raises(Refused):
        await client.session(name)


async def test_a_tail_begins_where_it_is_told(client: AsyncClient, name: str) -> None:
    await client.send(step(name, 0), step(name, 1))
    [first, _] = [event async for event in client.events(name)]
    async with asyncio.timeout(30):
        assert numbers([await anext(client.tail(name))]) == [0]
        assert numbers([await anext(client.tail(name, after=first["seq"]))]) == [1]
        async with aclosing(client.tail(types=[f"{name}.late"], start="now")) as tail:
            waiting = asyncio.ensure_future(anext(tail))
            wanted = step(name, 3, type=f"{name}.late")
            while not waiting.done():
                await client.send(step(name, 2), wanted)
                await asyncio.wait([waiting], timeout=0.2)
            assert numbers([waiting.result()]) == [3]


async def test_changes_of_sessions_are_told(client: AsyncClient, name: str) -> None:
    async with asyncio.timeout(30), aclosing(client.tail_sessions(start="start")) as changes:
        await client.send(step(name, 1))
        async for change in changes:
            if change["session"]["id"] == name:
                break
    assert change["session"]["counts"]["events"] == 1


async def test_a_query_is_followed_and_replayed_to_its_end(client: AsyncClient, name: str) -> None:
    await client.send({"type": "query.started", "sessionId": name, "query": name})
    async with client.stream_chunks(name) as chunks:
        await chunks.send("Hello")
    await client.send({"type": "query.completed", "sessionId": name, "query": name})
    async with asyncio.timeout(30):
        live = [chunk async for chunk in client.tail_query(name)]
        again = [chunk async for chunk in client.replay(name, speed="max")]
        events = [event async for event in client.replay_session(name, speed="max", types=["query.started"])]
    assert live == again
    assert live[0]["event"]["type"] == "query.started"
    assert live[-1]["event"]["type"] == "query.completed"
    assert [event["type"] for event in events] == ["query.started"]


async def test_an_export_is_the_file_that_import_takes(client: AsyncClient, name: str) -> None:
    await client.send(step(name, 1), step(name, 2))
    lines = b"".join([part async for part in client.export(name)]).splitlines()
    assert json.loads(lines[0])["events"] == 2
    assert len(lines) == 3
    with pytest.raises(Refused):
        await anext(client.export(f"{name}-nobody"))


async def test_a_question_is_asked_and_answered(client: AsyncClient, name: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asked = await client.ask("How many?", session=name, schema=schema, asked_by="a", context="c", wait=0)
    assert (asked["state"], asked["askedBy"], asked["schema"]) == ("open", "a", schema)
    assert (await client.ask("Still?", session=name, expires_in=600, wait=0.1))["deadline"]
    with pytest.raises(Refused) as refused:
        await client.answer(asked["id"], {"n": "many"})
    assert refused.value.field == "answer.n"
    answered = await client.answer(asked["id"], {"n": 3}, by="ops")
    assert (answered["state"], answered["answer"], answered["answeredBy"]) == ("answered", {"n": 3}, "ops")
    with pytest.raises(Refused) as refused:
        await client.answer(asked["id"], {"n": 4})
    assert refused.value.details["question"]["answer"] == {"n": 3}
    assert (await client.question(asked["id"]))["answer"] == {"n": 3}
    [still] = [question async for question in client.questions(state="open", session=name)]
    canceled = await client.cancel(still["id"], reason="no need", by="ops")
    assert (canceled["state"], canceled["reason"]) == ("canceled", "no need, called off by ops")


def test_who_asks_waits_until_the_question_is_over(sync_client: Client, name: str) -> None:
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(sync_client.ask("Go?", session=name, options=[True, False])))
    asking.start()
    [waiting] = wait_until(lambda: list(sync_client.questions(state="open", session=name)))
    sync_client.answer(waiting["id"], False)
    asking.join(20)
    assert (found[0]["state"], found[0]["answer"]) == ("answered", False)
    late = sync_client.ask("Nobody?", session=name, expires_in=0.2, on_deadline="default", default=None)
    assert (late["state"], late["answer"]) == ("answered", None)


async def test_otlp_is_sent_as_it_is_and_stored_once(client: AsyncClient, name: str) -> None:
    request = ExportTraceServiceRequest()
    add_span(request, trace_id=bytes.fromhex(TRACE_ID), attributes={"session.id": name})
    for _ in range(2):
        await client.send_otlp(request.SerializeToString())
    assert len([event async for event in client.events(name)]) == 1
    assert (await client.trace(TRACE_ID))["events"] == 1
    with pytest.raises(Refused):
        await client.send_otlp(b"nonsense", content_type="text/plain")


def test_token_and_headers_are_shown_with_every_request(monkeypatch: pytest.MonkeyPatch, running: Broker) -> None:
    seen: list[httpx.Headers] = []
    send = httpx.Client.send

    def spy(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        seen.append(request.headers)
        return send(self, request, **options)

    monkeypatch.setattr(httpx.Client, "send", spy)
    with Client(running.url, token="t0ken", headers={"X-Team": "a"}) as client:
        client.send({"type": "note", "sessionId": "token-and-headers"})
        next(client.tail_sessions(start="start"), None)
    assert {(found["authorization"], found["x-team"]) for found in seen} == {("Bearer t0ken", "a")}


def test_waits_are_told_with_what_went_wrong() -> None:
    told: list[float] = []

    def give_up(seconds: float, reason: BrokerError | None) -> None:
        told.append(seconds)
        assert reason is not None
        raise reason

    with (
        Client(f"http://127.0.0.1:{free_port()}", retry_seconds=60, on_pause=give_up) as client,
        pytest.raises(Unreachable),
    ):
        client.send({"type": "x"})
    [seconds] = told
    assert seconds > 0


async def test_what_has_no_method_is_got_by_its_route(client: AsyncClient, name: str) -> None:
    await client.send({"type": "note", "sessionId": name})
    assert (await client.get("sessions", name))["id"] == name
    assert (await client.get("sessions", limit=1))["seq"] == await client.head()
    assert "ark_broker_stored_events_total" in await client.metrics()
