"""`/health`, `/readyz`, `/metrics`."""

from __future__ import annotations

import pytest

from ark_broker.log.read import Reader
from ark_broker.log.transaction import Transaction
from tests.support.api import Api, StartApi


async def test_a_running_broker_is_alive_and_ready(each_api: Api) -> None:
    for path in ("/health", "/readyz"):
        response = await each_api.http.get(path)
        assert (response.status_code, response.text) == (200, "OK")
        assert response.headers["content-type"].startswith("text/html")


async def test_a_broker_that_shuts_down_wants_no_traffic(api: Api) -> None:
    api.services.readiness.draining = True

    response = await api.http.get("/readyz")

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "shutting down" in response.text
    assert (await api.http.get("/health")).status_code == 200


async def test_a_broker_without_its_database_is_alive_but_not_ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError("secret address")

    monkeypatch.setattr(Reader, "head", away)

    ready = await api.http.get("/readyz")
    assert (ready.status_code, ready.text) == (503, "not ready: the database does not answer")
    assert (await api.http.get("/health")).status_code == 200
    error = await api.error("/v1/events", 503)
    assert (error["code"], error["message"]) == ("UNAVAILABLE", "the database is not available")


async def test_metrics_count_what_came_and_what_became_of_it(start_api: StartApi) -> None:
    async with start_api() as api:
        await api.spans({}, {})
        await api.spans({})
        await api.http.post("/v1/events", json={})
        await api.chunks("q1", "1", "{")

        response = await api.http.get("/metrics")

        assert response.headers["content-type"].startswith("text/plain; version=")
        lines = set(response.text.splitlines())
        assert {
            'ark_broker_received_events_total{signal="traces"} 3.0',
            'ark_broker_received_events_total{signal="chunks"} 1.0',
            "ark_broker_stored_events_total 3.0",
            "ark_broker_duplicate_events_total 1.0",
            'ark_broker_refused_total{reason="invalid",signal="chunks"} 1.0',
            "ark_broker_subscribers 0.0",
        } <= lines


async def test_metrics_count_commits_that_failed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(Transaction, "begin", away)
    await api.error("/v1/events", 503, method="POST", json={"type": "x"})

    assert "ark_broker_commit_failures_total 1.0" in (await api.http.get("/metrics")).text
