"""Tokens over their life: made, listed, rotated, revoked; limits, tickets, a browser's login; and what is noted."""

from __future__ import annotations

import asyncio
import re
from http.cookies import SimpleCookie
from typing import Any, Final

import httpx
import pytest

from tests.api.access.conftest import ADMIN, Locked, bearer, locked_broker
from tests.support.api import Api, StartApi, serve
from tests.support.otlp import PROTOBUF, traces
from tests.support.sse import listen
from tests.support.stored import query
from tests.support.waiting import until

COOKIE: Final = "ark_broker_token"


def id_of(token: str) -> str:
    return token.split("_")[1]


async def status_with(locked: Locked, token: str, path: str = "/v1/sessions") -> int:
    return (await locked.api.http.get(path, headers=bearer(token))).status_code


# -- their life --------------------------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_and_listed_without_its_secret(each_locked: Locked) -> None:
    wanted = {
        "name": "executors of team-a",
        "permissions": ["read", "ingest"],
        "namespaces": ["team-b", "team-a"],
        "expiresInSeconds": 3600,
        "requestsPerMinute": 600,
        "bytesPerMinute": 1_000_000,
    }
    response = await each_locked.operator.http.post("/v1/tokens", json=wanted)
    made = response.json()
    text = made.pop("token")
    assert response.status_code == 201
    assert re.fullmatch(r"arkb_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}", text)
    assert made["id"] == id_of(text)
    shown = {key: made[key] for key in ("name", "permissions", "namespaces", "requestsPerMinute", "bytesPerMinute")}
    assert shown == {
        "name": "executors of team-a",
        "permissions": ["ingest", "read"],
        "namespaces": ["team-a", "team-b"],
        "requestsPerMinute": 600,
        "bytesPerMinute": 1_000_000,
    }
    assert made["expiresAt"] > made["createdAt"]
    listed = (await each_locked.operator.get("/v1/tokens"))["items"]
    assert listed == [made]
    assert text.split("_")[2] not in str(listed)


async def test_what_is_kept_is_a_hash(each_locked: Locked) -> None:
    token = await each_locked.token("read")
    rotated = (await each_locked.operator.http.post(f"/v1/tokens/{id_of(token)}/rotate", json={})).json()["token"]
    rows = await query(each_locked.api.services.settings.database_url or "", "SELECT content FROM tokens")
    assert len(rows) == 1
    for text in (token, rotated):
        assert text.split("_")[2].encode() not in bytes(rows[0][0])


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"permissions": ["read"]}, "name"),
        ({"name": "", "permissions": ["read"]}, "name"),
        ({"name": "x" * 257, "permissions": ["read"]}, "name"),
        ({"name": "a\nb", "permissions": ["read"]}, "name"),
        ({"name": "ticket of somebody", "permissions": ["read"]}, "name"),
        ({"name": "x"}, "permissions"),
        ({"name": "x", "permissions": []}, "permissions"),
        ({"name": "x", "permissions": ["root"]}, "permissions[0]"),
        ({"name": "x", "permissions": ["read"], "namespaces": []}, "namespaces"),
        ({"name": "x", "permissions": ["read"], "namespaces": ["*"]}, "namespaces"),
        ({"name": "x", "permissions": ["read"], "namespaces": ["a b"]}, "namespaces"),
        ({"name": "x", "permissions": ["read"], "expiresInSeconds": 0}, "expiresInSeconds"),
        ({"name": "x", "permissions": ["read"], "requestsPerMinute": 0}, "requestsPerMinute"),
        ({"name": "x", "permissions": ["read"], "bytesPerMinute": -1}, "bytesPerMinute"),
        ({"name": "x", "permissions": ["read"], "hash": "x"}, "hash"),
    ],
)
async def test_what_can_be_no_token_is_refused(locked: Locked, wanted: dict[str, Any], field: str) -> None:
    error = await locked.operator.error("/v1/tokens", 400, "POST", json=wanted)
    assert error["field"] == field
    assert (await locked.operator.get("/v1/tokens"))["items"] == []


async def test_a_token_expires(each_locked: Locked) -> None:
    # Where the machine is slow it needs to be good for longer to be seen.
    for seconds in (1, 4, 16):
        token = await each_locked.token("read", expiresInSeconds=seconds)
        if await status_with(each_locked, token) == 200:
            break
    else:
        pytest.fail("it was never good")

    async def is_over() -> bool:
        return await status_with(each_locked, token) == 401

    await until(is_over, what="the token to expire")


async def test_a_token_that_is_revoked_is_good_no_more_at_once(each_locked: Locked) -> None:
    token, other = await each_locked.token("read"), await each_locked.token("read")
    assert await status_with(each_locked, token) == 200
    response = await each_locked.operator.http.delete(f"/v1/tokens/{id_of(token)}")
    assert response.status_code == 200
    assert response.json()["revokedAt"]
    assert await status_with(each_locked, token) == 401
    assert await status_with(each_locked, other) == 200
    # Again: it stays so.
    again = await each_locked.operator.http.delete(f"/v1/tokens/{id_of(token)}")
    assert again.json()["revokedAt"] == response.json()["revokedAt"]


async def test_a_rotated_token_has_a_new_secret_and_the_old_one_for_a_while(each_locked: Locked) -> None:
    token = await each_locked.token("read")
    path = f"/v1/tokens/{id_of(token)}/rotate"
    second = (await each_locked.operator.http.post(path, json={"graceSeconds": 60})).json()["token"]
    assert id_of(second) == id_of(token)
    assert [await status_with(each_locked, each) for each in (token, second)] == [200, 200]
    third = (await each_locked.operator.http.post(path, json={"graceSeconds": 0})).json()["token"]
    assert [await status_with(each_locked, each) for each in (token, second, third)] == [401, 401, 200]
    assert len((await each_locked.operator.get("/v1/tokens"))["items"]) == 1
    # What was revoked does not come back with a new secret.
    await each_locked.operator.http.delete(f"/v1/tokens/{id_of(token)}")
    fourth = (await each_locked.operator.http.post(path, json={})).json().get("token", "none")
    assert [await status_with(each_locked, each) for each in (third, fourth)] == [401, 401]


@pytest.mark.parametrize("grace", [-1, 30 * 86_400 + 1, "1h", None])
async def test_a_grace_is_seconds_and_not_for_ever(locked: Locked, grace: object) -> None:
    token = await locked.token("read")
    await locked.operator.error(f"/v1/tokens/{id_of(token)}/rotate", 400, "POST", json={"graceSeconds": grace})


@pytest.mark.parametrize("name", ["none", "a%2Fb", "%00", "..", "x" * 300, "arkb_x_y"])
async def test_a_token_that_is_not_there(locked: Locked, name: str) -> None:
    for method, path in (("DELETE", f"/v1/tokens/{name}"), ("POST", f"/v1/tokens/{name}/rotate")):
        response = await locked.operator.http.request(method, path, json={} if method == "POST" else None)
        assert response.status_code in (400, 404, 405), (method, name, response.text)


async def test_it_is_told_when_a_token_was_used_last(each_locked: Locked) -> None:
    token = await each_locked.token("read")
    assert "lastUsedAt" not in (await each_locked.operator.get("/v1/tokens"))["items"][0]
    assert await status_with(each_locked, token) == 200

    async def is_noted() -> bool:
        return "lastUsedAt" in (await each_locked.operator.get("/v1/tokens"))["items"][0]

    await until(is_noted, what="the use to be noted")
    # Rotating it does not forget that.
    await each_locked.operator.http.post(f"/v1/tokens/{id_of(token)}/rotate", json={})
    assert "lastUsedAt" in (await each_locked.operator.get("/v1/tokens"))["items"][0]


async def test_a_wrong_secret_is_no_use_of_the_token(locked: Locked) -> None:
    token, other = await locked.token("read"), await locked.token("read")
    wrong = "_".join([*token.split("_")[:2], other.split("_")[2]])
    assert await status_with(locked, wrong) == 401
    await locked.api.http.get("/health")
    assert not [each for each in (await locked.operator.get("/v1/tokens"))["items"] if "lastUsedAt" in each]


async def test_tokens_outlive_the_broker(database_url: str) -> None:
    async with locked_broker(database_url) as locked:
        token = await locked.token(["read"], ["team-a"])
    async with locked_broker(database_url) as locked:
        me = await locked.api.http.get("/v1/me", headers=bearer(token))
        assert me.json()["namespaces"] == ["team-a"]


async def test_me_says_who_asks(locked: Locked) -> None:
    me = await (await locked.person(["answer", "read"], ["team-a"], name="ann")).get("/v1/me")
    assert me == {"name": "ann", "permissions": ["answer", "read"], "namespaces": ["team-a"], "authentication": True}
    assert (await locked.operator.get("/v1/me"))["namespaces"] is None


async def test_without_authentication_there_is_nobody_to_be(start_api: StartApi) -> None:
    async with start_api() as api:
        assert (await api.get("/v1/me"))["authentication"] is False
        assert (await api.http.get("/v1/sessions", headers=bearer("whatever"))).status_code == 200


# -- a token of one's own making ---------------------------------------------------------------------------------------


async def test_the_admin_token_may_do_everything_and_is_no_stored_token(locked: Locked) -> None:
    assert sorted((await locked.operator.get("/v1/me"))["permissions"]) == ["admin", "answer", "ingest", "read"]
    assert (await locked.operator.get("/v1/tokens"))["items"] == []


async def test_without_the_setting_nothing_is_the_admin_token(sqlite_url: str) -> None:
    async with serve(sqlite_url, auth=True) as api:
        for token in (ADMIN, "None", ""):
            assert (await api.http.get("/v1/sessions", headers=bearer(token))).status_code == 401


# -- limits ------------------------------------------------------------------------------------------------------------


async def test_more_requests_than_the_limit_are_told_to_come_later(locked: Locked) -> None:
    who, other = await locked.person("read", requestsPerMinute=3), await locked.person("read", requestsPerMinute=3)
    answers = [await who.http.get("/v1/sessions") for _ in range(5)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["error"]["code"] == "TOO_MANY_REQUESTS"
    assert (await other.http.get("/v1/sessions")).status_code == 200


async def test_the_limit_holds_on_every_route(locked: Locked) -> None:
    who = await locked.person("admin", requestsPerMinute=1)
    assert (await who.http.get("/v1/me")).status_code == 200
    for method, path in (
        ("GET", "/v1/sessions"),
        ("POST", "/v1/events"),
        ("POST", "/v1/traces"),
        ("POST", "/events"),
        ("POST", "/messages"),
        ("POST", "/stream/q"),
        ("GET", "/stream/q"),
        ("GET", "/v1/events/stream"),
        ("POST", "/mcp"),
        ("GET", "/metrics"),
        ("POST", "/v1/tickets"),
    ):
        response = await who.http.request(method, path, json={} if method == "POST" else None)
        assert response.status_code == 429, path
        assert int(response.headers["retry-after"]) >= 1, path


async def test_more_bytes_than_the_limit_are_told_to_come_later(locked: Locked) -> None:
    who = await locked.person("ingest", bytesPerMinute=2_000)
    statuses = [
        (await who.http.post("/v1/events", json={"type": "note", "note": "x" * 900})).status_code for _ in range(3)
    ]
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize("path", ["/v1/events", "/messages", "/v1/traces", "/v1/questions"])
async def test_bytes_count_also_where_nobody_said_how_many_would_come(locked: Locked, path: str) -> None:
    who = await locked.person("ingest", bytesPerMinute=1_000)

    async def pieces() -> Any:
        yield b" " * 3_000

    headers = {"content-type": "application/json"}
    # What is larger than a minute's share passes once, and is paid off before anything else does.
    first = await who.http.post(path, content=pieces(), headers=headers)
    assert first.status_code == 400
    response = await who.http.post(path, content=pieces(), headers=headers)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1


async def test_a_stream_without_an_end_is_slowed_down_and_not_refused(locked: Locked) -> None:
    who = await locked.person("ingest", bytesPerMinute=60_000)
    line = b'{"choices":[],"x":"%s"}\n' % (b"x" * 29_000)

    async def pieces() -> Any:
        for _ in range(3):
            yield line
            await asyncio.sleep(0)

    response = await who.http.post("/stream/q", content=pieces(), timeout=60)
    assert (response.status_code, response.json()["chunks_received"]) == (200, 3)


async def test_an_export_beyond_the_limit_is_retryable(locked: Locked) -> None:
    who = await locked.person("ingest", requestsPerMinute=1)
    content = traces().SerializeToString()
    assert (await who.http.post("/v1/traces", content=content, headers=PROTOBUF)).status_code == 200
    response = await who.http.post("/v1/traces", content=content, headers=PROTOBUF)
    assert response.status_code == 429
    assert "retry-after" in response.headers


# -- tickets -----------------------------------------------------------------------------------------------------------


async def ticket_of(who: Api) -> str:
    response = await who.http.post("/v1/tickets")
    assert response.status_code == 201
    assert response.json()["expiresIn"] == 60
    text: str = response.json()["ticket"]
    return text


async def test_a_ticket_opens_a_stream_of_what_its_owner_sees(each_locked: Locked) -> None:
    who = await each_locked.person(["read", "ingest", "answer"], ["team-a"])
    ticket = await ticket_of(who)
    async with listen(each_locked.api.http, "/v1/events/stream", params={"ticket": ticket}) as frames:
        await frames.hello()
        await each_locked.operator.events({"type": "note", "namespace": "team-b"})
        await who.events({"type": "mine"})
        assert (await frames.next()).json()["type"] == "mine"


async def test_a_ticket_reads_and_nothing_else(locked: Locked) -> None:
    ticket = {"ticket": await ticket_of(await locked.person("admin"))}
    assert (await locked.api.http.get("/v1/sessions", params=ticket)).status_code == 200
    for method, path in (
        ("POST", "/v1/events"),
        ("POST", "/stream/q"),
        ("POST", "/v1/questions/x/answer"),
        ("DELETE", "/v1/sessions/x"),
        ("DELETE", "/stream"),
        ("POST", "/v1/tokens"),
    ):
        response = await locked.api.http.request(method, path, params=ticket)
        assert response.status_code == 403, path


async def test_a_ticket_gives_no_further_ticket(locked: Locked) -> None:
    """Or a minute would never end."""
    ticket = await ticket_of(await locked.person("read"))
    for request in ({"params": {"ticket": ticket}}, {"headers": bearer(ticket)}):
        response = await locked.api.http.post("/v1/tickets", **request)  # type: ignore[arg-type]
        assert response.status_code == 403


async def test_a_ticket_is_bound_by_the_limits_of_its_owner(locked: Locked) -> None:
    who = await locked.person("read", requestsPerMinute=3)
    tickets = [await ticket_of(who) for _ in range(2)]
    statuses = [
        (await locked.api.http.get("/v1/sessions", params={"ticket": tickets[number % 2]})).status_code
        for number in range(6)
    ]
    assert statuses.count(200) <= 3
    assert statuses[-1] == 429


async def test_a_ticket_is_good_for_no_longer_than_its_owner(locked: Locked) -> None:
    ticket = await ticket_of(await locked.person("read", expiresInSeconds=8))

    async def is_over() -> bool:
        return (await locked.api.http.get("/v1/me", params={"ticket": ticket})).status_code == 401

    await until(is_over, what="the ticket to expire")


async def test_tickets_are_in_no_list(locked: Locked) -> None:
    who = await locked.person("read")
    await ticket_of(who)
    assert len((await locked.operator.get("/v1/tokens"))["items"]) == 1


async def test_who_cannot_read_gets_no_ticket(locked: Locked) -> None:
    assert (await (await locked.person("ingest")).http.post("/v1/tickets")).status_code == 403


# -- a token in a URL --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameter", ["token", "access_token", "api_key", "apikey", "ticket"])
async def test_a_token_in_a_url_is_refused_and_not_logged(locked: Locked, parameter: str) -> None:
    token = await locked.token("read")
    for secret in (token, ADMIN):
        for headers in ({}, bearer(token)):
            for path in ("/v1/sessions", "/v1/events/stream", "/messages", "/mcp"):
                response = await locked.api.http.get(path, params={parameter: secret}, headers=headers)
                assert response.status_code in (400, 401), path
                assert secret not in response.text
    assert token not in str(locked.api.logs)
    assert ADMIN not in str(locked.api.logs)


# -- a browser's login -------------------------------------------------------------------------------------------------


async def login(locked: Locked, token: str, **headers: str) -> httpx.Response:
    return await locked.api.http.post("/v1/login", json={"token": token}, headers=headers)


def with_cookie(token: str, **headers: str) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={token}"} | headers


async def test_a_login_sets_a_cookie_that_scripts_and_other_sites_have_nothing_of(locked: Locked) -> None:
    token = await locked.token("read")
    response = await login(locked, token)
    assert response.status_code == 204
    morsel = SimpleCookie(response.headers["set-cookie"])[COOKIE]
    assert morsel.value == token
    assert morsel["httponly"]
    assert morsel["samesite"].lower() == "strict"
    assert morsel["path"] == "/"
    assert not morsel["domain"]
    assert not morsel["secure"]
    locked.api.http.cookies.clear()
    https = await login(locked, token, **{"x-forwarded-proto": "https"})
    assert SimpleCookie(https.headers["set-cookie"])[COOKIE]["secure"]


async def test_who_is_logged_in_reads_and_logs_out(locked: Locked) -> None:
    await login(locked, await locked.token("read"))
    http = locked.api.http
    assert (await http.get("/v1/sessions")).status_code == 200
    assert (await http.get("/v1/me")).json()["permissions"] == ["read"]
    assert (await http.post("/v1/logout")).status_code == 204
    assert (await http.get("/v1/sessions")).status_code == 401


@pytest.mark.parametrize("token", ["", "wrong", "arkb_x_y"])
async def test_a_bad_token_logs_nobody_in(locked: Locked, token: str) -> None:
    response = await login(locked, token)
    assert response.status_code in (400, 401)
    assert "set-cookie" not in response.headers


async def test_who_cannot_read_is_not_logged_in(locked: Locked) -> None:
    response = await login(locked, await locked.token("ingest"))
    assert response.status_code == 401
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://{host}.evil.example"}, False),
        ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"referer": "http://{host}/"}, False),
        ({"origin": "http://{host}"}, True),
        ({"origin": "http://{host}", "sec-fetch-site": "same-origin"}, True),
    ],
    ids=str,
)
async def test_with_a_cookie_only_our_own_page_changes_anything(
    locked: Locked, headers: dict[str, str], is_own: bool
) -> None:
    token = await locked.token("admin")
    host = f"{locked.api.http.base_url.host}:{locked.api.http.base_url.port}"
    sent = with_cookie(token, **{key: value.replace("{host}", host) for key, value in headers.items()})
    for method, path, body in (
        ("POST", "/v1/events", {"type": "note"}),
        ("POST", "/v1/tokens", {"name": "mine", "permissions": ["admin"]}),
        ("DELETE", "/v1/sessions/x", None),
        ("POST", "/stream/q", {}),
        ("POST", "/mcp", {}),
        ("POST", "/v1/tickets", None),
    ):
        response = await locked.api.http.request(method, path, json=body, headers=sent)
        assert (response.status_code == 403) is not is_own, (path, response.text)
    # What changes nothing may be asked for by a link from elsewhere: other sites cannot read the answer.
    assert (await locked.api.http.get("/v1/sessions", headers=sent)).status_code == 200


async def test_a_header_goes_before_a_cookie(locked: Locked) -> None:
    reader, admin = await locked.token("read"), await locked.token("admin")
    headers = with_cookie(admin) | bearer(reader)
    assert (await locked.api.http.get("/v1/me", headers=headers)).json()["permissions"] == ["read"]
    for bad in ("Bearer", "Bearer wrong"):
        assert (await locked.api.http.get("/v1/me", headers=with_cookie(admin, authorization=bad))).status_code == 401


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}], ids=str)
async def test_another_site_logs_nobody_in_or_out(locked: Locked, headers: dict[str, str]) -> None:
    """A person who is logged in as somebody else says things to them."""
    token = await locked.token("read")
    for path, body in (("/v1/login", {"token": token}), ("/v1/logout", {})):
        response = await locked.api.http.post(path, json=body, headers=headers)
        assert response.status_code == 403, path
        assert "set-cookie" not in response.headers


async def test_what_can_be_no_cookie_is_refused_without_authentication_too(start_api: StartApi) -> None:
    async with start_api() as api:
        for text in ("日本", "a\r\nset-cookie: b=c", "x" * 16_385, "a\x00b", "ok"):
            response = await api.http.post("/v1/login", json={"token": text})
            assert response.status_code in (204, 400), text
            assert len(response.headers.get_list("set-cookie")) <= 1


# -- what is noted -----------------------------------------------------------------------------------------------------


async def audited(locked: Locked) -> list[dict[str, Any]]:
    items = (await locked.operator.get("/v1/events", type="audit.request", limit=1000))["items"]
    return [each["body"] for each in items]


async def test_what_is_removed_corrected_and_given_access_to_is_noted(database_url: str) -> None:
    async with locked_broker(database_url, allow_purge=True) as locked:
        admin = await locked.person("admin", name="ann")
        token = locked.secrets[-1]
        await admin.events({"type": "note", "sessionId": "s1", "query": "q1"})
        made = (await admin.http.post("/v1/tokens", json={"name": "new", "permissions": ["read"]})).json()
        linked = await admin.http.post("/v1/links", json={"session": "s1", "taskId": "t1"})
        assert linked.status_code == 201
        done: list[tuple[str, str]] = [("POST", "/v1/tokens"), ("POST", "/v1/links")]
        for method, path in (
            ("POST", f"/v1/tokens/{made['id']}/rotate"),
            ("DELETE", f"/v1/tokens/{made['id']}"),
            ("DELETE", f"/v1/links/{linked.json()['links'][0]['link']}"),
            ("DELETE", "/v1/sessions/s1"),
            ("DELETE", "/conversations/c1"),
            ("DELETE", "/conversations/c1/queries/q1/messages"),
            ("DELETE", "/queries/q1/messages"),
            ("DELETE", "/events/u1"),
            ("DELETE", "/sessions/queries/q1"),
            *(("DELETE", f"/{store}") for store in ("messages", "events", "stream", "traces", "sessions")),
            ("DELETE", "/conversations"),
        ):
            response = await admin.http.request(
                method, path, headers={"x-request-id": f"{method} {path}".replace(" ", "-")}
            )
            assert response.status_code < 300, (path, response.text)
            done.append((method, path))
        notes = [note for note in await audited(locked) if note["by"] == "ann"]
        assert [(note["method"], note["path"]) for note in notes] == done
        assert {note["tokenId"] for note in notes} == {id_of(token)}
        assert notes[2]["requestId"] == f"POST-{done[2][1]}"
        assert {note["status"] for note in notes} <= {200, 201}
        assert all(note["client"] == "127.0.0.1" for note in notes)


async def test_what_was_refused_or_only_looked_at_is_not_noted(locked: Locked) -> None:
    reader = await locked.person("read")
    before = len(await audited(locked))
    await reader.http.delete("/v1/sessions/x")
    await locked.operator.http.get("/v1/tokens")
    await locked.operator.http.delete("/v1/tokens/none")
    await locked.operator.http.post("/v1/tokens", json={})
    await locked.operator.events({"type": "note"})
    assert len(await audited(locked)) == before


async def test_nobody_writes_an_audit_event_themselves(locked: Locked) -> None:
    who = await locked.person("admin")
    assert (await who.http.post("/v1/events", json={"type": "audit.request"})).status_code == 400


async def test_a_limited_admin_sees_no_audit_of_others(locked: Locked) -> None:
    await locked.token("read")
    admin = await locked.person("admin", ["team-a"])
    assert (await admin.get("/v1/events"))["items"] == []


# -- secrets -----------------------------------------------------------------------------------------------------------


async def test_no_answer_and_no_log_line_has_a_secret(locked: Locked) -> None:
    who = await locked.person(["read", "ingest", "answer"], ["team-a"])
    token = locked.secrets[-1]
    ticket = await ticket_of(who)
    rotated = (await locked.operator.http.post(f"/v1/tokens/{id_of(token)}/rotate", json={})).json()["token"]
    secrets = [ADMIN, *(each.split("_")[2] for each in (token, ticket, rotated))]
    bad = token[:-1]
    texts = []
    for path in ("/v1/tokens", "/v1/me", "/v1/events", "/v1/sessions", "/metrics", "/openapi.json", "/nothing"):
        for headers in (bearer(ADMIN), bearer(token), bearer(bad), with_cookie(token)):
            response = await locked.api.http.get(path, headers=headers)
            texts.append(response.text + str(response.headers))
    for path in (f"/v1/sessions/{token}", f"/v1/tokens/{token}/rotate"):
        # Where somebody puts it into a path, it is at least not accepted.
        assert (await locked.api.http.post(path)).status_code == 401
    bodies = ({"token": bad}, {"token": token, "x": 1}, [token], token)
    texts += [(await locked.api.http.post("/v1/login", json=body)).text for body in bodies]
    for secret in secrets:
        assert not [text for text in texts if secret in text]
    logged = str([line for line in locked.api.logs if line.get("event") != "request"])
    for secret in secrets:
        assert secret not in logged
    assert ADMIN not in repr(locked.api.services.settings)
