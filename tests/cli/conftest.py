"""Fixtures: one broker for all tests that look at nothing but what they sent, and what it is fed with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.otlp import traces
from tests.support.process import Broker


@pytest.fixture(autouse=True)
def _nobodys_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration file but the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker on SQLite: a test uses sessions of its own."""
    directory = tmp_path_factory.mktemp("shared")
    broker = Broker(directory, {"database_url": f"sqlite:///{directory}/broker.db"}).start()
    yield broker
    broker.close()


class Feeder:
    """Sends to a broker, in a session of its own."""

    def __init__(self, broker: Broker) -> None:
        self.url = broker.url
        unique = uuid4().hex[:8]
        self.session = f"session-{unique}"
        self.query = f"query-{unique}"

    def event(self, kind: str, **fields: Any) -> None:
        content = {"type": kind, "sessionId": self.session, "query": self.query, **fields}
        response = httpx.post(f"{self.url}/v1/events", json=content)
        assert response.status_code == 200, response.text

    def stream(self, *texts: str, complete: bool = True) -> None:
        lines = [json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}) for text in texts]
        response = httpx.post(f"{self.url}/stream/{self.query}", content="\n".join(lines))
        assert response.status_code == 200, response.text
        if complete:
            assert httpx.post(f"{self.url}/stream/{self.query}/complete", json={}).status_code == 200

    def ask(self, **fields: Any) -> str:
        body = {"text": "Deploy?", "session": self.session, "query": self.query, **fields}
        response = httpx.post(f"{self.url}/v1/questions", json=body)
        assert response.status_code == 201, response.text
        found: str = response.json()["id"]
        return found

    def failed_tool_call(self) -> None:
        """A query whose tool call fails, as OpenTelemetry's GenAI conventions tell of it."""
        self.event("query.started")
        span = {
            "name": "execute_tool web_search",
            "number": uuid4().int >> 65 or 1,
            "trace_id": uuid4().bytes,
            "start_time_unix_nano": time.time_ns(),
            "end_time_unix_nano": time.time_ns(),
            "status": {"code": 2, "message": "connection refused"},
            "attributes": {
                "session.id": self.session,
                "query.name": self.query,
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "web_search",
                "gen_ai.tool.call.arguments": '{"q": "weather NYC"}',
            },
        }
        body = traces(span).SerializeToString()
        headers = {"content-type": "application/x-protobuf"}
        response = httpx.post(f"{self.url}/v1/traces", content=body, headers=headers)
        assert response.status_code == 200, response.text
        self.event("query.failed", error="a tool failed")


@pytest.fixture
def feeder(shared_broker: Broker) -> Feeder:
    """A session of the test's own on the shared broker."""
    return Feeder(shared_broker)
