"""A delivery to receivers that follow the documented rules of Langfuse, Phoenix and OTLP, and to some that do not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import math
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import msgspec
import pytest
import uvicorn
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ark_broker.deliver import otlp_send
from ark_broker.deliver.otlp_answer import LONG_PAUSE, MAX_REASON, parse_retry_after
from ark_broker.deliver.otlp_batch import FORWARDED_BY, FORWARDED_BY_HEADER
from ark_broker.deliver.otlp_memory import AS_IT_COMES, Plan
from ark_broker.deliver.otlp_send import Outcome, deliver, next_pause
from ark_broker.deliver.upstreams import Upstream, parse_upstreams
from ark_broker.model import Event
from ark_broker.receive.otlp import decode_traces
from tests.support.waiting import until

LOG = "log-1"
PROTOBUF = "application/x-protobuf"
PLAIN = Upstream(name="plain", url="http://h/v1/traces", timeout_seconds=20)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def events(*names: str) -> list[Event]:
    """A span of each name."""
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add().scope_spans.add()
    for number, name in enumerate(names, 1):
        part.spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8), name=name)
    return decode_traces(request.SerializeToString(), "protobuf").events


def names_in(content: bytes) -> list[str]:
    request = ExportTraceServiceRequest.FromString(content)
    return [s.name for group in request.resource_spans for part in group.scope_spans for s in part.spans]


def name_of(event: Event) -> str:
    return event.type


# -- receivers in memory


class Receiver:
    """Answers what `rule` says of the names in a request; knows what it was sent, and what it took."""

    def __init__(self, rule: Callable[[list[str]], httpx.Response]) -> None:
        self._rule = rule
        self.requests: list[list[str]] = []
        self.taken: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["content-type"] == PROTOBUF
        body = request.content
        names = names_in(gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body)
        self.requests.append(names)
        response = self._rule(names)
        if response.is_success:
            self.taken += names
        return response

    async def take(self, given: list[Event], upstream: Upstream = PLAIN, *, plan: Plan = AS_IT_COMES) -> Outcome:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as client:
            outcome = await deliver(client, upstream, given, log_id=LOG, plan=plan)
        counted = outcome.delivered + outcome.rejected + outcome.skipped + len(outcome.dead) + len(outcome.remaining)
        assert counted == len(given)
        return outcome


def answering(status: int, **more: object) -> Receiver:
    return Receiver(lambda names: httpx.Response(status, **more))  # type: ignore[arg-type]


def refusing(*bad: str, status: int = 400) -> Receiver:
    """Refuses the whole of a request that has one of these names in it."""

    def rule(names: list[str]) -> httpx.Response:
        found = [name for name in names if name in bad]
        return httpx.Response(status, json={"error": f"cannot read {found[0]}"}) if found else httpx.Response(200)

    return Receiver(rule)


async def test_a_batch_that_is_taken_is_one_request() -> None:
    receiver = answering(200)
    assert await receiver.take(events("a", "b", "c")) == Outcome(delivered=3)
    assert receiver.requests == [["a", "b", "c"]]


async def test_nothing_to_send_is_no_request() -> None:
    receiver = answering(200)
    assert await receiver.take([]) == Outcome()
    assert receiver.requests == []


async def test_more_than_a_batch_is_several_requests_in_order() -> None:
    receiver = answering(200)
    small = msgspec.structs.replace(PLAIN, max_batch_spans=2)
    assert (await receiver.take(events("a", "b", "c"), small)).delivered == 3
    assert receiver.requests == [["a", "b"], ["c"]]


async def test_requests_say_where_they_come_from_and_how_they_are_written() -> None:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    upstream = msgspec.structs.replace(PLAIN, headers={"x-key": "k", "user-agent": "own"}, gzip=False)
    async with httpx.AsyncClient(transport=httpx.MockTransport(take)) as client:
        assert (await deliver(client, upstream, events("a"), log_id=LOG)).delivered == 1
    (request,) = seen
    assert request.method == "POST"
    assert str(request.url) == upstream.url
    assert request.headers[FORWARDED_BY_HEADER] == LOG
    assert request.headers["content-type"] == PROTOBUF
    assert request.headers["x-key"] == "k"
    assert request.headers.get_list("user-agent") == ["own"]
    assert "content-encoding" not in request.headers
    assert names_in(request.content) == ["a"]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 505, 599])
async def test_what_passes_is_tried_again_after_the_pause_that_was_named(status: int) -> None:
    given = events("a", "b")
    named = await answering(status, headers={"Retry-After": "7"}).take(given)
    assert (named.retry_after, named.remaining, named.plan.first) == (7.0, tuple(given), 2)
    unnamed = await answering(status, text="busy").take(given)
    assert (unnamed.retry_after, unnamed.message) == (0.0, f"HTTP {status}: busy")


@pytest.mark.parametrize("status", [301, 307, 401, 402, 403, 404, 405, 407, 415, 507])
async def test_what_people_have_to_mend_costs_no_span_and_is_tried_again_slowly(status: int) -> None:
    given = events("a", "b")
    receiver = answering(status, headers={"Location": "http://h/other"})
    outcome = await receiver.take(given)
    assert (outcome.retry_after, outcome.remaining, outcome.dead) == (LONG_PAUSE, tuple(given), ())
    assert outcome.message.startswith(f"HTTP {status}")
    assert len(receiver.requests) == 1
    longer = await answering(status, headers={"Retry-After": "90"}).take(given)
    assert longer.retry_after == 90.0


@pytest.mark.parametrize("status", [400, 406, 409, 413, 422])
async def test_one_bad_span_is_found_and_given_up_alone(status: int) -> None:
    names = [f"s{number}" for number in range(64)]
    receiver = refusing("s37", status=status)
    outcome = await receiver.take(events(*names))
    assert outcome.delivered == 63
    assert outcome.retry_after is None
    ((event, reason),) = outcome.dead
    assert (name_of(event), reason) == ("s37", f"HTTP {status}: cannot read s37")
    assert receiver.taken == [name for name in names if name != "s37"]
    assert len(receiver.requests) == 1 + 2 * math.log2(64)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 100])
async def test_a_receiver_that_refuses_everything_gets_at_most_two_requests_a_span(count: int) -> None:
    receiver = answering(400)
    outcome = await receiver.take(events(*(f"s{number}" for number in range(count))))
    assert len(outcome.dead) == count
    assert outcome.retry_after is None
    assert len(receiver.requests) <= 2 * count


async def test_batches_too_large_are_halved_and_a_span_too_large_is_given_up() -> None:
    def rule(names: list[str]) -> httpx.Response:
        return httpx.Response(413 if len(names) > 2 or "huge" in names else 200)

    receiver = Receiver(rule)
    outcome = await receiver.take(events("a", "b", "c", "huge", "d", "e", "f", "g"))
    assert receiver.taken == ["a", "b", "c", "d", "e", "f", "g"]
    assert [(name_of(event), reason) for event, reason in outcome.dead] == [("huge", "HTTP 413")]


async def test_what_was_taken_before_a_retry_does_not_remain() -> None:
    answers = iter([httpx.Response(413), httpx.Response(200), httpx.Response(503, headers={"Retry-After": "3"})])
    receiver = Receiver(lambda names: next(answers))
    outcome = await receiver.take(events("a", "b", "c", "d"))
    assert receiver.requests == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]
    assert [name_of(event) for event in outcome.remaining] == ["c", "d"]
    assert (outcome.delivered, outcome.retry_after, outcome.plan.first) == (2, 3.0, 2)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 20), st.integers(1, 8), st.integers(0, 2**32))
async def test_whatever_the_answers_each_span_is_taken_once_or_given_up_or_remains(
    count: int, batch: int, seed: int
) -> None:
    chance = random.Random(seed)
    names = [f"s{number}" for number in range(count)]
    bad = {name for name in names if chance.random() < 0.2}

    def rule(found: list[str]) -> httpx.Response:
        if chance.random() < 0.2:
            return httpx.Response(503)
        return httpx.Response(400 if bad.intersection(found) else 200)

    receiver = Receiver(rule)
    upstream = msgspec.structs.replace(PLAIN, max_batch_spans=batch)
    rest, plan = events(*names), AS_IT_COMES
    dead: list[str] = []
    for _ in range(10_000):
        outcome = await receiver.take(rest, upstream, plan=plan)
        dead += [name_of(event) for event, _ in outcome.dead]
        rest, plan = list(outcome.remaining), outcome.plan
        if outcome.retry_after is None:
            break
    assert sorted(receiver.taken + dead) == sorted(names)
    assert set(dead) == bad


async def test_a_search_that_is_broken_off_each_time_still_ends() -> None:
    calls = 0

    def rule(names: list[str]) -> httpx.Response:
        # A rate limit that lets one request through, and then none: as tight as can be.
        nonlocal calls
        calls += 1
        return httpx.Response(429) if calls % 2 == 0 else httpx.Response(400 if "bad" in names else 200)

    receiver = Receiver(rule)
    rest, plan = events(*[f"s{number}" for number in range(31)], "bad"), AS_IT_COMES
    dead: list[str] = []
    for _ in range(200):
        outcome = await receiver.take(rest, plan=plan)
        dead += [name_of(event) for event, _ in outcome.dead]
        rest, plan = list(outcome.remaining), outcome.plan
        if outcome.retry_after is None:
            break
    assert (rest, dead, len(receiver.taken)) == ([], ["bad"], 31)
    # Each call gets one request through: those of the search, as if it had not been broken off, and few besides.
    assert calls <= 2 * (2 * math.log2(32) + 2)


async def test_what_follows_the_first_spans_goes_in_whole_batches() -> None:
    receiver = answering(200)
    assert await receiver.take(events("a", "b", "c", "d"), plan=Plan(first=1)) == Outcome(delivered=4)
    assert receiver.requests == [["a"], ["b", "c", "d"]]


async def test_spans_that_are_not_for_it_are_counted_apart() -> None:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key=FORWARDED_BY).value.string_value = LOG
    group.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="returned")
    returned = decode_traces(request.SerializeToString(), "protobuf").events
    broken = Event(id=bytes(16), kind="span", type="x", time=1, body=b"{}")
    receiver = answering(200)
    outcome = await receiver.take([*returned, broken, *events("a")])
    assert (outcome.delivered, outcome.skipped, receiver.taken) == (1, 1, ["a"])
    assert [event for event, _ in outcome.dead] == [broken]


# -- what answers say


def partial(rejected: int, message: str) -> bytes:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        (PROTOBUF, partial(2, "too old")),
        (f"{PROTOBUF}; v=1", partial(2, "too old")),
        ("application/json", b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}'),
        ("application/json; charset=utf-8", b'{"partialSuccess":{"rejectedSpans":2,"errorMessage":"too old"}}'),
    ],
)
async def test_spans_rejected_by_a_partial_success_are_counted_and_not_sent_again(
    content_type: str, content: bytes
) -> None:
    receiver = answering(200, content=content, headers={"Content-Type": content_type})
    assert await receiver.take(events("a", "b", "c")) == Outcome(delivered=1, rejected=2, message="too old")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        (PROTOBUF, b""),
        (PROTOBUF, b"{}"),
        (PROTOBUF, b"\xff\xff"),
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"[1]"),
        ("application/json", b'"x"'),
        ("application/json", b'{"partialSuccess":7}'),
        ("application/json", b'{"partialSuccess":{"rejectedSpans":"many","errorMessage":7}}'),
        ("application/json", b'{"partialSuccess":{"rejectedSpans":-3}}'),
        ("application/json", b'{"partialSuccess":{"rejectedSpans":[1]}}'),
        ("application/json", b"[" * 100_000),
        ("text/plain", b"OK"),
        ("", b"\x00"),
    ],
)
async def test_a_2xx_is_taken_whatever_it_says(content_type: str, content: bytes) -> None:
    receiver = answering(200, content=content, headers={"Content-Type": content_type})
    assert await receiver.take(events("a", "b")) == Outcome(delivered=2)


async def test_more_rejected_than_sent_are_all_that_were_sent() -> None:
    receiver = answering(200, content=partial(1000, "no"), headers={"Content-Type": PROTOBUF})
    assert await receiver.take(events("a", "b")) == Outcome(rejected=2, message="no")


async def test_a_web_page_for_an_answer_is_remarked_upon() -> None:
    outcome = await answering(200, html="<html>").take(events("a"))
    assert outcome.delivered == 1
    assert "web page" in outcome.message


@pytest.mark.parametrize(
    ("content_type", "content", "said"),
    [
        (PROTOBUF, Status(code=3, message="no such span").SerializeToString(), ": no such span"),
        (PROTOBUF, b"\xff", ""),
        ("application/json", b'{"code":3,"message":"no such span"}', ": no such span"),
        ("application/json", b'{"error":{"message":"no such span"}}', ": no such span"),
        ("application/problem+json", b'{"detail":"no such span"}', ": no such span"),
        ("application/json", b'{"why":1}', ': {"why":1}'),
        (
            "application/json",
            b'{"error":' * 5_000,
            ": " + ('{"error":' * 40)[: MAX_REASON - len("HTTP 400: ") - 1] + "…",
        ),
        ("text/plain", b"no\r\n\x00such \x1b[31mspan\xff", ": no such [31mspan\N{REPLACEMENT CHARACTER}"),
        ("text/html", b"<html>", ""),
        ("", b"no such span", ": no such span"),
    ],
)
async def test_reasons_are_what_the_receiver_said(content_type: str, content: bytes, said: str) -> None:
    outcome = await answering(400, content=content, headers={"Content-Type": content_type}).take(events("a"))
    ((_, reason),) = outcome.dead
    assert reason == f"HTTP 400{said}"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600), st.sampled_from(["", "text/plain", "application/json", PROTOBUF]))
async def test_reasons_are_short_and_printable_whatever_is_answered(content: bytes, content_type: str) -> None:
    receiver = answering(400, content=content * 10, headers={"Content-Type": content_type})
    ((_, reason),) = (await receiver.take(events("a"))).dead
    assert len(reason) <= MAX_REASON
    assert reason.isprintable()


async def test_reasons_do_not_repeat_the_keys_that_were_sent() -> None:
    (upstream,) = parse_upstreams("langfuse://pk-public:sk-secret@h")
    header = upstream.headers["Authorization"]
    for text in (f"bad header {header}", f"bad token {header.split()[1]}", "x" * (MAX_REASON - 20) + header):
        outcome = await answering(401, text=text).take(events("a"), upstream)
        assert "***" in outcome.message or "…" in outcome.message
        assert header.split()[1][:10] not in outcome.message


async def test_an_answer_that_is_compressed_is_not_inflated() -> None:
    bomb = gzip.compress(b"x" * 1_000_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}

    def rule(names: list[str]) -> httpx.Response:
        return httpx.Response(400, headers=headers, stream=httpx.ByteStream(bomb))

    ((_, reason),) = (await Receiver(rule).take(events("a"))).dead
    assert reason == "HTTP 400"


async def test_no_more_of_an_answer_is_read_than_is_of_use() -> None:
    given = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal given
            while True:
                given += 1
                yield b"x" * 1024

    def rule(names: list[str]) -> httpx.Response:
        return httpx.Response(503, headers={"Content-Type": "text/plain"}, stream=Endless())

    outcome = await Receiver(rule).take(events("a"))
    assert outcome.retry_after == 0.0
    assert given == otlp_send.MAX_ANSWER_BYTES // 1024


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError(""),
        httpx.ConnectTimeout("slow"),
        httpx.RemoteProtocolError("what"),
        httpx.InvalidURL("no"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_broken_connection_is_tried_again(error: Exception) -> None:
    def rule(names: list[str]) -> httpx.Response:
        raise error

    given = events("a", "b")
    outcome = await Receiver(rule).take(given)
    assert (outcome.remaining, outcome.retry_after, outcome.dead) == (tuple(given), 0.0, ())
    assert outcome.message.startswith(type(error).__name__)
    assert outcome.message.isprintable()


@pytest.mark.parametrize("error", [TimeoutError(), httpx.ReadTimeout("slow"), httpx.WriteTimeout("slow")])
async def test_whoever_gives_up_waiting_it_is_no_answer_in_time(error: Exception) -> None:
    def rule(names: list[str]) -> httpx.Response:
        raise error

    assert (await Receiver(rule).take(events("a"))).message == "no answer within 20 s"


# -- pauses


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("999999", 3600.0),
        ("9" * 10_000, 3600.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW + timedelta(days=30), usegmt=True), 3600.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        ("", 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("٣", 0.0),
        ("Fri, 99 Jan 2026 99:04:15 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text("0123456789 :,-+JanFriGMT", max_size=40))
def test_retry_after_of_any_text_is_a_pause(value: str) -> None:
    assert 0 <= parse_retry_after(value, NOW) <= 3600


def test_pauses_double_from_one_second_to_five_minutes_with_the_last_half_left_to_chance() -> None:
    assert [next_pause(failures, 0.0, 0.0) * 2 for failures in range(1, 11)] == [
        *(2**n for n in range(9)),
        300,
    ]
    assert next_pause(10**9, 0.0, 0.0) == 150.0
    assert next_pause(0, 0.0, 0.0) == 0.5


@given(st.integers(0, 10_000), st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_shorter_than_the_one_named(failures: int, named: float, jitter: float) -> None:
    pause = next_pause(failures, named, jitter)
    assert pause >= named
    assert 0 < pause <= max(300.0, named * 1.1)


# -- receivers on a port


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """The app on a port of its own; gives `host:port`."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5)
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))

        async def started() -> bool:
            assert not running.done(), "it ended while it started"
            return server.started

        await until(started)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


async def sent_to(upstream: Upstream, given: list[Event]) -> Outcome:
    async with httpx.AsyncClient() as client:
        return await deliver(client, upstream, given, log_id=LOG)


class Langfuse:
    """Its documented rules: keys, versions, whole batches refused for one span, rates, JSON for an answer."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.limited = False
        self.app = Starlette(routes=[Route("/api/public/otel/v1/traces", self.traces, methods=["POST"])])

    async def traces(self, request: Request) -> Response:
        key = "Basic " + base64.b64encode(b"pk-lf-1:sk-lf-2").decode()
        if request.headers.get("authorization") != key:
            return JSONResponse({"message": "Invalid credentials"}, 401)
        if self.limited:
            headers = {"Retry-After": "17", "X-RateLimit-Remaining": "0"}
            return JSONResponse({"message": "Rate limit exceeded"}, 429, headers=headers)
        if request.headers.get("x-langfuse-ingestion-version") != "4":
            return JSONResponse({"error": "ingestion version"}, 400)
        if PROTOBUF not in request.headers["content-type"] or request.headers["content-encoding"] != "gzip":
            return JSONResponse({"error": "Invalid content type"}, 400)
        names = names_in(gzip.decompress(await request.body()))
        if any(name.startswith("bad") for name in names):
            return JSONResponse({"error": "Failed to parse OTel Protobuf Trace"}, 400)
        self.taken += names
        return JSONResponse({"status": "ok"})


async def test_langfuse() -> None:
    receiver = Langfuse()
    names = [*(f"s{number}" for number in range(20)), "bad", *(f"t{number}" for number in range(20))]
    given = events(*names)
    async with serving(receiver.app) as place:
        (wrong,) = parse_upstreams(f"langfuse://pk-lf-1:wrong@{place}?tls=false")
        refused = await sent_to(wrong, given)
        assert (refused.retry_after, len(refused.remaining)) == (LONG_PAUSE, 41)
        assert refused.message == "HTTP 401: Invalid credentials"

        (right,) = parse_upstreams(f"langfuse://pk-lf-1:sk-lf-2@{place}?tls=false")
        receiver.limited = True
        limited = await sent_to(right, given)
        assert (limited.retry_after, len(limited.remaining)) == (17.0, 41)
        assert limited.message == "HTTP 429: Rate limit exceeded"

        receiver.limited = False
        outcome = await sent_to(right, list(limited.remaining))
    assert (outcome.delivered, outcome.retry_after) == (40, None)
    ((event, reason),) = outcome.dead
    assert (name_of(event), reason) == ("bad", "HTTP 400: Failed to parse OTel Protobuf Trace")
    assert receiver.taken == [name for name in names if name != "bad"]


class Phoenix:
    """Its documented rules: the exact content type, 422 for what it cannot read, a queue that may be full."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.projects: set[str | None] = set()
        self.status = 200
        self.app = Starlette(routes=[Route("/v1/traces", self.traces, methods=["POST"])])

    async def traces(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer key":
            return Response("Invalid token", 401)
        if request.headers["content-type"] != PROTOBUF:
            return Response(f"Unsupported content type: {request.headers['content-type']}", 415)
        if request.headers.get("content-encoding") not in (None, "gzip", "deflate"):
            return Response("Unsupported content encoding", 415)
        if self.status != 200:
            return Response("not now", self.status)
        names = names_in(gzip.decompress(await request.body()))
        if any(name.startswith("bad") for name in names):
            return Response("Request body is invalid ExportTraceServiceRequest", 422)
        self.taken += names
        self.projects.add(request.headers.get("x-project-name"))
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type=PROTOBUF)


async def test_phoenix() -> None:
    receiver = Phoenix()
    given = events("a", "bad", "b")
    async with serving(receiver.app) as place:
        (upstream,) = parse_upstreams(f"phoenix://key@{place}?project=demo")
        receiver.status = 503
        assert (await sent_to(upstream, given)).retry_after == 0.0
        receiver.status = 507
        assert (await sent_to(upstream, given)).retry_after == LONG_PAUSE
        receiver.status = 200
        outcome = await sent_to(upstream, given)
        (keyless,) = parse_upstreams(f"phoenix://{place}")
        assert (await sent_to(keyless, given)).message == "HTTP 401: Invalid token"
    assert (receiver.taken, receiver.projects, outcome.delivered) == (["a", "b"], {"demo"}, 2)
    assert [(name_of(event), reason) for event, reason in outcome.dead] == [
        ("bad", "HTTP 422: Request body is invalid ExportTraceServiceRequest")
    ]


async def test_a_receiver_that_does_not_answer_is_tried_again() -> None:
    over = asyncio.Event()

    async def wait(request: Request) -> Response:
        await over.wait()
        return Response()

    given = events("a")
    async with serving(Starlette(routes=[Route("/v1/traces", wait, methods=["POST"])])) as place:
        (upstream,) = parse_upstreams(f'[{{"url":"http://{place}","timeoutSeconds":0.2}}]')
        outcome = await sent_to(upstream, given)
        over.set()
    assert (outcome.remaining, outcome.retry_after) == (tuple(given), 0.0)
    assert outcome.message == "no answer within 0.2 s"


async def test_spans_are_not_sent_again_where_only_the_end_of_the_answer_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(otlp_send, "_ANSWER_SECONDS", 0.1)
    over = asyncio.Event()

    async def drip() -> AsyncIterator[bytes]:
        yield b"{"
        await over.wait()

    async def take(request: Request) -> Response:
        return StreamingResponse(drip(), media_type="application/json")

    async with serving(Starlette(routes=[Route("/v1/traces", take, methods=["POST"])])) as place:
        (upstream,) = parse_upstreams(f"http://{place}")
        outcome = await sent_to(upstream, events("a", "b"))
        over.set()
    assert outcome == Outcome(delivered=2)


async def test_a_receiver_that_is_not_there_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (upstream,) = parse_upstreams(f"http://127.0.0.1:{port}")
    given = events("a", "b")
    outcome = await sent_to(upstream, given)
    assert (outcome.remaining, outcome.retry_after, outcome.delivered) == (tuple(given), 0.0, 0)
    assert outcome.message.startswith("ConnectError")


async def test_a_redirect_is_not_followed() -> None:
    elsewhere: list[str] = []

    async def away(request: Request) -> Response:
        return Response(status_code=307, headers={"Location": "/other"})

    async def other(request: Request) -> Response:
        elsewhere.append(request.url.path)
        return Response()

    app = Starlette(
        routes=[Route("/v1/traces", away, methods=["POST"]), Route("/other", other, methods=["POST", "GET"])]
    )
    async with serving(app) as place, httpx.AsyncClient(follow_redirects=True) as client:
        (upstream,) = parse_upstreams(f"http://{place}")
        outcome = await deliver(client, upstream, events("a"), log_id=LOG)
    assert (outcome.retry_after, elsewhere) == (LONG_PAUSE, [])
    assert outcome.message == "HTTP 307: it sends elsewhere, and redirects are not followed"
