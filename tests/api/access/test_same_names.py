"""Names that two namespaces use at once: neither can tell that the other has them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import Counter
from typing import Any, Final
from urllib.parse import quote

import pytest

from ark_broker.deliver.webhook_format import answer_url
from ark_broker.model.names import SEPARATOR
from tests.api.access.conftest import Locked, locked_broker
from tests.api.access.teams import SHARED, SHARED_TRACE, Team, Teams, listening, two_teams
from tests.api.access.test_namespaces import requests_of, streams_of
from tests.api.access.test_scopes import rpc
from tests.support.api import Api
from tests.support.mcp import HEADERS as MCP
from tests.support.mcp import call
from tests.support.waiting import until

#: How JSON, or a URL, may write the separator.
FORMS: Final = (SEPARATOR, json.dumps(SEPARATOR)[1:-1], "%E2%90%9F")


def words_of(text: str) -> Counter[str]:
    """All names, and what is said, in an answer."""
    found = re.findall(r"[\w␟@-]*(?:bravo|common)[\w␟@-]*", text)
    for cursor in re.findall(r'"nextCursor":"([\w-]+)"', text):
        found += re.findall(r"[\w␟-]*(?:bravo|common)[\w␟-]*", str(base64.urlsafe_b64decode(cursor + "==")))
    return Counter(found)


async def heard_by(team: Team) -> dict[str, tuple[int, Counter[str]]]:
    """What each request of the team is answered: status, and the names in it."""
    found = {}
    for path, params in requests_of(team):
        if "/questions/" in path:
            # Their ids are by chance.
            continue
        response = await team.http.get(path, params=params)
        found[f"{path}?{params}"] = response.status_code, words_of(response.text)
        for form in FORMS:
            assert form not in response.text + str(response.headers), (path, params)
    for tool, arguments in (
        ("list_sessions", {}),
        ("get_session", {"session": f"{SHARED}-session"}),
        ("get_conversation", {"session": f"{SHARED}-session"}),
        ("search_events", {"limit": 100, "session": f"{SHARED}-session"}),
        ("search_events", {"limit": 100, "text": SHARED}),
    ):
        response = await team.http.post("/mcp", json=call(tool, arguments), headers=MCP)
        found[f"{tool} {arguments}"] = response.status_code, words_of(response.text)
    found["resources"] = 200, words_of(str(await rpc(team.who, "resources/list", {})))
    return found


async def test_the_second_reads_what_it_would_read_alone(database_url: str, sqlite_url: str) -> None:
    async with locked_broker(database_url) as shared, locked_broker(f"{sqlite_url}-alone") as quiet:
        teams, alone = await two_teams(shared), await two_teams(quiet)
        await teams.alpha.send(SHARED, teams.alpha.trace, f"{SHARED}-session")
        await teams.alpha.send(f"{SHARED}-bare", teams.alpha.trace[::-1], None)
        for team in (teams.bravo, alone.bravo):
            await team.send(team.word, team.trace, team.named("session"))
            await team.send(SHARED, team.trace, f"{SHARED}-session")
            await team.send(f"{SHARED}-bare", team.trace[::-1], None)
        here, there = await heard_by(teams.bravo), await heard_by(alone.bravo)
        assert here.keys() == there.keys()
        for request, answer in here.items():
            assert answer == there[request], request


async def test_no_stream_of_the_second_says_more_than_its_name(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    await teams.fill()
    team = teams.bravo
    for path, params, _ in streams_of(team):
        async with listening(team.http, path, **params) as heard:
            await heard.until(team.word)
            await team.send(SHARED, SHARED_TRACE, f"{SHARED}-session")
            for form in FORMS:
                assert form.encode() not in heard.data, path


async def noted(who: Api, session: str, **event: Any) -> None:
    await who.events({"type": "note", "sessionId": session, **event})


async def listed(who: Api, **params: Any) -> list[str]:
    """Ids of the sessions of both lists, which are the same."""
    ids = [each["id"] for each in (await who.get("/v1/sessions", **params))["items"]]
    return ids


async def test_a_stream_that_is_followed_before_the_session_begins_is_heard(locked: Locked) -> None:
    """Also where the other namespace begins one of that name in between."""
    teams = await two_teams(locked)
    name = f"{SHARED}-session"
    async with (
        listening(teams.bravo.http, f"/v1/sessions/{name}/stream") as heard,
        listening(teams.bravo.http, "/sessions", watch="true", session_id=name) as watched,
    ):
        await noted(teams.alpha.who, name, query="q", note="alpha-said")
        await noted(teams.bravo.who, name, query="q", note="bravo-said")
        await heard.until("bravo-said")
        await watched.until(name)
        for each in (heard, watched):
            assert b"alpha" not in each.data
            assert SEPARATOR.encode() not in each.data
        await noted(teams.bravo.who, name, query="q", note="bravo-again")
        await heard.until("bravo-again")


async def test_a_deletion_is_of_the_own_session_and_tells_its_own_name(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    for team in (teams.alpha, teams.bravo):
        await noted(team.who, "s1", note=team.named("first"))
    admin = await each_locked.person("admin", ["team-bravo"])
    async with (
        listening(teams.bravo.http, "/v1/sessions/s1/stream") as heard,
        listening(teams.bravo.http, "/v1/stream") as changes,
        listening(teams.alpha.http, "/v1/stream") as others,
    ):
        deleted = (await admin.http.delete("/v1/sessions/s1")).json()
        assert deleted["id"] == "s1"
        await heard.until("session.deleted")
        await changes.until('"gone":true')
        assert b'{"session":{"id":"s1"},"gone":true}' in changes.data
        await noted(teams.alpha.who, "s1", note="alpha-still")
        await others.until('"s1"')
        assert b"gone" not in others.data
    assert (await teams.bravo.http.get("/v1/sessions/s1")).status_code == 404
    assert (await teams.alpha.http.get("/v1/sessions/s1")).status_code == 200
    await noted(teams.bravo.who, "s1", note="bravo-anew")
    items = (await teams.bravo.who.get("/v1/sessions/s1/events"))["items"]
    assert [(each["sessionId"], each["body"]["note"]) for each in items] == [("s1", "bravo-anew")]


async def test_a_deletion_of_the_first_changes_nothing_for_the_second(each_locked: Locked) -> None:
    """The name that became free is not given to it: its session would be in two pieces."""
    teams = await two_teams(each_locked)
    for team in (teams.alpha, teams.bravo):
        await noted(team.who, "s1", note=team.named("first"))
    await each_locked.operator.http.delete("/v1/sessions/s1")
    await noted(teams.bravo.who, "s1", note="bravo-second")
    assert await listed(teams.bravo.who) == ["s1"]
    assert len((await teams.bravo.who.get("/v1/sessions/s1"))["events"]) == 2
    async with listening(teams.bravo.http, "/v1/sessions/s1/stream", after="1") as heard:
        await heard.until("bravo-second")
        assert b'"recovered":true' in heard.data
    # Nor does whoever comes for the first time learn that there was one.
    third = await each_locked.person(["ingest", "read"], ["team-third"])
    await noted(third, "s1", note="third")
    async with listening(third.http, "/v1/sessions/s1/stream", after="1") as heard:
        await heard.until("third")
        assert b'"recovered":true' in heard.data


async def test_the_order_of_a_list_is_that_of_the_names_that_are_seen(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    names = ["s1", "s1-2", "s1~", "s1 ", "s1\u2420"]
    for name in ("s1", "s1~"):
        await noted(teams.alpha.who, name)
    third = await each_locked.person(["ingest", "read"], ["team-third"])
    at = 1_705_314_600_000_000_000
    for who in (teams.bravo.who, third):
        for name in names:
            await noted(who, name, time=at, query="q")

    async def lists(who: Api) -> list[list[str]]:
        paged, cursor = [], None
        while True:
            page = await who.get("/v1/sessions", limit=1, **({} if cursor is None else {"cursor": cursor}))
            paged += [each["id"] for each in page["items"]]
            cursor = page.get("nextCursor")
            if cursor is None:
                break
        whole = list((await who.get("/sessions"))["sessions"])
        by_name = [each["sessionId"] for each in (await who.get("/sessions", limit=50, sort="name"))["items"]]
        by_date = [each["sessionId"] for each in (await who.get("/sessions", limit=50))["items"]]
        return [paged, await listed(who), await listed(who, q="s1"), whole, by_name, by_date]

    assert await lists(teams.bravo.who) == await lists(third)
    assert sorted((await lists(third))[0]) == sorted(names)


async def test_a_search_does_not_find_what_is_not_shown(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    for team in (teams.alpha, teams.bravo):
        await noted(team.who, "s1", query="q")
    for text in (SEPARATOR, f"s1{SEPARATOR}", "team-bravo"):
        assert await listed(teams.bravo.who, q=text) == []
        assert (await teams.bravo.who.get("/sessions", limit=9, search=text))["items"] == []


async def test_who_sees_all_tells_them_apart_and_reads_each(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    for team in (teams.alpha, teams.bravo):
        await noted(team.who, "s1", note=team.named("said"))
    operator = each_locked.operator
    assert sorted(await listed(operator)) == ["s1", f"s1{SEPARATOR}team-bravo"]
    for name, said in (("s1", "alpha-said"), (f"s1{SEPARATOR}team-bravo", "bravo-said")):
        (event,) = (await operator.get(f"/v1/sessions/{name}/events"))["items"]
        assert (event["sessionId"], event["body"]["note"]) == (name, said)
    # An event that uses the stored name joins that session.
    await noted(operator, f"s1{SEPARATOR}team-bravo", namespace="team-bravo", note="told")
    assert len((await teams.bravo.who.get("/v1/sessions/s1"))["events"]) == 2


async def test_who_has_several_namespaces_says_which_of_two_is_meant(locked: Locked) -> None:
    teams = await two_teams(locked)
    for team in (teams.alpha, teams.bravo):
        await noted(team.who, "s1", note=team.named("said"))
    both = await locked.person(["read"], ["team-alpha", "team-bravo"])
    assert await listed(both) == ["s1", "s1"]
    for team in (teams.alpha, teams.bravo):
        name = f"s1{SEPARATOR}{team.namespace}"
        (event,) = (await both.get(f"/v1/sessions/{name}/events"))["items"]
        assert event["body"]["note"] == team.named("said")
        async with listening(both.http, f"/v1/sessions/{name}/stream") as heard:
            await heard.until(team.named("said"))
            await noted(team.who, "s1", note=team.named("more"))
            await heard.until(team.named("more"))


@pytest.mark.parametrize("name", [f"s1{SEPARATOR}team-bravo", "s1@team-bravo", f"{SEPARATOR}team-bravo", SEPARATOR])
async def test_a_name_that_looks_like_the_others_is_ones_own(locked: Locked, name: str) -> None:
    teams = await two_teams(locked)
    for team in (teams.alpha, teams.bravo):
        await noted(team.who, "s1", note=team.named("first"))
    before = (await teams.bravo.who.get("/v1/sessions"))["items"]
    await noted(teams.alpha.who, name, note="alpha-forged")
    await teams.alpha.post("/v1/questions", {"text": "?", "session": name})
    assert (await teams.bravo.who.get("/v1/sessions"))["items"] == before
    assert len(await listed(teams.bravo.who)) == 1
    assert all(SEPARATOR not in each for each in await listed(teams.alpha.who))


async def test_questions_of_one_id_are_answered_each_by_its_own(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    for team in (teams.alpha, teams.bravo):
        await team.who.events(
            {"type": "question.asked", "questionId": "q1", "sessionId": "s1", "text": team.named("asks")}
        )
    for team in (teams.bravo, teams.alpha):
        found = await team.who.get("/v1/questions/q1")
        assert (found["id"], found["session"], found["text"]) == ("q1", "s1", team.named("asks"))
        (each,) = (await team.who.get("/v1/questions"))["items"]
        assert each == found
    answer = {"type": "question.answered", "questionId": "q1", "sessionId": "s1", "answer": "yes"}
    await teams.bravo.who.events(answer)
    assert (await teams.bravo.who.get("/v1/questions/q1"))["state"] == "answered"
    assert (await teams.alpha.who.get("/v1/questions/q1"))["state"] == "open"
    # An id that looks like the other's is one's own.
    await teams.alpha.who.events(answer | {"questionId": f"q1{SEPARATOR}team-bravo", "answer": "forged"})
    assert (await teams.bravo.who.get("/v1/questions/q1"))["answer"] == "yes"
    operators = await each_locked.operator.get(f"/v1/questions/q1{SEPARATOR}team-bravo")
    assert (operators["text"], operators["session"]) == ("bravo-asks", f"s1{SEPARATOR}team-bravo")


async def ask_both(teams: Teams, **more: Any) -> None:
    """Each asks its question `q1`."""
    for team in (teams.alpha, teams.bravo):
        await team.who.events({"type": "question.asked", "questionId": "q1", "text": team.named("asks"), **more})


async def answer_by_event(team: Team) -> None:
    await team.who.events({"type": "question.answered", "questionId": "q1", "answer": team.named("answer")})


async def get_answer(who: Api, question: str = "q1", seconds: float = 0) -> dict[str, Any]:
    """What the MCP tool says, which is nothing of how names are stored."""
    arguments = {"question": question, "waitSeconds": seconds}
    found = await rpc(who, "tools/call", {"name": "get_answer", "arguments": arguments})
    assert not any(form in json.dumps(found, ensure_ascii=False) for form in FORMS)
    structured: dict[str, Any] = found["result"]["structuredContent"]
    return structured


async def read_question(who: Api, question: str = "q1") -> dict[str, Any]:
    """The MCP resource of a question."""
    uri = f"ark://questions/{quote(question)}"
    (content,) = (await rpc(who, "resources/read", {"uri": uri}))["result"]["contents"]
    found: dict[str, Any] = json.loads(content["text"])["data"]
    return found


async def test_get_answer_has_the_answer_to_the_own_question_of_that_id(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    await ask_both(teams)
    await answer_by_event(teams.alpha)
    for name in ("q1", "ark://questions/q1"):
        found = await get_answer(teams.bravo.who, name)
        assert (found["state"], found["question"], found.get("answer")) == ("open", "q1", None)
        found = await get_answer(teams.alpha.who, name)
        assert (found["state"], found["question"], found["answer"]) == ("answered", "q1", "alpha-answer")


async def test_get_answer_waits_for_the_own_question_of_that_id(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    await ask_both(teams)
    waiting = asyncio.create_task(get_answer(teams.bravo.who, seconds=60))
    await each_locked.api.followed()
    await answer_by_event(teams.alpha)
    assert (await get_answer(teams.alpha.who))["answer"] == "alpha-answer"
    await answer_by_event(teams.bravo)
    assert (await waiting)["answer"] == "bravo-answer"


async def test_a_secret_answer_is_not_handed_to_who_waits_for_another_question_of_that_id(locked: Locked) -> None:
    teams = await two_teams(locked)
    await ask_both(teams, secret=True)
    desk = locked.api.services.desk

    async def somebody_waits() -> bool:
        return bool(desk._secret)

    waiting = asyncio.create_task(get_answer(teams.bravo.who, seconds=60))
    await until(somebody_waits, what="the call to wait")
    refused = await teams.alpha.http.post("/v1/questions/q1/answer", json={"answer": "alphas-password"})
    assert (refused.status_code, "nobody waits" in refused.text) == (409, True)
    taken = await teams.bravo.http.post("/v1/questions/q1/answer", json={"answer": "bravos-password"})
    assert taken.status_code == 200
    assert (await waiting)["answer"] == "bravos-password"


async def test_the_resource_of_a_question_is_the_own_one_of_that_id(each_locked: Locked) -> None:
    teams = await two_teams(each_locked)
    await ask_both(teams)
    await answer_by_event(teams.alpha)
    for team, state in ((teams.alpha, "answered"), (teams.bravo, "open")):
        found = await read_question(team.who)
        assert (found["id"], found["text"], found["state"]) == ("q1", team.named("asks"), state)
        listed_ones = str(await rpc(team.who, "resources/list", {}))
        assert ("ark://questions/q1" in listed_ones) is (state == "open")


async def test_who_has_several_namespaces_gets_the_answer_to_the_one_that_is_meant(locked: Locked) -> None:
    teams = await two_teams(locked)
    await ask_both(teams)
    for team in (teams.alpha, teams.bravo):
        await answer_by_event(team)
    both = await locked.person(["read"], ["team-alpha", "team-bravo"])
    for team in (teams.alpha, teams.bravo):
        name = f"q1{SEPARATOR}{team.namespace}"
        assert (await get_answer(both, name))["answer"] == team.named("answer")
        assert (await get_answer(both, name, seconds=30))["answer"] == team.named("answer")
        assert (await read_question(both, name))["text"] == team.named("asks")


@pytest.mark.parametrize("namespaces", [None, ["team-bravo"], ["team-alpha", "team-bravo"]], ids=["all", "one", "two"])
async def test_the_address_that_a_webhook_tells_is_that_of_the_one_question(
    locked: Locked, namespaces: list[str] | None
) -> None:
    teams = await two_teams(locked)
    await ask_both(teams)
    who = await locked.person(["read", "answer"], namespaces)
    url = answer_url(await locked.api.services.desk.get(f"q1{SEPARATOR}team-bravo"), str(who.http.base_url))
    assert url is not None
    taken = await who.http.post(url, json={"answer": "yes"})
    assert taken.status_code == 200, taken.text
    assert (await teams.bravo.who.get("/v1/questions/q1"))["state"] == "answered"
    assert (await teams.alpha.who.get("/v1/questions/q1"))["state"] == "open"


async def test_conversations_of_one_id_are_sessions_of_their_own(each_locked: Locked) -> None:
    """A conversation stands for a session where nobody names one."""
    teams = await two_teams(each_locked)
    for team in (teams.alpha, teams.bravo):
        for number in range(2):
            await team.who.spans(
                {
                    "trace_id": bytes([number + 1]) * 15 + team.word[:1].encode(),
                    "attributes": {"gen_ai.conversation.id": "c1", "gen_ai.agent.name": team.named("agent")},
                }
            )
    for team, other in teams:
        (summary,) = (await team.who.get("/v1/sessions"))["items"]
        assert (summary["id"], summary["counts"]["events"], summary["agents"]) == ("c1", 2, [team.named("agent")])
        assert other.word not in (await team.http.get("/v1/sessions/c1")).text
        assert (await team.who.get("/v1/correlate", conversationId="c1"))["session"] == "c1"
