"""One delivery of spans to one upstream: send, judge the answer, find the span that spoils a batch.

What an answer means (OTLP 1.x "Failures", and what Langfuse, Phoenix and the Collector do beyond it):

    2xx                            taken; spans that a partial success rejects are not sent again
    429, 502, 503, 504, other 5xx  again later, after `Retry-After`; so are 408, 425, timeouts, and connection errors
    507                            again after a long pause: its disk is full
    401, 402, 403, 407             again after a long pause: a wrong key is to be mended, no reason to lose spans
    3xx, 404, 405, 415             again after a long pause: the address is wrong
    413, 400, 422, any other 4xx   some span is at fault: sent in halves, down to the one, which is given up

Spans may arrive twice (an answer is lost, a process ends); their ids are the same then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

import httpx
import orjson
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ark_broker import __version__
from ark_broker.deliver.otlp_batch import FORWARDED_BY_HEADER, Outgoing, compress, cut, encode, prepare
from ark_broker.deliver.upstreams import Upstream
from ark_broker.model import Event

#: Bytes of an answer that are read, at most.
MAX_ANSWER_BYTES: Final = 64 * 1024
#: Characters of a reason, at most.
MAX_REASON: Final = 300
#: Longest `Retry-After` that is believed, in seconds.
MAX_RETRY_AFTER: Final = 3600.0
#: Pause in seconds where somebody has to mend something first.
LONG_PAUSE: Final = 60.0

#: Seconds for what follows an answer's status.
_ANSWER_SECONDS: Final = 5.0
#: Objects around the sentence in an error: `{"error": {"message": "…"}}` has two.
_LEVELS: Final = 3
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
_PROTOBUF: Final = "application/x-protobuf"
_RETRY: Final = frozenset({408, 425, 429})
_MENDED_BY_PEOPLE: Final = frozenset({401, 402, 403, 404, 405, 407, 415, 507})
#: Shorter values of headers are no secrets, and may be part of any sentence.
_SECRET_LENGTH: Final = 8

Verdict = Literal["taken", "split", "later"]


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
    #: Spans in the request that has to be tried again. Give it as `first_spans` with the rest: then a search for a bad
    #: span that was broken off goes on where it was, even if that happens each time.
    retry_spans: int | None = None
    #: Why the rest is not taken yet, or what the upstream says of what it took: one printable line; "" for nothing.
    message: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream answered, judged."""

    verdict: Verdict
    reason: str = ""
    rejected: int = 0
    retry_after: float = 0.0


@dataclass(slots=True)
class _Tally:
    delivered: int = 0
    rejected: int = 0
    message: str = ""
    dead: list[tuple[Event, str]] = field(default_factory=list)


async def deliver(
    client: httpx.AsyncClient,
    upstream: Upstream,
    events: Sequence[Event],
    *,
    log_id: str,
    first_spans: int | None = None,
) -> Outcome:
    """Send these events, in as many requests as the upstream's limits want; `first_spans` of them apart, if given.

    Its filters are not asked: give what it `takes`. For n spans it makes at most 2 × n requests, and one bad span among
    them costs about 2 × log2(n) more. Raises nothing on account of the network or the upstream.
    """
    prepared = await asyncio.to_thread(prepare, events, upstream, log_id)
    waiting: deque[list[Outgoing]] = deque()
    for part in (prepared.spans[: first_spans or 0], prepared.spans[first_spans or 0 :]):
        waiting += await asyncio.to_thread(cut, part, upstream.max_batch_spans, upstream.max_batch_bytes)
    tally = _Tally(dead=list(prepared.unusable))
    last: Answer | None = None
    retry_spans = None
    while waiting:
        batch = waiting.popleft()
        answer = await _send(client, upstream, batch, log_id)
        if answer.verdict == "later":
            waiting.appendleft(batch)
            last, retry_spans = answer, len(batch)
            break
        if answer.verdict == "taken":
            tally.delivered += len(batch) - answer.rejected
            tally.rejected += answer.rejected
            tally.message = answer.reason or tally.message
        elif len(batch) == 1:
            tally.dead.append((batch[0].event, answer.reason))
        else:
            half = len(batch) // 2
            waiting.extendleft((batch[half:], batch[:half]))
    return Outcome(
        delivered=tally.delivered,
        rejected=tally.rejected,
        skipped=len(prepared.skipped),
        dead=tuple(tally.dead),
        remaining=tuple(outgoing.event for batch in waiting for outgoing in batch),
        retry_after=None if last is None else last.retry_after,
        retry_spans=retry_spans,
        message=tally.message if last is None else last.reason,
    )


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


def judge(
    upstream: Upstream,
    status: int,
    headers: Mapping[str, str],
    content: bytes | None,
    spans: int,
    *,
    now: datetime | None = None,
) -> Answer:
    """What an answer to a request with so many spans means. `content` is None where it cannot be read.

    `headers` have to be found in any spelling of their names, as those of httpx are. `now` is for `Retry-After`.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if 200 <= status < 300:
        rejected, message = _taken(media, content or b"")
        return Answer("taken", _line(message, upstream), min(max(rejected, 0), spans))
    reason = _line(f"HTTP {status}: {_why(status, media, content or b'')}".rstrip(": "), upstream)
    pause = parse_retry_after(headers.get("retry-after", ""), now or datetime.now(UTC))
    if status in _MENDED_BY_PEOPLE or status < 400:
        return Answer("later", reason, retry_after=max(pause, LONG_PAUSE))
    if status in _RETRY or status >= 500:
        return Answer("later", reason, retry_after=pause)
    return Answer("split", reason)


def parse_retry_after(value: str, now: datetime) -> float:
    """`Retry-After`, in seconds or as an HTTP date, as seconds from `now`: 0 to an hour, 0 where it says nothing."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        # More digits than this are more than an hour, and int() takes only so many.
        return min(float(value[:20]), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


async def _send(client: httpx.AsyncClient, upstream: Upstream, batch: Sequence[Outgoing], log_id: str) -> Answer:
    body = await asyncio.to_thread(_body, batch, upstream.gzip)
    try:
        request = client.build_request(
            "POST", upstream.url, content=body, headers=_headers(upstream, log_id), timeout=upstream.timeout_seconds
        )
        # httpx's own timeouts are for each read: an upstream that drips would hold on for ever.
        async with asyncio.timeout(upstream.timeout_seconds):
            response = await client.send(request, stream=True, follow_redirects=False)
    except TimeoutError:
        return Answer("later", f"no answer within {upstream.timeout_seconds:g} s")
    except (httpx.RequestError, httpx.InvalidURL) as error:
        return Answer("later", _line(f"{type(error).__name__}: {error}".rstrip(": "), upstream))
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
        "Content-Type": _PROTOBUF,
        "Accept": _PROTOBUF,
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


def _taken(media: str, content: bytes) -> tuple[int, str]:
    """How many spans of a taken request were rejected, and what it says.

    What cannot be read is no failure: Langfuse answers JSON of its own to protobuf.
    """
    if media == _PROTOBUF:
        partial = _decoded(ExportTraceServiceResponse, content).partial_success
        return partial.rejected_spans, partial.error_message
    if media == "application/json":
        return _partial_success(_json(content))
    if media == "text/html":
        return 0, "it answered with a web page: is this the address of an OTLP receiver?"
    return 0, ""


def _decoded(of: type[Any], content: bytes) -> Any:
    """The message in `content`, or an empty one."""
    try:
        return of.FromString(content)
    except DecodeError:
        return of()


def _partial_success(value: object) -> tuple[int, str]:
    partial = value.get("partialSuccess") if isinstance(value, dict) else None
    if not isinstance(partial, dict):
        return 0, ""
    rejected, message = partial.get("rejectedSpans", 0), partial.get("errorMessage", "")
    try:
        count = int(rejected)
    except (TypeError, ValueError, OverflowError):
        count = 0
    return count, message if isinstance(message, str) else ""


def _why(status: int, media: str, content: bytes) -> str:
    """What the upstream says about its status; "" where it does not in words."""
    if status < 400:
        return "it sends elsewhere, and redirects are not followed"
    if media == _PROTOBUF:
        return str(_decoded(Status, content).message)
    if media.endswith("json"):
        return _said(content)
    if media in ("", "text/plain"):
        return content.decode("utf-8", "replace")
    return ""


def _json(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _said(content: bytes) -> str:
    """The sentence in a JSON error, whatever it is called there: `message`, `error`, `detail`; or all of it."""
    value = _json(content)
    for _ in range(_LEVELS):
        if isinstance(value, dict):
            value = next((found for key in ("message", "error", "detail") if (found := value.get(key))), None)
    return value if isinstance(value, str) else content.decode("utf-8", "replace")


def _line(text: str, upstream: Upstream) -> str:
    """`text` as one printable line of `MAX_REASON` characters at most, without what the upstream's headers hold.

    An upstream may repeat what it was sent.
    """
    for value in upstream.headers.values():
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) >= _SECRET_LENGTH:
                text = text.replace(secret, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_REASON]).split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"
