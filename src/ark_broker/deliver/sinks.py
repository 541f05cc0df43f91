"""Where a cursor hands events to: an upstream in OTLP, or a webhook. Both say what came of it in an `Outcome`."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

import httpx
import structlog

from ark_broker.deliver.guard import Policy, Refused, make_client, read_capped
from ark_broker.deliver.otlp_answer import LONG_PAUSE, parse_retry_after
from ark_broker.deliver.otlp_memory import Memory, Pace
from ark_broker.deliver.otlp_send import Outcome, deliver
from ark_broker.deliver.rules import Matcher, Rule
from ark_broker.deliver.threads import Run, Threads
from ark_broker.deliver.upstreams import Upstream
from ark_broker.deliver.webhook_format import sign, slack_body, webhook_body
from ark_broker.log.questions import load_questions
from ark_broker.log.read import Reader
from ark_broker.log.scope import WHOLE_LOG, Scope
from ark_broker.model import Event
from ark_broker.sessions.questions import Question, sort_of

_log = structlog.get_logger(__name__)

#: Seconds that a webhook has until the status of its answer.
WEBHOOK_SECONDS: Final = 15.0
#: Events of a webhook between two notes of the position: as many are repeated after a crash, at most.
WEBHOOK_BATCH: Final = 10
#: An event that is answered with 500, over and over, is given up after so many tries: others wait behind it.
MAX_TRIES: Final = 12

_SPANS: Final = Scope("log", feed="spans")
_NANOSECONDS: Final = 1_000_000_000
#: Seconds for what follows the status.
_ANSWER_SECONDS: Final = 5.0
#: Bytes of an answer that are read, at most.
_MAX_ANSWER: Final = 1_024
#: What Slack says is wrong: `invalid_payload`.
_WORD: Final = re.compile(rb"[a-z_]{1,40}")
_AGAIN: Final = frozenset({408, 425, 429, 502, 503, 504})
_MENDED_BY_PEOPLE: Final = frozenset({401, 402, 403, 404, 405, 407, 415, 507})

#: What a bug raises for one event and not for the next: it must not hold up the others.
_UNWRITABLE: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Sink(Protocol):
    """One receiver."""

    @property
    def label(self) -> str:
        """Where it is, for people: without anything secret."""

    @property
    def scope(self) -> Scope:
        """The part of the log that it is about."""

    @property
    def types(self) -> tuple[str, ...]:
        """Event types that it cannot do without; empty where the database cannot look for them."""

    @property
    def batch(self) -> int:
        """Events that it is given at once, at most."""

    def takes(self, event: Event) -> bool:
        """True for an event that is for it."""

    def due(self, event: Event) -> int:
        """When an event that it takes may be sent, in nanoseconds since the epoch. Never earlier than one before it."""

    async def send(self, events: Sequence[Event]) -> Outcome:
        """Send events that it takes, in their order; what remains is given again, with what came after it.

        Raises nothing on account of the network or the receiver; what the database raises, and for an event that
        cannot be written, whatever that comes to.
        """


class OtlpSink:
    """An upstream in OTLP/HTTP."""

    types: tuple[str, ...] = ()
    scope = _SPANS

    def __init__(
        self, client: httpx.AsyncClient, upstream: Upstream, log_id: str, *, run: Run = asyncio.to_thread
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._log_id = log_id
        self._run = run
        self._pace = Pace(upstream.max_batch_spans)
        self._memory = Memory()
        self.label = upstream.origin
        self.batch = upstream.max_batch_spans

    def takes(self, event: Event) -> bool:
        return self._upstream.takes(event)

    def due(self, event: Event) -> int:
        return 0

    async def send(self, events: Sequence[Event]) -> Outcome:
        plan = self._memory.plan(events)
        found = await deliver(
            self._client, self._upstream, events, log_id=self._log_id, plan=plan, pace=self._pace, run=self._run
        )
        self._memory.note(plan, found.remaining, found.plan, failed=found.failed)
        return found


@dataclass(frozen=True, slots=True)
class _Answer:
    verdict: Literal["taken", "dead", "later"]
    reason: str = ""
    retry_after: float = 0.0
    #: The receiver had the event, and failed on it.
    failed_on_it: bool = False


class WebhookSink:
    """A webhook: one request an event."""

    scope = WHOLE_LOG
    batch = WEBHOOK_BATCH

    def __init__(
        self,
        client: httpx.AsyncClient,
        rule: Rule,
        reader: Reader,
        log_id: str,
        *,
        public_url: str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._client = client
        self._rule = rule
        self._reader = reader
        self._log_id = log_id
        self._public_url = public_url
        self._clock = clock
        self._matcher = Matcher(rule.when)
        self._keys = rule.keys
        self._wait = int((rule.when.older_than_seconds or 0) * _NANOSECONDS)
        #: The event that the receiver fails on, and how often it has.
        self._failing = (0, 0)
        self.label = rule.origin
        self.types = self._matcher.types

    def takes(self, event: Event) -> bool:
        return self._matcher(event)

    def due(self, event: Event) -> int:
        return event.recorded_at + self._wait if self._wait else 0

    async def send(self, events: Sequence[Event]) -> Outcome:
        questions = await self._questions(events)
        delivered = skipped = 0
        dead: list[tuple[Event, str]] = []
        for number, event in enumerate(events):
            question = questions.get(event.question_id or "")
            if not self._is_news(event, question):
                skipped += 1
                continue
            answer = await self._post(event, question)
            if answer.verdict == "later" and not (answer.failed_on_it and self._is_given_up(event)):
                return Outcome(
                    delivered=delivered,
                    skipped=skipped,
                    dead=tuple(dead),
                    remaining=tuple(events[number:]),
                    retry_after=answer.retry_after,
                    message=answer.reason,
                )
            if answer.verdict == "taken":
                delivered += 1
            else:
                dead.append((event, answer.reason))
        return Outcome(delivered=delivered, skipped=skipped, dead=tuple(dead))

    async def _questions(self, events: Sequence[Event]) -> dict[str, Question]:
        ids = sorted({event.question_id for event in events if event.question_id is not None})
        if not ids:
            return {}
        async with self._reader.snapshot() as connection:
            return await load_questions(connection, ids)

    def _is_news(self, event: Event, question: Question | None) -> bool:
        """False for a question that was asked once more, and for one that waits no longer where that is the rule."""
        if question is None or sort_of(event) != "asked":
            return not self._wait
        return question.asked_at == event.time and (question.is_open or not self._wait)

    def _is_given_up(self, event: Event) -> bool:
        seq, tries = self._failing
        self._failing = (event.seq, tries + 1 if seq == event.seq else 1)
        return self._failing[1] >= MAX_TRIES

    async def _post(self, event: Event, question: Question | None) -> _Answer:
        write = slack_body if self._rule.format == "slack" else webhook_body
        body = write(event, question, self._public_url)
        headers = {"Content-Type": "application/json"}
        if self._keys:
            # The same for each try, also after a restart: a receiver can tell a repetition.
            message_id = f"{self._log_id}:{self._rule.name}:{event.seq}"
            headers |= sign(self._keys, message_id, self._clock() // _NANOSECONDS, body)
        try:
            async with asyncio.timeout(WEBHOOK_SECONDS):
                request = self._client.build_request("POST", self._rule.url, content=body, headers=headers)
                response = await self._client.send(request, stream=True, follow_redirects=False)
        except Refused as error:
            return _Answer("later", str(error), LONG_PAUSE)
        except TimeoutError:
            return _Answer("later", f"no answer within {WEBHOOK_SECONDS:g} s")
        except (httpx.RequestError, httpx.InvalidURL) as error:
            # Only its name: the words may say where in the network a name leads.
            return _Answer("later", f"the request failed: {type(error).__name__}")
        content = b""
        # The status says what matters: where the rest does not come, it is as well.
        with contextlib.suppress(httpx.RequestError, TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                content = await read_capped(response, _MAX_ANSWER)
        return _judge(response.status_code, response.headers.get("retry-after", ""), content)


def _judge(status: int, retry_after: str, content: bytes) -> _Answer:
    """What an answer means. Of what it says only a word is kept: it may come from a service that is nobody's business.

    410 says that the receiver wants no more of it (Standard Webhooks, "Retries").
    """
    if 200 <= status < 300:
        return _Answer("taken")
    word = content.strip()
    reason = f"HTTP {status}" + (f": {word.decode()}" if _WORD.fullmatch(word) else "")
    pause = parse_retry_after(retry_after, datetime.now(UTC))
    if status < 400:
        return _Answer("later", f"{reason}: it sends elsewhere, and redirects are not followed", LONG_PAUSE)
    if status in _MENDED_BY_PEOPLE:
        return _Answer("later", reason, max(pause, LONG_PAUSE))
    if status in _AGAIN or status >= 500:
        return _Answer("later", reason, pause, failed_on_it=status not in _AGAIN)
    return _Answer("dead", reason)


async def send(sink: Sink, events: Sequence[Event]) -> Outcome:
    """Send; where the sink cannot write an event, that one alone is given up. Raises what the database raises."""
    try:
        return await sink.send(events)
    except _UNWRITABLE as error:
        if len(events) == 1:
            _log.exception("an event cannot be written", receiver=sink.label, seq=events[0].seq)
            return Outcome(dead=((events[0], f"the broker cannot write it: {type(error).__name__}"),))
    half = len(events) // 2
    first = await send(sink, events[:half])
    if first.retry_after is not None:
        return replace(first, remaining=(*first.remaining, *events[half:]))
    second = await send(sink, events[half:])
    return replace(
        second,
        delivered=first.delivered + second.delivered,
        rejected=first.rejected + second.rejected,
        skipped=first.skipped + second.skipped,
        dead=first.dead + second.dead,
        message=second.message or first.message,
    )


@dataclass(slots=True)
class Clients:
    """Made when they are first needed: loading the authorities takes a moment."""

    policy: Policy
    threads: Threads = field(default_factory=Threads)
    _made: dict[bool, httpx.AsyncClient] = field(default_factory=dict)

    def get(self, *, trusted: bool) -> httpx.AsyncClient:
        """The client for upstreams, which the operator named, or that for webhooks."""
        if trusted not in self._made:
            policy = Policy(allow_http=True, allow_private=True) if trusted else self.policy
            timeout = 30.0 if trusted else WEBHOOK_SECONDS
            self._made[trusted] = make_client(policy, timeout=timeout, resolve=self.threads.resolve)
        return self._made[trusted]

    async def close(self) -> None:
        for client in self._made.values():
            with contextlib.suppress(TimeoutError, httpx.HTTPError):
                async with asyncio.timeout(0.2):
                    await client.aclose()
        self.threads.close()
