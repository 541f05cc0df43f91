"""Text that databases and terminals trip over, in everything that is stored and in every filter."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson

from tests.support.api import Api
from tests.support.otlp import JSON, PROTOBUF, json_span, json_traces, traces

NASTY = [
    "nul \0 inside",
    "\0",
    "bidi \u202e\u2066 and zero\u200bwidth\ufeff",
    "control \x01\x1b[31m\x7f\r\n\t",
    "private \ue000 and beyond \U0010ffff and no character \uffff",
    "quotes ' \" ` \\ ; -- /* */",
    "%_%__\\%",
    "{}[]$1 :name ?",
    "\u0301 combining, ﬁ ligature, İı case",
    "x" * 10_000,
]


async def test_s3_nasty_text_is_stored_and_its_neighbours_land(each_api: Api) -> None:
    spans: list[dict[str, Any]] = []
    for text in NASTY:
        every = dict.fromkeys(("session.id", "query.name", "gen_ai.agent.name", "gen_ai.tool.name", text), text)
        spans += [{"name": text, "attributes": every, "status": {"code": 2, "message": text}}, {}]
    response = await each_api.http.post("/v1/traces", content=traces(*spans).SerializeToString(), headers=PROTOBUF)
    assert (response.status_code, response.content) == (200, b"")

    page = await each_api.get("/v1/events", limit=1000)

    assert len(page["items"]) == len(spans)
    for sent, event in zip(NASTY, page["items"][::2], strict=True):
        assert event["body"]["span"]["name"] == sent, "the original is kept as it was"
        assert event["sessionId"] == sent[:256].replace("\0", "\ufffd")
        assert {item["key"] for item in event["body"]["span"]["attributes"]} >= {sent}
    assert all(event["sessionId"] == "s1" for event in page["items"][1::2])


async def test_s3_json_events_and_chunks_with_nasty_text(each_api: Api) -> None:
    for number, text in enumerate(NASTY):
        spans = json_traces(json_span(2 * number + 1, name=text), json_span(2 * number + 2))
        assert (await each_api.http.post("/v1/traces", content=orjson.dumps(spans), headers=JSON)).content == b"{}"
        record = {"body": {"stringValue": text}, "eventName": text, "severityNumber": 17}
        logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
        assert (await each_api.http.post("/v1/logs", content=orjson.dumps(logs), headers=JSON)).content == b"{}"
        event = {"type": "note", "sessionId": "s1", "text": text, text: 1, "error": text}
        assert (await each_api.http.post("/v1/events", json=event)).status_code == 200
        chunk = orjson.dumps({"choices": [{"delta": {"content": text}}], "ark": {"session": text, "agent": text}})
        assert (await each_api.chunks("q1", chunk.decode()))["chunks_received"] == 1

    kinds = [event["kind"] for event in (await each_api.get("/v1/events", limit=1000))["items"]]
    assert kinds == ["span", "span", "log", "event", "chunk"] * len(NASTY)


async def test_s3_names_of_custom_events_are_taken_or_refused(each_api: Api) -> None:
    for text in NASTY:
        for field in ("type", "sessionId", "query", "id"):
            event = {"type": "note", "sessionId": "s1"} | {field: text}
            assert (await each_api.http.post("/v1/events", json=event)).status_code in (200, 400), (field, text)


async def test_s3_what_was_stored_under_a_nasty_name_can_be_read_and_deleted(each_api: Api) -> None:
    for number, text in enumerate(NASTY):
        await each_api.spans({"number": number + 1, "attributes": {"session.id": text, "query.name": text}})
    sessions = [item["id"] for item in (await each_api.get("/v1/sessions", limit=1000))["items"]]
    assert len(sessions) == len(NASTY)
    for session in sessions:
        name = quote(session, safe="")
        view = await each_api.get(f"/v1/sessions/{name}")
        assert list(view["queries"]) == [session]
        assert (await each_api.get(f"/v1/queries/{name}"))["session"] == session
        assert len((await each_api.get(f"/v1/sessions/{name}/events", query=session))["items"]) == 1
        assert session in [item["id"] for item in (await each_api.get("/v1/sessions", query=session))["items"]]
        assert (await each_api.http.delete(f"/v1/sessions/{name}")).status_code == 200
    assert (await each_api.get("/v1/sessions"))["items"] == []


async def test_s12_metacharacters_in_filters_are_only_characters(each_api: Api) -> None:
    names = ["100%", "a_b", "back\\slash", "it's", 'say "x"', "axb", "1000"]
    await each_api.events(*({"type": name, "sessionId": name, "query": name, "agent": name} for name in names))

    for name in names:
        for parameter in ("q", "agent", "query"):
            found = [item["id"] for item in (await each_api.get("/v1/sessions", **{parameter: name}))["items"]]
            assert found == [name], (parameter, name)
        assert [e["type"] for e in (await each_api.get("/v1/events", type=name))["items"]] == [name]
    for text in ("%", "_", "\\", "'; DROP TABLE events; --", "' OR 1=1 --", "(a+)+$", "[", "agent", "\nagent:axb\n"):
        for parameter in ("q", "agent", "query", "namespace"):
            if parameter == "q" and "\n" in text:
                await each_api.error("/v1/sessions", 400, params={"q": text})
                continue
            found = [item["id"] for item in (await each_api.get("/v1/sessions", **{parameter: text}))["items"]]
            assert found == [name for name in reversed(names) if parameter == "q" and text in name], (parameter, text)
    assert len((await each_api.get("/v1/events"))["items"]) == len(names)


async def test_s12_long_filters_are_refused(each_api: Api) -> None:
    await each_api.events({"type": "x", "sessionId": "s1"})
    for path, parameters in (
        ("/v1/sessions", ("q", "agent", "query", "namespace", "status", "since", "until", "cursor", "limit")),
        ("/v1/sessions/s1/events", ("type", "query", "after", "limit")),
        ("/v1/events", ("type", "after", "limit")),
        ("/v1/events/stream", ("type", "after", "from")),
        ("/v1/queries/q1", ("namespace", "session")),
    ):
        for parameter in parameters:
            error = await each_api.error(path, 400, params={parameter: "x" * 50_000})
            assert error["field"].startswith(parameter), (path, parameter)
            assert len(error["message"]) <= 2_000
    many = await each_api.http.get("/v1/events", params={"type": ["x"] * 51})
    assert many.status_code == 400
    # A megabyte does not fit the head of a request at all.
    huge = await each_api.http.get("/v1/sessions", params={"q": "x" * 60_000})
    assert huge.status_code == 400
