"""Live reading: every event of a stream once, in order, whoever wrote it and however the reader drops out."""

from __future__ import annotations

import asyncio
import random

from ark_broker.log.listen import Listener
from ark_broker.log.read import SessionChange
from ark_broker.log.scope import SESSION_LIST, WHOLE_LOG, Scope
from ark_broker.log.tail import Burst, Follower, Format, Item
from ark_broker.model import Event
from tests.log.conftest import Log
from tests.support.events import child, make, root
from tests.support.waiting import until

POSITIONS = Format("positions", lambda _item, position: b"%d " % position)


def counted(key: str, counts: list[int]) -> Format:
    def encode(_item: Item, position: int) -> bytes:
        counts.append(position)
        return b"%d " % position

    return Format(key, encode)


async def read(follower: Follower, seen: list[int], enough: int) -> None:
    """Collect positions until there are `enough`."""
    async for burst in follower.bursts():
        seen += [int(position) for position in burst.data.split()]
        if len(seen) >= enough:
            return


async def burst_of(follower: Follower) -> Burst:
    while (burst := await follower.next()) is None:
        pass
    return burst


async def test_readers_that_drop_out_at_random_places_see_every_event_once_and_in_order(log: Log) -> None:
    total = 600
    chance = random.Random(4318)

    async def write(writer: int) -> None:
        for n in range(total // 3):
            await log.writer.append([make((writer, n), session_id="s")])

    async def follow() -> list[int]:
        seen: list[int] = []
        while len(seen) < total:
            with log.tail.follow(Scope("session", "s"), POSITIONS, seen[-1] if seen else 0) as follower:
                await read(follower, seen, min(total, len(seen) + chance.randrange(1, 80)))
        return seen

    readers = [asyncio.create_task(follow()) for _ in range(8)]
    await asyncio.gather(*(write(n) for n in range(3)))
    for reader in readers:
        assert await asyncio.wait_for(reader, 60) == list(range(1, total + 1))


async def test_a_commit_is_encoded_once_for_all_readers_of_a_stream(log: Log) -> None:
    encoded: list[int] = []
    form = counted("shared", encoded)
    followers = [log.tail.follow(Scope("session", "s"), form, 0) for _ in range(50)]
    for follower in followers:
        follower.__enter__()
    waiting = [asyncio.create_task(burst_of(follower)) for follower in followers]
    await asyncio.sleep(0)
    await log.writer.append([make(n, session_id="s") for n in range(10)])
    bursts = [await asyncio.wait_for(task, 60) for task in waiting]
    assert {id(burst.data) for burst in bursts} == {id(bursts[0].data)}
    assert encoded == list(range(1, 11))
    for follower in followers:
        follower.__exit__(None, None, None)


async def test_a_stream_that_nobody_reads_is_not_encoded(log: Log) -> None:
    encoded: list[int] = []
    with log.tail.follow(Scope("session", "read"), counted("read", encoded), 0) as follower:
        await log.writer.append([make(1, session_id="other"), make(2, session_id="read")])
        assert (await asyncio.wait_for(burst_of(follower), 60)).last == 2
    assert encoded == [2]


async def test_a_reader_whose_bursts_were_let_go_reads_the_database_and_goes_on_live(sqlalchemy_url: str) -> None:
    from tests.log.conftest import open_log

    log = await open_log(sqlalchemy_url, ring_bytes=4_096)
    seen: list[int] = []
    with log.tail.follow(Scope("session", "s"), POSITIONS, 0) as follower:
        for n in range(300):
            await log.writer.append([make(n, session_id="s", body=b'"' + b"x" * 300 + b'"')])
            if n % 50 == 0:
                await read(follower, seen, len(seen) + 1)
        await asyncio.wait_for(read(follower, seen, 300), 60)
    assert seen == list(range(1, 301))
    await log.close()


async def test_adopted_events_reach_session_readers_once_and_log_readers_not_again(log: Log) -> None:
    in_log: list[int] = []
    in_session: list[int] = []
    with (
        log.tail.follow(WHOLE_LOG, POSITIONS, 0) as whole,
        log.tail.follow(Scope("session", "s"), POSITIONS, 0) as session,
    ):
        await log.writer.append([child(1, 7), child(2, 7)])
        await asyncio.wait_for(read(whole, in_log, 2), 60)
        await log.writer.append([root(3, 7, session_id="s")])
        await log.writer.append([make(4, session_id="s")])
        await asyncio.wait_for(read(whole, in_log, 4), 60)
        await asyncio.wait_for(read(session, in_session, 4), 60)
    assert in_log == [1, 2, 3, 6]
    assert in_session == [3, 4, 5, 6]


async def test_commits_of_another_process_arrive_in_order_between_ones_own(two_logs: tuple[Log, Log]) -> None:
    one, two = two_logs
    total = 400
    listeners = [Listener(log.database, log.reader, log.tail.heard, poll_seconds=0.5) for log in two_logs]
    for listener in listeners:
        listener.start()

    async def write(log: Log, name: str) -> None:
        for n in range(total // 4):
            await log.writer.append([make((name, n), session_id="s"), child((name, n, "c"), 7)])

    async def follow(log: Log) -> list[int]:
        seen: list[int] = []
        with log.tail.follow(WHOLE_LOG, POSITIONS, 0) as follower:
            await read(follower, seen, total)
        return seen

    readers = [asyncio.create_task(follow(log)) for log in two_logs]
    await asyncio.gather(write(one, "one"), write(two, "two"))
    for reader in readers:
        assert await asyncio.wait_for(reader, 60) == list(range(1, total + 1))
    for listener in listeners:
        await listener.close()


async def test_adoption_by_another_process_reaches_this_ones_session_readers(two_logs: tuple[Log, Log]) -> None:
    one, two = two_logs
    await one.writer.append([child(1, 7), child(2, 7)])
    seen: list[int] = []
    with one.tail.follow(Scope("session", "s"), POSITIONS, 0) as follower:
        await two.writer.append([root(3, 7, session_id="s")])
        one.tail.heard((await one.reader.head()).seq)
        await asyncio.wait_for(read(follower, seen, 3), 60)
    assert seen == [3, 4, 5]


async def test_a_lost_listen_connection_is_bridged_by_polling_and_heals(two_logs: tuple[Log, Log]) -> None:
    from sqlalchemy import text

    one, two = two_logs
    listener = Listener(one.database, one.reader, one.tail.heard, poll_seconds=30)
    listener.start()
    await until(lambda: _true(listener.listening), what="LISTEN")
    seen: list[int] = []
    with one.tail.follow(WHOLE_LOG, POSITIONS, 0) as follower:
        for n in range(3):
            async with two.database.writer.begin() as connection:
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE '%LISTEN%'"
                        " AND pid <> pg_backend_pid()"
                    )
                )
            await two.writer.append([make(n)])
            await asyncio.wait_for(read(follower, seen, n + 1), 60)
        await until(lambda: _true(listener.listening), what="LISTEN again")
    assert seen == [1, 2, 3]
    await listener.close()


async def test_the_session_list_shows_each_changed_session_once_a_burst(log: Log) -> None:
    def encode(item: Item, position: int) -> bytes:
        assert isinstance(item, SessionChange)
        return f"{item.id}@{position} ".encode()

    with log.tail.follow(SESSION_LIST, Format("names", encode), 0) as follower:
        await log.writer.append([make(n, session_id=f"s{n % 2}") for n in range(20)])
        burst = await asyncio.wait_for(burst_of(follower), 60)
        assert burst.data.split() == [b"s0@19", b"s1@20"]
        await log.writer.delete_session("s1")
        gone = await asyncio.wait_for(burst_of(follower), 60)
        assert [(item.id, item.summary) for item in gone.items if isinstance(item, SessionChange)] == [("s1", None)]


async def test_who_got_some_of_the_sessions_of_a_commit_gets_the_others_when_it_comes_back(log: Log) -> None:
    with log.tail.follow(SESSION_LIST, POSITIONS, 0) as follower:
        await log.writer.append([make(n, session_id=f"s{n}") for n in range(5)])
        burst = await asyncio.wait_for(burst_of(follower), 60)
    first, *_, last = (int(position) for position in burst.data.split())
    for cursor, missing in ((first, 5), (last, 0)):
        assert len(await log.reader.session_changes(cursor, log.tail.head, 100)) == missing


async def test_an_item_that_cannot_be_shown_holds_nobody_up(log: Log) -> None:
    def encode(item: Item, position: int) -> bytes:
        if position == 2:
            raise ValueError("not this one")
        return b"%d " % position

    with (
        log.tail.follow(WHOLE_LOG, Format("some", encode), 0) as some,
        log.tail.follow(WHOLE_LOG, POSITIONS, 0) as every,
    ):
        seen: tuple[list[int], list[int]] = ([], [])
        for n in range(4):
            await log.writer.append([make(n)])
        await asyncio.wait_for(asyncio.gather(read(some, seen[0], 3), read(every, seen[1], 4)), 60)
    assert seen == ([1, 3, 4], [1, 2, 3, 4])


async def test_a_shutdown_ends_every_reader(log: Log) -> None:
    async def follow() -> int:
        with log.tail.follow(WHOLE_LOG, POSITIONS, 0) as follower:
            return len([burst async for burst in follower.bursts()])

    readers = [asyncio.create_task(follow()) for _ in range(20)]
    await asyncio.sleep(0)
    log.tail.finish_followers()
    assert await asyncio.wait_for(asyncio.gather(*readers), 60) == [0] * 20
    assert log.tail.follower_count == 0


async def _true(value: object) -> object:
    return value


def test_an_event_of_a_query_whose_name_is_used_twice_belongs_where_it_says() -> None:
    from ark_broker.api.v1.frames import belongs

    event: Event = make(1, session_id="a", namespace="n")
    assert belongs(event, "a", None)
    assert belongs(event, None, None)
    assert not belongs(event, "b", None)
    assert not belongs(event, "a", "other")
