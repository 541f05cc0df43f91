"""Questions: asked, held open, answered once, by whomever and on whichever replica."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.api import Api, StartApi, serve
from tests.support.waiting import until

DEPLOY = {"text": "Deploy?", "session": "s1", "query": "q1", "options": ["yes", "no"], "askedBy": "coder"}


async def ask(api: Api, **fields: Any) -> dict[str, Any]:
    response = await api.http.post("/v1/questions", json=DEPLOY | fields)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def answer(api: Api, question: dict[str, Any], value: Any, **fields: Any) -> tuple[int, dict[str, Any]]:
    response = await api.http.post(f"/v1/questions/{question['id']}/answer", json={"answer": value, **fields})
    return response.status_code, response.json()


async def phase(api: Api) -> str:
    found: str = (await api.get("/v1/queries/q1"))["phase"]
    return found


async def types(api: Api) -> list[str]:
    return [event["type"] for event in (await api.get("/v1/events"))["items"]]


async def test_a_query_waits_until_its_question_is_answered(each_api: Api) -> None:
    api = each_api
    await api.events({"type": "query.started", "sessionId": "s1", "query": "q1"})
    question = await ask(api)

    assert question["uri"] == f"ark://questions/{question['id']}"
    assert (question["state"], question["askedBy"], await phase(api)) == ("open", "coder", "waiting")
    assert [each["id"] for each in (await api.get("/v1/questions", state="open", session="s1"))["items"]] == [
        question["id"]
    ]
    assert (await api.get("/v1/sessions/s1"))["status"] == "waiting"

    status, answered = await answer(api, question, "yes", answeredBy="ann")

    assert (status, answered["state"], answered["answer"], answered["answeredBy"]) == (200, "answered", "yes", "ann")
    assert await phase(api) == "running"
    assert (await api.get("/v1/questions", state="open"))["items"] == []
    assert await types(api) == ["query.started", "question.asked", "question.answered"]


async def test_of_two_open_questions_both_have_to_be_answered(api: Api) -> None:
    one, other = await ask(api), await ask(api)
    await answer(api, other, "yes")
    assert await phase(api) == "waiting"

    await answer(api, one, "no")
    assert await phase(api) == "running"


async def test_a_question_that_blocks_nothing_leaves_the_query_running(api: Api) -> None:
    await ask(api, blocking=False)

    assert await phase(api) == "running"


async def test_a_hundred_answer_and_one_of_them_wins(each_api: Api) -> None:
    question = await ask(each_api)

    answers = await asyncio.gather(*(answer(each_api, question, "yes", answeredBy=f"p{i}") for i in range(100)))

    assert sorted(status for status, _ in answers) == [200, *[409] * 99]
    [winner] = [body["answeredBy"] for status, body in answers if status == 200]
    assert {body["error"]["question"]["answeredBy"] for status, body in answers if status == 409} == {winner}
    assert (await types(each_api)).count("question.answered") == 1


async def test_who_waits_gets_the_answer_when_it_is_there(each_api: Api) -> None:
    question = await ask(each_api)
    waiting = asyncio.create_task(each_api.get(f"/v1/questions/{question['id']}", wait=60))
    await each_api.followed()

    await answer(each_api, question, "no")

    assert (await waiting)["answer"] == "no"


async def test_who_waits_too_short_gets_the_open_question(api: Api) -> None:
    question = await ask(api)

    assert (await api.get(f"/v1/questions/{question['id']}", wait=0.05))["state"] == "open"


async def test_asked_on_one_replica_and_answered_on_the_other(postgres_url: str) -> None:
    async with serve(postgres_url) as one, serve(postgres_url) as other:
        question = await ask(one)
        waiting = asyncio.create_task(one.get(f"/v1/questions/{question['id']}", wait=60))
        await one.followed()

        first, second = await asyncio.gather(answer(one, question, "yes"), answer(other, question, "no"))

        assert sorted((first[0], second[0])) == [200, 409]
        assert (await waiting)["answer"] == ("yes" if first[0] == 200 else "no")


async def test_an_open_question_outlives_its_broker(database_url: str) -> None:
    async with serve(database_url) as api:
        question = await ask(api)
    async with serve(database_url) as api:
        waiting = asyncio.create_task(api.get(f"/v1/questions/{question['id']}", wait=60))
        await answer(api, question, "yes")
        assert (await waiting)["answer"] == "yes"


async def test_with_a_key_it_is_asked_and_answered_once(each_api: Api) -> None:
    http, key = each_api.http, {"Idempotency-Key": "k1"}
    asked = [(await http.post("/v1/questions", json=DEPLOY, headers=key)).json()["id"] for _ in range(2)]
    path = f"/v1/questions/{asked[0]}/answer"
    answered = [await http.post(path, json={"answer": "yes"}, headers=key) for _ in range(2)]

    assert asked[0] == asked[1]
    assert [each.status_code for each in answered] == [200, 200]
    assert await types(each_api) == ["question.asked", "question.answered"]


@pytest.mark.parametrize(
    ("fields", "state", "shown"),
    [
        ({}, "expired", {"reason": "deadline"}),
        ({"onDeadline": "default", "default": "no"}, "answered", {"answer": "no", "answeredBy": "deadline"}),
    ],
)
async def test_a_deadline_ends_a_question(each_api: Api, fields: Any, state: str, shown: Any) -> None:
    question = await ask(each_api, timeoutSeconds=0.05, **fields)

    over = await each_api.get(f"/v1/questions/{question['id']}", wait=60)

    assert over["state"] == state
    assert over.items() >= shown.items()
    assert (await answer(each_api, question, "yes"))[0] == 409
    assert await phase(each_api) == "running"


async def test_a_question_that_is_escalated_stays_open(api: Api) -> None:
    question = await ask(api, timeoutSeconds=0.05, onDeadline="escalate")

    async def is_escalated() -> bool:
        return "escalatedAt" in await api.get(f"/v1/questions/{question['id']}")

    await until(is_escalated)
    assert (await answer(api, question, "yes"))[0] == 200


async def test_a_question_that_is_called_off_cannot_be_answered(each_api: Api) -> None:
    question = await ask(each_api)
    path = f"/v1/questions/{question['id']}/cancel"

    canceled = (await each_api.http.post(path, json={"reason": "no longer needed"})).json()

    assert (canceled["state"], canceled["reason"]) == ("canceled", "no longer needed")
    assert (await answer(each_api, question, "yes"))[1]["error"]["message"] == "the question is canceled"
    assert (await each_api.http.post(path)).status_code == 409


async def test_a_secret_answer_is_handed_over_and_not_stored(each_api: Api) -> None:
    api = each_api
    question = await ask(api, secret=True, options=None)
    assert (await answer(api, question, "hunter2"))[0] == 409  # nobody waits for it
    waiting = asyncio.create_task(api.get(f"/v1/questions/{question['id']}", wait=60))
    await api.followed()

    status, answered = await answer(api, question, "hunter2")

    assert status == 200
    assert (await waiting)["answer"] == "hunter2"
    assert "answer" not in answered
    assert "answer" not in await api.get(f"/v1/questions/{question['id']}")
    assert "hunter2" not in (await api.http.get("/v1/events")).text


async def test_an_answer_has_to_be_what_was_asked_for(api: Api) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    question = await ask(api, options=None, schema=schema)

    for value in ("yes", {}, {"n": "1"}):
        status, body = await answer(api, question, value)
        assert (status, body["error"]["field"][:6]) == (400, "answer")
    assert (await answer(api, question, {"n": 1}))[0] == 200
    choice = await ask(api, options=[1, "a"])
    assert (await answer(api, choice, True))[0] == 400
    assert (await answer(api, choice, 1))[0] == 200


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"text": ""}, "text"),
        ({"text": 7}, "text"),
        ({"surprise": 1}, "surprise"),
        ({"options": []}, "options"),
        ({"schema": {"type": "nope"}}, "schema"),
        ({"schema": {"pattern": "(a+)+$"}}, "schema"),
        ({"schema": {"$ref": "http://elsewhere/x"}}, "schema"),
        ({"timeoutSeconds": 0}, "timeoutSeconds"),
        ({"onDeadline": "default", "default": "no"}, "timeoutSeconds"),
        ({"onDeadline": "default", "default": "maybe", "timeoutSeconds": 5}, "default"),
        ({"session": "x" * 257}, "session"),
        ({"query": "a\x00b"}, "query"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_its_field(api: Api, fields: Any, named: str) -> None:
    error = await api.error("/v1/questions", 400, method="POST", json=DEPLOY | fields)

    assert error["field"] == named


async def test_a_schema_without_end_is_an_answer_that_cannot_be_checked(api: Api) -> None:
    question = await ask(api, options=None, schema={"$ref": "#"})

    assert (await answer(api, question, 1))[0] == 400


async def test_questions_are_paged_newest_first(each_api: Api) -> None:
    asked = [(await ask(each_api, text=f"{number}?"))["id"] for number in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await each_api.get("/v1/questions", limit=2, query="q1", **cursor)
        seen += [each["id"] for each in page["items"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}

    assert seen == asked[::-1]


async def test_nobody_knows_a_question_that_was_not_asked(api: Api) -> None:
    for method, path in (("GET", ""), ("POST", "/answer"), ("POST", "/cancel")):
        json = {"answer": 1} if path == "/answer" else None
        error = await api.error(f"/v1/questions/nobody{path}", 404, method=method, json=json)
        assert error["code"] == "NOT_FOUND"


async def test_an_approval_of_arks_is_in_the_same_inbox(each_api: Api) -> None:
    request = (
        '{"type":"tool_approval_request","taskId":"t1","toolCalls":[{"function":{"name":"rm"}}],"agentName":"coder"}'
    )
    await each_api.events({"type": "query.started", "sessionId": "s1", "query": "q1"})
    await each_api.chunks("q1", request)

    [question] = (await each_api.get("/v1/questions", state="open"))["items"]
    assert (question["source"], question["text"], question["session"]) == ("approval", "Approve rm?", "s1")
    assert (question["options"], question["askedBy"]) == (["approved", "rejected"], "coder")
    assert await phase(each_api) == "waiting"
    status, body = await answer(each_api, question, "approved")
    assert (status, question["answerable"]) == (409, False)
    assert "where it was asked" in body["error"]["message"]

    await each_api.chunks("q1", '{"type":"tool_approval_response","taskId":"t1","action":"approved"}')

    over = await each_api.get(f"/v1/questions/{question['id']}")
    assert (over["state"], over["answer"], await phase(each_api)) == ("answered", "approved", "running")


async def test_a_task_that_needs_input_is_in_the_same_inbox_each_time(each_api: Api) -> None:
    async def task(state: str, second: int, text: str = "") -> None:
        status = {"state": state, "timestamp": f"2026-11-21T10:00:{second:02}Z"}
        if text:
            status["message"] = {"role": "agent", "parts": [{"kind": "text", "text": text}]}  # type: ignore[assignment]
        body = {"kind": "task", "id": "t1", "contextId": "c1", "status": status}
        response = await each_api.http.post("/v1/a2a/notifications", json=body)
        assert response.is_success, response.text

    async def open_texts() -> list[str]:
        return [each["text"] for each in (await each_api.get("/v1/questions", state="open"))["items"]]

    await task("working", 1)
    assert await open_texts() == []
    await task("input-required", 2, "Which city?")
    assert await open_texts() == ["Which city?"]
    await task("working", 3)
    assert await open_texts() == []
    await task("input-required", 4, "Which day?")
    assert await open_texts() == ["Which day?"]
    await task("failed", 5)
    assert await open_texts() == []
    assert (await each_api.get("/v1/questions/task:t1"))["state"] == "canceled"


async def test_a_question_of_another_program_is_answered_here(each_api: Api) -> None:
    await each_api.events(
        {"type": "query.started", "sessionId": "s1", "query": "q1"},
        {"type": "question.asked", "sessionId": "s1", "query": "q1", "questionId": "mine", "text": "Sure?"},
    )
    [question] = (await each_api.get("/v1/questions", state="open"))["items"]

    assert (question["id"], question["text"], await phase(each_api)) == ("mine", "Sure?", "waiting")
    assert (await answer(each_api, question, {"free": "form"}))[0] == 200


async def test_a_question_finds_its_session_when_the_query_does(each_api: Api) -> None:
    question = await ask(each_api, session=None)
    assert "session" not in question

    await each_api.events({"type": "query.started", "sessionId": "s9", "query": "q1"})

    assert (await each_api.get(f"/v1/questions/{question['id']}"))["session"] == "s9"


async def test_a_thousand_open_questions_are_listed_and_counted_out(start_api: StartApi) -> None:
    async with start_api() as api:
        batch = [
            {"type": "question.asked", "sessionId": "s1", "query": f"q{n}", "questionId": f"n{n}", "text": f"{n}?"}
            for n in range(1_000)
        ]
        await api.events(*batch)

        assert len((await api.get("/v1/questions", state="open", limit=1000))["items"]) == 1_000
        assert (await answer(api, {"id": "n500"}, "yes"))[0] == 200
        assert len((await api.get("/v1/questions", state="open", limit=1000))["items"]) == 999


async def test_answered_cancelled_and_expired_at_once_on_two_replicas_has_one_end(postgres_url: str) -> None:
    async with serve(postgres_url) as one, serve(postgres_url) as other:
        question = await ask(one, timeoutSeconds=0.2)
        path = f"/v1/questions/{question['id']}"

        async def answers(api: Api) -> list[int]:
            return [(await answer(api, question, "yes", answeredBy=str(number)))[0] for number in range(10)]

        async def cancels(api: Api) -> list[int]:
            return [(await api.http.post(f"{path}/cancel", json={})).status_code for _ in range(10)]

        statuses = await asyncio.gather(answers(one), answers(other), cancels(one), cancels(other))

        found = [status for each in statuses for status in each]
        assert sorted(found) in ([200, *[409] * 39], [409] * 40)
        ends = [kind for kind in await types(other) if kind in ENDS]
        assert len(ends) == 1
        assert (await other.get(path))["state"] == ENDS[ends[0]]
        # After its end a deadline that passes changes nothing.
        await one.services.desk.look_after_deadlines()
        assert [kind for kind in await types(one) if kind in ENDS] == ends


ENDS = {"question.answered": "answered", "question.canceled": "canceled", "question.expired": "expired"}
