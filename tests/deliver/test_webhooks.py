"""Webhooks to receivers that really listen: signed, in order, and once."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import orjson
import pytest
from starlette.responses import Response

from ark_broker.deliver.deliveries import Deliveries
from ark_broker.deliver.guard import Policy, Refused
from ark_broker.deliver.rules import Rule, When
from ark_broker.deliver.sinks import MAX_TRIES, WebhookSink
from ark_broker.deliver.webhook_format import generate_secret, parse_secret, verify
from ark_broker.log.cursors import Cursors
from ark_broker.model import Event
from ark_broker.model.errors import BadInput, Conflict, NotFound
from ark_broker.model.names import qualified
from tests.deliver.conftest import Process
from tests.deliver.test_deliveries import caught_up, status, until_status
from tests.support.events import NOON, make
from tests.support.otlp import SECOND
from tests.support.receivers import Received, Receiver, fine, listening
from tests.support.waiting import until

SECRET = generate_secret()
HOOK = "webhook:hook"


def rule(receiver: Receiver, *types: str, **fields: Any) -> Rule:
    given = {"name": "hook", "url": f"{receiver.url}/hook", "secrets": (SECRET,), "when": When(types=types)}
    return Rule(**(given | fields))


def event(name: str, type_: str = "query.failed", **fields: Any) -> Event:
    given = {"kind": "event", "type": type_, "session_id": "s1", "query": name, "time": time.time_ns()}
    body = orjson.dumps(fields.pop("body", {}))
    return make(name + type_, **(given | fields | {"body": body}))


def asked(question_id: str, text: str = "Go on?", **fields: Any) -> Event:
    return event(question_id, "question.asked", question_id=question_id, body={"text": text}, **fields)


def queries(receiver: Receiver) -> list[str]:
    return [orjson.loads(received.body)["data"]["query"] for received in receiver.taken]


async def test_a_match_is_told_with_a_signature_that_verifies(process: Process, receiver: Receiver) -> None:
    deliveries = await process.deliveries(rules=[rule(receiver, "query.*")])

    await process.writer.append([event("q1", error="no model"), event("q2", "tool.call")])
    await receiver.until_taken(1)
    await caught_up(deliveries, HOOK)

    [received] = receiver.taken
    verify([parse_secret(SECRET)], received.headers, received.body, time.time())
    told = orjson.loads(received.body)
    assert told["type"] == "query.failed"
    assert told["data"]["query"] == "q1"
    assert told["data"]["error"] == "no model"
    with pytest.raises(BadInput):
        verify([parse_secret(generate_secret())], received.headers, received.body, time.time())


async def test_each_try_has_the_same_id_and_a_signature_of_its_own(sqlite_process: Process, receiver: Receiver) -> None:
    answers = iter([Response(status_code=503)])
    receiver.answer = lambda received: next(answers, None) or fine(received)
    await sqlite_process.deliveries(rules=[rule(receiver, "query.failed")])

    await sqlite_process.writer.append([event("q1")])
    await receiver.until_taken(1)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    for received in (first, second):
        verify([parse_secret(SECRET)], received.headers, received.body, time.time())


async def test_an_outage_with_a_restart_in_between_loses_nothing(process: Process, away: Receiver) -> None:
    rules = [rule(away, "query.failed")]
    before = await process.deliveries(rules=rules)
    await process.writer.append([event(f"q{number}") for number in range(25)])
    await until_status(before, lambda found: found.state.failures >= 1, HOOK)
    await before.close()

    async with listening(away):
        after = await process.deliveries(rules=rules)
        await away.until_taken(25)
        await caught_up(after, HOOK)

    assert queries(away) == [f"q{number}" for number in range(25)]


async def test_slack_gets_what_slack_reads_and_no_signature(sqlite_process: Process, receiver: Receiver) -> None:
    slack = rule(receiver, "question.asked", format="slack", secrets=())
    await sqlite_process.deliveries(rules=[slack], public_url="https://ark.example")

    await sqlite_process.writer.append([asked("q-1")])
    await receiver.until_taken(1)

    told = orjson.loads(receiver.taken[0].body)
    assert "Go on?" in told["text"]
    assert told["blocks"]
    assert "https://ark.example/v1/questions/q-1/answer" in receiver.taken[0].body.decode()
    assert "webhook-signature" not in receiver.taken[0].headers


async def test_a_question_that_waits_too_long_is_told_and_one_that_was_answered_is_not(
    process: Process, receiver: Receiver
) -> None:
    now = [NOON]
    waiting = rule(receiver, when=When(types=("question.asked",), older_than_seconds=600))
    process.writer._clock = lambda: NOON
    deliveries = await process.deliveries(rules=[waiting], clock=lambda: now[0])
    await process.writer.append([asked("answered", time=NOON), asked("waiting", time=NOON), event("other", time=NOON)])
    await process.writer.append(
        [event("answered", "question.answered", question_id="answered", time=NOON + SECOND, body={"answer": 1})]
    )
    await until_status(deliveries, lambda found: found.here, HOOK)
    assert receiver.received == []

    now[0] = NOON + 599 * SECOND
    await deliveries.close()
    assert receiver.received == []
    now[0] = NOON + 601 * SECOND
    again = await process.deliveries(rules=[waiting], clock=lambda: now[0])
    await receiver.until_taken(1)
    await caught_up(again, HOOK)

    assert queries(receiver) == ["waiting"]
    assert orjson.loads(receiver.taken[0].body)["data"]["question"]["text"] == "Go on?"


async def test_a_question_that_is_asked_again_is_told_once(sqlite_process: Process, receiver: Receiver) -> None:
    deliveries = await sqlite_process.deliveries(rules=[rule(receiver, "question.asked")])
    again = event("again", "question.asked", question_id="q-1", body={"text": "Go on?"})

    await sqlite_process.writer.append([asked("q-1"), again])
    await receiver.until_taken(1)
    await caught_up(deliveries, HOOK)

    assert queries(receiver) == ["q-1"]


async def test_a_question_is_told_through_whichever_door_it_came(sqlite_process: Process, receiver: Receiver) -> None:
    deliveries = await sqlite_process.deliveries(rules=[rule(receiver, "question.asked")])
    task = {"kind": "task", "question_id": "t-1", "task_id": "t-1"}

    await sqlite_process.writer.append(
        [
            event("works", "task.updated", task_state="working", **task),
            event("needs input", "task.updated", task_state="input_required", **task),
        ]
    )
    await receiver.until_taken(1)
    await caught_up(deliveries, HOOK)

    assert queries(receiver) == ["needs input"]


async def test_what_the_receiver_refuses_is_a_dead_letter_and_can_be_sent_again(
    process: Process, receiver: Receiver
) -> None:
    def answer(received: Received) -> Response:
        return Response("invalid_payload", status_code=400) if b"bad" in received.body else fine(received)

    receiver.answer = answer
    deliveries = await process.deliveries(rules=[rule(receiver, "query.failed")])
    await process.writer.append([event("a"), event("bad"), event("b")])
    await receiver.until_taken(2)
    found = await until_status(deliveries, lambda found: found.state.dead + found.state.delivered == 3, HOOK)
    [letter] = await deliveries.dead_letters(HOOK, after=0, limit=10)

    receiver.answer = fine
    resent = await deliveries.resend(HOOK, [letter.seq])

    assert found.state.delivered == 2
    assert (letter.event.query, letter.reason) == ("bad", "HTTP 400: invalid_payload")
    assert (resent.delivered, resent.dead, resent.remaining) == (1, 0, 0)
    assert queries(receiver) == ["a", "b", "bad"]
    assert await deliveries.dead_letters(HOOK, after=0, limit=10) == []


async def test_a_question_that_two_namespaces_have_is_told_by_its_name_also_when_it_is_sent_again(
    process: Process, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Response(status_code=400)
    deliveries = await process.deliveries(rules=[rule(receiver, "question.asked")], public_url="https://ark.example")
    stored = qualified("approval-1", "team-b")
    await process.writer.append(
        [
            asked("approval-1", "Of a?", namespace="team-a"),
            asked(stored, "Of b?", namespace="team-b", session_id=qualified("s1", "team-b")),
        ]
    )
    await until_status(deliveries, lambda found: found.state.dead == 2, HOOK)
    _, letter = await deliveries.dead_letters(HOOK, after=0, limit=10)
    # The operator, who sees all namespaces, reads the names of the log; and by these it is sent again.
    assert letter.event.question_id == stored

    receiver.answer = fine
    assert (await deliveries.resend(HOOK, None)).delivered == 2

    told = [orjson.loads(received.body)["data"] for received in receiver.received]
    assert [(data["session"], data["question"]["id"], data["question"]["text"]) for data in told] == [
        ("s1", "approval-1", "Of a?"),
        ("s1", "approval-1", "Of b?"),
    ] * 2
    assert told[0]["question"]["answerUrl"] != told[1]["question"]["answerUrl"]


async def test_a_redirect_is_not_followed(sqlite_process: Process, receiver: Receiver) -> None:
    receiver.answer = lambda _received: Response(status_code=307, headers={"Location": f"{receiver.url}/elsewhere"})
    deliveries = await sqlite_process.deliveries(rules=[rule(receiver, "query.failed")])

    await sqlite_process.writer.append([event("a")])
    found = await until_status(deliveries, lambda found: found.state.failures == 1, HOOK)

    assert "redirects are not followed" in found.state.last_error
    assert [received.path for received in receiver.received] == ["/hook"]


async def test_nothing_goes_to_a_private_address_that_is_not_allowed(
    sqlite_process: Process, receiver: Receiver
) -> None:
    # As a rule that was written down while that was allowed.
    deliveries = await sqlite_process.deliveries(rules=[rule(receiver, "query.failed")], policy=Policy(allow_http=True))

    await sqlite_process.writer.append([event("a")])
    found = await until_status(deliveries, lambda found: found.state.failures == 1, HOOK)

    assert "private address" in found.state.last_error
    assert receiver.received == []


def sink_of(process: Process, receiver: Receiver) -> WebhookSink:
    client = httpx.AsyncClient(timeout=60)
    process.stack.push_async_callback(client.aclose)
    return WebhookSink(client, rule(receiver, "*"), process.reader, "log-1")


async def test_an_event_on_which_the_receiver_fails_again_and_again_is_given_up(
    sqlite_process: Process, receiver: Receiver
) -> None:
    receiver.answer = lambda received: Response(status_code=500) if b"bad" in received.body else fine(received)
    sink = sink_of(sqlite_process, receiver)
    bad, good = event("bad", seq=1), event("good", seq=2)

    for _ in range(MAX_TRIES - 1):
        outcome = await sink.send([bad, good])
        assert (outcome.delivered, outcome.remaining, outcome.dead) == (0, (bad, good), ())
    outcome = await sink.send([bad, good])

    assert outcome.dead == ((bad, "HTTP 500"),)
    assert (outcome.delivered, outcome.remaining) == (1, ())


async def test_an_outage_gives_up_nothing_however_often_it_is_tried(sqlite_process: Process, away: Receiver) -> None:
    sink = sink_of(sqlite_process, away)

    for _ in range(MAX_TRIES + 1):
        assert (await sink.send([event("a", seq=1)])).dead == ()


async def test_a_rule_of_the_api_works_on_whichever_replica_it_came(
    two_processes: tuple[Process, Process], receiver: Receiver
) -> None:
    one, other = two_processes
    deliveries = [await process.deliveries() for process in two_processes]
    given = {"name": "hook", "url": receiver.url, "when": {"types": ["query.failed"]}}
    await one.writer.append([event("before")])

    known, secret = await deliveries[0].add_rule(orjson.dumps(given))
    await until(_knows(deliveries[1]), what="the other replica to know the rule")
    await one.writer.append([event("a")])
    other.tail.heard((await other.reader.head()).seq)
    await receiver.until_taken(1)

    assert secret is not None
    verify([parse_secret(secret)], receiver.taken[0].headers, receiver.taken[0].body, time.time())
    assert queries(receiver) == ["a"]
    assert [found.rule for found in await deliveries[1].rules()] == [known.rule]
    await deliveries[1].remove_rule("hook")
    await until(_knows_nothing(deliveries[0]), what="the first replica to forget the rule")
    await one.writer.append([event("after")])
    assert queries(receiver) == ["a"]
    assert await Cursors(one.database).rows([HOOK]) == {}


def _knows(deliveries: Deliveries) -> Any:
    async def check() -> bool:
        return [found.name for found in deliveries.status()] == [HOOK]

    return check


def _knows_nothing(deliveries: Deliveries) -> Any:
    async def check() -> bool:
        return deliveries.status() == []

    return check


async def test_a_rule_that_was_removed_and_added_again_is_the_new_one(
    sqlite_process: Process, receiver: Receiver
) -> None:
    deliveries = await sqlite_process.deliveries()
    given = {"name": "hook", "url": receiver.url, "when": {"types": ["old"]}}
    await deliveries.add_rule(orjson.dumps(given))
    await until_status(deliveries, lambda found: found.here, HOOK)
    await deliveries.remove_rule("hook")
    await deliveries.add_rule(orjson.dumps(given | {"when": {"types": ["new"]}}))

    await sqlite_process.writer.append([event("a", "old"), event("b", "new")])
    await receiver.until_taken(1)
    await caught_up(deliveries, HOOK)

    assert queries(receiver) == ["b"]
    assert status(deliveries, HOOK).state.delivered == 1


async def test_rules_of_the_settings_are_not_for_the_api(sqlite_process: Process, receiver: Receiver) -> None:
    deliveries = await sqlite_process.deliveries(rules=[rule(receiver, "*")])
    given = orjson.dumps({"name": "hook", "url": receiver.url, "when": {"types": ["a"]}})

    with pytest.raises(Conflict):
        await deliveries.add_rule(given)
    with pytest.raises(Conflict):
        await deliveries.remove_rule("hook")
    with pytest.raises(NotFound):
        await deliveries.remove_rule("nobody")
    with pytest.raises(NotFound):
        await deliveries.dead_letters("webhook:nobody", after=0, limit=1)


async def test_two_rules_of_one_name_are_refused_and_so_is_a_bad_url(sqlite_process: Process) -> None:
    deliveries = await sqlite_process.deliveries(policy=Policy())
    given = {"name": "hook", "url": "https://hooks.example.com/", "when": {"types": ["a"]}}
    await deliveries.add_rule(orjson.dumps(given))

    with pytest.raises(Conflict):
        await deliveries.add_rule(orjson.dumps(given))
    with pytest.raises(Refused):
        await deliveries.add_rule(orjson.dumps(given | {"name": "b", "url": "https://10.0.0.1/"}))


async def test_a_stored_rule_that_cannot_be_read_harms_no_other(sqlite_process: Process, receiver: Receiver) -> None:
    store = Cursors(sqlite_process.database)
    await store.add_rule("broken", msgspec.msgpack.encode({"name": 7}), "webhook:broken", from_start=False)
    deliveries = await sqlite_process.deliveries(rules=[rule(receiver, "query.failed")])

    await sqlite_process.writer.append([event("a")])
    await receiver.until_taken(1)

    assert [found.name for found in deliveries.status()] == [HOOK]


async def test_the_signature_is_verified_as_the_page_says(sqlite_process: Process, receiver: Receiver) -> None:
    page = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found: dict[str, Any] = {}
    exec(program, found)
    await sqlite_process.deliveries(rules=[rule(receiver, "query.failed", secrets=(generate_secret(), SECRET))])

    await sqlite_process.writer.append([event("q1")])
    await receiver.until_taken(1)

    [received] = receiver.taken
    assert found["verify"](SECRET, received.headers, received.body)
    assert not found["verify"](SECRET, received.headers, received.body + b" ")
    assert not found["verify"](generate_secret(), received.headers, received.body)
