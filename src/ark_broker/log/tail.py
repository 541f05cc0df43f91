"""The end of the log, live: each commit is encoded once for each stream that somebody reads, and shared.

    commit ──► Tail.publish ──► Channel (a stream in one format) ──► bursts: bytes made once
                                   ▲            ▲           ▲
                               Follower     Follower    Follower      each only a cursor

A Follower has no queue. When it wakes it takes the bursts after its cursor; where the channel no longer
has them, because the reader is slow or has just come, it reads a page from the database. So a slow reader
is a cursor that is behind: it loses nothing and costs no memory. A stream that nobody reads costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

import structlog

from ark_broker.log.database import is_unavailable
from ark_broker.log.read import Reader, SessionChange, Stride
from ark_broker.log.scope import Feed, Kind, Scope, scope_of
from ark_broker.log.transaction import Commit
from ark_broker.model import Event
from ark_broker.model.names import shown

_log = structlog.get_logger(__name__)

#: Rows of one catch-up read from the database.
CATCH_UP_ROWS: Final = 2_000
#: How much a stream with many readers waits, to put more into one write to each of them.
_TICK_SECONDS_A_FOLLOWER: Final = 0.000_03
_LONGEST_TICK_SECONDS: Final = 0.012
#: Bytes joined into one write.
WRITE_BYTES: Final = 256 * 1024


#: Seconds between tries while the database cannot serve a reader that is behind.
_DATABASE_AWAY_SECONDS: Final = 0.5
#: Most sessions that one commit can change, and then some.
_CHANGES: Final = 5_000

#: What a stream is made of.
Item = Event | SessionChange
#: What the streams that somebody reads have in common.
Sort = tuple[Kind, Feed, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Format:
    """How events are written for one kind of reader. Readers with equal `key` share the bytes."""

    key: str
    #: The frame of one event at its position in the stream; b"" for an event that this format leaves out.
    encode: Callable[[Item, int], bytes]
    #: True for an item that readers have to look at themselves; it shows as `Burst.notable`, asked once for all.
    notable: Callable[[Item], bool] = lambda _item: False
    #: Of sessions, their queries are wanted too.
    whole: bool = False
    #: False for an item that these readers may not know of: it is as if it were not there.
    admits: Callable[[Item], bool] = lambda _item: True
    #: The item as these readers see it.
    seen: Callable[[Item], Item] = lambda item: item


@dataclass(frozen=True, slots=True)
class Burst:
    """Frames of events that one commit added to a stream.

    `last` is the position of the last event, also where its frame is empty. `items` lets a reader see
    what passed (to know when a stream ends) without decoding frames.
    """

    first: int
    last: int
    data: bytes
    items: tuple[Item, ...]
    notable: bool
    #: Also what the readers may not know of: what a burst for readers that are further is made of.
    everything: tuple[Item, ...] = ()


@dataclass(slots=True, eq=False)
class Channel:
    """One stream in one format, while somebody reads it."""

    scope: Scope
    format: Format
    #: Every event of the stream with a position above this is in `bursts`, or not committed yet.
    floor: int
    bursts: deque[Burst] = field(default_factory=deque)
    followers: set[Follower] = field(default_factory=set)
    _joined: Burst | None = None
    _woken_at: float = 0.0
    _wake_timer: asyncio.TimerHandle | None = None

    def after(self, cursor: int) -> list[Burst] | None:
        """Bursts after `cursor`, as many as make one write; None where the channel starts later."""
        if cursor < self.floor:
            return None
        taken: deque[Burst] = deque()
        for burst in reversed(self.bursts):
            if burst.last <= cursor:
                break
            taken.appendleft(burst)
        size = 0
        result = []
        for burst in taken:
            result.append(burst if burst.first > cursor else self.make(burst.everything, cursor))
            size += len(burst.data)
            if size >= WRITE_BYTES:
                break
        return result

    def make(self, items: Iterable[Item], after: int) -> Burst:
        """The burst of those of `items` (in the order of the stream) that lie after position `after`."""
        kept = []
        for item in items:
            position = item.seq if isinstance(item, SessionChange) else self.scope.position(item)
            if position is not None and position > after:
                kept.append((position, item))
        frames = []
        shown_items: list[Item] = []
        following = [position for position, _ in kept[1:]]
        for (position, item), next_position in zip_longest(kept, following):
            if self.format.admits(item):
                shown_items.append(self.format.seen(item))
                # Many sessions change at one position. Who got some of them only comes back before it.
                frames.append(self._frame(shown_items[-1], position - (position == next_position)))
        everything = tuple(item for _, item in kept)
        items = tuple(shown_items)
        notable = any(map(self.format.notable, items))
        return Burst(kept[0][0], kept[-1][0], b"".join(frames), items, notable, everything)

    def _frame(self, item: Item, position: int) -> bytes:
        try:
            return self.format.encode(item, position)
        except Exception:  # noqa: BLE001 - whatever it is, it is this item's
            # Every reader of this process would wait for one that cannot be shown.
            _log.exception("an item is left out of a stream", position=position, stream=self.scope.kind)
            return b""

    def joined(self, bursts: Sequence[Burst]) -> Burst:
        """Several bursts as one. Readers that are equally far share it: it is made once for all of them."""
        first, last = bursts[0].first, bursts[-1].last
        if self._joined is None or (self._joined.first, self._joined.last) != (first, last):
            self._joined = Burst(
                first,
                last,
                b"".join([burst.data for burst in bursts]),
                tuple(item for burst in bursts for item in burst.items),
                any(burst.notable for burst in bursts),
                tuple(item for burst in bursts for item in burst.everything),
            )
        return self._joined

    def wake(self) -> None:
        """Wake the followers: at once where they are few, else at most once a tick, so that one write carries more."""
        if self._wake_timer is not None:
            return
        loop = asyncio.get_running_loop()
        due = self._woken_at + min(_LONGEST_TICK_SECONDS, len(self.followers) * _TICK_SECONDS_A_FOLLOWER)
        if loop.time() >= due:
            self._wake_now()
        else:
            self._wake_timer = loop.call_at(due, self._wake_now)

    def _wake_now(self) -> None:
        self._wake_timer = None
        self._woken_at = asyncio.get_running_loop().time()
        for follower in self.followers:
            follower.wake.set()


class Tail:
    """Delivers commits, of this process and of others, to the followers of the streams they touch."""

    def __init__(self, reader: Reader, *, ring_bytes: int, coalesce_seconds: float = 0.25) -> None:
        self._reader = reader
        self._coalesce_seconds = coalesce_seconds
        self._listed = 0
        self._advanced = asyncio.Event()
        self._ring_bytes = ring_bytes
        self._used = 0
        #: Bursts of all channels, oldest first: what to let go of when the ring is full.
        self._ring: deque[tuple[Channel, Burst]] = deque()
        self._channels: dict[Scope, dict[str, Channel]] = {}
        #: How many of the streams that somebody reads are of each sort.
        self._sorts: Counter[Sort] = Counter()
        #: Everything up to here was delivered.
        self.head = 0
        self._target = 0
        self._behind = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.closing = asyncio.Event()
        self.follower_count = 0

    async def start(self) -> None:
        """Begin at the log's present end."""
        self.head = self._target = self._listed = (await self._reader.head()).seq
        self._tasks = [
            asyncio.create_task(self._catch_up(), name="log-tail"),
            asyncio.create_task(self._list_sessions(), name="log-session-list"),
        ]

    async def close(self) -> None:
        """Let every follower end, then stop."""
        self.finish_followers()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def finish_followers(self) -> None:
        """Wake every follower for the last time: the process is going away."""
        self.closing.set()
        for channels in self._channels.values():
            for channel in channels.values():
                for follower in channel.followers:
                    follower.wake.set()

    @property
    def lag(self) -> int:
        """Positions committed, as far as this process heard, and not delivered yet."""
        return max(0, self._target - self.head)

    # -- commits -----------------------------------------------------------------------------------

    def publish(self, commit: Commit) -> None:
        """A commit of this process."""
        if commit.prior == self.head and self._target <= self.head:
            deliveries = [(event.seq, event) for event in commit.stored]
            for event in commit.adopted:
                positions = {event.session_seq or 0, event.query_seq or 0}
                deliveries += [(p, event) for p in sorted(positions) if p > commit.prior and p != event.seq]
            deliveries.sort(key=lambda delivery: delivery[0])
            self._deliver(deliveries, commit.head)
        else:
            self.heard(commit.head)

    def heard(self, head: int) -> None:
        """The log has grown to `head`, by whomever; what is new is read from the database."""
        self._target = max(self._target, head)
        if self._target > self.head:
            self._behind.set()

    async def _catch_up(self) -> None:
        while True:
            await self._behind.wait()
            self._behind.clear()
            while self.head < self._target:
                try:
                    await self._catch_up_once()
                except Exception as error:  # noqa: BLE001 - whatever it was, the rows are still there
                    _log.warning("catching up with the log failed; trying again", error=str(error)[:300])
                    await asyncio.sleep(0.2)

    async def _catch_up_once(self) -> None:
        until = min(self._target, self.head + CATCH_UP_ROWS)
        if not self._channels:
            # Nobody reads: nothing to deliver. A reader that comes later starts from the database.
            self._deliver([], self._target)
            return
        self._deliver(await self._reader.between(self.head, until, CATCH_UP_ROWS), until)

    def _deliver(self, deliveries: Sequence[tuple[int, Event]], head: int) -> None:
        if self._channels and deliveries:
            for scope, batch in self._by_scope(deliveries).items():
                for channel in self._channels[scope].values():
                    self._add(channel, channel.make(batch, self.head))
        self.head = head
        self._advanced.set()

    async def _list_sessions(self) -> None:
        """Deliver changed sessions to the list's readers: each session once in `coalesce_seconds`."""
        while True:
            await self._advanced.wait()
            self._advanced.clear()
            try:
                await self._list_sessions_once()
            except Exception as error:  # noqa: BLE001 - the rows are still there; the next commit wakes us
                _log.warning("reading changed sessions failed; trying again", error=str(error)[:300])
                self._advanced.set()
            await asyncio.sleep(self._coalesce_seconds)

    async def _list_sessions_once(self) -> None:
        head = self.head
        while self._listed < head:
            channels = self._session_channels()
            whole = any(channel.format.whole for _, channel in channels)
            changes: list[SessionChange] = []
            if channels:
                changes = await self._reader.session_changes(self._listed, head, _CHANGES, whole=whole)
            until = changes[-1].seq if len(changes) > _CHANGES // 2 else head
            for scope, channel in self._session_channels():
                wanted = [change for change in changes if _is_of(change, scope)]
                if channel.format.whole and not whole:
                    # It has come meanwhile: what was read is not enough for it. It reads for itself.
                    channel.floor = until
                    channel.wake()
                elif wanted:
                    self._add(channel, channel.make(wanted, self._listed))
            self._listed = until

    def _session_channels(self) -> list[tuple[Scope, Channel]]:
        if not any(kind == "sessions" for kind, _, _ in self._sorts):
            return []
        return [
            (scope, channel)
            for scope, channels in self._channels.items()
            if scope.kind == "sessions"
            for channel in channels.values()
        ]

    def _by_scope(self, deliveries: Sequence[tuple[int, Event]]) -> dict[Scope, list[Event]]:
        """Events by the streams that somebody reads, each at its position in that stream."""
        touched: dict[Scope, list[Event]] = {}
        everybodys: list[Sort] = []
        sorts: dict[str | None, list[Sort]] = {}
        for sort in self._sorts:
            if sort[0] != "sessions":
                for namespace in sort[2]:
                    sorts.setdefault(namespace, []).append(sort)
                if not sort[2]:
                    everybodys.append(sort)
        for position, event in deliveries:
            for kind, feed, within in (*everybodys, *sorts.get(event.namespace, ())):
                scope = scope_of(event, kind, feed, within)
                if scope is not None and scope in self._channels and scope.position(event) == position:
                    touched.setdefault(scope, []).append(event)
        return touched

    def _add(self, channel: Channel, burst: Burst) -> None:
        channel.bursts.append(burst)
        self._ring.append((channel, burst))
        self._used += _weight(burst)
        while self._used > self._ring_bytes and len(self._ring) > 1:
            self._let_go()
        channel.wake()

    def _let_go(self) -> None:
        channel, burst = self._ring.popleft()
        self._used -= _weight(burst)
        if channel.bursts and channel.bursts[0] is burst:
            channel.bursts.popleft()
            channel.floor = burst.last

    # -- followers ---------------------------------------------------------------------------------

    def follow(self, scope: Scope, form: Format, after: int) -> Follower:
        """A follower of the stream from position `after` on. Use it as a context manager."""
        reader = self._reader.confined(frozenset(scope.within)) if scope.within else self._reader
        return Follower(self, reader, scope, form, after)

    def join(self, follower: Follower) -> Channel:
        """Put the follower on its channel, made if nobody else reads it."""
        scope = follower.scope
        if scope not in self._channels:
            self._channels[scope] = {}
            self._sorts[scope.kind, scope.feed, scope.within] += 1
        channels = self._channels[scope]
        channel = channels.get(follower.format.key)
        if channel is None:
            floor = self._listed if scope.kind == "sessions" else self.head
            channel = Channel(scope, follower.format, floor)
            channels[follower.format.key] = channel
        channel.followers.add(follower)
        self.follower_count += 1
        return channel

    def leave(self, follower: Follower, channel: Channel) -> None:
        """Take the follower off; a channel without followers is dropped."""
        channel.followers.discard(follower)
        self.follower_count -= 1
        if channel.followers:
            return
        channels = self._channels[channel.scope]
        del channels[channel.format.key]
        if not channels:
            del self._channels[channel.scope]
            sort = channel.scope.kind, channel.scope.feed, channel.scope.within
            self._sorts[sort] -= 1
            if not self._sorts[sort]:
                del self._sorts[sort]


class Follower:
    """A cursor on a stream. Iterate over it for bursts: from the database until it has caught up, then live.

    The iteration ends only when the process shuts down; the reader ends it by leaving.
    """

    def __init__(self, tail: Tail, reader: Reader, scope: Scope, form: Format, after: int) -> None:
        self._tail = tail
        self._reader = reader
        self._channel: Channel | None = None
        self.scope = scope
        self.format = form
        self.cursor = after
        self.wake = asyncio.Event()
        self._stride = Stride(WRITE_BYTES)

    def __enter__(self) -> Follower:
        self._channel = self._tail.join(self)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._channel is not None:
            self._tail.leave(self, self._channel)
            self._channel = None

    async def bursts(self) -> AsyncIterator[Burst]:
        """Bursts after the cursor, for ever; the cursor is at `burst.last` when it is yielded."""
        while not self._tail.closing.is_set():
            burst = await self.next()
            if burst is not None:
                yield burst

    async def next(self, patience: float | None = None) -> Burst | None:
        """The next burst; None where it woke for nothing: to end, or after `patience` seconds."""
        channel = self._channel
        assert channel is not None, "a follower is used inside its `with` block"
        self.wake.clear()
        ready = channel.after(self.cursor)
        if ready is None:
            return await self._from_database(channel)
        if ready:
            self.cursor = ready[-1].last
            return ready[0] if len(ready) == 1 else channel.joined(ready)
        if not self._tail.closing.is_set():
            await self._sleep(patience)
        return None

    async def _sleep(self, patience: float | None) -> None:
        if patience is None:
            await self.wake.wait()
            return
        timer = asyncio.get_running_loop().call_later(patience, self.wake.set)
        try:
            await self.wake.wait()
        finally:
            timer.cancel()

    async def _from_database(self, channel: Channel) -> Burst | None:
        floor = channel.floor
        try:
            items = await self._page(floor)
        except Exception as error:
            if not is_unavailable(error):
                raise
            # The reader waits with us for the database; closing on it would only bring it back sooner.
            await asyncio.sleep(_DATABASE_AWAY_SECONDS)
            return None
        if not items:
            # Nothing of this stream up to where the channel began when we asked.
            self.cursor = max(self.cursor, floor)
            return None
        burst = channel.make(items, self.cursor)
        self.cursor = burst.last
        return burst

    async def _page(self, until: int) -> Sequence[Item]:
        if self.scope.kind == "sessions":
            return await self._reader.session_changes(
                self.cursor, until, _CHANGES, only=self.scope.name, whole=self.format.whole
            )
        found = (await self._reader.page(self.scope, self.cursor, self._stride.rows)).events
        self._stride.took(found)
        return found


def _is_of(change: SessionChange, scope: Scope) -> bool:
    """True for a change of a session that the scope is about."""
    if not scope.within:
        return scope.name in ("", change.id)
    return change.namespace in scope.within and scope.name in ("", shown(change.id))


def _weight(burst: Burst) -> int:
    bodies = sum(len(item.body) for item in burst.everything if isinstance(item, Event))
    return len(burst.data) + bodies + 500 * len(burst.everything)
