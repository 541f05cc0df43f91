"""`…/replay`: a query or session again, byte for byte and at the pace at which it came."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update

from ark_broker.api.sse import DONE
from ark_broker.api.v1 import replay
from ark_broker.api.v1.frames import event_format
from ark_broker.api.v1.replay import LONGEST_GAP, Pace, Replay, Speed
from ark_broker.log.scope import Scope
from ark_broker.log.tables import events, log_head
from tests.support.api import Api, StartApi, serve
from tests.support.events import NOON, make
from tests.support.sse import listen
from tests.support.stored import query as sql
from tests.support.waiting import until

SECOND = 1_000_000_000


def chunk(number: int) -> str:
    """A chunk whose bytes only survive where nobody encodes them again."""
    return f'{{"choices": [{{"delta":{{"content":"w{number} é"}}}}],"n":1.50,  "b":{number}}}'


def named(session: str = "s1", **fields: Any) -> dict[str, Any]:
    return {"type": "step", "sessionId": session, "query": "q1"} | fields


async def raw(api: Api, path: str, *, events: int = 0, **request: Any) -> bytes:
    """The stream after its greeting, without comments: all of it, or so many frames with an `id:`."""
    found = b""
    async with asyncio.timeout(60), api.http.stream("GET", path, **request) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        async for part in response.aiter_bytes():
            found += part
            if events and found.endswith(b"\n\n") and found.count(b"\nid: ") >= events:
                break
    frames = [each for each in found.split(b"\n\n")[:-1] if not each.startswith(b":")]
    assert b"event: hello" in frames[0]
    return b"".join(each + b"\n\n" for each in frames[1:])


async def a_query_with_chunks(api: Api, count: int) -> None:
    """Chunks in several requests, with events between them, in a session that somebody named."""
    await api.events(named(type="query.started"))
    step = max(1, count // 5)
    for begin in range(0, count, step):
        await api.chunks("q1", *(chunk(number) for number in range(begin, min(begin + step, count))))
        await api.events(named(type="tool.call", tool="search", toolCallId=f"c{begin}"))
    await api.events(named(type="query.completed"))
    await api.complete("q1")


@pytest.mark.parametrize("params", [{}, {"events": "false"}], ids=["all", "chunks"])
async def test_a_finished_query_is_replayed_as_its_live_stream_gave_it(each_api: Api, params: dict[str, str]) -> None:
    await a_query_with_chunks(each_api, 20)

    live = await raw(each_api, "/v1/queries/q1/stream", params=params)
    again = await raw(each_api, "/v1/queries/q1/replay", params={"speed": "max"} | params)

    assert again == live
    assert again.endswith(DONE)
    for number in range(20):
        assert f"data: {chunk(number)}\n".encode() in again


async def test_a_session_is_replayed_as_its_live_stream_gave_it(each_api: Api) -> None:
    await a_query_with_chunks(each_api, 20)
    stored = (await each_api.get("/v1/sessions/s1/events", limit=1000))["items"]

    live = await raw(each_api, "/v1/sessions/s1/stream", events=len(stored))
    again = await raw(each_api, "/v1/sessions/s1/replay", params={"speed": "max"})

    last = stored[-1]["sessionSeq"]
    assert again == live + b'event: end\ndata: {"last":%d}\n\n' % last
    tools = await raw(each_api, "/v1/sessions/s1/replay", params={"speed": "max", "type": "tool.call"})
    assert tools.count(b"\ndata: ") - 1 == 5


async def test_ten_thousand_chunks_are_the_same_bytes_before_and_after_they_are_packed(database_url: str) -> None:
    count = 10_000
    async with serve(database_url, pack_after_seconds=3600) as api:
        await a_query_with_chunks(api, count)
        live = await raw(api, "/v1/queries/q1/stream")
        query = await raw(api, "/v1/queries/q1/replay", params={"speed": "max"})
        session = await raw(api, "/v1/sessions/s1/replay", params={"speed": "max"})
    assert query == live
    assert query.count(b"\ndata: {") == count + 7
    posted = [chunk(number).encode() for number in range(count)]
    assert [line[6:] for line in query.split(b"\n") if line.startswith(b'data: {"choices')] == posted
    async with serve(database_url, pack_after_seconds=0.05) as api:

        async def is_packed() -> bool:
            return await sql(database_url, "SELECT coalesce(sum(events), 0) FROM packs") == [(count + 1,)]

        await until(is_packed, timeout=90)
        assert await raw(api, "/v1/queries/q1/stream") == live
        assert await raw(api, "/v1/queries/q1/replay", params={"speed": "max"}) == query
        assert await raw(api, "/v1/sessions/s1/replay", params={"speed": "max"}) == session


@pytest.mark.parametrize("path", ["/v1/queries/q1/replay", "/v1/sessions/s1/replay"])
@pytest.mark.parametrize("seed", range(3))
async def test_a_reader_that_is_cut_off_anywhere_gets_the_whole_once(each_api: Api, path: str, seed: int) -> None:
    await a_query_with_chunks(each_api, 60)
    whole = await raw(each_api, path, params={"speed": "max"})
    rng = random.Random(seed)

    got: list[str] = []
    cursor: str | None = None
    for _ in range(12):
        headers = {} if cursor is None else {"Last-Event-ID": cursor}
        async with listen(each_api.http, path, params={"speed": "max"}, headers=headers) as frames:
            assert (await frames.hello())["from"] == int(cursor or 0)
            for _ in range(rng.randrange(9)):
                frame = await frames.next()
                if not frame.id or frame.event == "end" or frame.data == "[DONE]":
                    break
                got.append(frame.data)
                cursor = frame.id
    params: dict[str, Any] = {"speed": "max"} | ({} if cursor is None else {"after": cursor})
    async with listen(each_api.http, path, params=params) as frames:
        await frames.hello()
        got += [frame.data for frame in await frames.rest()]

    assert got == [line[6:] for line in whole.decode().split("\n") if line.startswith("data: ")]


async def test_the_greeting_tells_where_it_starts_and_how_far_it_goes(each_api: Api) -> None:
    await each_api.events(named(), named("s2"), named())
    head = await each_api.get("/v1/events")

    async with listen(each_api.http, "/v1/sessions/s1/replay", params={"speed": "10", "after": 1}) as frames:
        hello = await frames.hello()

    assert hello == {"speed": "10", "until": 3, "log": head["log"], "from": 1, "head": 3, "recovered": True}


@pytest.mark.parametrize(
    ("cursor", "reason"), [("99", "future"), ("00000000-0000-0000-0000-000000000000:1", "other-log")]
)
async def test_a_cursor_that_cannot_be_gone_on_from_is_told(api: Api, cursor: str, reason: str) -> None:
    await api.events(named(), named(type="query.completed"))

    for path in ("/v1/sessions/s1/replay", "/v1/queries/q1/replay"):
        async with listen(api.http, path, params={"speed": "max", "after": cursor}) as frames:
            hello = await frames.hello()
            assert (hello["recovered"], hello["reason"], hello["from"]) == (False, reason, 0)
            assert (await frames.next()).id == "1"


async def test_a_reader_whose_cursor_retention_has_passed_is_told(each_api: Api) -> None:
    await a_query_with_chunks(each_api, 3)
    async with each_api.services.reader._database.writer.begin() as connection:
        await connection.execute(delete(events).where(events.c.seq <= 4))
        await connection.execute(update(log_head).values(floor=4))

    for path in ("/v1/sessions/s1/replay", "/v1/queries/q1/replay"):
        async with listen(each_api.http, path, params={"speed": "max", "after": 2}) as frames:
            hello = await frames.hello()
            assert (hello["recovered"], hello["reason"], hello["from"]) == (False, "retention", 2)
            assert (await frames.next()).id == "5"
        async with listen(each_api.http, path, params={"speed": "max", "after": 4}) as frames:
            assert (await frames.hello())["recovered"] is True


async def test_a_query_that_still_runs_ends_without_saying_that_it_is_done(each_api: Api) -> None:
    await each_api.events(named(type="query.started"))
    await each_api.chunks("q1", chunk(1))

    found = await raw(each_api, "/v1/queries/q1/replay", params={"speed": "max"})

    assert DONE not in found
    assert found.endswith(b'event: end\ndata: {"last":2}\n\n')


async def test_a_reader_that_has_it_all_is_told_so(api: Api) -> None:
    await a_query_with_chunks(api, 3)

    assert await raw(api, "/v1/queries/q1/replay", headers={"Last-Event-ID": "9"}) == DONE
    assert (await raw(api, "/v1/sessions/s1/replay", headers={"Last-Event-ID": "9"})).startswith(b"event: end\n")


async def test_it_may_begin_at_a_time(each_api: Api) -> None:
    await each_api.events(*(named(note=f"n{second}") for second in range(5)))
    later = "2024-01-15T10:30:02.5+00:00"

    async with listen(each_api.http, "/v1/sessions/s1/replay", params={"speed": "max", "from": later}) as frames:
        assert (await frames.hello())["from"] == 0
        assert [frame.json().get("body", {}).get("note") for frame in await frames.rest()] == ["n3", "n4", None]
    # Whoever comes back to the same address has a cursor, and that decides.
    back = {"params": {"speed": "max", "from": later}, "headers": {"Last-Event-ID": "1"}}
    async with listen(each_api.http, "/v1/sessions/s1/replay", **back) as frames:
        await frames.hello()
        assert (await frames.next()).id == "2"


async def test_what_cannot_be_replayed_is_refused(each_api: Api) -> None:
    await each_api.events(named("s1", namespace="a"), named("s2", namespace="b"))

    for path in ("/v1/sessions/nothing/replay", "/v1/queries/nothing/replay"):
        await each_api.error(path, 404)
    assert len((await each_api.error("/v1/queries/q1/replay", 409))["candidates"]) == 2
    for name, value in (("speed", "3"), ("speed", "0"), ("from", "noon"), ("after", "x")):
        error = await each_api.error("/v1/sessions/s1/replay", 400, params={name: value})
        assert error["field"] == name
    only = await raw(each_api, "/v1/queries/q1/replay", params={"speed": "max", "session": "s2"})
    assert only.count(b"id: ") == 1
    await each_api.http.delete("/v1/sessions/s1")
    await each_api.error("/v1/sessions/s1/replay", 404)


async def test_a_replay_ends_with_the_process(start_api: StartApi) -> None:
    async with start_api() as api:
        await api.events(*(named(time=NOON + hours * 3600 * SECOND) for hours in range(12)))
        async with listen(api.http, "/v1/sessions/s1/replay") as frames:
            await frames.hello()
            assert (await frames.next()).id == "1"
            api.services.tail.finish_followers()
            *shown, last = await frames.rest()

    assert len(shown) < 11
    assert (last.event, last.json()) == ("reconnect", {"reason": "shutdown"})


# -- pace: time is the test's own


@dataclass
class Time:
    """A clock that only waiting moves."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def wait(self, _closing: asyncio.Event, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


async def shown(api: Api, speed: Speed) -> list[tuple[float, bytes]]:
    """When, in seconds from the start, which piece of session s1 is written."""
    time = Time()
    last = await api.services.reader.last_position(Scope("session", "s1"))
    playing = Replay(
        api.services,
        Scope("session", "s1"),
        event_format(()),
        0,
        last,
        b"hello",
        b"end",
        speed,
        wait=time.wait,
        clock=time.clock,
    )
    return [(round(time.now - 1000.0, 6), data) async for data in playing.frames()]


def positions(written: list[tuple[float, bytes]]) -> list[tuple[float, int]]:
    """When the event at which position is written."""
    return [(at, int(line[4:])) for at, data in written for line in data.split(b"\n") if line.startswith(b"id: ")]


def at(*seconds: float) -> list[dict[str, Any]]:
    return [named(time=NOON + int(second * SECOND)) for second in seconds]


@pytest.mark.parametrize(("speed", "factor"), [(1.0, 1.0), (2.0, 2.0), (10.0, 10.0)])
async def test_events_come_at_the_pace_at_which_they_happened(api: Api, speed: float, factor: float) -> None:
    await api.events(*at(0, 1, 1, 4, 4.5))

    written = positions(await shown(api, speed))

    assert written == [(0, 1), (1 / factor, 2), (1 / factor, 3), (4 / factor, 4), (4.5 / factor, 5)]


async def test_without_pauses_nothing_is_waited_for(api: Api) -> None:
    await api.events(*at(0, 100, 5000))

    written = await shown(api, None)

    assert {when for when, _ in written} == {0.0}
    assert positions(written) == [(0, 1), (0, 2), (0, 3)]


async def test_a_long_gap_is_cut_short_and_its_silence_broken(start_api: StartApi) -> None:
    async with start_api(heartbeat_seconds=4) as api:
        await api.events(*at(0, 3600, 3601))
        once, twice = await shown(api, 1.0), await shown(api, 2.0)

    assert positions(once) == [(0, 1), (10, 2), (11, 3)]
    assert positions(twice) == [(0, 1), (5, 2), (5.5, 3)]
    assert [when for when, data in once if data.startswith(b":")] == [4, 8]
    assert [when for when, data in twice if data.startswith(b":")] == [4]


async def test_what_came_late_takes_no_time_and_moves_nothing(api: Api) -> None:
    await api.events(*at(0, 5, 2, 3, 6))

    assert positions(await shown(api, 1.0)) == [(0, 1), (5, 2), (5, 3), (5, 4), (6, 5)]


async def test_a_piece_of_work_counts_as_having_happened_when_it_ended(api: Api) -> None:
    await api.events(named(time=NOON), named(time=NOON, durationMs=3000), named(time=NOON + 4 * SECOND))

    assert positions(await shown(api, 1.0)) == [(0, 1), (3, 2), (4, 3)]


_GAPS = st.lists(st.integers(-(10**11), 10**11), min_size=1, max_size=30)


@given(gaps=_GAPS, speed=st.sampled_from([1.0, 2.0, 10.0]))
def test_no_gap_is_negative_or_longer_than_the_longest(gaps: list[int], speed: float) -> None:
    pace, now, times = Pace(speed), 5.0, [NOON]
    for gap in gaps:
        times.append(max(0, times[-1] + gap))

    due = []
    for number, time in enumerate(times):
        now = max(now, pace.due(make(number, time=time), now))
        due.append(now)

    assert all(0 <= later - sooner <= LONGEST_GAP / speed + 1e-6 for sooner, later in pairwise(due))
    span = (max(times) - times[0]) / SECOND / speed
    assert due[-1] - due[0] <= span + 1e-6


def test_a_clock_far_ahead_does_not_stop_the_rest() -> None:
    pace = Pace(1.0)
    wrong = make("wrong", time=NOON + 10**17, recorded_at=NOON + SECOND)

    found = [
        pace.due(make("a", time=NOON, recorded_at=NOON), 0.0),
        pace.due(wrong, 0.0),
        pace.due(make("b", time=NOON + 3 * SECOND, recorded_at=NOON + 3 * SECOND), 1.0),
    ]

    assert found == [0.0, 1.0, 3.0]


def test_a_reader_that_was_held_up_does_not_get_what_it_missed_at_once() -> None:
    pace = Pace(1.0)
    pace.due(make("a", time=NOON), 0.0)

    late = [pace.due(make(number, time=NOON + number * 5 * SECOND), 100.0) for number in (1, 2, 3, 4)]

    assert late == [95.0, 100.0, 105.0, 110.0]


async def test_the_real_wait_ends_when_the_process_does() -> None:
    closing = asyncio.Event()
    waiting = asyncio.create_task(replay.wait_for(closing, 3600))
    closing.set()

    async with asyncio.timeout(20):
        await waiting
        await replay.wait_for(asyncio.Event(), 0)
