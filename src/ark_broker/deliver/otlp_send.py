"""One delivery of spans to one upstream: send, judge the answer, find the span that spoils a batch.

What an answer means (OTLP 1.x "Failures", and what Langfuse, Phoenix and the Collector do beyond it):

    2xx                            taken; spans that a partial success rejects are not sent again
    429, 502, 503, 504             again later, after `Retry-After`; so are 408, 425, and connection errors
    no answer in time, 408, 504    again later, with half as many spans
    507                            again after a long pause: its disk is full
    401, 402, 403, 407             again after a long pause: a wrong key is to be mended, no reason to lose spans
    3xx, 404, 405, 415             again after a long pause: the address is wrong
    413, 400, 422, any other 4xx   some span is at fault: sent in halves, down to the one, which is given up
    500, any other 5xx             again later; after some tries in halves, down to the one, which is given up once it
                                   is sure that the upstream fails on it and not on everything (`_Delivery`)

Spans may arrive twice (an answer is lost, a process ends); their ids are the same then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import httpx

from ark_broker import __version__
from ark_broker.deliver.guard import Refused
from ark_broker.deliver.otlp_answer import LONG_PAUSE, PROTOBUF, Answer, judge, line
from ark_broker.deliver.otlp_batch import FORWARDED_BY_HEADER, Outgoing, compress, cut, encode, prepare
from ark_broker.deliver.otlp_memory import AS_IT_COMES, Pace, Plan
from ark_broker.deliver.threads import Run
from ark_broker.deliver.upstreams import Upstream
from ark_broker.model import Event

#: Bytes of an answer that are read, at most.
MAX_ANSWER_BYTES: Final = 64 * 1024

#: Seconds for what follows an answer's status.
_ANSWER_SECONDS: Final = 5.0
_FAILED_BEFORE: Final = Answer("failed", "it failed on some of the spans before")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a delivery. Every event given is counted once: in `delivered`, `rejected`, `skipped`, `dead`, or
    `remaining`.
    """

    #: Spans that the upstream took.
    delivered: int = 0
    #: Spans of taken requests that the upstream said it left out.
    rejected: int = 0
    #: Events that are not for it: no spans, or spans that it had already (see `otlp_batch`).
    skipped: int = 0
    #: Events that will never be taken, each with the reason.
    dead: tuple[tuple[Event, str], ...] = ()
    #: Events that were not taken, and should be given again, in their order.
    remaining: tuple[Event, ...] = ()
    #: None: it is done. Otherwise the least pause in seconds before the rest is tried again; 0.0 where the upstream
    #: named none (see `next_pause`).
    retry_after: float | None = None
    #: It ended as the upstream failed on spans that were sent, with 500 or the like.
    failed: bool = False
    #: How to send what remains: a search for bad spans goes on where it was, even if it is broken off each time.
    plan: Plan = AS_IT_COMES
    #: Why the rest is not taken yet, or what the upstream says of what it took: one printable line; "" for nothing.
    message: str = ""


async def deliver(
    client: httpx.AsyncClient,
    upstream: Upstream,
    events: Sequence[Event],
    *,
    log_id: str,
    plan: Plan = AS_IT_COMES,
    pace: Pace | None = None,
    run: Run = asyncio.to_thread,
) -> Outcome:
    """Send these events, in as many requests as the upstream's limits and its `pace` want, which is kept up to date.

    Its filters are not asked: give what it `takes`. For n spans it makes at most 3 × n requests, and one bad span among
    them costs about 2 × log2(n) more. Raises nothing on account of the network or the upstream.
    """
    prepared = await run(prepare, events, upstream, log_id)
    spans = prepared.spans
    # Suspects that nothing comes behind are looked at anew: there is nothing else to ask for.
    begin = plan.suspects if plan.again or plan.suspects < len(spans) else 0
    delivery = _Delivery(pace or Pace(upstream.max_batch_spans), plan.search, spans[:begin])
    for part in (spans[begin : begin + plan.first], spans[begin + plan.first :]):
        delivery.waiting += await run(cut, part, upstream.max_batch_spans, upstream.max_batch_bytes)
    delivery.dead += prepared.unusable
    if plan.again:
        delivery.try_again()
    while delivery.waiting and delivery.stopped is None:
        batch = delivery.next()
        delivery.settle(batch, await _send(client, upstream, batch, log_id, run))
    return delivery.outcome(len(prepared.skipped))


@dataclass(slots=True)
class _Delivery:
    """What waits to be sent, and what came of the rest.

    An upstream that is broken itself fails on every span, too. So one that it fails on alone is a suspect only, until
    it has taken another one; then the suspect is tried once more, and given up if it fails again.
    """

    pace: Pace
    search: bool
    suspects: list[Outgoing]
    waiting: deque[list[Outgoing]] = field(default_factory=deque)
    #: So many of the first in `waiting` are suspects that are tried once more, each alone.
    again: int = 0
    delivered: int = 0
    rejected: int = 0
    message: str = ""
    dead: list[tuple[Event, str]] = field(default_factory=list)
    #: What broke it off.
    stopped: Answer | None = None
    #: What it last said of a suspect.
    failure: Answer = _FAILED_BEFORE

    def next(self) -> list[Outgoing]:
        """The spans of the next request. There has to be one."""
        batch, most = self.waiting.popleft(), self.pace.spans
        if len(batch) > most:
            self.waiting.appendleft(batch[most:])
        return batch[:most]

    def settle(self, batch: list[Outgoing], answer: Answer) -> None:
        """What an answer means for the spans of the request, and for those that wait."""
        if answer.slow:
            self.pace.timed_out(len(batch))
        if answer.verdict == "taken":
            self._take(batch, answer)
        elif answer.verdict == "later" or (answer.verdict == "failed" and not self.search):
            self.waiting.appendleft(batch)
            self.stopped = answer
        elif len(batch) > 1:
            half = len(batch) // 2
            self.waiting.extendleft((batch[half:], batch[:half]))
        elif answer.verdict == "split" or self.again:
            self.again = max(self.again - 1, 0)
            self.dead.append((batch[0].event, answer.reason))
        else:
            self.suspects += batch
            self.failure = answer

    def _take(self, batch: list[Outgoing], answer: Answer) -> None:
        self.pace.took(len(batch))
        self.delivered += len(batch) - answer.rejected
        self.rejected += answer.rejected
        self.message = answer.reason or self.message
        self.again = max(self.again - 1, 0)
        self.try_again()

    def try_again(self) -> None:
        """Another span was taken, so what the suspects get now is meant for them."""
        self.again += len(self.suspects)
        self.waiting.extendleft([suspect] for suspect in reversed(self.suspects))
        self.suspects = []

    def outcome(self, skipped: int) -> Outcome:
        # Suspects that nobody came after may be as good as any.
        end = self.stopped or (self.failure if self.suspects else None)
        return Outcome(
            delivered=self.delivered,
            rejected=self.rejected,
            skipped=skipped,
            dead=tuple(self.dead),
            remaining=tuple(outgoing.event for outgoing in (*self.suspects, *chain.from_iterable(self.waiting))),
            retry_after=None if end is None else end.retry_after,
            failed=end is not None and end.verdict == "failed",
            plan=AS_IT_COMES if self.stopped is None else self._rest(self.stopped),
            message=self.message if end is None else end.reason,
        )

    def _rest(self, stopped: Answer) -> Plan:
        first = next(iter(list(self.waiting)[self.again :]), [])
        return Plan(len(self.suspects) + self.again, stopped.busy and self.again > 0, len(first), self.search)


def next_pause(failures: int, retry_after: float, jitter: float) -> float:
    """Seconds until the next try, after so many failures in a row (at least 1).

    An upstream that named a pause gets it, and up to a tenth more; otherwise 1 s, doubling to 300 s, of which the last
    half is left to chance. `jitter` is a random number in [0, 1): replicas should not come back all at once.
    """
    if retry_after > 0:
        return retry_after * (1 + jitter / 10)
    # Doubled 9 times it is past the longest; a float doubled for days would overflow.
    pause = min(_FIRST_PAUSE * 2.0 ** min(max(failures, 1) - 1, 9), _LONGEST_PAUSE)
    return pause * (1 + jitter) / 2


async def _send(
    client: httpx.AsyncClient, upstream: Upstream, batch: Sequence[Outgoing], log_id: str, run: Run
) -> Answer:
    body = await run(_body, batch, upstream.gzip)
    try:
        request = client.build_request(
            "POST", upstream.url, content=body, headers=_headers(upstream, log_id), timeout=upstream.timeout_seconds
        )
        # httpx's own timeouts are for each read: an upstream that drips would hold on for ever.
        async with asyncio.timeout(upstream.timeout_seconds):
            response = await client.send(request, stream=True, follow_redirects=False)
    except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout):
        return Answer("later", f"no answer within {upstream.timeout_seconds:g} s", slow=True)
    except Refused as error:
        return Answer("later", str(error), retry_after=LONG_PAUSE)
    except (httpx.RequestError, httpx.InvalidURL) as error:
        return Answer("later", line(f"{type(error).__name__}: {error}".rstrip(": "), upstream))
    try:
        content = await _read(response)
    finally:
        await response.aclose()
    return judge(upstream, response.status_code, response.headers, content, len(batch))


def _body(batch: Sequence[Outgoing], gzip: bool) -> bytes:
    body = encode(batch)
    return compress(body) if gzip else body


def _headers(upstream: Upstream, log_id: str) -> dict[str, str]:
    own = {
        # Phoenix compares it as text: no parameters.
        "Content-Type": PROTOBUF,
        "Accept": PROTOBUF,
        # A small answer, inflated, may be a very large one.
        "Accept-Encoding": "identity",
        "User-Agent": f"ark-broker/{__version__}",
        FORWARDED_BY_HEADER: log_id,
    }
    if upstream.gzip:
        own["Content-Encoding"] = "gzip"
    configured = {name.lower() for name in upstream.headers}
    return {name: value for name, value in own.items() if name.lower() not in configured} | upstream.headers


async def _read(response: httpx.Response) -> bytes | None:
    """The beginning of the answer; None where it is compressed nevertheless.

    Its status is known by now, and says what matters: where the rest does not come, what came has to do.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return None
    if response.is_stream_consumed:
        # By a hook of the client's, say one that logs answers.
        return response.content[:MAX_ANSWER_BYTES]
    content = bytearray()
    with contextlib.suppress(httpx.RequestError, TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) >= MAX_ANSWER_BYTES:
                    break
    return bytes(content[:MAX_ANSWER_BYTES])
