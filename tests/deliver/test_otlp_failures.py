"""Upstreams that break over a span, or that take too long for many: nothing is lost, and nothing waits for ever."""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.responses import Response

from ark_broker.deliver import otlp_memory
from ark_broker.deliver.otlp_send import Outcome
from ark_broker.deliver.sinks import OtlpSink
from ark_broker.deliver.upstreams import Upstream
from ark_broker.model import Event
from ark_broker.receive.otlp import decode_traces
from tests.deliver.conftest import Process
from tests.deliver.test_deliveries import UP, caught_up, refusing, until_status, upstream
from tests.support.receivers import Received, Receiver, fine

UPSTREAM = Upstream(name="up", url="http://h/v1/traces", timeout_seconds=20)
#: Tries of one sink: more than enough for whatever is to end.
MANY = 60


class Upstreamed:
    """A sink and what stands behind it: `rule` says what it answers to spans of such names, or raises."""

    def __init__(self, rule: Callable[[list[str]], int]) -> None:
        self.rule = rule
        self.requests: list[list[str]] = []
        self.taken: list[str] = []
        self.dead: list[str] = []
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.sink = OtlpSink(self.client, UPSTREAM, "log-1")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        names = names_in(request.content)
        self.requests.append(names)
        status = self.rule(names)
        if status == 200:
            self.taken += names
        return httpx.Response(status)

    async def send(self, given: Sequence[Event]) -> Outcome:
        outcome = await self.sink.send(given)
        counted = outcome.delivered + outcome.rejected + outcome.skipped + len(outcome.dead) + len(outcome.remaining)
        assert counted == len(given)
        # Without a pause, a cursor would send what remains at once, and without end.
        assert bool(outcome.remaining) == (outcome.retry_after is not None)
        assert [event.seq for event in outcome.remaining] == sorted(event.seq for event in outcome.remaining)
        self.dead += [event.type for event, _ in outcome.dead]
        return outcome

    async def send_all(self, given: Sequence[Event], *, tries: int = MANY) -> list[Event]:
        """As a cursor: what remains is tried again. Returns what remains in the end."""
        for _ in range(tries):
            if not given:
                break
            given = (await self.send(given)).remaining
        return list(given)


@pytest.fixture
async def made() -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients to be closed."""
    found: list[httpx.AsyncClient] = []
    yield found
    for client in found:
        await client.aclose()


@pytest.fixture
def behind(made: list[httpx.AsyncClient]) -> Callable[[Callable[[list[str]], int]], Upstreamed]:
    def make(rule: Callable[[list[str]], int]) -> Upstreamed:
        found = Upstreamed(rule)
        made.append(found.client)
        return found

    return make


Behind = Callable[[Callable[[list[str]], int]], Upstreamed]


def names_in(content: bytes) -> list[str]:
    request = ExportTraceServiceRequest.FromString(gzip.decompress(content))
    return [span.name for group in request.resource_spans for part in group.scope_spans for span in part.spans]


def spans(*names: str, start: int = 1) -> list[Event]:
    """A span of each name, as the log has them."""
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add().scope_spans.add()
    for number, name in enumerate(names, start):
        part.spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8), name=name)
    found = decode_traces(request.SerializeToString(), "protobuf").events
    for number, event in enumerate(found, start):
        event.seq = number
    return found


def numbered(count: int, *bad: int) -> list[str]:
    return [f"bad{number}" if number in bad else f"s{number}" for number in range(count)]


def breaking(status: int = 500) -> Callable[[list[str]], int]:
    return lambda names: status if any(name.startswith("bad") for name in names) else 200


# -- it breaks over a span


@pytest.mark.parametrize("status", [500, 501, 505, 599])
async def test_a_span_that_an_upstream_breaks_over_does_not_block_the_others(behind: Behind, status: int) -> None:
    up = behind(breaking(status))
    names = numbered(64, 37)

    assert await up.send_all(spans(*names)) == []

    assert up.dead == ["bad37"]
    assert sorted(up.taken) == sorted(set(names) - {"bad37"})
    # The tries of the whole, the search that begins with it too, and once more to be sure.
    assert len(up.requests) == otlp_memory.TRIES + (1 + 2 * math.log2(64)) + 1


async def test_an_upstream_that_is_only_restarting_gets_everything_as_it_was(behind: Behind) -> None:
    up = behind(lambda _names: 500)
    given = spans(*numbered(8))
    for _ in range(otlp_memory.TRIES - 1):
        outcome = await up.send(given)
        assert (outcome.delivered, outcome.dead, outcome.remaining, outcome.retry_after) == (0, (), tuple(given), 0.0)

    up.rule = lambda _names: 200
    assert await up.send_all(given) == []

    assert up.taken == numbered(8)
    assert up.dead == []


async def test_an_upstream_that_breaks_over_everything_loses_nothing_however_long(behind: Behind) -> None:
    up = behind(lambda _names: 500)
    given = spans(*numbered(8))

    assert await up.send_all(given, tries=200) == given
    assert up.dead == []
    # It is broken already: the search is made now and then, not each time.
    assert len(up.requests) < 200 + (200 / otlp_memory.TRIES) * 2 * 8

    up.rule = lambda _names: 200
    assert await up.send_all(given) == []
    assert (up.taken, up.dead) == (numbered(8), [])


@pytest.mark.parametrize("recovers_after", range(1, 40))
async def test_an_upstream_that_recovers_in_the_middle_of_the_search_loses_nothing(
    behind: Behind, recovers_after: int
) -> None:
    up = behind(lambda _names: 500 if len(up.requests) <= otlp_memory.TRIES + recovers_after else 200)

    assert await up.send_all(spans(*numbered(8))) == []

    assert sorted(up.taken) == numbered(8)
    assert up.dead == []


@pytest.mark.parametrize("breaks_after", range(1, 12))
async def test_an_upstream_that_breaks_in_the_middle_of_the_search_loses_nothing(
    behind: Behind, breaks_after: int
) -> None:
    def rule(names: list[str]) -> int:
        broken = len(up.requests) > otlp_memory.TRIES + breaks_after
        return 500 if broken or len(names) == 8 else 200

    up = behind(rule)
    rest = await up.send_all(spans(*numbered(8)))
    assert up.dead == []

    up.rule = lambda _names: 200
    assert await up.send_all(rest) == []
    assert sorted(up.taken) == numbered(8)


async def test_a_bad_span_that_is_alone_is_given_up_when_another_one_was_taken(behind: Behind) -> None:
    up = behind(breaking())
    alone = spans("bad")
    assert await up.send_all(alone) == alone
    assert up.dead == []

    assert await up.send_all([*alone, *spans("good", start=2)], tries=1) == []

    assert (up.dead, up.taken) == (["bad"], ["good"])


async def test_many_bad_spans_in_a_row_are_found(behind: Behind) -> None:
    up = behind(breaking())
    names = numbered(64, *range(50))

    assert await up.send_all(spans(*names)) == []

    assert sorted(up.dead) == sorted(names[:50])
    assert sorted(up.taken) == sorted(names[50:])


async def test_outages_of_other_kinds_do_not_count_as_tries(behind: Behind) -> None:
    def away(_names: list[str]) -> int:
        raise httpx.ConnectError("refused")

    up = behind(away)
    given = spans("bad", "good")
    for rule in (away, lambda _names: 503, lambda _names: 502, lambda _names: 504):
        up.rule = rule
        assert await up.send_all(given, tries=3 * otlp_memory.TRIES) == given
    up.rule = breaking()
    for _ in range(otlp_memory.TRIES - 1):
        assert (await up.send(given)).remaining == tuple(given)
    assert await up.send_all(given) == []
    assert up.dead == ["bad"]


async def test_a_search_that_is_broken_off_each_time_still_ends(behind: Behind) -> None:
    calls = 0

    def limited(names: list[str]) -> int:
        # A rate limit that lets one request through, and then none.
        nonlocal calls
        calls += 1
        return 429 if calls % 2 == 0 else breaking()(names)

    up = behind(limited)
    names = numbered(32, 13, 14, 31)

    rest = await up.send_all(spans(*names), tries=200)

    assert [event.type for event in rest] == ["bad31"]
    assert sorted(up.dead) == ["bad13", "bad14"]
    assert sorted(up.taken) == sorted(set(names) - {"bad13", "bad14", "bad31"})
    assert await up.send_all([*rest, *spans("s32", start=33)], tries=200) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 24), st.integers(0, 2**32))
async def test_whatever_is_answered_each_span_is_taken_or_bad_or_remains(count: int, seed: int) -> None:
    chance = random.Random(seed)
    bad = {number for number in range(count) if chance.random() < 0.3}

    def rule(names: list[str]) -> int:
        if chance.random() < 0.2:
            return chance.choice((429, 503, 504))
        return breaking()(names)

    up = Upstreamed(rule)
    try:
        names = numbered(count, *bad)
        rest, length = spans(*names), count
        for _ in range(200):
            rest = await up.send_all(rest, tries=20)
            if not rest:
                break
            # The log grows: sooner or later one of these is taken, and shows that the upstream is well.
            length += 1
            rest += spans("good", start=length)
    finally:
        await up.client.aclose()
    assert rest == []
    assert sorted([*up.taken, *up.dead]) == sorted([*names, *["good"] * (length - count)])
    assert sorted(up.dead) == sorted(name for name in names if name.startswith("bad"))


@pytest.mark.parametrize("behind_it", [200, 400])
async def test_a_search_that_an_outage_broke_off_begins_anew_with_what_is_left(behind: Behind, behind_it: int) -> None:
    up = behind(breaking())
    alone, others = spans("bad"), spans("s", start=2)
    # The upstream fails on the first, takes the second, and is away when the first is to be tried once more.
    answers = iter([*[500] * (otlp_memory.TRIES + 2), 200, 503])
    up.rule = lambda _names: next(answers)
    rest = await up.send_all([*alone, *others], tries=otlp_memory.TRIES + 1)
    assert rest == alone

    up.rule = breaking()
    assert await up.send_all(rest) == alone
    up.rule = lambda names: 500 if "bad" in names else behind_it
    given = [*alone, *spans("t", start=3)]
    rest = await up.send_all(given)

    assert (rest, up.dead) == (([], ["bad"]) if behind_it == 200 else (alone, ["t"]))


async def test_a_cursor_gets_past_the_span_that_an_upstream_breaks_over(
    process: Process, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_memory, "TRIES", 2)
    receiver.answer = refusing("bad", status_code=500)
    deliveries = await process.deliveries(upstreams=[upstream(receiver)])

    await process.spans("bad")
    await until_status(deliveries, lambda found: found.state.failures >= 2)
    assert await deliveries.dead_letters(UP, after=0, limit=10) == []
    await process.spans("a", "b")
    await receiver.until_named("a", "b")
    found = await caught_up(deliveries)

    [letter] = await deliveries.dead_letters(UP, after=0, limit=10)
    assert letter.reason == "HTTP 500: a bad span"
    assert (found.state.delivered, found.state.dead, found.state.failures) == (2, 1, 0)
    assert receiver.names == {"a": 1, "b": 1}


# -- it takes too long


def slow_above(most: int) -> Callable[[list[str]], int]:
    def rule(names: list[str]) -> int:
        if len(names) > most:
            raise httpx.ReadTimeout("slow")
        return 200

    return rule


@pytest.mark.parametrize("most", [1, 3, 100])
async def test_a_batch_that_takes_too_long_is_sent_in_smaller_ones(behind: Behind, most: int) -> None:
    up = behind(slow_above(most))
    names = numbered(300)

    assert await up.send_all(spans(*names), tries=400) == []

    assert up.taken == names
    assert up.dead == []


@pytest.mark.parametrize("status", [408, 504])
async def test_a_proxy_that_waits_no_longer_gets_smaller_ones_too(behind: Behind, status: int) -> None:
    up = behind(lambda names: status if len(names) > 3 else 200)

    assert await up.send_all(spans(*numbered(16))) == []

    assert up.taken == numbered(16)


async def test_larger_ones_are_tried_again_and_ever_less_often_where_they_still_take_too_long(behind: Behind) -> None:
    up = behind(slow_above(100))
    count, first = 20_000, 1
    for _ in range(count // 500):
        await up.send_all(spans(*(f"s{number}" for number in range(first, first + 500)), start=first))
        first += 500

    assert len(up.taken) == len(set(up.taken)) == count
    too_slow = [len(names) for names in up.requests if len(names) > 100]
    assert len(too_slow) <= 10


async def test_an_upstream_that_is_quick_again_gets_whole_batches_again(behind: Behind) -> None:
    up = behind(slow_above(0))
    given = spans(*numbered(512))
    assert await up.send_all(given, tries=20) == given
    assert len(up.requests[-1]) == 1
    assert up.dead == []

    up.rule = lambda _names: 200
    assert await up.send_all(given) == []
    assert up.taken == numbered(512)
    up.requests.clear()
    for start in range(1_000, 6_000, 1_000):
        await up.send_all(spans(*numbered(512), start=start))
    assert len(up.requests[-1]) == 512


async def test_a_single_span_that_takes_too_long_is_tried_again_and_never_given_up(behind: Behind) -> None:
    up = behind(slow_above(0))
    given = spans("a")

    assert await up.send_all(given, tries=100) == given

    assert up.dead == []


async def test_a_receiver_that_stores_what_it_answers_too_late_is_not_sent_the_same_for_ever(
    sqlite_process: Process, receiver: Receiver
) -> None:
    def answer(received: Received) -> Response:
        # What a proxy says while the receiver behind it goes on, and stores it all.
        return Response(status_code=504) if len(received.spans) > 2 else fine(received)

    receiver.answer = answer
    deliveries = await sqlite_process.deliveries(upstreams=[upstream(receiver)])

    await sqlite_process.spans(*"abcdefgh")
    await receiver.until_named(*"abcdefgh")

    assert set(receiver.names.values()) == {1}
    assert (await caught_up(deliveries)).state.dead == 0
