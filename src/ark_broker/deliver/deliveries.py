"""All deliveries of one process: a cursor for each upstream and each webhook, and what is known of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ark_broker.deliver.cursor import Cursor, Timing
from ark_broker.deliver.guard import Policy
from ark_broker.deliver.progress import Counts
from ark_broker.deliver.rules import Rule, decode_rule
from ark_broker.deliver.sinks import Clients, OtlpSink, Sink, WebhookSink, send
from ark_broker.deliver.upstreams import Upstream
from ark_broker.log.cursors import CursorRow, Cursors, CursorState, DeadLetter, StoredRule
from ark_broker.log.database import Database
from ark_broker.log.read import Reader
from ark_broker.log.tail import Tail
from ark_broker.model.errors import BadInput, Conflict, NotFound

_log = structlog.get_logger(__name__)

#: Names of upstreams begin so among those of all cursors.
UPSTREAM_PREFIX: Final = "otlp:"
#: Seconds between two looks at the tail. As many commits as come in between are read, and sent, together.
_TAIL_SECONDS: Final = 0.2
#: Seconds between two looks at the rules, and at the cursors that other processes hold.
_LOOK_SECONDS: Final = 3.0
#: Seconds that a stop leaves to batches that are being sent, and then to what has to be undone.
_FINISH_SECONDS: Final = 2.0
_UNDO_SECONDS: Final = 2.0
#: Rules that the API takes.
_MAX_RULES: Final = 100
#: Dead letters that one request sends again, at most, and how long it may take.
_RESEND: Final = 1_000
_RESEND_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """How far one delivery is. `here`: this process has it. `lag`: positions of the log that it has not looked at."""

    name: str
    label: str
    position: int
    lag: int
    here: bool
    #: Nobody has it just now.
    free: bool
    state: CursorState
    #: Of this process.
    counts: Counts


@dataclass(frozen=True, slots=True)
class KnownRule:
    """A rule, and since when (ns) the API has it; None for one of the settings."""

    rule: Rule
    created_at: int | None


@dataclass(slots=True)
class Resent:
    """What came of sending dead letters again. `remaining`: those that were not tried, or have to wait."""

    delivered: int = 0
    dead: int = 0
    remaining: int = 0
    message: str = ""


@dataclass(slots=True)
class _Running:
    source: Upstream | KnownRule
    cursor: Cursor
    task: asyncio.Task[None]


class Deliveries(Collector):
    """Delivers what the log gets to upstreams and webhooks, as long as it runs. `registry` gets its metrics."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        tail: Tail,
        *,
        upstreams: Sequence[Upstream] = (),
        rules: Sequence[Rule] = (),
        policy: Policy | None = None,
        public_url: str | None = None,
        registry: CollectorRegistry | None = None,
        timing: Timing | None = None,
        look_seconds: float = _LOOK_SECONDS,
        clock: Callable[[], int] = time.time_ns,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = Cursors(database, clock=clock)
        self._reader = reader
        self._tail = tail
        self._upstreams = {UPSTREAM_PREFIX + upstream.name: upstream for upstream in upstreams}
        self._fixed = {rule.cursor: KnownRule(rule, None) for rule in rules}
        self._policy = policy or Policy()
        self._clients = Clients(self._policy)
        self._public_url = public_url
        self._timing = timing or Timing()
        self._look_seconds = look_seconds
        self._clock = clock
        self._jitter = jitter
        #: Tells this process from all others.
        self._owner = uuid4().hex
        self._log_id = ""
        self._running: dict[str, _Running] = {}
        self._seen: Mapping[str, CursorRow] = {}
        self._unreadable: set[str] = set()
        self._looking = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        if registry is not None:
            registry.register(self)

    # -- start and end -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Make the cursors, and begin. What is committed from now on will be delivered."""
        self._log_id = (await self._reader.head()).log_id
        await self.look()
        self._tasks = [
            asyncio.create_task(self._follow_tail(), name="deliver-tail"),
            asyncio.create_task(self._keep_looking(), name="deliver-look"),
        ]

    async def close(self) -> None:
        """Finish the batches that are being sent, give the leases back, and end: within 5 seconds."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop(list(self._running))
        await self._clients.close()

    async def _stop(self, names: Iterable[str]) -> None:
        stopped = [self._running.pop(name) for name in names]
        for running in stopped:
            running.cursor.stop()
        tasks = {running.task for running in stopped}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_FINISH_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_UNDO_SECONDS)

    async def _follow_tail(self) -> None:
        """Wake the cursors when the log has grown. A look at a number: it costs no commit anything."""
        head = -1
        while True:
            if self._tail.head != head:
                head = self._tail.head
                for running in self._running.values():
                    running.cursor.wake()
            await asyncio.sleep(_TAIL_SECONDS)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the database may be away; look again
                _log.warning("could not look at the deliveries", error=str(error).partition("\n")[0][:300])

    async def look(self) -> None:
        """See which rules there are by now, on whichever replica they came, and how far other processes are."""
        async with self._looking:
            wanted: dict[str, Upstream | KnownRule] = {**self._upstreams, **await self._known_rules()}
            gone = [name for name, running in self._running.items() if wanted.get(name) != running.source]
            await self._stop(gone)
            new = [name for name in wanted if name not in self._running]
            await self._store.ensure({name: _from_start(wanted[name]) for name in new if _is_fixed(wanted[name])})
            for name in new:
                self._run(name, wanted[name])
            self._seen = await self._store.rows(list(self._running))

    def _run(self, name: str, source: Upstream | KnownRule) -> None:
        cursor = Cursor(
            name,
            self._sink(source),
            self._store,
            self._reader,
            self._owner,
            timing=self._timing,
            clock=self._clock,
            jitter=self._jitter,
        )
        self._running[name] = _Running(source, cursor, asyncio.create_task(cursor.run(), name=f"cursor-{name}"))

    def _sink(self, source: Upstream | KnownRule) -> Sink:
        if isinstance(source, Upstream):
            client = self._clients.get(trusted=True)
            return OtlpSink(client, source, self._log_id, run=self._clients.threads.run)
        return WebhookSink(
            self._clients.get(trusted=False),
            source.rule,
            self._reader,
            self._log_id,
            public_url=self._public_url,
            clock=self._clock,
        )

    # -- rules -------------------------------------------------------------------------------------

    async def _known_rules(self) -> dict[str, KnownRule]:
        found = {}
        for stored in await self._store.rules():
            rule = self._decoded(stored)
            if rule is not None:
                found[rule.cursor] = KnownRule(rule, stored.created_at)
        # A name of the settings hides that of the API.
        return found | self._fixed

    def _decoded(self, stored: StoredRule) -> Rule | None:
        try:
            return msgspec.msgpack.decode(stored.content, type=Rule)
        except msgspec.DecodeError:
            if stored.name not in self._unreadable:
                self._unreadable.add(stored.name)
                _log.error("a stored webhook cannot be read: delete it and add it again", webhook=stored.name)
            return None

    async def rules(self) -> list[KnownRule]:
        """All rules, by name."""
        return [known for _, known in sorted((await self._known_rules()).items())]

    async def add_rule(self, body: bytes) -> tuple[KnownRule, str | None]:
        """Add the rule in a JSON document, and the secret that was made for it, where none was given.

        Raises BadInput, Conflict where there is one of that name, and Refused for a URL that is not allowed.
        """
        rule, generated = decode_rule(body, self._policy)
        if rule.cursor in self._fixed:
            raise Conflict(f"the settings have a webhook named {rule.name!r}", [])
        if len(await self._store.rules()) >= _MAX_RULES:
            raise BadInput(f"there are {_MAX_RULES} webhooks already")
        content = msgspec.msgpack.encode(rule)
        stored = await self._store.add_rule(rule.name, content, rule.cursor, from_start=rule.from_ == "start")
        await self.look()
        return KnownRule(rule, stored.created_at), generated

    async def remove_rule(self, name: str) -> None:
        """Remove a rule that came by the API, its cursor, and its dead letters. Raises NotFound, or Conflict."""
        cursor = Rule.cursor_of(name)
        if cursor in self._fixed:
            raise Conflict(f"the webhook {name!r} is one of the settings", [])
        await self._store.remove_rule(name, cursor)
        await self.look()

    # -- dead letters ------------------------------------------------------------------------------

    async def dead_letters(self, name: str, *, after: int, limit: int) -> list[DeadLetter]:
        """Dead letters of a delivery, by position. Raises NotFound."""
        self._source(name)
        return await self._store.dead_letters(name, after=after, limit=limit)

    async def count_dead(self) -> dict[str, int]:
        """How many dead letters each delivery has."""
        return await self._store.count_dead(list(self._running))

    async def resend(self, name: str, seqs: Sequence[int] | None) -> Resent:
        """Send dead letters again, those of `seqs` or all. What is taken is a dead letter no more. Raises NotFound."""
        sink = self._sink(self._source(name))
        found, after = Resent(), 0
        until = asyncio.get_running_loop().time() + _RESEND_SECONDS
        tried = 0
        while tried < _RESEND and asyncio.get_running_loop().time() < until:
            limit = min(sink.batch, _RESEND - tried)
            letters = await self._store.dead_letters(name, after=after, limit=limit, seqs=seqs)
            if not letters:
                break
            tried, after = tried + len(letters), letters[-1].seq
            if not await self._resend(name, sink, letters, found):
                break
        left = await self._store.dead_letters(name, limit=_RESEND, after=after, seqs=seqs)
        found.remaining += len(left)
        return found

    async def _resend(self, name: str, sink: Sink, letters: Sequence[DeadLetter], found: Resent) -> bool:
        """False where the receiver is away."""
        outcome = await send(sink, [letter.event for letter in letters])
        found.message = outcome.message or found.message
        kept = {event.seq for event in outcome.remaining} | {event.seq for event, _ in outcome.dead}
        if outcome.rejected:
            # It does not say which ones it left out.
            kept = {letter.seq for letter in letters}
        await self._store.forget_dead(name, [letter.seq for letter in letters if letter.seq not in kept])
        await self._store.keep(name, outcome.dead)
        found.delivered += outcome.delivered
        found.dead += len(outcome.dead) + outcome.rejected
        found.remaining += len(outcome.remaining)
        return outcome.retry_after is None

    def _source(self, name: str) -> Upstream | KnownRule:
        running = self._running.get(name)
        if running is None:
            raise NotFound(f"no delivery {name!r}")
        return running.source

    # -- what is known -----------------------------------------------------------------------------

    def status(self) -> list[DeliveryStatus]:
        """Of each delivery, by name. Of one that another process has, as of the last `look`."""
        return [self._status(name, running.cursor) for name, running in sorted(self._running.items())]

    def _status(self, name: str, cursor: Cursor) -> DeliveryStatus:
        row = self._seen.get(name)
        position, state = cursor.position, cursor.state
        if not cursor.holding and row is not None:
            position, state = row.position, row.state
        return DeliveryStatus(
            name=name,
            label=cursor.sink.label,
            position=position,
            lag=max(0, self._tail.head - position),
            here=cursor.holding,
            free=not cursor.holding and (row is None or row.free),
            state=state,
            counts=cursor.counts,
        )

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """For `/metrics`. Lag is told by the process that has the delivery, and by all of them while nobody has it."""
        prefix = "ark_broker_delivery"
        lag = GaugeMetricFamily(f"{prefix}_lag", "Positions of the log not looked at yet.", labels=["delivery"])
        failing = GaugeMetricFamily(f"{prefix}_failing", "Failed tries since the last success.", labels=["delivery"])
        events = CounterMetricFamily(
            f"{prefix}_events", "Events handed on, by what came of it.", labels=["delivery", "outcome"]
        )
        failures = CounterMetricFamily(f"{prefix}_failures", "Tries that failed.", labels=["delivery"])
        for status in self.status():
            if status.here or status.free:
                lag.add_metric([status.name], status.lag)
                failing.add_metric([status.name], status.state.failures)
            for outcome in ("delivered", "rejected", "dead"):
                events.add_metric([status.name, outcome], getattr(status.counts, outcome))
            failures.add_metric([status.name], status.counts.failures)
        yield from (lag, failing, events, failures)

    def describe(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Nothing to say before there are deliveries."""
        return iter(())


def _is_fixed(source: Upstream | KnownRule) -> bool:
    """True for one of the settings: the cursor of a rule of the API is made with the rule, and removed with it."""
    return isinstance(source, Upstream) or source.created_at is None


def _from_start(source: Upstream | KnownRule) -> bool:
    return (source if isinstance(source, Upstream) else source.rule).from_ == "start"
