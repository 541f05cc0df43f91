"""Who is limited to a namespace sees it as if there were no other: on every route, in every stream."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, Final

import httpx
import pytest

from ark_broker.model.names import SEPARATOR
from tests.api.access.conftest import Locked, locked_broker
from tests.api.access.teams import SHARED, SHARED_TRACE, Team, Teams, listening, two_teams
from tests.api.access.test_scopes import operations, rpc
from tests.support.mcp import HEADERS as MCP
from tests.support.mcp import call
from tests.support.waiting import until

#: Streams of a path of their own; Ark's are asked for with `watch=true`.
STREAMS: Final = ("/v1/events/stream", "/v1/stream", "/v1/sessions/{session_id}/stream", "/v1/queries/{query}/stream")
WATCHED: Final = ("/messages", "/events", "/events/{query_id}", "/traces", "/traces/{trace_id}", "/sessions", "/stream")
#: What each parameter of a path is the name of.
KINDS: Final = {
    "session_id": "session",
    "query": "query",
    "question_id": "question",
    "trace_id": "trace",
    "conversation_id": "conversation",
    "query_id": "uid",
    "model": "query",
}
SAME_REQUEST: Final = {"x-request-id": "the-same"}


@pytest.fixture
async def teams(each_locked: Locked) -> Teams:
    """Two teams that have sent one of everything; the test runs once on SQLite and once on PostgreSQL."""
    found = await two_teams(each_locked)
    await found.fill()
    return found


@pytest.fixture
async def sqlite_teams(locked: Locked) -> Teams:
    """The same on SQLite, for what does not depend on the database."""
    found = await two_teams(locked)
    await found.fill()
    return found


def ids_of(team: Team, kind: str) -> list[str]:
    """Names of things that the team has, and of what it shares with the other."""
    if kind == "trace":
        return [team.trace, team.trace[::-1], SHARED_TRACE]
    if kind == "question":
        return list(team.questions)
    return [f"{word}-{kind}" for word in (team.word, f"{team.word}-bare", f"{team.word}-told", SHARED)]


def queried(team: Team, path: str) -> Iterator[dict[str, str]]:
    """Query parameters that make the route look up, search or page."""
    # What is played again with its pauses takes as long as it took, and a query's live stream has no end.
    if not path.endswith("/replay") and path != "/stream/{query}":
        yield {}
    named = {
        "/v1/events": [{"limit": "1000"}, {"type": "query.started"}],
        "/v1/sessions": [
            {"q": team.word},
            {"q": SHARED},
            {"query": f"{SHARED}-query"},
            {"agent": team.named("agent")},
            {"namespace": team.namespace},
            {"status": "active"},
        ],
        "/v1/overview": [{"bucket": "1d"}, {"agent": team.named("agent")}, {"namespace": team.namespace}],
        "/v1/questions": [{"state": "open"}, {"session": f"{SHARED}-session"}, {"query": f"{SHARED}-query"}],
        "/v1/links": [],
        "/v1/correlate": [],
        "/v1/sessions/{session_id}/export": [{"format": "otlp"}],
        "/v1/sessions/{session_id}/replay": [{"speed": "max"}],
        "/v1/queries/{query}/replay": [{"speed": "max"}, {"speed": "max", "events": "false"}],
        "/v1/queries/{query}": [{"namespace": team.namespace}, {"session": f"{SHARED}-session"}],
        "/messages": [{"conversation_id": f"{SHARED}-conversation"}, {"query_id": f"{SHARED}-query"}],
        "/events": [{"session_id": f"{SHARED}-session"}],
        "/traces": [{"session_id": f"{SHARED}-session"}, {"limit": "1"}],
        "/sessions": [{"limit": "100"}, {"search": team.word}, {"search": SHARED}, {"sort": "name", "limit": "9"}],
        "/stream": [{"limit": "1000"}],
        "/stream/{query}": [{"from-beginning": "true", "wait-for-query": "1"}],
    }
    yield from named.get(path, [])


def gets() -> list[str]:
    """The paths of every GET that ends, but for those that are about all namespaces, or nobody's."""
    return [
        path
        for method, path, operation in operations()
        if method == "GET" and operation["x-permission"] in ("read", "any") and path not in STREAMS
    ]


def looked_up(team: Team) -> Iterator[tuple[str, dict[str, str]]]:
    """Requests that say by what to correlate, and whose links to list."""
    for session in ids_of(team, "session"):
        yield "/v1/links", {"session": session}
    for word in (team.word, f"{team.word}-bare", SHARED):
        yield "/v1/correlate", {"query": f"{word}-query"}
        yield "/v1/correlate", {"queryUid": f"{word}-uid"}
        yield "/v1/correlate", {"taskId": f"{word}-task"}
        yield "/v1/correlate", {"contextId": f"{word}-context"}
        yield "/v1/correlate", {"conversationId": f"{word}-conversation"}
        yield "/v1/correlate", {"mcpSessionId": f"{word}-mcp"}
        yield "/v1/correlate", {"toolCallId": f"{word}-call"}
    for trace in ids_of(team, "trace"):
        yield "/v1/correlate", {"traceId": trace}


def requests_of(team: Team) -> Iterator[tuple[str, dict[str, str]]]:
    """Every GET, for each of the ids that the team would ask for."""
    for path in gets():
        found = re.search(r"\{(\w+)\}", path)
        for name in ids_of(team, KINDS[found[1]]) if found else [""]:
            for params in queried(team, path):
                yield re.sub(r"\{\w+\}", name, path), params
    yield from looked_up(team)


# -- what is answered --------------------------------------------------------------------------------------------------


async def test_no_answer_has_anything_of_the_other(teams: Teams) -> None:
    for team, other in teams:
        seen: set[str] = set()
        for path, params in requests_of(team):
            response = await team.http.get(path, params=params)
            assert response.status_code < 500, (path, params, response.text)
            text = response.text + str(response.headers)
            assert other.word not in text, (team.word, path, params, text[max(0, text.find(other.word) - 300) :][:600])
            assert other.trace not in text, (path, params)
            if team.word in response.text.replace(path.strip("/"), ""):
                seen.add(re.sub(r"[\w-]*(alpha|bravo|common)[\w-]*|[0-9a-f]{32}", "*", path))
        # The walk is worth something only where there was something to see.
        assert len(seen) > 20, seen


async def test_both_see_as_much_of_what_they_share(teams: Teams) -> None:
    """Whoever came second has lost nothing to who came first, and cannot tell that it was the second."""
    # The link of a trace is one for all namespaces, as its id is random: whoever came first has it.
    shown: dict[str, dict[str, Any]] = {}
    for team, _ in teams:
        found: dict[str, Any] = {}
        for path in ("/v1/events", "/messages", "/traces", "/events", "/stream"):
            items = (await team.http.get(path, params={"limit": "1000"})).json()["items"]
            found[path] = len(items)
        listed = (await team.http.get("/v1/events", params={"limit": "1000"})).json()["items"]
        found["types"] = sorted(event["type"].replace(team.word, "") for event in listed)
        for key, value in (
            ("query", f"{SHARED}-query"),
            ("queryUid", f"{SHARED}-uid"),
            ("taskId", f"{SHARED}-task"),
            ("mcpSessionId", f"{SHARED}-mcp"),
            ("toolCallId", f"{SHARED}-call"),
        ):
            found[key] = (await team.http.get("/v1/correlate", params={key: value})).status_code
        shown[team.word] = found
    assert shown["alpha"] == shown["bravo"]


async def test_what_names_no_session_is_placed_for_both(teams: Teams) -> None:
    for team, _ in teams:
        for kind in ("session", "query"):
            response = await team.http.get(
                f"/v1/{'queries' if kind == 'query' else 'sessions'}/{team.word}-bare-{kind}"
            )
            assert response.status_code == 200, (team.word, kind, response.text)


async def test_counts_and_totals_are_ones_own(teams: Teams) -> None:
    for team, other in teams:
        status = (await team.http.get("/memory-status")).json()
        messages = (await team.http.get("/messages")).json()
        assert status["total_messages"] == messages["total"] == len(messages["items"])
        sessions = (await team.http.get("/sessions", params={"limit": "100"})).json()
        assert sessions["total"] == len(sessions["items"]) == sum(sessions["statusCounts"].values())
        assert (await team.http.get("/v1/sessions", params={"q": other.word})).json()["items"] == []
        assert (await team.http.get("/v1/sessions", params={"namespace": other.namespace})).json()["items"] == []


# -- ids ---------------------------------------------------------------------------------------------------------------


def told(response: httpx.Response, name: str) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that the answer says, but for the name that was asked for."""
    headers = [(key, value.replace(name, "*")) for key, value in response.headers.items() if key != "date"]
    return response.status_code, response.content.replace(name.encode(), b"*"), headers


def foreign_ids(other: Team, kind: str) -> list[str]:
    if kind == "trace":
        return [other.trace, other.trace[::-1]]
    if kind == "question":
        return other.questions
    names = [f"{other.word}-{kind}", f"{other.word}-bare-{kind}", f"{other.word}-told-{kind}"]
    # How the second one's session is stored where both have one of that name.
    return [*names, f"{SHARED}-session{SEPARATOR}{other.namespace}"] if kind == "session" else names


def unknown_like(name: str) -> str:
    """A name that nobody has, as long as the other."""
    if re.fullmatch(r"[0-9a-f]{32}", name):
        return "d" * 32
    return re.sub(f"[^{SEPARATOR}]", "z", name)


async def test_an_id_of_the_other_is_answered_as_one_that_does_not_exist(teams: Teams) -> None:
    for team, other in teams:
        for path in gets():
            found = re.search(r"\{(\w+)\}", path)
            if found is None:
                continue
            for name in foreign_ids(other, KINDS[found[1]]):
                answers = []
                for asked in (name, unknown_like(name)):
                    params = {"wait-for-query": "1", "speed": "max"}
                    response = await team.http.get(re.sub(r"\{\w+\}", asked, path), params=params, headers=SAME_REQUEST)
                    answers.append(told(response, asked))
                assert answers[0] == answers[1], (path, name)


async def test_a_parameter_that_names_the_others_is_answered_as_one_of_nothing(teams: Teams) -> None:
    parameters = {
        "/v1/links": [("session", "session")],
        "/v1/questions": [("session", "session"), ("query", "query")],
        "/v1/sessions": [("query", "query"), ("agent", "agent"), ("q", "session")],
        "/v1/correlate": [
            ("query", "query"),
            ("queryUid", "uid"),
            ("taskId", "task"),
            ("traceId", "trace"),
            ("contextId", "context"),
            ("conversationId", "conversation"),
            ("mcpSessionId", "mcp"),
            ("toolCallId", "call"),
        ],
        "/messages": [("conversation_id", "conversation"), ("query_id", "query")],
        "/events": [("session_id", "session")],
        "/traces": [("session_id", "session")],
        "/sessions": [("search", "session")],
    }
    for team, other in teams:
        for path, named in parameters.items():
            for parameter, kind in named:
                for name in foreign_ids(other, kind):
                    answers = [
                        told(await team.http.get(path, params={parameter: asked}, headers=SAME_REQUEST), asked)
                        for asked in (name, unknown_like(name))
                    ]
                    assert answers[0] == answers[1], (path, parameter, name)


async def test_a_look_up_takes_the_same_statements_whoever_has_it(sqlite_teams: Teams) -> None:
    """Not the time, which varies, but what it is spent on: no further question is put for what others have."""
    from sqlalchemy import event

    team, other = sqlite_teams.alpha, sqlite_teams.bravo
    engine = team.who.services.database.reader.sync_engine
    statements: list[str] = []

    def heard(_connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:
        # Not what the broker does meanwhile for itself.
        if "ark_broker_namespaces" in context.execution_options:
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", heard)
    for path in gets():
        found = re.search(r"\{(\w+)\}", path)
        for name in foreign_ids(other, KINDS[found[1]]) if found else []:
            asked: list[list[str]] = []
            for each in (name, unknown_like(name)):
                statements.clear()
                await team.http.get(re.sub(r"\{\w+\}", each, path), params={"wait-for-query": "1"})
                asked.append(list(statements))
            assert asked[0] == asked[1], (path, name)
            assert asked[0] or path == "/v1/me", path


async def test_a_cursor_that_was_guessed_shows_nothing_of_the_other(teams: Teams) -> None:
    head = (await teams.locked.operator.get("/v1/events", limit=1000))["seq"]
    pages = (await teams.locked.operator.get("/v1/sessions", limit=1))["nextCursor"]
    questions = (await teams.locked.operator.get("/v1/questions", limit=1))["nextCursor"]
    for team, other in teams:
        for after in range(0, head, 5):
            cursor = {"after": str(after), "cursor": str(after)}
            for path in (
                "/v1/events",
                f"/v1/sessions/{SHARED}-session/events",
                f"/v1/sessions/{SHARED}-session/replay?speed=max",
                f"/v1/queries/{SHARED}-query/replay?speed=max",
                "/messages",
                "/events",
                "/stream",
            ):
                response = await team.http.get(path, params=dict(httpx.URL(path).params) | cursor)
                assert other.word not in response.text, (path, after)
        for path, cursor in (("/v1/sessions", {"cursor": pages}), ("/v1/questions", {"cursor": questions})):
            assert other.word not in (await team.http.get(path, params=cursor)).text


# -- live --------------------------------------------------------------------------------------------------------------


def streams_of(team: Team) -> Iterator[tuple[str, dict[str, str], str]]:
    """(path, parameters, what the team does to be heard there) of every live stream that the team may look at."""
    for path in STREAMS:
        found = re.search(r"\{(\w+)\}", path)
        for name in [f"{SHARED}-{KINDS[found[1]]}", team.named(KINDS[found[1]])] if found else [""]:
            yield re.sub(r"\{\w+\}", name, path), {"from": "start"}, name
    for path in WATCHED:
        found = re.search(r"\{(\w+)\}", path)
        names = [""]
        if found:
            names = [team.trace, SHARED_TRACE] if found[1] == "trace_id" else [team.named("uid"), f"{SHARED}-uid"]
        for name in names:
            yield re.sub(r"\{\w+\}", name, path), {"watch": "true", "from-beginning": "true", "cursor": "0"}, name
    for name in (team.named("query"), f"{SHARED}-query"):
        yield f"/stream/{name}", {"from-beginning": "true"}, name


async def test_no_stream_has_anything_of_the_other_stored_or_live(teams: Teams) -> None:
    for team, other in teams:
        async with AsyncExitStack() as open_streams:
            streams = [
                (path, await open_streams.enter_async_context(listening(team.http, path, **params)))
                for path, params, _name in streams_of(team)
            ]
            assert {heard.status for _, heard in streams} == {200}
            # The other one first: what is heard of us after that is heard in its order.
            await other.send(SHARED, SHARED_TRACE, f"{SHARED}-session")
            await other.send(other.word, other.trace, other.named("session"))
            await team.send(SHARED, SHARED_TRACE, f"{SHARED}-session")
            await team.send(team.word, team.trace, team.named("session"))
            for _, heard in streams:
                await heard.until(team.word)
            await teams.tell(other, "later")
            await teams.tell(team, "later")
            for path, heard in streams:
                if path in ("/v1/events/stream", "/events"):
                    await heard.until("later")
            for path, heard in streams:
                assert other.word.encode() not in heard.data, (team.word, path, heard.data[-3000:])


async def test_a_stream_of_the_others_is_as_silent_as_one_of_nothing(database_url: str) -> None:
    async with locked_broker(database_url, heartbeat_seconds=0.2) as locked:
        teams = await two_teams(locked)
        await teams.fill()
        team, other = teams.alpha, teams.bravo
        paths = [
            f"/v1/sessions/{other.named('session')}/stream?from=start",
            f"/v1/sessions/{SHARED}-session{SEPARATOR}{other.namespace}/stream?from=start",
            f"/v1/queries/{other.named('query')}/stream?from=start",
            f"/stream/{other.named('query')}?from-beginning=true",
            f"/events/{other.named('uid')}?watch=true&from-beginning=true",
            f"/traces/{other.trace}?watch=true&from-beginning=true",
            f"/sessions?watch=true&session_id={other.named('session')}",
            f"/messages?watch=true&cursor=0&query_id={other.named('query')}",
            f"/messages?watch=true&cursor=0&conversation_id={other.named('conversation')}",
        ]
        for path in paths:
            unknown = path.replace(other.word, "zzzzz").replace(other.trace, "d" * 32)
            url, nothing = httpx.URL(path), httpx.URL(unknown)
            async with (
                listening(team.http, url.path, **dict(url.params)) as heard,
                listening(team.http, nothing.path, **dict(nothing.params)) as quiet,
            ):
                await other.send(other.word, other.trace, other.named("session"))
                for each in (heard, quiet):
                    await each.until(": ")
                await_beats = [each.data.count(b": ") for each in (heard, quiet)]
                for each, before in zip((heard, quiet), await_beats, strict=True):
                    await _more_beats(each, before + 2)
                said = [re.sub(rb": [\w-]+\n\n", b"", each.data) for each in (heard, quiet)]
                assert said[0] == said[1], path


async def _more_beats(heard: Any, count: int) -> None:
    async def enough() -> bool:
        return heard.data.count(b": ") >= count

    await until(enough, what="signs of life")


# -- MCP ---------------------------------------------------------------------------------------------------------------


async def test_mcp_tools_and_resources_show_nothing_of_the_other(teams: Teams) -> None:
    for team, other in teams:
        for tool, arguments in (
            ("list_sessions", {}),
            ("list_sessions", {"text": SHARED}),
            ("list_sessions", {"namespace": other.namespace}),
            ("search_events", {"limit": 100}),
            ("search_events", {"limit": 100, "session": f"{SHARED}-session"}),
            ("search_events", {"limit": 100, "query": f"{SHARED}-query"}),
            ("search_events", {"limit": 100, "text": other.word[1:]}),
            ("get_session", {"session": f"{SHARED}-session"}),
            ("get_session", {"session": team.named("session")}),
            ("get_conversation", {"session": f"{SHARED}-session"}),
        ):
            response = await team.http.post("/mcp", json=call(tool, arguments), headers=MCP)
            assert response.status_code == 200
            assert other.word not in response.text.replace(other.namespace, ""), (tool, arguments)
        listed = await rpc(team.who, "resources/list", {})
        assert team.word in str(listed)
        assert other.word not in str(listed)
        assert not set(other.questions) & set(re.findall(r"[0-9a-f]{32}", str(listed)))


async def test_mcp_answers_an_id_of_the_other_as_one_that_does_not_exist(teams: Teams) -> None:
    for team, other in teams:
        for tool, parameter, kind in (
            ("get_session", "session", "session"),
            ("get_conversation", "session", "session"),
            ("search_events", "session", "session"),
            ("search_events", "query", "query"),
            ("get_answer", "question", "question"),
        ):
            for name in foreign_ids(other, kind):
                answers = []
                for asked in (name, unknown_like(name)):
                    arguments: dict[str, object] = {parameter: asked}
                    arguments |= {"waitSeconds": 0} if tool == "get_answer" else {}
                    response = await team.http.post("/mcp", json=call(tool, arguments), headers=MCP | SAME_REQUEST)
                    answers.append(told(response, asked))
                assert answers[0] == answers[1], (tool, name)
        for uri, kind in (("ark://sessions/", "session"), ("ark://questions/", "question")):
            for name in foreign_ids(other, kind):
                found = [
                    json.dumps(await rpc(team.who, "resources/read", {"uri": uri + asked}), ensure_ascii=False).replace(
                        asked, "*"
                    )
                    for asked in (name, unknown_like(name))
                ]
                assert found[0] == found[1], (uri, name)


async def test_a_call_of_the_other_is_not_cancelled(locked: Locked) -> None:
    """Not even by who knows the id of its MCP session, which is all that a cancellation names."""
    # `mcp.endpoint` looks at nobody's grant before it calls a question off.
    teams = await two_teams(locked)
    team, other = teams.alpha, teams.bravo
    headers = MCP | {"mcp-session-id": "known", "mcp-protocol-version": "2025-11-25"}
    asking = asyncio.create_task(
        other.http.post("/mcp", json=call("ask_question", {"text": "?", "waitSeconds": 20}, number=5), headers=headers)
    )

    async def asked() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await other.who.get("/v1/questions"))["items"]
        return items

    (question,) = await until(asked, what="the question to be asked")
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5, "reason": "mine"}}
    await team.http.post("/mcp", json=cancel, headers=headers)
    assert (await other.who.get(f"/v1/questions/{question['id']}"))["state"] == "open"
    await other.post(f"/v1/questions/{question['id']}/answer", {"answer": "yes"})
    assert "yes" in (await asking).text


# -- writes ------------------------------------------------------------------------------------------------------------


async def everything_of(team: Team) -> list[dict[str, Any]]:
    """The team's events, as stored."""
    items: list[dict[str, Any]] = (await team.who.get("/v1/events", limit=1000))["items"]
    return items


async def test_a_question_of_the_other_can_neither_be_answered_nor_called_off(teams: Teams) -> None:
    for team, other in teams:
        for question in other.questions:
            for action, body in (("answer", {"answer": "mine"}), ("cancel", {})):
                answers = []
                for asked in (question, unknown_like(question)):
                    path = f"/v1/questions/{asked}/{action}"
                    answers.append(told(await team.http.post(path, json=body, headers=SAME_REQUEST), asked))
                assert answers[0] == answers[1]
                assert answers[0][0] == 404
            assert (await other.who.get(f"/v1/questions/{question}"))["state"] == "open"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "question.answered", "answer": "forged", "answeredBy": "nobody"},
        {"type": "question.canceled", "reason": "forged"},
        {"type": "question.expired", "reason": "forged"},
        {"type": "question.escalated", "reason": "forged"},
        {"type": "question.asked", "text": "forged"},
        {"type": "approval.response", "answer": "forged"},
    ],
    ids=lambda event: str(event["type"]),
)
async def test_an_event_about_a_question_of_the_other_changes_nothing_of_it(
    teams: Teams, event: dict[str, str]
) -> None:
    for team, other in teams:
        for question in other.questions:
            before = await other.who.get(f"/v1/questions/{question}")
            response = await team.http.post("/v1/events", json=event | {"questionId": question})
            assert response.status_code in (200, 400, 403), response.text
            assert await other.who.get(f"/v1/questions/{question}") == before
            assert (await team.http.get(f"/v1/questions/{question}")).status_code in (200, 404)


async def test_who_uses_the_ids_of_the_other_takes_nothing_from_it(teams: Teams) -> None:
    for team, other in teams:
        before = await everything_of(other)
        listed = await other.who.get("/v1/sessions")
        # All that would join: by the session, the query, the trace, the task, the conversation, the tool call.
        await team.send(other.word, other.trace, other.named("session"))
        await team.send(other.word, other.trace, None)
        assert await everything_of(other) == before
        assert (await other.who.get("/v1/sessions"))["items"] == listed["items"]
        for path in (f"/v1/sessions/{other.named('session')}", f"/v1/queries/{other.named('query')}"):
            assert team.named("") not in (await other.http.get(path)).text
        # What was refused nowhere is somewhere.
        assert (await team.http.get("/v1/events", params={"limit": 1000})).text.count(team.named("noted")) >= 1


async def test_an_id_that_the_other_has_used_is_still_free(locked: Locked) -> None:
    """Neither told as a duplicate, nor thrown away."""
    teams = await two_teams(locked)
    event = {"type": "note", "id": "the-same", "sessionId": "s"}
    for key in ("first", "again"):
        for team, _ in teams:
            response = await team.http.post("/v1/events", json=event | {"time": 1_705_314_600_000_000_000})
            expected = (1, 0) if key == "first" else (0, 1)
            assert (response.json()["stored"], response.json()["duplicates"]) == expected, (team.word, key)


@pytest.mark.parametrize("path", ["/v1/questions", "/messages", "/events", "/stream/q", "/sessions"])
async def test_an_idempotency_key_that_the_other_has_used_is_still_free(locked: Locked, path: str) -> None:
    teams = await two_teams(locked)
    bodies: dict[str, dict[str, Any]] = {
        "/v1/questions": {"text": "?"},
        "/messages": {"conversation_id": "c", "query_id": "q", "messages": [{"role": "user", "content": "x"}]},
        "/events": {"reason": "QueryExecutionStart", "data": {"queryId": "u", "queryName": "q", "sessionId": "s"}},
        "/sessions": {"sessionId": "s", "queryName": "q", "_reason": "QueryExecutionStart"},
        "/stream/q": {"choices": []},
    }
    stored = []
    for team, _ in teams:
        response = await team.http.post(path, json=bodies[path], headers={"idempotency-key": "one"})
        assert response.status_code in (200, 201), (team.word, response.text)
        stored.append(len(await everything_of(team)))
    assert stored[0] == stored[1] > 0


async def test_a_stream_that_the_other_completes_goes_on(locked: Locked) -> None:
    teams = await two_teams(locked)
    for team, _ in teams:
        await team.who.chunks("q", '{"choices":[]}')
    assert await teams.alpha.who.complete("q") == "completed"
    assert await teams.bravo.who.complete("q") == "completed"
    for team, _ in teams:
        kinds = [event["type"] for event in await everything_of(team)]
        assert kinds.count("stream.completed") == 1, (team.word, kinds)


async def test_a_stream_that_only_the_other_has_cannot_be_completed(sqlite_url: str) -> None:
    async with locked_broker(sqlite_url, ark_compat="a") as locked:
        teams = await two_teams(locked)
        await teams.alpha.who.chunks("alpha-query", '{"choices":[]}')
        answers = []
        for name in ("alpha-query", "zzzzz-query"):
            response = await teams.bravo.http.post(f"/stream/{name}/complete", json={}, headers=SAME_REQUEST)
            answers.append(told(response, name))
        assert answers[0] == answers[1]


async def test_a_session_of_the_other_is_not_deleted(teams: Teams) -> None:
    # `api.v1.sessions.delete_session` has to look the session up with the reader of whoever asks.
    for namespace, other in (("team-alpha", teams.bravo), ("team-bravo", teams.alpha)):
        admin = await teams.locked.person("admin", [namespace])
        before = await everything_of(other)
        for name in foreign_ids(other, "session"):
            answers = []
            for asked in (name, unknown_like(name)):
                response = await admin.http.delete(f"/v1/sessions/{asked}", headers=SAME_REQUEST)
                answers.append(told(response, asked))
            assert answers[0] == answers[1], name
        assert await everything_of(other) == before


async def test_ones_own_session_is_deleted_and_the_others_of_that_name_is_not(teams: Teams) -> None:
    admin = await teams.locked.person("admin", ["team-alpha"])
    before = await everything_of(teams.bravo)
    assert (await admin.http.delete(f"/v1/sessions/{SHARED}-session")).status_code == 200
    assert (await teams.alpha.http.get(f"/v1/sessions/{SHARED}-session")).status_code == 404
    assert await everything_of(teams.bravo) == before


# -- whose it is -------------------------------------------------------------------------------------------------------


async def test_what_somebody_sends_is_of_their_namespace_whatever_it_says(locked: Locked) -> None:
    teams = await two_teams(locked)
    team, other = teams.alpha, teams.bravo
    await team.who.events({"type": "note", "namespace": other.namespace, "sessionId": "one"})
    await team.post("/v1/questions", {"text": "?", "namespace": other.namespace, "session": "one"})
    data = {"queryId": "u", "queryName": "q", "queryNamespace": other.namespace, "sessionId": "one"}
    await team.post("/events", {"reason": "QueryExecutionStart", "data": data})
    update = {"taskId": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}
    await team.post("/v1/a2a/events", {"statusUpdate": update}, params={"namespace": other.namespace})
    await team.who.spans({"attributes": {"k8s.namespace.name": other.namespace, "session.id": "one"}})
    everything = (await locked.operator.get("/v1/events", limit=1000))["items"]
    assert {event["namespace"] for event in everything if event["type"] != "audit.request"} == {team.namespace}
    assert await everything_of(other) == []


async def test_who_has_several_namespaces_names_one_of_them(locked: Locked) -> None:
    both = await locked.person(["ingest", "read"], ["team-a", "team-b"])
    for event, status in (
        ({"type": "note", "namespace": "team-a"}, 200),
        ({"type": "note", "namespace": "team-b"}, 200),
        ({"type": "note", "namespace": "team-c"}, 403),
        ({"type": "note"}, 403),
    ):
        assert (await both.http.post("/v1/events", json=event)).status_code == status, event
    # All or nothing.
    mixed = [{"type": "note", "namespace": "team-a"}, {"type": "note", "namespace": "team-c"}]
    assert (await both.http.post("/v1/events", json=mixed)).status_code == 403
    assert len((await both.get("/v1/events"))["items"]) == 2
    assert len((await (await locked.person("read", ["team-a"])).get("/v1/events"))["items"]) == 1


async def test_what_has_no_namespace_is_for_those_who_see_all(locked: Locked) -> None:
    await locked.operator.events({"type": "note", "sessionId": "nobodys", "query": "nobodys-query"})
    who = await locked.person(["read", "ingest"], ["team-a"])
    assert (await who.get("/v1/events"))["items"] == []
    assert (await who.http.get("/v1/sessions/nobodys")).status_code == 404
    # Nor does what they send come into it.
    await who.events({"type": "mine", "sessionId": "nobodys", "query": "nobodys-query"})
    kept = (await locked.operator.get("/v1/sessions/nobodys/events"))["items"]
    assert [event["type"] for event in kept] == ["note"]


async def test_the_labels_of_metrics_name_no_namespace(sqlite_teams: Teams) -> None:
    text = (await sqlite_teams.locked.operator.http.get("/metrics")).text
    for team, _ in sqlite_teams:
        assert team.word not in text
        assert (await team.http.get("/metrics")).status_code == 403
