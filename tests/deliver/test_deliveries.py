"""Deliveries to receivers that really listen: everything arrives, once, whatever goes away in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import delete, update
from starlette.responses import Response

from ark_broker.deliver import deliveries as deliveries_module
from ark_broker.deliver.deliveries import Deliveries, DeliveryStatus
from ark_broker.deliver.otlp_batch import FORWARDED_BY
from ark_broker.deliver.upstreams import Upstream, parse_upstreams
from ark_broker.log.listen import Listener
from ark_broker.log.scope import WHOLE_LOG
from ark_broker.log.tables import events, log_head
from ark_broker.receive.otlp import decode_traces
from tests.deliver.conftest import Process
from tests.support.events import NOON
from tests.support.otlp import SECOND, attribute
from tests.support.receivers import Received, Receiver, fine, listening
from tests.support.waiting import until

UP = "otlp:up"


def upstream(receiver: Receiver, **fields: Any) -> Upstream:
    return Upstream(**({"name": "up", "url": f"{receiver.url}/v1/traces", "timeout_seconds": 20.0} | fields))


def status(deliveries: Deliveries, name: str = UP) -> DeliveryStatus:
    return next(found for found in deliveries.status() if found.name == name)


async def until_status(
    deliveries: Deliveries, check: Callable[[DeliveryStatus], object], name: str = UP
) -> DeliveryStatus:
    async def checked() -> bool:
        return bool(check(status(deliveries, name)))

    await until(checked, what=f"not with {status(deliveries, name)}")
    return status(deliveries, name)


async def caught_up(deliveries: Deliveries, name: str = UP) -> DeliveryStatus:
    return await until_status(deliveries, lambda found: found.here and found.lag == 0, name)


def refusing(*names: str, status_code: int = 400) -> Callable[[Received], Response]:
    """Answers so to requests in which such a span is."""

    def answer(received: Received) -> Response:
        bad = {span.name for span in received.spans} & set(names)
        return Response("a bad span", status_code=status_code, media_type="text/plain") if bad else fine(received)

    return answer


def rich_request() -> ExportTraceServiceRequest:
    """Two resources, three scopes, and a span with everything that OTLP has."""
    request = ExportTraceServiceRequest()
    for number in (1, 2):
        group = request.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.27.0")
        group.resource.attributes.append(attribute("service.name", f"service-{number}"))
        group.resource.dropped_attributes_count = number
        for version in range(number):
            part = group.scope_spans.add(schema_url="https://example.com/scope")
            part.scope.name, part.scope.version = "library", str(version)
            span = part.spans.add(
                trace_id=bytes([number]) * 16,
                span_id=bytes([number, version, 7]) + b"\x01" * 5,
                parent_span_id=b"\x02" * 8,
                trace_state="a=1",
                flags=0x101,
                name=f"span {number}.{version} ü",
                kind=3,
                start_time_unix_nano=NOON + 123_456_789,
                end_time_unix_nano=NOON + SECOND + 1,
                dropped_attributes_count=1,
                dropped_events_count=2,
                dropped_links_count=3,
            )
            plain = {"s": "text", "b": True, "i": -(2**63), "f": 0.1, "z": -0.0, "y": b"\x00\xff", "n": None}
            span.attributes.extend(attribute(key, value) for key, value in plain.items())
            array = span.attributes.add(key="array").value.array_value
            array.values.add(string_value="x")
            array.values.add().kvlist_value.values.append(attribute("k", 1))
            event = span.events.add(name="event", time_unix_nano=NOON + 5, dropped_attributes_count=4)
            event.attributes.append(attribute("e", 1))
            link = span.links.add(trace_id=b"\x05" * 16, span_id=b"\x06" * 8, trace_state="l=1", flags=1)
            link.attributes.append(attribute("l", "x"))
            span.status.code, span.status.message = 2, "no"
    return request


def pieces(request: ExportTraceServiceRequest) -> list[tuple[Any, Any, Any]]:
    """Each span with its scope and its resource: as protobuf, so that everything counts."""
    found = []
    for group in request.resource_spans:
        resource = (group.resource, group.schema_url)
        found += [(resource, (part.scope, part.schema_url), span) for part in group.scope_spans for span in part.spans]
    return found


async def test_a_span_that_was_posted_appears_equal_in_the_receiver(process: Process, receiver: Receiver) -> None:
    await process.deliveries(upstreams=[upstream(receiver)])
    sent = rich_request()

    await process.writer.append(decode_traces(sent.SerializeToString(), "protobuf").events)
    await receiver.until_named(*(span.name for _, _, span in pieces(sent)))

    assert [piece for received in receiver.taken for piece in pieces(received.traces)] == pieces(sent)
    assert receiver.taken[0].headers["content-encoding"] == "gzip"
    assert receiver.taken[0].headers["content-type"] == "application/x-protobuf"


async def test_an_outage_with_a_restart_in_between_loses_nothing_and_doubles_nothing(
    process: Process, away: Receiver
) -> None:
    before = await process.deliveries(upstreams=[upstream(away)])
    await process.spans("first", "second")
    await until_status(before, lambda found: found.state.failures >= 1)
    await before.close()
    await process.spans("while nobody delivers")

    after = await process.deliveries(upstreams=[upstream(away)])
    await process.spans("third")
    await until_status(after, lambda found: found.state.failures >= 2)
    async with listening(away):
        await away.until_named("first", "second", "while nobody delivers", "third")
        await process.spans("last")
        await away.until_named("last")
        found = await caught_up(after)

    assert set(away.names.values()) == {1}
    assert (found.state.delivered, found.state.failures, found.state.paused_until) == (5, 0, None)
    assert found.state.last_error


async def test_a_clean_restart_sends_nothing_again(process: Process, receiver: Receiver) -> None:
    for number in range(3):
        deliveries = await process.deliveries(upstreams=[upstream(receiver)])
        await process.spans(f"span {number}")
        await receiver.until_named(f"span {number}")
        await deliveries.close()

    assert set(receiver.names.values()) == {1}


async def test_a_busy_receiver_is_asked_again_when_it_says(sqlite_process: Process, receiver: Receiver) -> None:
    answers = iter([Response(status_code=429, headers={"Retry-After": "1"}), Response(status_code=503)])
    looked = asyncio.Event()

    async def answer(received: Received) -> Response:
        if len(receiver.received) > 1:
            await looked.wait()
        return next(answers, None) or fine(received)

    receiver.answer = answer
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver)])
    await sqlite_process.spans("a")

    first = await until_status(deliveries, lambda found: found.state.failures == 1)
    looked.set()
    await receiver.until_named("a")

    assert first.state.paused_until is not None
    assert first.state.last_error_at is not None
    assert first.state.paused_until - first.state.last_error_at == SECOND
    assert first.state.last_error == "HTTP 429"
    assert (await caught_up(deliveries)).state.failures == 0
    assert len(receiver.received) == 3


async def test_a_bad_span_becomes_a_dead_letter_and_its_neighbours_arrive(process: Process, receiver: Receiver) -> None:
    receiver.answer = refusing("bad")
    deliveries = await process.deliveries(upstreams=[upstream(receiver)])

    await process.spans("a", "b", "bad", "c", "d")
    await receiver.until_named("a", "b", "c", "d")
    found = await caught_up(deliveries)

    assert set(receiver.names.values()) == {1}
    assert (found.state.delivered, found.state.dead) == (4, 1)
    [letter] = await deliveries.dead_letters(UP, after=0, limit=10)
    assert orjson.loads(letter.event.body)["span"]["name"] == "bad"
    assert letter.reason == "HTTP 400: a bad span"


async def test_a_request_that_is_too_large_is_halved(sqlite_process: Process, receiver: Receiver) -> None:
    receiver.answer = lambda received: Response(status_code=413) if len(received.spans) > 2 else fine(received)
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver)])

    await sqlite_process.spans(*"abcdefgh")
    await receiver.until_named(*"abcdefgh")

    assert set(receiver.names.values()) == {1}
    assert (await caught_up(deliveries)).state.dead == 0


async def test_what_a_partial_success_leaves_out_is_counted_and_not_sent_again(
    sqlite_process: Process, receiver: Receiver
) -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans, partial.partial_success.error_message = 1, "too old"
    receiver.answer = lambda _received: Response(partial.SerializeToString(), media_type="application/x-protobuf")
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver)])

    await sqlite_process.spans("a", "b")
    found = await until_status(deliveries, lambda found: found.here and found.lag == 0 and found.state.rejected)

    assert (found.state.delivered, found.state.rejected, found.state.last_error) == (1, 1, "too old")
    assert len(receiver.received) == 1


async def test_dead_letters_are_sent_again_on_demand(process: Process, receiver: Receiver) -> None:
    receiver.answer = refusing("bad", "worse")
    deliveries = await process.deliveries(upstreams=[upstream(receiver)])
    await process.spans("bad", "worse", "good")
    await receiver.until_named("good")
    await until_status(deliveries, lambda found: found.state.dead == 2)
    bad, worse = await deliveries.dead_letters(UP, after=0, limit=10)
    assert await deliveries.dead_letters(UP, after=bad.seq, limit=10) == [worse]

    receiver.answer = refusing("worse")
    some = await deliveries.resend(UP, [bad.seq])
    rest = await deliveries.resend(UP, None)

    assert (some.delivered, some.dead, some.remaining) == (1, 0, 0)
    assert (rest.delivered, rest.dead, rest.remaining) == (0, 1, 0)
    assert [letter.seq for letter in await deliveries.dead_letters(UP, after=0, limit=10)] == [worse.seq]
    assert receiver.names == {"good": 1, "bad": 1}


async def test_people_who_send_again_do_not_wait_for_the_pause_of_the_delivery(
    sqlite_process: Process, receiver: Receiver
) -> None:
    receiver.answer = refusing("bad")
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver)])
    await sqlite_process.spans("bad")
    await until_status(deliveries, lambda found: found.state.dead == 1)
    receiver.answer = lambda _received: Response(status_code=429, headers={"Retry-After": "3000"})
    await sqlite_process.spans("waits")
    await until_status(deliveries, lambda found: found.state.failures == 1)
    await deliveries.close()

    receiver.answer = fine
    again = await sqlite_process.deliveries(upstreams=[upstream(receiver)])
    await until_status(again, lambda found: found.here)
    found = await again.resend(UP, None)

    assert (found.delivered, found.dead, found.remaining) == (1, 0, 0)
    assert receiver.names == {"bad": 1}
    assert status(again).state.failures == 1


async def test_dead_letters_stay_while_the_receiver_is_away(sqlite_process: Process, away: Receiver) -> None:
    away.answer = refusing("bad")
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(away)])
    async with listening(away):
        await sqlite_process.spans("bad")
        await until_status(deliveries, lambda found: found.state.dead == 1)

    found = await deliveries.resend(UP, None)

    assert (found.delivered, found.dead, found.remaining) == (0, 0, 1)
    assert found.message
    assert len(await deliveries.dead_letters(UP, after=0, limit=10)) == 1


async def test_filters_let_the_position_pass_what_they_leave_out(sqlite_process: Process, receiver: Receiver) -> None:
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver, namespaces=frozenset({"prod"}))])

    await sqlite_process.spans("other", attributes={"session.id": "s", "service.namespace": "test"})
    await sqlite_process.spans("mine", attributes={"session.id": "s", "k8s.namespace.name": "prod"})
    stored = (await sqlite_process.reader.page(WHOLE_LOG, 0, 10)).events
    wanted = [orjson.loads(event.body)["span"]["name"] for event in stored if event.namespace == "prod"]
    await receiver.until_named(*wanted)
    await caught_up(deliveries)

    assert wanted == ["mine"]
    assert sorted(receiver.names) == wanted


async def test_a_new_upstream_begins_with_what_comes_or_with_the_oldest(
    sqlite_process: Process, receiver: Receiver
) -> None:
    await sqlite_process.spans("old")
    both = parse_upstreams(f"{receiver.url}/v1/traces?name=up {receiver.url}/all?name=all&from=start")
    deliveries = await sqlite_process.deliveries(upstreams=both)

    await sqlite_process.spans("new")
    await receiver.until_taken(2)
    await caught_up(deliveries)
    await caught_up(deliveries, "otlp:all")

    by_path: dict[str, list[str]] = {}
    for received in receiver.taken:
        by_path.setdefault(received.path, []).extend(span.name for span in received.spans)
    assert by_path == {"/v1/traces": ["new"], "/all": ["old", "new"]}


async def test_one_receiver_that_is_away_does_not_hold_up_another(
    sqlite_process: Process, receiver: Receiver, away: Receiver
) -> None:
    deliveries = await sqlite_process.deliveries(
        upstreams=[upstream(receiver), upstream(away, name="away", url=f"{away.url}/v1/traces")]
    )

    await sqlite_process.spans("a")
    await receiver.until_named("a")
    lost = await until_status(deliveries, lambda found: found.state.failures >= 1, "otlp:away")

    assert lost.lag >= 1
    assert (await caught_up(deliveries)).state.failures == 0


async def test_spans_that_have_been_here_are_not_sent_round_again(sqlite_process: Process, receiver: Receiver) -> None:
    log_id = (await sqlite_process.reader.head()).log_id
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver, mark=True)])
    returned = ExportTraceServiceRequest()
    group = returned.resource_spans.add()
    group.resource.attributes.append(attribute(FORWARDED_BY, log_id))
    group.scope_spans.add().spans.add(trace_id=b"r" * 16, span_id=b"r" * 8, name="returned")

    await sqlite_process.writer.append(decode_traces(returned.SerializeToString(), "protobuf").events)
    await sqlite_process.spans("new")
    await receiver.until_named("new")
    await caught_up(deliveries)

    assert receiver.names == {"new": 1}


async def test_retention_that_was_faster_is_noted_and_counted(process: Process, away: Receiver) -> None:
    before = await process.deliveries(upstreams=[upstream(away)])
    await process.spans("removed", "also removed", "kept")
    await before.close()
    first = (await process.reader.page(WHOLE_LOG, 0, 3)).events[0]
    async with process.database.writer.begin() as connection:
        await connection.execute(delete(events).where(events.c.seq <= first.seq + 1))
        await connection.execute(update(log_head).values(floor=first.seq + 1))

    async with listening(away):
        after = await process.deliveries(upstreams=[upstream(away)])
        await away.until_named("kept")
        found = await caught_up(after)

    assert (found.state.gaps, found.state.missed, found.state.noted_floor) == (1, first.seq + 1, first.seq + 1)
    assert away.names == {"kept": 1}


async def test_two_replicas_never_send_twice(two_processes: tuple[Process, Process], receiver: Receiver) -> None:
    names = [f"span {number}" for number in range(40)]
    running = []
    for process in two_processes:
        listener = Listener(process.database, process.reader, process.tail.heard, poll_seconds=0.2)
        listener.start()
        process.stack.push_async_callback(listener.close)
        running.append(await process.deliveries(upstreams=[upstream(receiver)]))

    async def write(process: Process, mine: list[str]) -> None:
        for name in mine:
            await process.spans(name)

    await asyncio.gather(*(write(process, names[number::2]) for number, process in enumerate(two_processes)))
    await receiver.until_named(*names)

    assert set(receiver.names.values()) == {1}
    assert sorted(status(deliveries).here for deliveries in running) == [False, True]
    for deliveries in running:
        await deliveries.look()
    assert [found.free for deliveries in running for found in deliveries.status()] == [False, False]


async def test_another_replica_takes_over_when_one_ends(
    two_processes: tuple[Process, Process], receiver: Receiver
) -> None:
    one, other = two_processes
    first = await one.deliveries(upstreams=[upstream(receiver)])
    await until_status(first, lambda found: found.here)
    second = await other.deliveries(upstreams=[upstream(receiver)])
    await one.spans("a")
    await receiver.until_named("a")

    await first.close()
    await other.spans("b")
    await receiver.until_named("b")

    assert status(second).here
    assert receiver.names == {"a": 1, "b": 1}


async def test_another_replica_takes_over_when_one_dies(
    two_processes: tuple[Process, Process], receiver: Receiver
) -> None:
    one, other = two_processes
    first = await one.deliveries(upstreams=[upstream(receiver)])
    await until_status(first, lambda found: found.here)
    second = await other.deliveries(upstreams=[upstream(receiver)])
    await one.spans("a")
    await receiver.until_named("a")
    await caught_up(first)
    # The end of the process: nothing is given back, and the lease runs out.
    first._store.release = _nothing  # type: ignore[method-assign]
    await first.close()
    await one.expire_leases()

    await other.spans("b")
    await receiver.until_named("b")

    assert status(second).here
    assert receiver.names == {"a": 1, "b": 1}


async def _nothing(*_arguments: object) -> None:
    return None


async def test_a_receiver_that_does_not_answer_does_not_hold_up_the_end(
    sqlite_process: Process, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries_module, "_FINISH_SECONDS", 0.2)
    released = asyncio.Event()
    receiver.answer = _after(released)
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver, timeout_seconds=600.0)])
    await sqlite_process.spans("a")
    await receiver.until_received(1)

    async with asyncio.timeout(60):
        await deliveries.close()
    released.set()

    again = await sqlite_process.deliveries(upstreams=[upstream(receiver)])
    await caught_up(again)
    assert "a" in receiver.names


def _after(event: asyncio.Event) -> Callable[[Received], Awaitable[Response]]:
    async def answer(_received: Received) -> Response:
        await event.wait()
        return Response()

    return answer


async def test_a_batch_that_is_being_sent_is_finished_before_the_end(
    sqlite_process: Process, receiver: Receiver
) -> None:
    released = asyncio.Event()
    receiver.answer = _after(released)
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver)])
    await sqlite_process.spans("a")
    await receiver.until_received(1)
    closing = asyncio.create_task(deliveries.close())
    await asyncio.sleep(0)
    released.set()
    await closing

    again = await sqlite_process.deliveries(upstreams=[upstream(receiver)])
    await caught_up(again)
    assert receiver.names == {"a": 1}


async def test_metrics_tell_lag_and_what_came_of_events(sqlite_process: Process, receiver: Receiver) -> None:
    registry = CollectorRegistry()
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver)], registry=registry)
    await sqlite_process.spans("a", "b")
    await receiver.until_named("a", "b")
    await caught_up(deliveries)

    lines = generate_latest(registry).decode().splitlines()

    assert f'ark_broker_delivery_lag{{delivery="{UP}"}} 0.0' in lines
    assert f'ark_broker_delivery_failing{{delivery="{UP}"}} 0.0' in lines
    assert f'ark_broker_delivery_events_total{{delivery="{UP}",outcome="delivered"}} 2.0' in lines
    assert f'ark_broker_delivery_failures_total{{delivery="{UP}"}} 0.0' in lines
