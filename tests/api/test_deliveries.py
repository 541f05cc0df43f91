"""`/v1/deliveries` and `/v1/webhooks` over HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from starlette.responses import Response

from ark_broker.api import errors
from ark_broker.api.middleware import PathSegments, RequestContext
from ark_broker.api.v1 import deliveries as routes
from ark_broker.app import running
from ark_broker.deliver.deliveries import Deliveries
from ark_broker.deliver.guard import Policy
from ark_broker.deliver.rules import parse_rules
from ark_broker.deliver.upstreams import parse_upstreams
from ark_broker.deliver.webhook_format import generate_secret, parse_secret, verify
from ark_broker.receive.otlp import decode_traces
from ark_broker.settings import load_settings
from tests.support.events import make
from tests.support.otlp import traces
from tests.support.receivers import Received, Receiver, a_receiver, fine, listening
from tests.support.waiting import until

HOOK = {"name": "hook", "when": {"types": ["query.failed"]}}


@dataclass
class Site:
    """The routes, over HTTP, and what is behind them."""

    http: httpx.AsyncClient
    deliveries: Deliveries
    receiver: Receiver
    services: Any

    async def error(self, method: str, path: str, status: int, **request: Any) -> dict[str, Any]:
        response = await self.http.request(method, path, **request)
        assert response.status_code == status, response.text
        found: dict[str, Any] = response.json()["error"]
        return found

    async def json(self, method: str, path: str, status: int = 200, **request: Any) -> dict[str, Any]:
        response = await self.http.request(method, path, **request)
        assert response.status_code == status, response.text
        found: dict[str, Any] = response.json()
        return found

    async def spans(self, *names: str) -> None:
        spans = [{"name": name, "number": number} for number, name in enumerate(names, 1)]
        await self.services.writer.append(decode_traces(traces(*spans).SerializeToString(), "protobuf").events)

    async def one(self) -> dict[str, Any]:
        [found] = (await self.json("GET", "/v1/deliveries"))["items"]
        assert isinstance(found, dict)
        return found


@asynccontextmanager
async def site(url: str, **settings: Any) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        receiver = stack.enter_context(a_receiver())
        await stack.enter_async_context(listening(receiver))
        services = await stack.enter_async_context(running(load_settings({"database_url": url})))
        if settings.pop("upstream", False):
            settings["upstreams"] = parse_upstreams(f"{receiver.url}/v1/traces?name=up")
        given = {"policy": Policy(allow_http=True, allow_private=True), "look_seconds": 0.2}
        deliveries = Deliveries(services.database, services.reader, services.tail, **(given | settings))
        await deliveries.start()
        stack.push_async_callback(deliveries.close)
        app = FastAPI()
        app.state.services, app.state.deliveries = services, deliveries
        app.include_router(routes.router)
        errors.install(app)
        app.add_middleware(PathSegments)
        app.add_middleware(RequestContext)
        http = await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://broker")
        )
        yield Site(http, deliveries, receiver, services)


async def test_deliveries_tell_how_far_they_are(sqlite_url: str) -> None:
    async with site(sqlite_url, upstream=True) as found:
        await found.spans("a", "b")
        await found.receiver.until_named("a", "b")

        async def caught_up() -> bool:
            return (await found.one())["delivered"] == 2

        await until(caught_up)
        status = await found.one()

    assert status | {"position": 0, "lastSuccessAt": ""} == {
        "name": "otlp:up",
        "to": found.receiver.url,
        "position": 0,
        "lag": 0,
        "delivered": 2,
        "rejected": 0,
        "dead": 0,
        "deadLetters": 0,
        "failures": 0,
        "gaps": 0,
        "missed": 0,
        "lastSuccessAt": "",
        "here": True,
    }


async def test_dead_letters_are_listed_and_sent_again(sqlite_url: str) -> None:
    def answer(received: Received) -> Response:
        bad = any(span.name.startswith("bad") for span in received.spans)
        return Response("no", status_code=400, media_type="text/plain") if bad else fine(received)

    async with site(sqlite_url, upstream=True) as found:
        found.receiver.answer = answer
        await found.spans("bad 1", "good", "bad 2")

        async def dead() -> bool:
            return (await found.one())["deadLetters"] == 2

        await until(dead)
        path = "/v1/deliveries/otlp:up"
        first = await found.json("GET", f"{path}/dead", params={"limit": 1})
        second = await found.json("GET", f"{path}/dead", params={"after": first["next"]})
        found.receiver.answer = fine
        seqs = [item["seq"] for item in first["items"]]
        some = await found.json("POST", f"{path}/resend", json={"seqs": seqs})
        rest = await found.json("POST", f"{path}/resend", json={"all": True})
        left = await found.json("GET", f"{path}/dead")

    assert (first["more"], second["more"]) == (True, False)
    assert first["items"][0]["event"]["body"]["span"]["name"] == "bad 1"
    assert first["items"][0]["reason"] == "HTTP 400: no"
    assert [item["event"]["body"]["span"]["name"] for item in second["items"]] == ["bad 2"]
    assert some == {"delivered": 1, "dead": 0, "remaining": 0}
    assert rest == {"delivered": 1, "dead": 0, "remaining": 0}
    assert left["items"] == []


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"{}", "seqs"),
        (b'{"seqs":[1],"all":true}', "seqs"),
        (b'{"seqs":"1"}', "seqs"),
        (b'{"seqs":[-1]}', "seqs"),
        (b'{"every":true}', "body"),
    ],
)
async def test_a_resend_that_says_nothing_clear_is_refused(sqlite_url: str, content: bytes, field: str) -> None:
    async with site(sqlite_url, upstream=True) as found:
        error = await found.error("POST", "/v1/deliveries/otlp:up/resend", 400, content=content)

    assert error["field"] == field


async def test_a_delivery_that_does_not_exist_is_not_found(sqlite_url: str) -> None:
    async with site(sqlite_url) as found:
        await found.error("GET", "/v1/deliveries/otlp:nobody/dead", 404)
        await found.error("POST", "/v1/deliveries/otlp:nobody/resend", 404, json={"all": True})
        await found.error("DELETE", "/v1/webhooks/nobody", 404)


async def test_a_webhook_is_added_used_and_removed_and_its_secret_is_told_once(database_url: str) -> None:
    async with site(database_url) as found:
        url = f"{found.receiver.url}/secret-path"
        added = await found.json("POST", "/v1/webhooks", 201, json=HOOK | {"url": url})
        listed = await found.json("GET", "/v1/webhooks")
        body = orjson.dumps({})
        await found.services.writer.append([make("x", kind="event", type="query.failed", body=body)])
        await found.receiver.until_taken(1)
        deleted = await found.json("DELETE", "/v1/webhooks/hook")
        after = await found.json("GET", "/v1/webhooks")
        gone = await found.json("GET", "/v1/deliveries")

    received = found.receiver.taken[0]
    secret = added.pop("secret")
    verify([parse_secret(secret)], received.headers, received.body, time.time())
    assert received.path == "/secret-path"
    assert listed["items"] == [added]
    assert added | {"createdAt": ""} == {
        "name": "hook",
        "url": f"{found.receiver.url}/…",
        "when": {"types": ["query.failed"]},
        "format": "standard",
        "from": "now",
        "source": "api",
        "createdAt": "",
    }
    assert deleted == {"name": "hook", "deleted": True}
    assert (after["items"], gone["items"]) == ([], [])


async def test_a_secret_that_was_given_is_not_repeated(sqlite_url: str) -> None:
    secret = generate_secret()
    async with site(sqlite_url) as found:
        response = await found.http.post(
            "/v1/webhooks", json=HOOK | {"url": "https://h.example.com/", "secret": secret}
        )

    assert response.status_code == 201
    assert "secret" not in response.json()
    assert secret not in response.text


async def test_a_webhook_that_is_wrong_is_refused_with_the_field(sqlite_url: str) -> None:
    async with site(sqlite_url, policy=Policy()) as found:
        for changes, field in (
            ({"url": "http://h.example.com/"}, "url"),
            ({"url": "https://10.0.0.1/"}, "url"),
            ({"url": "https://169.254.169.254/latest"}, "url"),
            ({"name": "a b"}, "name"),
            ({"when": {"types": []}}, "when.types"),
            ({"secret": "whsec_x"}, "secret"),
        ):
            given = HOOK | {"url": "https://h.example.com/"} | changes
            assert (await found.error("POST", "/v1/webhooks", 400, json=given))["field"] == field
        assert (await found.error("POST", "/v1/webhooks", 400, content=b"{"))["field"] == "body"
        assert (await found.json("GET", "/v1/webhooks"))["items"] == []


async def test_a_name_is_given_once_and_those_of_the_settings_stay(sqlite_url: str) -> None:
    given = HOOK | {"url": "https://h.example.com/"}
    fixed = parse_rules(orjson.dumps([given | {"name": "fixed", "secret": generate_secret()}]).decode(), Policy())
    async with site(sqlite_url, rules=fixed) as found:
        await found.json("POST", "/v1/webhooks", 201, json=given)
        await found.error("POST", "/v1/webhooks", 409, json=given)
        await found.error("POST", "/v1/webhooks", 409, json=given | {"name": "fixed"})
        await found.error("DELETE", "/v1/webhooks/fixed", 409)
        items = (await found.json("GET", "/v1/webhooks"))["items"]

    assert [(item["name"], item["source"]) for item in items] == [("fixed", "settings"), ("hook", "api")]
