"""Pages of other sites in the browser of whoever runs a broker without authentication: what they may not do to it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ark_broker.api.elsewhere import Neighbours
from tests.support.api import Api, StartApi

EVENT = json.dumps({"type": "note", "sessionId": "forged"})
#: Routes of the broker's own that change something, and what would be sent to each.
CHANGING = [
    ("POST", "/v1/events"),
    ("POST", "/v1/questions"),
    ("POST", "/v1/webhooks"),
    ("POST", "/v1/a2a/notifications"),
    ("DELETE", "/v1/sessions/s1"),
    ("POST", "/%761/events"),
    ("POST", "/v1/none-such"),
]


async def answer_of(
    api: Api, method: str, path: str, *headers: str, host: str | None = "", body: str = EVENT
) -> tuple[int, str]:
    """Status and the rest of an answer, as it is on the wire. `host`: None for no such header, "" for the right one."""
    port = api.http.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {path} HTTP/1.{0 if host is None else 1}", "Connection: close", *headers]
    if host is not None:
        lines.append(f"Host: {host or f'127.0.0.1:{port}'}")
    if method not in ("GET", "HEAD", "OPTIONS"):
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    else:
        body = ""
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1"))
    try:
        async with asyncio.timeout(30):
            answer = (await reader.read()).decode()
    finally:
        writer.close()
    return int(answer.split(" ")[1]), answer.partition("\r\n")[2]


async def sessions_of(api: Api) -> list[str]:
    return [session["id"] for session in (await api.get("/v1/sessions"))["items"]]


# -- other origins --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), CHANGING)
@pytest.mark.parametrize(
    "headers",
    [
        ["Origin: http://evil.example"],
        ["Origin: null"],
        ["Origin: http://localhost:3000"],
        ["Origin: http://127.0.0.1:1"],
        ["Origin: http://127.0.0.1"],
        ["Origin: file://"],
        ["Sec-Fetch-Site: cross-site"],
        ["Origin: http://evil.example", "Sec-Fetch-Site: same-origin"],
    ],
    ids=" ".join,
)
async def test_a_page_of_another_origin_changes_nothing(
    start_api: StartApi, method: str, path: str, headers: list[str]
) -> None:
    async with start_api() as api:
        status, answer = await answer_of(api, method, path, *headers)
        assert status == 403
        error = json.loads(answer.rpartition("\r\n\r\n")[2])["error"]
        assert (error["code"], "ARK_BROKER_CORS_ORIGINS" in error["message"]) == ("FORBIDDEN", True)
        assert f"x-request-id: {error['requestId']}" in answer.lower()
        assert await sessions_of(api) == []


async def test_programs_and_the_brokers_own_page_notice_nothing(start_api: StartApi) -> None:
    async with start_api() as api:
        port = api.http.base_url.port
        here = f"127.0.0.1:{port}"
        for headers, host in (
            ([], ""),
            ([], None),
            ([f"Origin: http://{here}", "Sec-Fetch-Site: same-origin"], ""),
            ([f"Origin: https://{here}"], ""),
            ([f"Origin: http://LOCALHOST:{port}"], f"localhost:{port}"),
            (["Origin: http://localhost"], "localhost:80"),
            (["Origin: https://broker:443"], "broker"),
            (["Origin: http://[::1]:4318"], "[::1]:4318"),
            (["Sec-Fetch-Site: same-origin"], ""),
            (["Sec-Fetch-Site: none"], ""),
        ):
            status, answer = await answer_of(api, "POST", "/v1/events", *headers, host=host)
            assert status == 200, (headers, host, answer)


async def test_what_reads_is_left_to_the_browsers_own_rules(start_api: StartApi) -> None:
    async with start_api() as api:
        for method in ("GET", "HEAD", "OPTIONS"):
            status, answer = await answer_of(api, method, "/v1/sessions", "Origin: http://evil.example")
            assert status in (200, 405), answer
            assert "access-control-allow-origin" not in answer.lower()


async def test_a_named_origin_may_change_something(start_api: StartApi) -> None:
    async with start_api(cors_origins="https://ark.example, http://localhost:3000") as api:
        for origin, expected in (
            ("https://ark.example", 200),
            ("http://localhost:3000", 200),
            ("http://LOCALHOST:3000", 200),
            ("http://ark.example", 403),
            ("https://ark.example.evil.example", 403),
            ("null", 403),
        ):
            headers = (f"Origin: {origin}", "Sec-Fetch-Site: cross-site")
            assert (await answer_of(api, "POST", "/v1/events", *headers))[0] == expected, origin


async def test_arks_routes_and_otlp_take_what_any_origin_sends(start_api: StartApi) -> None:
    async with start_api() as api:
        for path, body in (
            ("/stream/q1", "{}\n"),
            ("/stream/q1/complete", "{}"),
            ("/v1/traces", '{"resourceSpans": []}'),
            ("/V1/Logs/", '{"resourceLogs": []}'),
            ("/v1/metrics", '{"resourceMetrics": []}'),
        ):
            headers = ("Origin: http://evil.example", "Sec-Fetch-Site: cross-site")
            status, answer = await answer_of(api, "POST", path, *headers, body=body)
            assert status == 200, (path, answer)
            assert "access-control-allow-origin: *" in answer.lower()
            wanted = "Access-Control-Request-Method: POST"
            assert (await answer_of(api, "OPTIONS", path, headers[0], wanted))[0] == 204


async def test_with_authentication_the_tokens_decide(start_api: StartApi) -> None:
    secret = "an-operators-own-secret-0123456789"
    async with start_api(auth=True, admin_token=secret) as api:
        headers = ("Origin: http://evil.example", "Sec-Fetch-Site: cross-site", f"Authorization: Bearer {secret}")
        assert (await answer_of(api, "POST", "/v1/events", *headers, host="evil.example"))[0] == 200


# -- other names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:4318",
        "LocalHost",
        "localhost.",
        "a.localhost:1",
        "127.0.0.1",
        "127.0.0.1:80",
        "192.0.2.7:80",
        "[::1]",
        "[::1]:4318",
        "broker",
        "Broker:80",
        "ark.example",
        "ARK.example.:8443",
        "page.example:3000",
        None,
    ],
)
async def test_a_broker_on_loopback_answers_to_its_names_and_to_addresses(
    start_api: StartApi, host: str | None
) -> None:
    async with start_api(allowed_hosts="other.example, Ark.Example", cors_origins="http://page.example:3000") as api:
        for path in ("/health", "/v1/sessions", "/sessions", "/", "/mcp"):
            assert (await answer_of(api, "GET", path, host=host))[0] != 403, path


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "EVIL.EXAMPLE:4318",
        "evil.example.",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost.example",
        "ark.example.evil.example",
        "1.2.3.4.5",
    ],
)
async def test_a_broker_on_loopback_answers_to_no_other_name(start_api: StartApi, host: str) -> None:
    async with start_api(allowed_hosts="ark.example") as api:
        for method, path in (
            ("GET", "/health"),
            ("GET", "/v1/sessions"),
            ("GET", "/sessions"),
            ("GET", "/"),
            ("GET", "/none-such"),
            ("POST", "/v1/traces"),
            ("POST", "/stream/q1"),
            ("DELETE", "/sessions"),
            ("OPTIONS", "/sessions"),
            ("POST", "/mcp"),
        ):
            # As a page would that was loaded by that name.
            status, answer = await answer_of(api, method, path, f"Origin: http://{host}", host=host)
            assert status == 403, (method, path, answer)
            error = json.loads(answer.rpartition("\r\n\r\n")[2])["error"]
            assert (error["code"], "ARK_BROKER_ALLOWED_HOSTS" in error["message"]) == ("FORBIDDEN", True)


async def test_every_host_header_is_looked_at() -> None:
    neighbours = Neighbours((), (), is_loopback=True)
    headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
    assert neighbours.refusal(scope_of("GET", "/", headers)) is not None


async def test_a_broker_that_others_reach_answers_to_any_name() -> None:
    neighbours = Neighbours((), (), is_loopback=False)
    assert neighbours.refusal(scope_of("GET", "/", [(b"host", b"ark.example")])) is None
    headers = [(b"host", b"ark.example"), (b"origin", b"https://evil.example")]
    assert neighbours.refusal(scope_of("POST", "/v1/events", headers)) is not None
    headers = [(b"host", b"ark.example"), (b"origin", b"https://ark.example")]
    assert neighbours.refusal(scope_of("POST", "/v1/events", headers)) is None


def scope_of(method: str, path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "headers": headers}
