"""The programs of the client, step by step, without a broker: when to wait, when to go on, when to give up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.client import BrokerError, GapError, Refused, Unreachable, calls, surface
from ark_broker.client.backoff import BackOff, persistently
from ark_broker.client.connection import broker_headers, broker_url, unreachable
from ark_broker.client.errors import refusal
from ark_broker.client.live import follow
from ark_broker.client.outbox import Outbox
from ark_broker.client.programs import await_answer, send
from ark_broker.client.steps import Answer, Call, Emit, Open, Pause, Program, Read, Run, Step

LOG = "0f3e"
HELLO = {"log": LOG, "from": 0, "head": 9, "recovered": True}


class Script:
    """Plays a broker: each step that wants a reply gets the next one; an error is raised at it."""

    def __init__(self, *replies: object) -> None:
        self._replies = list(replies)
        self.steps: list[Step] = []
        self.items: list[Any] = []

    def play(self, program: Any) -> Any:
        """Run the program until it ends, or there is no reply left."""
        run: Run[Any] = Run(program)
        while (step := run.step) is not None:
            self.steps.append(step)
            if isinstance(step, Emit):
                self.items += step.items
            if isinstance(step, Emit | Pause):
                run.resume(None)
            elif not self._replies:
                return None
            elif isinstance(reply := self._replies.pop(0), BrokerError):
                run.fail(reply)
            else:
                run.resume(reply)
        return run.result

    def of(self, kind: type[Any]) -> list[Any]:
        """The steps of this kind."""
        return [step for step in self.steps if isinstance(step, kind)]


def answer(content: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, json.dumps(content).encode())


def frame(content: object, position: int | None = None, event: str | None = None) -> bytes:
    lines = [f"id: {position}"] if position is not None else []
    lines += [f"event: {event}"] if event else []
    data = content if isinstance(content, str) else json.dumps(content)
    return "\n".join([*lines, f"data: {data}", "", ""]).encode()


def greeting(**changes: object) -> bytes:
    return frame(HELLO | changes, event="hello")


def cursors(opened: Iterable[Open]) -> list[str | None]:
    return [step.call.headers.get("last-event-id") for step in opened]


TAIL = calls.get("sessions", "s", "stream", after=5, type_=["a"])


def test_a_stream_that_breaks_off_goes_on_behind_the_last_whole_frame() -> None:
    script = Script(
        None, greeting() + frame({"n": 1}, 1) + frame({"n": 2}, 2)[:-1], b"",
        None, greeting(**{"from": 1}) + frame({"n": 2}, 2), Unreachable("cut"),
        Unreachable("away"),
        None, greeting(**{"from": 2}) + frame({"n": 3}, 3), b"",
        None,
    )  # fmt: skip
    script.play(follow(TAIL))
    assert script.items == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert cursors(script.of(Open)) == [None, f"{LOG}:1", f"{LOG}:2", f"{LOG}:2", f"{LOG}:3"]
    first, second, *_ = script.of(Open)
    assert first.call.parameters == {"after": "5", "type": ["a"]}
    assert second.call.parameters == {"type": ["a"]}


def test_a_stream_that_broke_off_before_its_first_event_begins_where_it_said() -> None:
    script = Script(None, greeting(**{"from": 41}), b"", None)
    script.play(follow(calls.get("events", "stream", from_="now")))
    assert cursors(script.of(Open)) == [None, f"{LOG}:41"]
    assert script.of(Open)[1].call.parameters == {}


@pytest.mark.parametrize("end", [frame("[DONE]"), frame({"last": 3}, event="end")])
def test_a_stream_ends_where_it_says_so(end: bytes) -> None:
    script = Script(None, greeting() + frame({"n": 1}, 1) + end)
    script.play(follow(TAIL))
    assert script.items == [{"n": 1}]
    assert len(script.of(Open)) == 1


def test_a_broker_that_shuts_down_says_when_to_come_back() -> None:
    script = Script(None, greeting() + b"retry: 3500\n" + frame({"reason": "shutdown"}, event="reconnect"), b"", None)
    script.play(follow(TAIL))
    [pause] = script.of(Pause)
    assert 3.5 <= pause.seconds <= 4
    assert pause.reason is None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_later_is_tried_again(status: int) -> None:
    script = Script(Refused(status, "later", retry_after=7), None, greeting() + frame("[DONE]"))
    script.play(follow(TAIL))
    assert len(script.of(Open)) == 2
    [pause] = script.of(Pause)
    assert pause.seconds >= 7
    assert pause.reason.status == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_what_will_be_refused_again_is_raised(status: int) -> None:
    with pytest.raises(Refused):
        Script(Refused(status, "no")).play(follow(TAIL))


def test_a_gap_is_told_or_raised() -> None:
    hellos: list[Any] = []
    gap = greeting(recovered=False, reason="retention", **{"from": 7})
    script = Script(None, gap + frame({"n": 8}, 8), b"", None)
    script.play(follow(TAIL, on_gap=hellos.append))
    assert [hello["reason"] for hello in hellos] == ["retention"]
    assert script.items == [{"n": 8}]
    with pytest.raises(GapError, match="retention"):
        Script(None, gap).play(follow(TAIL))


def test_waiting_grows_is_never_the_same_and_begins_anew() -> None:
    back_off = BackOff(1.0)
    waits = [back_off.next() for _ in range(8)]
    for number, wait in enumerate(waits):
        assert min(15.0, 2.0**number) / 2 <= wait <= min(15.0, 2.0**number)
    assert back_off.next(asked=40) == 40
    assert back_off.next(asked=4_000) == 60
    back_off.succeeded()
    assert back_off.next() <= 1.0


def test_a_call_is_repeated_until_its_time_is_over() -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    call = calls.post("events", content=[])
    script = Script(Unreachable("away"), answer({}, 503), answer({"ok": True}))
    assert script.play(persistently(call, 60, clock)).status == 200
    assert len(script.of(Call)) == 3
    with pytest.raises(Unreachable):
        Script(*[Unreachable("away")] * 99).play(persistently(call, 10, clock))
    with pytest.raises(Refused):
        Script(answer({}, 400)).play(persistently(call, 60, clock))


def test_events_that_are_sent_again_have_the_ids_they_had() -> None:
    stored = answer({"stored": 2, "duplicates": 0, "head": 7})
    script = Script(Unreachable("away"), stored)
    assert script.play(send([{"type": "a"}, {"type": "b", "id": "mine"}], 60)) == json.loads(stored.body)
    first, second = (json.loads(call.body) for call in script.of(Call))
    assert first == second
    assert first[0]["id"]
    assert first[1] == {"type": "b", "id": "mine"}


def test_many_events_are_sent_in_several_requests() -> None:
    script = Script(*[answer({"stored": 1000, "duplicates": 0, "head": head}) for head in (1, 2, 3)])
    assert script.play(send([{"type": "a"}] * 2_500, 60))["head"] == 3
    assert [len(json.loads(call.body)) for call in script.of(Call)] == [1000, 1000, 500]
    assert Script().play(send([], 60)) == {"stored": 0, "duplicates": 0, "head": 0}


def test_waiting_for_an_answer_goes_on_while_the_broker_is_away() -> None:
    asked: Any = {"id": "q1", "state": "open"}
    done = {"id": "q1", "state": "answered", "answer": "yes"}
    script = Script(answer(asked), Unreachable("away"), answer({}, 503), answer(asked), answer(done))
    assert script.play(await_answer(asked, None)) == done
    polls = script.of(Call)
    assert {poll.parameters["wait"] for poll in polls} == {"60.0"}
    assert all(poll.patience == 60 for poll in polls)


def test_waiting_for_an_answer_ends_at_the_deadline() -> None:
    asked: Any = {"id": "q1", "state": "open"}
    times = iter([0.0, 50.0, 70.0, 100.0])
    script = Script(answer(asked), answer(asked), answer(asked))
    assert script.play(await_answer(asked, 100.0, lambda: next(times))) == asked
    assert [poll.parameters["wait"] for poll in script.of(Call)] == ["60.0", "50.0", "30.0"]


def test_names_stay_in_their_segment_of_a_path() -> None:
    assert calls.path("v1", "sessions", "a/b?c#d é") == "/v1/sessions/a%2Fb%3Fc%23d%20%C3%A9"
    assert calls.path("v1", "sessions", "..") == "/v1/sessions/%2E%2E"
    with pytest.raises(ValueError, match="empty"):
        calls.path("v1", "sessions", "")


def test_an_error_says_what_the_broker_said() -> None:
    body = {"error": {"code": "CONFLICT", "message": "which?", "field": "query", "requestId": "r1", "candidates": []}}
    refused = refusal(409, {"retry-after": "3"}, json.dumps(body).encode())
    assert (refused.status, refused.code, refused.message) == (409, "CONFLICT", "which?")
    assert (refused.field, refused.request_id, refused.retry_after) == ("query", "r1", 3)
    assert refused.details["candidates"] == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 3}', b'{"error": {"message": 3}}', b"\xff"])
def test_an_error_of_somebody_on_the_way_has_at_least_a_status(body: bytes) -> None:
    refused = refusal(502, {"x-request-id": "r1"}, body)
    assert (refused.message, refused.request_id) == ("the broker answered 502", "r1")


def test_url_and_token_are_given_or_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broker_url(None) == "http://127.0.0.1:4318"
    assert "authorization" not in broker_headers("http://broker", None, None)
    monkeypatch.setenv("ARK_BROKER_URL", "https://broker/")
    monkeypatch.setenv("ARK_BROKER_TOKEN", " secret ")
    assert broker_url(None) == "https://broker"
    assert broker_url("http://other/base/") == "http://other/base"
    assert broker_headers("http://broker", None, None)["authorization"] == "Bearer secret"
    assert broker_headers("http://broker", "mine", {"X-Team": "a"}) | {"user-agent": ""} == {
        "authorization": "Bearer mine",
        "x-team": "a",
        "user-agent": "",
    }
    with pytest.raises(ValueError, match="http"):
        broker_url("localhost:4318")


@pytest.mark.parametrize("url", ["http://[::1", "http://broker:port"])
def test_a_url_that_cannot_be_one_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="no URL"):
        broker_url(url)


@pytest.mark.parametrize("token", ["se\ncret", "secr\xe9t", "secr et"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="the token has a character") as refused:
        broker_headers("http://broker", token, None)
    assert "cr" not in str(refused.value).removeprefix("the token has a character")


@pytest.mark.parametrize("url", ["https://me:hunter2@broker", "https://me:hunter2@[::1", "ftp://me:hunter2@broker"])
def test_a_password_in_the_url_is_never_shown(url: str) -> None:
    try:
        error: Exception = unreachable(broker_url(url), httpx.ConnectError("refused"))
    except ValueError as refused:
        error = refused
    assert "hunter2" not in str(error)


def test_a_token_beside_a_user_name_in_the_url_is_refused() -> None:
    with pytest.raises(ValueError, match="only one of them"):
        broker_headers("https://me@broker", "t0ken", None)
    assert "authorization" not in broker_headers("https://me@broker", None, None)


_STRANGERS: Final[list[tuple[Program[Any], Answer]]] = [
    (surface.sessions({}, None), answer({"data": []})),
    (surface.events(None, None, (), 0, None), answer({"items": []})),
    (surface.questions(None, None, None, 1), answer([])),
    (surface.head(), answer({"items": []})),
    (send([{"type": "a"}], 0), answer({"ok": True})),
    (surface.ask({"text": "?"}, 0, 0), answer({"ok": True})),
    (surface.me(), Answer(200, {}, b"<html>")),
]


@pytest.mark.parametrize(("program", "said"), _STRANGERS)
def test_an_answer_of_another_service_is_refused(program: Program[Any], said: Answer) -> None:
    with pytest.raises(Refused, match="is this a broker"):
        Script(said).play(program)


@pytest.mark.parametrize("data", [frame("nonsense"), frame("[]"), frame({"log": LOG}, event="hello")])
def test_a_stream_of_another_service_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="is this a broker"):
        Script(None, data).play(follow(TAIL))


def test_an_outbox_sends_a_request_again_as_it_was_and_the_next_under_another_key() -> None:
    outbox = Outbox()
    outbox.put(b"1")
    outbox.put(b"2")
    key = outbox.key
    assert outbox.part(0) == [b"1\n", b"2\n"]
    assert outbox.part(2) == []
    assert not outbox.is_whole(2)
    outbox.seal()
    outbox.put(b"3")
    assert outbox.part(0) == [b"1\n", b"2\n"]
    assert outbox.is_whole(2)
    assert outbox.key == key
    outbox.acknowledge()
    assert outbox.key != key
    assert outbox.part(0) == [b"3\n"]
    outbox.close()
    assert outbox.is_whole(1)
    outbox.acknowledge()
    assert not outbox.has_lines


def test_an_outbox_ends_a_request_that_is_large_and_says_when_it_is_full() -> None:
    outbox = Outbox()
    line = b"x" * 1_000_000
    for _ in range(9):
        outbox.put(line)
    assert outbox.is_full
    assert len(outbox.part(0)) == 2
    assert outbox.is_whole(2)
    outbox.acknowledge()
    assert not outbox.is_full
    assert len(outbox.part(0)) == 2


class Stream:
    """What the broker knows: a line is stored once for its request's key and its number."""

    def __init__(self) -> None:
        self.known: set[tuple[str, int]] = set()
        self.text = b""

    def take(self, key: str, lines: list[bytes]) -> None:
        for number, line in enumerate(lines):
            if (key, number) not in self.known:
                self.known.add((key, number))
                self.text += line


@given(
    st.lists(
        st.one_of(st.just("put"), st.just("seal"), st.just("answer"), st.just("answer lost"), st.integers(0, 9)),
        max_size=60,
    )
)
def test_whatever_is_lost_on_the_way_each_line_is_stored_once_and_in_order(happenings: list[str | int]) -> None:
    outbox, stream, put = Outbox(), Stream(), 0
    for happening in happenings:
        lines = outbox.part(0)
        if happening == "put":
            outbox.put(b"%d" % put)
            put += 1
        elif happening == "seal" and lines:
            outbox.seal()
        elif isinstance(happening, int):
            stream.take(outbox.key, lines[:happening])
        elif outbox.is_whole(len(lines)):
            stream.take(outbox.key, lines)
            if happening == "answer":
                outbox.acknowledge()
    outbox.close()
    while outbox.has_lines:
        stream.take(outbox.key, outbox.part(0))
        outbox.acknowledge()
    assert stream.text == b"".join(b"%d\n" % number for number in range(put))


def test_query_parameters_have_the_forms_that_the_broker_reads() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert calls.parameters(a=None, b=True, from_="now", c=3, d=("x", "y"), e=[], f=moment) == {
        "b": "true",
        "from": "now",
        "c": "3",
        "d": ["x", "y"],
        "f": "2026-01-02T00:00:00+00:00",
    }
    with pytest.raises(TypeError, match="since"):
        calls.parameters(since=object())


def test_reading_needs_a_stream() -> None:
    script = Script(None, b"")
    script.play(follow(TAIL))
    assert isinstance(script.steps[1], Read)
    assert script.of(Open)[0].media == "text/event-stream"
