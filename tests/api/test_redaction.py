"""Redaction on every way in: nothing of a secret is stored, streamed, or in a log line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.support.api import Api, StartApi
from tests.support.otlp import PROTOBUF, json_span, json_traces, logs
from tests.support.sse import listen

KEY = "sk-proj-" + "Ab1" * 16
CARD = "4111 1111 1111 1111"
PLACE = {"session": "s1", "query": "q1"}
TASK = {
    "statusUpdate": {
        "taskId": "t1",
        "contextId": "c1",
        "status": {"state": "TASK_STATE_WORKING", "message": {"parts": [{"text": f"use {KEY}"}]}},
    }
}
ATTRIBUTES = [
    {"key": "session.id", "value": {"stringValue": "s1"}},
    {"key": "http.request.header.authorization", "value": {"stringValue": "hush-hush"}},
    {"key": "tool.input", "value": {"stringValue": json.dumps({"api_key": "hush-hush", "card": CARD})}},
]
CHUNK = {"choices": [{"index": 0, "delta": {"content": f"the key is {KEY}"}}]}
MESSAGE = {"conversation_id": "c1", "query_id": "q1", "messages": [{"role": "user", "content": f"card {CARD}"}]}
OPERATION = {
    "timestamp": "2024-01-15T10:30:00Z",
    "eventType": "ToolCallStart",
    "data": {"queryId": "u1", "queryName": "q1", "sessionId": "s1", "note": KEY},
}


async def send_everything(api: Api) -> None:
    span = json_span(1, attributes=ATTRIBUTES)
    request: ExportLogsServiceRequest = logs({"body": {"string_value": f"Bearer {KEY}"}})
    sent: list[tuple[str, dict[str, Any]]] = [
        ("/v1/traces", {"json": json_traces(span)}),
        ("/v1/logs", {"content": request.SerializeToString(), "headers": PROTOBUF}),
        ("/v1/events", {"json": {"type": "note", "sessionId": "s1", "password": "hush-hush", "text": KEY}}),
        ("/v1/a2a/events", {"json": TASK, "params": PLACE}),
        ("/v1/questions", {"json": {"text": f"Is {CARD} right?", **PLACE}}),
        ("/stream/q1", {"content": json.dumps(CHUNK) + "\n"}),
        ("/messages", {"json": MESSAGE}),
        ("/events", {"json": OPERATION}),
    ]
    for path, given in sent:
        response = await api.http.post(path, **given)
        assert response.is_success, (path, response.text)


@pytest.mark.parametrize("secret", [KEY, CARD, "hush-hush"])
async def test_no_secret_is_stored_or_shown(start_api: StartApi, secret: str) -> None:
    async with start_api(redact="bundled") as api:
        async with listen(api.http, "/v1/events/stream") as frames:
            await frames.hello()
            await send_everything(api)
            live = [frame.data for frame in await frames.take(8)]
        for path in ("/v1/events?limit=1000", "/v1/sessions/s1", "/messages", "/events", "/v1/questions", "/metrics"):
            text = (await api.http.get(path)).text
            assert secret not in text, path
            assert secret not in json.dumps(live)
        metrics = (await api.http.get("/metrics")).text
        assert 'ark_broker_redacted_values{rule="authorization"} 1.0' in metrics
        assert secret not in str(api.logs)


async def test_without_rules_everything_is_kept(start_api: StartApi) -> None:
    async with start_api() as api:
        await send_everything(api)
        assert KEY in (await api.http.get("/v1/events?limit=1000")).text


async def test_rules_of_ones_own_are_read_from_a_file(start_api: StartApi, tmp_path: Any) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"patterns": [{"name": "order", "regex": "ORD-[0-9]{8}"}], "bundled": False}))
    async with start_api(redact=str(rules)) as api:
        await api.events({"type": "note", "text": "ORD-12345678", "password": "kept"})
        (event,) = (await api.get("/v1/events"))["items"]
    assert (event["body"]["text"], event["body"]["password"]) == ("[redacted:order]", "kept")
