"""No route is open that is not said to be: each is asked for without a token, with a bad one, and with too little."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx
import pytest
from starlette.routing import Route

from ark_broker.api.permissions import need_of
from ark_broker.app import create_app
from ark_broker.settings import load_settings
from tests.api.access.conftest import ADMIN, NOBODY, Locked, bearer, locked_broker
from tests.support.api import Api
from tests.support.mcp import HEADERS as MCP
from tests.support.mcp import call

#: All that anybody may ask for.
OPEN: Final = {
    ("GET", "/"),
    ("GET", "/ui"),
    ("GET", "/health"),
    ("GET", "/readyz"),
    ("GET", "/docs"),
    ("GET", "/api-docs"),
    ("GET", "/openapi.json"),
    ("GET", "/v1/schemas/resume.json"),
    ("POST", "/v1/login"),
    ("POST", "/v1/logout"),
}
ANY: Final = {("GET", "/v1/me"), ("POST", "/mcp")}
ANSWER: Final = {
    ("POST", "/v1/questions/{question_id}/answer"),
    ("POST", "/v1/questions/{question_id}/cancel"),
}
ADMINS: Final = {("DELETE", "/v1/sessions/{session_id}")}
INGEST: Final = {
    ("POST", "/v1/traces"),
    ("POST", "/v1/logs"),
    ("POST", "/v1/metrics"),
    ("POST", "/v1/events"),
    ("POST", "/v1/questions"),
    ("POST", "/v1/a2a/notifications"),
    ("POST", "/v1/a2a/events"),
    ("POST", "/stream/{query}"),
    ("POST", "/stream/{query}/complete"),
    ("POST", "/messages"),
    ("POST", "/conversations"),
    ("POST", "/events"),
    ("POST", "/traces"),
    ("POST", "/sessions"),
}
#: What is sent there changes nothing.
READS: Final = {("POST", "/v1/tickets"), ("POST", "/v1/chat/completions")}
#: About all namespaces at once, whatever is asked for.
OPERATORS: Final = ("/v1/tokens", "/v1/webhooks", "/v1/deliveries", "/metrics")

PERMISSIONS: Final = ("ingest", "read", "answer", "admin")


def expected(method: str, path: str) -> str:
    """What a route has to take: said here once more, so that nobody opens one by mistake."""
    for routes, need in ((OPEN, "open"), (ANY, "any"), (ANSWER, "answer"), (ADMINS, "admin"), (INGEST, "ingest")):
        if (method, path) in routes:
            return need
    if path.startswith(OPERATORS):
        return "operator"
    if method == "GET" or (method, path) in READS:
        return "read"
    return "operator"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of all that the OpenAPI document describes."""
    for path, item in create_app(load_settings()).openapi()["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def routes_of(router: Any) -> Iterator[Route]:
    """All that the router hands requests to, also those that no document describes."""
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from routes_of(included)
        else:
            assert isinstance(route, Route), route
            yield route


def every_route() -> list[tuple[str, str]]:
    """(method, path) of the OpenAPI document, of the router, and of what only clients know of."""
    found = {(method, path) for method, path, _ in operations()}
    for route in routes_of(create_app(load_settings())):
        if ":" not in route.path:
            # A route without methods of its own takes any.
            found |= {(method, route.path) for method in route.methods or ("GET", "POST", "DELETE")}
    found |= {("DELETE", "/stream/{query}"), ("GET", "/stream/{query}/complete"), ("PUT", "/v1/events")}
    return sorted((method, path) for method, path in found if method != "HEAD")


def filled(path: str) -> str:
    """The path with a name, of nothing that exists, for each parameter."""
    return re.sub(r"\{\w*trace_id\}", "0" * 31 + "7", re.sub(r"\{(?!trace_id)\w+\}", "no-such-thing", path))


async def status_of(who: Api, method: str, path: str, **request: Any) -> int:
    """The status of the answer; what a live stream says is not waited for."""
    content = {"content": b"{}", "headers": {"content-type": "application/json"}} if method == "POST" else {}
    async with who.http.stream(method, path, **content | request) as response:
        if response.status_code >= 400:
            await response.aread()
        return response.status_code


# -- the list itself ---------------------------------------------------------------------------------------------------


def test_every_operation_says_what_it_takes() -> None:
    for method, path, operation in operations():
        need = operation["x-permission"]
        assert need == need_of(method, path) == need_of(method, filled(path)) == expected(method, path), (method, path)
        assert operation["security"] == ([] if need == "open" else [{"bearer": []}])


def test_what_is_open_is_an_exact_list() -> None:
    assert {(method, path) for method, path in every_route() if need_of(method, filled(path)) == "open"} == OPEN


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_what_nobody_has_thought_of_takes_an_operator(method: str) -> None:
    for path in (
        "//",
        "",
        "/v2/x",
        "/u",
        "/uix",
        "/tokens",
        "/debug",
        "/v1",
        "/redoc",
        "/docs2",
        "/health/x",
        "/openapi.json/x",
    ):
        assert need_of(method, path) == "operator"


def test_head_takes_what_get_takes() -> None:
    for method, path in every_route():
        if method == "GET":
            assert need_of("HEAD", path) == need_of("GET", path)


# -- asked for over HTTP -----------------------------------------------------------------------------------------------


async def test_without_a_token_every_route_but_the_open_ones_is_401(locked: Locked) -> None:
    for method, path in every_route():
        status = await status_of(locked.api, method, filled(path))
        if (method, path) in OPEN:
            assert status not in (401, 403), (method, path)
        else:
            assert status == 401, (method, path)


async def test_a_401_says_how_to_come_and_nothing_of_what_is_there(locked: Locked) -> None:
    await locked.operator.events({"type": "note", "sessionId": "here"})
    bodies = set()
    for path in ("/v1/sessions/here", "/v1/sessions/not-here", "/v1/no-such-route", "/nothing", "/v1/tokens"):
        response = await locked.api.http.get(path, headers={"x-request-id": "1"})
        assert response.headers["www-authenticate"] == "Bearer"
        bodies.add((response.status_code, response.content))
    assert len(bodies) == 1


@pytest.mark.parametrize("permission", PERMISSIONS)
async def test_one_permission_opens_what_takes_it_and_nothing_else(locked: Locked, permission: str) -> None:
    who = await locked.person(permission)
    for method, path in every_route():
        if (method, path) == ("DELETE", "/v1/tokens/{token_id}"):
            continue
        need = need_of(method, filled(path))
        allowed = need in ("open", "any", permission) or permission == "admin"
        if need == "operator" and method == "GET":
            allowed = permission in ("read", "admin")
        status = await status_of(who, method, filled(path))
        assert status != 401, (method, path)
        assert (status != 403) is allowed, (method, path, status)


@pytest.mark.parametrize("permission", PERMISSIONS)
async def test_what_is_about_all_namespaces_is_closed_to_who_is_limited(locked: Locked, permission: str) -> None:
    who = await locked.person(permission, ["team-a"])
    for method, path in every_route():
        if need_of(method, filled(path)) == "operator":
            assert await status_of(who, method, filled(path)) == 403, (method, path)


async def refused_tokens(locked: Locked) -> dict[str, str]:
    """Tokens that are good for nothing, by what is wrong with them."""
    good = await locked.token("admin")
    other = await locked.token("admin")
    expired = await locked.token("admin", expiresInSeconds=0.000_001)
    revoked = await locked.token("admin")
    assert (await locked.operator.http.delete(f"/v1/tokens/{revoked.split('_')[1]}")).status_code == 200
    prefix, identity, secret = good.split("_")
    return {
        "no token": "something",
        "unknown": other[:5] + "0" * 22 + "_" + "0" * 43,
        "expired": expired,
        "revoked": revoked,
        "cut": good[:-1],
        "cut in the middle": f"{prefix}_{identity}_{secret[:20]}",
        "longer": good + "0",
        "another's secret": f"{prefix}_{identity}_{other.split('_')[2]}",
        "id alone": identity,
        "upper case": good.upper(),
        "the operator's, cut": ADMIN[:-1],
        "the operator's, longer": ADMIN + "0",
        "not ASCII": "tökén",
        "very long": "x" * 20_000,
    }


async def test_a_bad_token_is_401_on_every_route(locked: Locked) -> None:
    bad = await refused_tokens(locked)
    for method, path in every_route():
        if (method, path) in OPEN:
            continue
        for what in ("no token", "expired", "revoked", "cut"):
            assert await status_of(await locked.holder(bad[what]), method, filled(path)) == 401, (what, method, path)


async def test_every_bad_token_is_answered_alike(locked: Locked) -> None:
    answers = {}
    for what, token in (await refused_tokens(locked)).items():
        headers = {"authorization": f"Bearer {token}".encode(), "x-request-id": "1"}
        response = await locked.api.http.get("/v1/sessions", headers=headers)
        answers[what] = (response.status_code, response.content)
    assert {status for status, _ in answers.values()} == {401}, answers
    # What was mistyped may be told from what is not accepted: that is said without looking anything up.
    assert len({body for _, body in answers.values()}) <= 2, answers


@pytest.mark.parametrize(
    "header",
    ["Basic {}", "Token {}", "{}", "Bearer", "Bearer {} x", "bearer{}", "Bearer, {}", 'Bearer "{}"'],
)
async def test_what_is_no_bearer_token_is_401(locked: Locked, header: str) -> None:
    good = await locked.token("read")
    assert await status_of(locked.api, "GET", "/v1/sessions", headers={"authorization": header.format(good)}) == 401


async def test_the_scheme_may_be_written_in_any_case(locked: Locked) -> None:
    good = await locked.token("read")
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert await status_of(locked.api, "GET", "/v1/sessions", headers={"authorization": f"{scheme} {good}"}) == 200


# -- ways around -------------------------------------------------------------------------------------------------------


async def raw_status(api: Api, request: str) -> int:
    """The status of a request whose first line is sent as it is: clients would tidy it."""
    url = httpx.URL(str(api.http.base_url))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(
            f"{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), 20)
    finally:
        writer.close()
    return int(line.split()[1])


VARIANTS: Final = (
    "/METRICS",
    "/Metrics/",
    "/%6Detrics",
    "/metrics?x=/health",
    "/v1%2Ftokens",
    "/v1/tokens/",
    "/v1/tokens%2F",
    "/v1/tokens/%2e%2e/sessions",
    "/%761/tokens",
    "/V1/tokens",
    "//v1/tokens",
    "/v1//tokens",
    "/health/../v1/tokens",
    "/docs/../v1/sessions",
    "/docs/%2e%2e/v1/sessions",
    "/docs%2f..%2fv1/sessions",
    "/docs/..;/v1/sessions",
    "/v1/schemas/../sessions",
    "/v1/schemas/..%2fsessions",
    "/v1/schemas/%2e%2e%2fsessions",
    "/v1/schemas/resume.json/../../sessions",
    "/v1/login/../sessions",
    "/health/",
    "/health%2f..%2fmessages",
    "/health%00/v1/sessions",
    "/Messages",
    "/MESSAGES/",
    "/mess%61ges",
    "/Stream/Q",
    "/STREAM/q/COMPLETE",
    "/stream//q",
    "/stream/a%2Fb",
    "/stream/a%2Fcomplete",
    "/TRACES/" + "0" * 32,
    "/Sessions/Queries/x",
    "/eVents/x",
    "/conversations/x/QUERIES/y/messages",
    "/MCP",
    "/mcp/",
    "/v1/Traces",
    "/V1/LOGS/",
    "/v1/sessions/a%2Fb",
    "/v1/sessions/..%2F..%2Fhealth",
    "/v1/sessions/x/export;/health",
    "http://x/v1/sessions",
    "http://x/health/../v1/sessions",
)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_no_way_of_writing_a_path_gets_past(locked: Locked, method: str) -> None:
    for path in VARIANTS:
        status = await raw_status(locked.api, f"{method} {path}")
        if path == "/health/" and method in ("GET", "HEAD"):
            assert status == 200
        else:
            # 400: no request at all. 404: below `/v1/schemas/`, where nothing is anybody's.
            is_nowhere = path.startswith("/v1/schemas/") and method in ("GET", "HEAD")
            assert status in ((400, 401, 404, 405) if is_nowhere else (400, 401)), (method, path, status)


@pytest.mark.parametrize("path", VARIANTS)
async def test_no_way_of_writing_a_path_gives_more_than_its_permission(locked: Locked, path: str) -> None:
    reader, answerer = await locked.person("read", ["team-a"]), await locked.person("answer")
    if path.startswith("http"):
        pytest.skip("the client would tidy it")
    for method in ("POST", "DELETE"):
        assert await status_of(reader, method, path) in (400, 403), (method, path)
    if not path.startswith(("/v1/schemas/", "/health/")) and "/mcp" not in path.lower():
        assert await status_of(answerer, "GET", path) in (400, 403, 404), path


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "PURGE"])
async def test_other_methods_are_no_way_in(locked: Locked, method: str) -> None:
    for path in (
        "/v1/sessions",
        "/v1/tokens",
        "/v1/events",
        "/v1/traces",
        "/mcp",
        "/metrics",
        "/messages",
        "/stream/q",
    ):
        status = await status_of(locked.api, method, path)
        is_preflight = method == "OPTIONS" and not path.startswith(("/v1", "/mcp"))
        assert status == (204 if is_preflight else 401), (method, path)


async def test_a_header_that_renames_the_method_or_path_is_not_heeded(locked: Locked) -> None:
    reader = await locked.person("read")
    for header in ("x-http-method-override", "x-original-url", "x-rewrite-url", "x-forwarded-prefix"):
        headers = {header: "DELETE" if "method" in header else "/v1/tokens"}
        assert await status_of(reader, "GET", "/v1/sessions", headers=headers) == 200
        assert await status_of(locked.api, "GET", "/v1/sessions", headers=headers) == 401


async def test_a_request_that_is_refused_is_not_read(locked: Locked) -> None:
    async def endless() -> Any:
        for _ in range(10_000):
            yield b"x" * 65_536
            await asyncio.sleep(0)

    for path in ("/v1/events", "/v1/traces", "/stream/q", "/messages", "/mcp"):
        try:
            response = await locked.api.http.post(path, content=endless())
        except httpx.WriteError:
            continue
        assert response.status_code == 401
    assert locked.api.services.intake.used == 0


async def test_an_export_that_is_refused_is_answered_as_otlp_says(locked: Locked) -> None:
    reader = await locked.person("read")
    for who, status, code in ((locked.api, 401, 16), (reader, 403, 7)):
        for path in ("/v1/traces", "/v1/logs", "/v1/metrics"):
            response = await who.http.post(path, content=b"{}", headers={"content-type": "application/json"})
            assert (response.status_code, response.json()["code"]) == (status, code)


# -- MCP, whose tools each take a permission ---------------------------------------------------------------------------

TOOLS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "ask_question": ("ingest", {"text": "?", "waitSeconds": 0}),
    "get_answer": ("read", {"question": "none", "waitSeconds": 0}),
    "get_session": ("read", {"session": "none"}),
    "list_sessions": ("read", {}),
    "search_events": ("read", {}),
    "get_conversation": ("read", {"session": "none"}),
}


async def rpc(who: Api, method: str, params: dict[str, object]) -> dict[str, Any]:
    """The answer to one request of JSON-RPC."""
    response = await who.http.post(
        "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=MCP
    )
    return answer_in(response)


def answer_in(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    if response.headers["content-type"].startswith("application/json"):
        found: dict[str, Any] = response.json()
        return found
    import json

    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    found = json.loads(lines[-1])
    return found


async def test_each_tool_takes_its_permission(locked: Locked) -> None:
    listed = await rpc(await locked.person("read"), "tools/list", {})
    assert {tool["name"] for tool in listed["result"]["tools"]} == set(TOOLS)
    for permission in PERMISSIONS:
        who = await locked.person(permission)
        for tool, (needs, arguments) in TOOLS.items():
            response = await who.http.post("/mcp", json=call(tool, arguments), headers=MCP)
            is_forbidden = "has not the permission" in str(answer_in(response))
            assert is_forbidden is (permission not in (needs, "admin")), (permission, tool)


async def test_resources_and_tasks_take_their_permission(locked: Locked) -> None:
    requests: Sequence[tuple[str, dict[str, object], str]] = (
        ("resources/list", {}, "read"),
        ("resources/read", {"uri": "ark://sessions/none"}, "read"),
        ("tasks/get", {"taskId": "none", "task_id": "none"}, "ingest"),
        ("tasks/cancel", {"taskId": "none", "task_id": "none"}, "ingest"),
    )
    for permission in PERMISSIONS:
        who = await locked.person(permission)
        for method, params, needs in requests:
            is_forbidden = "has not the permission" in str(await rpc(who, method, params))
            assert is_forbidden is (permission not in (needs, "admin")), (permission, method)


async def test_mcp_wants_a_token_for_every_method(locked: Locked) -> None:
    for method in ("GET", "POST", "DELETE"):
        for token in (NOBODY, "wrong"):
            assert await status_of(await locked.holder(token), method, "/mcp", headers=MCP) == 401


# -- pages of other origins --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://ark.example.evil.example", ""])
async def test_an_unknown_origin_may_read_nothing(sqlite_url: str, origin: str) -> None:
    async with locked_broker(sqlite_url, cors_origins="https://ark.example") as locked:
        for path in ("/messages", "/stream", "/health", "/v1/sessions", "/v1/traces", "/nothing"):
            for who in (locked.api, locked.operator):
                response = await who.http.get(path, headers={"origin": origin})
                assert "access-control-allow-origin" not in response.headers, path
                assert "access-control-allow-credentials" not in response.headers
            asked = {"origin": origin, "access-control-request-method": "POST"}
            response = await locked.api.http.options(path, headers=asked)
            assert "access-control-allow-origin" not in response.headers, path


async def test_a_known_origin_may_read_without_credentials(sqlite_url: str) -> None:
    async with locked_broker(sqlite_url, cors_origins="https://ark.example, https://two.example") as locked:
        for origin in ("https://ark.example", "https://two.example"):
            response = await locked.operator.http.get("/messages", headers={"origin": origin})
            assert response.headers["access-control-allow-origin"] == origin
            assert "Origin" in response.headers["vary"]
            asked = {
                "origin": origin,
                "access-control-request-method": "GET",
                "access-control-request-headers": "authorization",
            }
            response = await locked.api.http.options("/messages", headers=asked)
            assert response.status_code == 204
            assert response.headers["access-control-allow-origin"] == origin
            # A cookie is never for pages of other origins.
            assert "access-control-allow-credentials" not in response.headers


async def test_a_star_among_the_origins_does_not_open_it_to_all(sqlite_url: str) -> None:
    async with locked_broker(sqlite_url) as locked:
        response = await locked.operator.http.get("/messages", headers={"origin": "https://any.example"})
        assert "access-control-allow-origin" not in response.headers


def test_bearer_of_nobody_is_no_header() -> None:
    assert bearer(NOBODY) == {}
