"""Audit events say who it was, and who says so; also where nobody has to say who they are."""

from __future__ import annotations

from typing import Any

import pytest

from ark_broker.access.grants import Grant
from ark_broker.api.audit import audit_event
from ark_broker.api.gate import Gate
from ark_broker.api.guarded import HOT
from ark_broker.api.permissions import need_of
from tests.api.access.conftest import locked_broker
from tests.support.api import Api, StartApi


async def audited(api: Api) -> list[dict[str, Any]]:
    items = (await api.get("/v1/events", type="audit.request", limit=1000))["items"]
    return [each["body"] for each in items]


class Issuer:
    """Calls everybody what the broker's own admin token is called."""

    async def verify(self, _token: str) -> Grant:
        return Grant(
            name="admin-token",
            permissions=frozenset({"admin"}),
            namespaces=None,
            via="oidc",
            issuer="https://issuer.example",
        )


async def test_whoever_an_issuer_calls_admin_token_is_told_from_the_real_one(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_broker(sqlite_url) as locked:
        monkeypatch.setattr(Gate, "_of_others", lambda _gate, token: Issuer().verify(token))
        impostor = await locked.holder("their-token")
        ann = await locked.person("admin", name="ann")
        for who in (locked.operator, ann, impostor):
            await who.events({"type": "note", "sessionId": "s1"})
            assert (await who.http.delete("/v1/sessions/s1")).status_code == 200
        notes = [note for note in await audited(locked.operator) if note["method"] == "DELETE"]
        assert [(note["by"], note["via"], note.get("issuer")) for note in notes] == [
            ("admin-token", "admin", None),
            ("ann", "token", None),
            ("admin-token", "oidc", "https://issuer.example"),
        ]


async def test_without_authentication_what_is_changed_is_noted_without_a_name(start_api: StartApi) -> None:
    async with start_api(allow_purge=True) as api:
        await api.events({"type": "note", "sessionId": "s1", "query": "q1"})
        done = []
        for method, path, body in (
            ("POST", "/v1/links", {"session": "s1", "taskId": "t1"}),
            ("DELETE", "/v1/sessions/s1", None),
            ("DELETE", "/messages", None),
            ("DELETE", "/stream", None),
            ("POST", "/v1/tokens", {"name": "later", "permissions": ["read"]}),
        ):
            response = await api.http.request(method, path, json=body, headers={"x-request-id": f"r{len(done)}"})
            assert response.status_code < 300, (path, response.text)
            done.append((method, path))
        notes = await audited(api)
        assert [(note["method"], note["path"]) for note in notes] == done
        assert {note["via"] for note in notes} == {"open"}
        assert not any("by" in note or "tokenId" in note for note in notes)
        assert [note["requestId"] for note in notes] == [f"r{number}" for number in range(len(done))]


async def test_without_authentication_what_only_sends_asks_or_fails_is_not_noted(start_api: StartApi) -> None:
    async with start_api() as api:
        await api.events({"type": "note", "sessionId": "s1"})
        await api.spans({})
        await api.chunks("q1", '{"choices":[]}')
        await api.get("/v1/sessions")
        await api.http.post("/v1/tickets")
        await api.http.delete("/v1/links/none")
        await api.http.post("/v1/nothing", json={})
        assert await audited(api) == []


def test_what_is_never_looked_up_only_sends() -> None:
    assert {need_of("POST", path) for path in (*HOT, "/stream/q", "/stream/q/complete")} == {"ingest"}


def test_an_audit_event_has_no_member_without_a_value() -> None:
    who = Grant(name="ann", permissions=frozenset(), namespaces=None, via="cli")
    event = audit_event(who, {"method": "DELETE", "client": None})
    assert event.body == b'{"by":"ann","via":"cli","method":"DELETE"}'
