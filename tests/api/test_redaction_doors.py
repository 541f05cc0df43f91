"""Every way in is redacted: a corpus of secrets goes through each door, and no door can be forgotten."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ark_broker.app import create_app
from ark_broker.cli.imports.files import FileSource
from ark_broker.cli.imports.run import log_of, run
from ark_broker.cli.imports.tally import Tally
from ark_broker.settings import load_settings
from tests.receive.test_redaction import SECRET_NAMES, SECRET_TEXTS
from tests.receive.test_redaction_assigned import ASSIGNED
from tests.support.api import Api, StartApi
from tests.support.mcp import client
from tests.support.otlp import PROTOBUF, json_span, json_traces, logs
from tests.support.process import free_port

#: Values by secret names, which tell nothing themselves.
HUSH = "hush-hush-hush"
NAMED = dict.fromkeys(SECRET_NAMES, HUSH)
#: Each text of the corpus, and the values by secret names as JSON in a text.
CORPUS = [*SECRET_TEXTS, *(text for text in ASSIGNED if text != ASSIGNED[text]), json.dumps(NAMED)]

Door = Callable[[Api, str], Awaitable[None]]


async def _post(api: Api, path: str, **given: Any) -> dict[str, Any]:
    response = await api.http.post(path, **given)
    assert response.is_success, (path, response.text)
    return response.json() if response.content else {}


async def _traces(api: Api, text: str) -> None:
    span = json_span(1, attributes=[{"key": "tool.input", "value": {"stringValue": text}}])
    await _post(api, "/v1/traces", json=json_traces(span))


async def _logs(api: Api, text: str) -> None:
    content = logs({"body": {"string_value": text}}).SerializeToString()
    await _post(api, "/v1/logs", content=content, headers=PROTOBUF)


async def _events(api: Api, text: str) -> None:
    await _post(api, "/v1/events", json={"type": "note", "sessionId": "s1", "error": text, "text": text})


def _task(text: str) -> dict[str, Any]:
    message = {"parts": [{"text": text}]}
    return {
        "statusUpdate": {
            "taskId": "t1",
            "contextId": "c1",
            "status": {"state": "TASK_STATE_FAILED", "message": message},
        }
    }


async def _a2a_events(api: Api, text: str) -> None:
    await _post(api, "/v1/a2a/events", json=_task(text), params={"session": "s1", "query": "q1"})


async def _a2a_notifications(api: Api, text: str) -> None:
    await _post(api, "/v1/a2a/notifications", json=_task(text))


async def _question(api: Api, text: str) -> str:
    asked = await _post(api, "/v1/questions", json={"text": text, "session": "s1", "query": "q1"})
    return str(asked["id"])


async def _questions(api: Api, text: str) -> None:
    await _question(api, text)


async def _canceled(api: Api, text: str) -> None:
    question = await _question(api, "May I?")
    await _post(api, f"/v1/questions/{question}/cancel", json={"reason": text})


async def _answered_by(api: Api, text: str) -> None:
    question = await _question(api, "May I?")
    # A name has an end.
    shown = text if len(text) <= 256 else "API_KEY=hush-hush"
    await _post(api, f"/v1/questions/{question}/answer", json={"answer": "yes", "answeredBy": shown})


async def _stream(api: Api, text: str) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
    await _post(api, "/stream/q1", content=json.dumps(chunk) + "\n")


async def _messages(api: Api, text: str) -> None:
    message = {"conversation_id": "c1", "query_id": "q1", "messages": [{"role": "user", "content": text}]}
    await _post(api, "/messages", json=message)


def _operation(text: str) -> dict[str, Any]:
    data = {"queryId": "u1", "queryName": "q1", "sessionId": "s1", "error": text}
    return {"timestamp": "2024-01-15T10:30:00Z", "eventType": "ToolCallError", "reason": "ToolCallError", "data": data}


async def _operations(api: Api, text: str) -> None:
    await _post(api, "/events", json=_operation(text))


async def _sessions(api: Api, text: str) -> None:
    told = _operation(text)
    await _post(api, "/sessions", json={**told["data"], "reason": told["reason"]})


async def _mcp(api: Api, text: str) -> None:
    async with client(str(api.http.base_url), "auto") as agent:
        result = await agent.call_tool("ask_question", {"text": text, "query": "q1", "waitSeconds": 0})
        assert not result.is_error, result.content


async def _grpc(api: Api, text: str) -> None:
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("grpc.aio")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{api.services.settings.grpc_port}") as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
        await call(logs({"body": {"string_value": text}}).SerializeToString(), timeout=20)


async def _import(api: Api, text: str) -> None:
    file = Path(str(api.services.settings.sqlite_path)).with_name("messages.json")
    data = {"conversationId": "c1", "queryId": "q1", "message": {"role": "user", "content": text}}
    items = [{"sequenceNumber": 1, "timestamp": "2026-07-23T10:00:00Z", "data": data}]
    await asyncio.to_thread(file.write_text, json.dumps({"items": items, "nextSequence": 2}))
    tally = Tally()
    await run([FileSource(file, "messages")], log_of(api.services), tally, lambda _source: None)
    assert tally.of("messages").imported == 1


#: What takes something in, as the API's description names it; and the ways in that it does not describe.
DOORS: dict[str, Door] = {
    "POST /v1/traces": _traces,
    "POST /v1/logs": _logs,
    "POST /v1/events": _events,
    "POST /v1/a2a/events": _a2a_events,
    "POST /v1/a2a/notifications": _a2a_notifications,
    "POST /v1/questions": _questions,
    "POST /v1/questions/{question_id}/cancel": _canceled,
    "POST /v1/questions/{question_id}/answer": _answered_by,
    "POST /stream/{query}": _stream,
    "POST /messages": _messages,
    "POST /events": _operations,
    "POST /sessions": _sessions,
    "POST /mcp": _mcp,
    "gRPC": _grpc,
    "ark-broker import": _import,
}
#: What takes names and ids at most, and stores no text of a producer's.
WITHOUT_TEXT = {"POST /v1/metrics", "POST /stream/{query}/complete", "POST /conversations"}


def test_every_way_in_that_the_description_names_is_tried(tmp_path: Path) -> None:
    app = create_app(load_settings({"database_url": f"sqlite:///{tmp_path}/broker.db"}))
    described = {
        f"{method.upper()} {path}"
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if operation.get("x-permission") in ("ingest", "answer", "any") and method not in ("get", "delete")
    }
    assert described - WITHOUT_TEXT == {door for door in DOORS if door.startswith("POST ")}


@pytest.mark.parametrize("door", DOORS)
async def test_nothing_of_a_secret_is_stored_or_logged_by(start_api: StartApi, door: str) -> None:
    more = {"grpc_port": free_port()} if door == "gRPC" else {}
    async with start_api(redact="bundled", **more) as api:
        # What a door opens for each text costs most with MCP: there the corpus goes in one text.
        for text in ["\n".join(CORPUS)] if door == "POST /mcp" else CORPUS:
            before = (api.services.redactor.counts if api.services.redactor else {}).copy()
            await DOORS[door](api, text)
            assert api.services.redactor is not None
            assert api.services.redactor.counts != before, text
        path = api.services.settings.sqlite_path
        assert path is not None
        stored = await asyncio.to_thread(lambda: "\n".join(_everything(path)))
        found = [text for text in SECRET_TEXTS if text in stored or json.dumps(text)[1:-1] in stored]
        assert found == []
        assert "hush" not in stored
        assert "[redacted:" in stored
        logged = str(api.logs)
        assert not any(text in logged for text in CORPUS)


def _everything(path: Path) -> Iterator[str]:
    """Each value of each table, as text."""
    with closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    yield value.decode(errors="replace") if isinstance(value, bytes) else str(value)
