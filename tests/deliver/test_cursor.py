"""A cursor's place in the database, and its loop when things go wrong in the middle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from ark_broker.deliver import cursor as cursor_module
from ark_broker.deliver.cursor import Cursor, Timing
from ark_broker.deliver.otlp_send import Outcome
from ark_broker.log.cursors import Cursors, CursorState, LeaseLost
from ark_broker.log.database import Database
from ark_broker.log.scope import WHOLE_LOG, Scope
from ark_broker.log.tables import cursors, log_head
from ark_broker.log.tables import events as events_table
from ark_broker.model import Event
from ark_broker.model.errors import Conflict, NotFound
from tests.deliver.conftest import QUICK, Process
from tests.support.events import make
from tests.support.waiting import until

STATE = CursorState(delivered=3, last_error="no")


@pytest.fixture
async def store(process: Process) -> Cursors:
    found = Cursors(process.database)
    await found.ensure({"c": False})
    return found


# -- in the database


async def test_a_new_cursor_begins_at_the_head_or_at_the_start(process: Process) -> None:
    await process.writer.append([make("a"), make("b")])
    store = Cursors(process.database)
    head = (await process.reader.head()).seq

    await store.ensure({"now": False, "start": True})

    rows = await store.rows(["now", "start", "nobody"])
    assert {name: (row.position, row.free) for name, row in rows.items()} == {"now": (head, True), "start": (0, True)}


async def test_a_cursor_that_exists_stays_where_it_is(process: Process, store: Cursors) -> None:
    await store.take("c", "me", 30)
    await store.advance("c", "me", 30, 7, STATE)
    await process.writer.append([make("a")])

    await store.ensure({"c": True})

    row = (await store.rows(["c"]))["c"]
    assert (row.position, row.state, row.free, row.owner) == (7, STATE, False, "me")


async def test_one_process_at_a_time_has_the_lease(store: Cursors) -> None:
    taken = await asyncio.gather(*(store.take("c", f"process {number}", 30) for number in range(8)))

    [row] = [row for row in taken if row is not None]
    assert row.owner is not None
    assert await store.take("c", row.owner, 30) is not None
    assert await store.take("nobody", "me", 30) is None


async def test_a_lease_that_is_given_back_is_free_at_once(store: Cursors) -> None:
    await store.take("c", "me", 30)

    await store.release("c", "me", 5, STATE)

    row = await store.take("c", "you", 30)
    assert row is not None
    assert (row.position, row.state) == (5, STATE)


async def test_who_was_silent_for_too_long_can_change_nothing_any_more(store: Cursors) -> None:
    await store.take("c", "slow", 0.05)

    async def taken() -> bool:
        return await store.take("c", "quick", 30) is not None

    await until(taken)
    await store.advance("c", "quick", 30, 9, STATE)
    with pytest.raises(LeaseLost):
        await store.advance("c", "slow", 30, 4, CursorState(), [(make("a", seq=1), "no")])
    await store.release("c", "slow", 4, CursorState())

    row = (await store.rows(["c"]))["c"]
    assert (row.position, row.owner) == (9, "quick")
    assert await store.dead_letters("c") == []


async def test_a_lease_that_ran_out_is_no_lease_even_if_nobody_took_it(store: Cursors) -> None:
    await store.take("c", "slow", 0.05)

    async def lost() -> bool:
        return (await store.rows(["c"]))["c"].free

    await until(lost)
    with pytest.raises(LeaseLost):
        await store.advance("c", "slow", 30, 4, STATE)


async def test_dead_letters_are_kept_once_each_and_whole(store: Cursors) -> None:
    first, second = make("a", seq=3, body=b'{"a":1}', error="x"), make("b", seq=9)
    await store.take("c", "me", 30)

    await store.advance("c", "me", 30, 9, STATE, [(first, "no"), (second, "no")])
    await store.advance("c", "me", 30, 9, STATE, [(first, "still no")])

    found = await store.dead_letters("c")
    assert [(letter.event, letter.reason) for letter in found] == [(first, "still no"), (second, "no")]
    assert [letter.seq for letter in await store.dead_letters("c", after=3)] == [9]
    assert [letter.seq for letter in await store.dead_letters("c", limit=1)] == [3]
    assert [letter.seq for letter in await store.dead_letters("c", seqs=[9, 10])] == [9]
    assert await store.count_dead(["c", "other"]) == {"c": 2}
    await store.forget_dead("c", [3])
    assert [letter.seq for letter in await store.dead_letters("c")] == [9]


async def test_only_so_many_dead_letters_are_kept_and_the_oldest_go(store: Cursors) -> None:
    await store.keep("c", [(make(number, seq=number), "no") for number in range(1, 11)])
    await store.keep("other", [(make("x", seq=1), "no")])

    assert await store.bound_dead("c", 10) == 0
    assert await store.bound_dead("c", 3) == 7

    assert [letter.seq for letter in await store.dead_letters("c")] == [8, 9, 10]
    assert await store.count_dead(["other"]) == {"other": 1}


async def test_a_rule_comes_and_goes_with_its_cursor(process: Process, store: Cursors) -> None:
    await process.writer.append([make("a")])
    head = (await process.reader.head()).seq

    stored = await store.add_rule("r", b"content", "webhook:r", from_start=False)
    with pytest.raises(Conflict):
        await store.add_rule("r", b"other", "webhook:r", from_start=False)

    assert await store.rules() == [stored]
    assert (await store.rows(["webhook:r"]))["webhook:r"].position == head
    await store.keep("webhook:r", [(make("x", seq=1), "no")])
    await store.remove_rule("r", "webhook:r")
    assert await store.rules() == []
    assert await store.rows(["webhook:r"]) == {}
    assert await store.dead_letters("webhook:r") == []
    with pytest.raises(NotFound):
        await store.remove_rule("r", "webhook:r")


# -- the loop


class Recorder:
    """Takes everything, but for what the test says."""

    label = "recorder"
    types: tuple[str, ...] = ()
    scope: Scope = WHOLE_LOG
    batch = 100

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.calls: list[list[int]] = []
        self.before: Callable[[Sequence[Event]], Any] = lambda _events: None

    def takes(self, event: Event) -> bool:
        return event.type != "other"

    def due(self, event: Event) -> int:
        return 0

    async def send(self, events: Sequence[Event]) -> Outcome:
        self.calls.append([event.seq for event in events])
        found = self.before(events)
        if isinstance(found, Awaitable):
            found = await found
        if isinstance(found, Outcome):
            return found
        self.sent += [event.seq for event in events]
        return Outcome(delivered=len(events))

    async def until_sent(self, *seqs: int) -> None:
        async def there() -> bool:
            return set(seqs) <= set(self.sent)

        await until(there, timeout=90, what=f"{seqs}, not only {self.sent}")


@asynccontextmanager
async def running(
    process: Process,
    sink: Recorder,
    owner: str = "me",
    *,
    timing: Timing = QUICK,
    store: Cursors | None = None,
    name: str = "c",
) -> AsyncIterator[Cursor]:
    cursor = Cursor(name, sink, store or Cursors(process.database), process.reader, owner, timing=timing, jitter=float)
    task, waking = asyncio.create_task(cursor.run()), asyncio.create_task(_keep_awake(cursor))
    try:
        yield cursor
    finally:
        waking.cancel()
        cursor.stop()
        await asyncio.wait_for(task, 20)


async def _keep_awake(cursor: Cursor) -> None:
    while True:
        cursor.wake()
        await asyncio.sleep(0.05)


async def events_of(process: Process, count: int, **fields: Any) -> list[int]:
    """Store so many events; returns their positions."""
    before = (await process.reader.head()).seq
    await process.writer.append([make(before + number, **fields) for number in range(count)])
    return list(range(before + 1, before + 1 + count))


@pytest.fixture
async def quick(sqlite_process: Process) -> Process:
    await Cursors(sqlite_process.database).ensure({"c": False})
    return sqlite_process


async def test_everything_is_sent_once_and_in_order(process: Process, store: Cursors) -> None:
    sink = Recorder()
    async with running(process, sink):
        seqs = await events_of(process, 700)
        await sink.until_sent(*seqs)

    assert sink.sent == seqs
    row = (await store.rows(["c"]))["c"]
    assert (row.position, row.free, row.state.delivered) == (seqs[-1], True, 700)


async def test_no_batch_is_larger_than_the_sink_wants(quick: Process) -> None:
    sink = Recorder()
    sink.batch = 7
    seqs = await events_of(quick, 50)
    async with running(quick, sink) as cursor:
        await sink.until_sent(*seqs)
        assert cursor.state.failures == 0

    assert max(map(len, sink.calls)) == 7
    assert sink.sent == seqs


async def test_events_that_nobody_wants_move_the_position_and_are_not_written_down_each_time(quick: Process) -> None:
    sink = Recorder()
    store = Cursors(quick.database)
    written = _counted(store)
    async with running(quick, sink, timing=Timing(lease=600, renew=300, stand_by=0.1), store=store) as cursor:
        for _ in range(5):
            last = (await events_of(quick, 20, type="other"))[-1]

            async def there(last: int = last, cursor: Cursor = cursor) -> bool:
                return cursor.position >= last

            await until(there)
        assert written == []

    assert sink.calls == []
    assert (await store.rows(["c"]))["c"].position == last


def _counted(store: Cursors) -> list[int]:
    """Positions that are written down from now on."""
    written: list[int] = []
    advance = store.advance

    async def counted(name: str, owner: str, seconds: float, position: int, *rest: Any) -> None:
        await advance(name, owner, seconds, position, *rest)
        written.append(position)

    store.advance = counted  # type: ignore[assignment, method-assign]
    return written


async def test_a_crash_in_the_middle_repeats_at_most_one_batch(quick: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "_WRITE_SECONDS", 0.1)
    sink = Recorder()
    sink.batch = 10
    store = Cursors(quick.database)
    seqs = await events_of(quick, 60)
    crash = asyncio.Event()

    async def advance(name: str, owner: str, seconds: float, position: int, *rest: Any) -> None:
        if position >= seqs[30]:
            # Sent, and never noted.
            crash.set()
            await asyncio.Event().wait()
        await Cursors.advance(store, name, owner, seconds, position, *rest)

    async def release(*_: object) -> None:
        return None

    store.advance, store.release = advance, release  # type: ignore[assignment, method-assign]
    cursor = Cursor("c", sink, store, quick.reader, "first", timing=QUICK)
    task = asyncio.create_task(cursor.run())
    await asyncio.wait_for(crash.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await quick.expire_leases()

    async with running(quick, sink, owner="second"):
        await sink.until_sent(*seqs)

    repeated = [seq for seq in seqs if sink.sent.count(seq) == 2]
    assert 1 <= len(repeated) <= sink.batch
    assert sorted(set(sink.sent)) == seqs


async def test_what_was_sent_is_not_sent_again_while_the_database_is_away(quick: Process) -> None:
    sink = Recorder()
    store = Cursors(quick.database)
    advance = store.advance
    failures = iter([OSError("away"), OSError("away")])

    async def failing(*arguments: Any) -> None:
        if (error := next(failures, None)) is not None:
            raise error
        await advance(*arguments)

    store.advance = failing  # type: ignore[method-assign]
    async with running(quick, sink, timing=Timing(lease=600, renew=300, stand_by=0.1), store=store):
        seqs = await events_of(quick, 2)
        await sink.until_sent(*seqs)

        async def noted() -> bool:
            return (await store.rows(["c"]))["c"].position == seqs[-1]

        await until(noted)

    assert sink.sent == seqs


async def test_an_event_that_cannot_be_written_is_given_up_and_no_other(quick: Process) -> None:
    sink = Recorder()
    seqs = await events_of(quick, 9)
    bad = seqs[4]

    def fail(events: Sequence[Event]) -> None:
        if any(event.seq == bad for event in events):
            raise ValueError("what a bug says")

    sink.before = fail
    await Cursors(quick.database).ensure({"all": True})
    async with running(quick, sink, name="all") as cursor:
        await sink.until_sent(*(seq for seq in seqs if seq != bad))
        [letter] = await until(lambda: Cursors(quick.database).dead_letters("all"))
        assert cursor.state.failures == 0

    assert sink.sent == [seq for seq in seqs if seq != bad]
    assert (letter.seq, letter.reason) == (bad, "the broker cannot write it: ValueError")


async def test_an_error_that_is_nobodys_fault_loses_nothing(quick: Process) -> None:
    sink = Recorder()
    errors = iter([RuntimeError("no thread"), OSError("no database")])

    def fail(_events: Sequence[Event]) -> None:
        if (error := next(errors, None)) is not None:
            raise error

    sink.before = fail
    async with running(quick, sink) as cursor:
        seqs = await events_of(quick, 1)
        await sink.until_sent(*seqs)
        assert "RuntimeError" in cursor.state.last_error

    assert sink.sent == seqs
    assert len(sink.calls) == 3


async def test_what_remains_is_sent_again_and_what_was_taken_is_not(quick: Process) -> None:
    sink = Recorder()
    sink.batch = 4
    async with running(quick, sink) as cursor:
        await until(_holds(cursor))

        def half(events: Sequence[Event]) -> Outcome | None:
            if len(events) < 4:
                return None
            sink.sent += [event.seq for event in events[:2]]
            return Outcome(delivered=2, remaining=tuple(events[2:]), retry_after=0.0, message="busy")

        sink.before = half
        seqs = await events_of(quick, 4)
        await sink.until_sent(*seqs)

    assert sink.sent == seqs


def _holds(cursor: Cursor) -> Any:
    async def check() -> bool:
        return cursor.holding

    return check


async def test_what_a_receiver_asked_for_holds_after_a_restart_and_on_another_replica(quick: Process) -> None:
    sink = Recorder()
    at: list[int] = []
    sink.before = lambda _events: at.append(time.time_ns())
    store = Cursors(quick.database)
    until_then = await _paused(store, 1.0)
    seqs = await events_of(quick, 1)

    async with running(quick, sink, owner="another"):
        await sink.until_sent(*seqs)

    assert at[0] >= until_then


async def test_a_pause_of_more_than_an_hour_is_no_pause_that_anybody_asked_for(
    quick: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursor_module, "MAX_RETRY_AFTER", 0.2)
    sink = Recorder()
    await _paused(Cursors(quick.database), 1_000_000)
    seqs = await events_of(quick, 1)

    async with running(quick, sink):
        await sink.until_sent(*seqs)


async def test_a_pause_that_was_taken_over_does_not_hold_up_the_end(quick: Process) -> None:
    sink = Recorder()
    await _paused(Cursors(quick.database), 3_000)
    await events_of(quick, 1)

    async with running(quick, sink) as cursor:
        await until(_holds(cursor))

    assert sink.calls == []
    assert (await Cursors(quick.database).rows(["c"]))["c"].free


async def _paused(store: Cursors, seconds: float) -> int:
    """As another process left the cursor that was told to wait for so long. Returns until when."""
    row = await store.take("c", "before", 30)
    assert row is not None
    until_then = time.time_ns() + int(seconds * 1e9)
    state = CursorState(failures=1, last_error="HTTP 429", paused_until=until_then)
    await store.release("c", "before", row.position, state)
    return until_then


async def test_what_comes_after_what_is_not_taken_is_given_along_with_it(quick: Process) -> None:
    sink = Recorder()
    bad, *_ = await events_of(quick, 1)

    def only_in_company(events: Sequence[Event]) -> Outcome | None:
        if len(events) < 3:
            return Outcome(remaining=tuple(events), retry_after=0.0, message="no")
        return None

    sink.before = only_in_company
    await Cursors(quick.database).ensure({"all": True})
    async with running(quick, sink, name="all") as cursor:

        async def failed() -> bool:
            return cursor.state.failures >= 1

        await until(failed)
        more = [*await events_of(quick, 1, type="other"), *await events_of(quick, 2)]
        await sink.until_sent(bad, *more[1:])

    assert sink.sent == [bad, *more[1:]]
    assert cursor.position == more[-1]


async def test_what_was_read_is_not_missed_when_retention_removes_it(quick: Process) -> None:
    sink = Recorder()
    seqs = await events_of(quick, 3)
    async with _held_while_sending(quick, sink) as (cursor, removed):
        await _retain_from(quick, sink.calls[0][-1] + 1)
        removed.set()
        await sink.until_sent(*seqs)
        assert cursor.state.gaps == 0

    assert sink.sent == seqs


async def test_what_retention_removes_with_all_that_was_read_is_said_to_be_missed(quick: Process) -> None:
    sink = Recorder()
    seqs = await events_of(quick, 3)
    async with _held_while_sending(quick, sink) as (cursor, removed):
        unread = await events_of(quick, 5)
        await _retain_from(quick, unread[-1])
        removed.set()
        await sink.until_sent(unread[-1])
        assert (cursor.state.gaps, cursor.state.missed) == (1, len(seqs) + len(unread) - 1)

    assert sink.sent == unread[-1:]


@asynccontextmanager
async def _held_while_sending(process: Process, sink: Recorder) -> AsyncIterator[tuple[Cursor, asyncio.Event]]:
    """A cursor that has read what there is, and whose first sending is held up until the event is set."""
    sending, over = asyncio.Event(), asyncio.Event()
    sink.before = lambda events: _once(sending, over, events)
    await Cursors(process.database).ensure({"all": True})
    async with running(process, sink, name="all") as cursor:
        await asyncio.wait_for(sending.wait(), 20)
        yield cursor, over


async def _once(sending: asyncio.Event, over: asyncio.Event, events: Sequence[Event]) -> Outcome | None:
    """The first try fails, when `over` is set; the next are taken."""
    if sending.is_set():
        return None
    sending.set()
    await over.wait()
    return Outcome(remaining=tuple(events), retry_after=0.0, message="no")


async def _retain_from(process: Process, seq: int) -> None:
    """As retention: remove what is older."""
    async with process.database.writer.begin() as connection:
        await connection.execute(delete(events_table).where(events_table.c.seq < seq))
        await connection.execute(update(log_head).values(floor=seq - 1))


async def test_the_lease_is_renewed_while_a_batch_takes_long(process: Process, store: Cursors) -> None:
    sink = Recorder()
    done = asyncio.Event()
    sink.before = lambda _events: done.wait()
    timing = Timing(lease=30, renew=0.05, stand_by=0.05)
    async with running(process, sink, timing=timing, store=store) as cursor:
        seqs = await events_of(process, 1)
        await until(_called(sink))
        first = await _lease_until(process)

        async def renewed() -> bool:
            return await _lease_until(process) > first

        await until(renewed)
        assert await store.take("c", "another", 30) is None
        assert cursor.holding
        done.set()
        await sink.until_sent(*seqs)

    assert len(sink.calls) == 1


def _called(sink: Recorder) -> Any:
    async def check() -> bool:
        return bool(sink.calls)

    return check


async def _lease_until(process: Process) -> int:
    async with process.database.reader.connect() as connection:
        found: int = (await connection.execute(select(cursors.c.lease_until))).scalar_one()
        return found


async def test_a_process_that_cannot_renew_its_lease_stops_sending(quick: Process) -> None:
    sink = Recorder()
    stopped = asyncio.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    sink.before = lambda _events: for_ever()
    store = Cursors(quick.database)
    async with running(quick, sink, timing=Timing(lease=0.5, renew=0.1, stand_by=0.05), store=store) as cursor:
        await until(_holds(cursor))

        async def away(*_: object) -> None:
            raise OSError("away")

        store.advance = away  # type: ignore[method-assign]
        await events_of(quick, 1)
        await asyncio.wait_for(stopped.wait(), 20)

    assert sink.sent == []


async def test_a_cursor_that_is_removed_ends_its_delivery(quick: Process) -> None:
    sink = Recorder()
    store = Cursors(quick.database)
    async with running(quick, sink) as cursor:
        await until(_holds(cursor))
        await _remove(quick.database)

        async def let_go() -> bool:
            return not cursor.holding

        await until(let_go)

    assert await store.rows(["c"]) == {}


async def _remove(database: Database) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(delete(cursors))
