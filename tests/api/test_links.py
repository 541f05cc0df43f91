"""`/v1/correlate` and `/v1/links`: the prototype's question, answered; and a wrong guess, corrected."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Api
from tests.support.otlp import TRACE

#: The prototype's story: the executor's spans name the query, and the MCP session of the tool that asks a question.
STORY: list[dict[str, Any]] = [
    {
        "name": "query.started",
        "spanId": "aa" * 8,
        "attributes": {"query.name": "query-001", "session.id": "session-abc", "query.uid": "8d1c"},
    },
    {
        "name": "tool.call",
        "spanId": "bb" * 8,
        "parentSpanId": "aa" * 8,
        "attributes": {"tool.name": "ask_question", "mcp.session.id": "mcp-xyz", "tool.call.id": "call_1"},
    },
]


def lines(story: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The story as the prototype's flat span lines."""
    return [{"traceId": TRACE, "type": span["name"], **span} for span in story]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"mcpSessionId": "mcp-xyz"}, "mcp"),
        ({"mcpSessionId": "mcp-xyz", "mcpServer": "any"}, "mcp"),
        ({"traceId": TRACE.upper()}, "trace"),
        ({"traceparent": f"00-{TRACE}-{'cd' * 8}-01"}, "trace"),
        ({"toolCallId": "call_1"}, "call"),
        ({"queryUid": "8d1c"}, "uid"),
        ({"query": "query-001"}, "query"),
        ({"mcpSessionId": "unknown", "toolCallId": "call_1"}, "call"),
        ({"mcpSessionId": "mcp-xyz", "toolCallId": "call_1", "traceId": TRACE}, "trace"),
    ],
)
async def test_a_tool_server_learns_which_query_it_serves(each_api: Api, given: dict[str, str], rule: str) -> None:
    await each_api.events(*lines(STORY))
    found = await each_api.get("/v1/correlate", **given)
    assert (found["session"], found["query"], found["trace"]) == ("session-abc", "query-001", TRACE)
    assert (found["rule"], found["namedBy"]) == (rule, "trace" if rule in ("mcp", "call") else "explicit")


async def test_a_task_resolves_through_its_context_and_that_through_its_session(api: Api) -> None:
    await api.events({"type": "task.updated", "kind": "task", "taskId": "t1", "traceId": TRACE, "spanId": "aa" * 8})
    found = await api.get("/v1/correlate", taskId="t1")
    assert (found["session"], found["rule"]) == (None, "waiting")
    await api.events({"type": "message.sent", "sessionId": "s1", "query": "q1", "taskId": "t1", "conversationId": "c1"})
    assert (await api.get("/v1/correlate", taskId="t1"))["query"] == "q1"
    context = await api.get("/v1/correlate", contextId="c1")
    assert (context["session"], context["query"]) == ("s1", None)
    both = await api.get("/v1/correlate", contextId="c1", taskId="t1")
    assert (both["session"], both["query"], both["rule"]) == ("s1", "q1", "task")


async def test_what_nobody_knows_is_not_found_and_a_question_about_nothing_is_refused(api: Api) -> None:
    error = await api.error("/v1/correlate?mcpSessionId=nobody", 404)
    assert "mcp:nobody" in error["message"]
    assert "mcpSessionId" in (await api.error("/v1/correlate", 400))["message"]
    for bad in ("traceId=zz", f"traceId={'0' * 32}", "traceparent=00-1-2-3"):
        assert bad.partition("=")[0] in (await api.error(f"/v1/correlate?{bad}", 400))["message"]


async def test_baggage_and_traceparent_of_the_request_place_an_event(each_api: Api) -> None:
    headers = {"baggage": "ark.session.id=s%201;p=1, other=2", "traceparent": f"00-{TRACE}-{'ab' * 8}-01"}
    response = await each_api.http.post("/v1/events", json={"type": "tool.call", "tool": "t"}, headers=headers)
    assert response.status_code == 200
    [event] = (await each_api.get("/v1/sessions/s 1/events"))["items"]
    assert (event["correlatedBy"], event["traceId"], event["parentSpanId"]) == ("baggage", TRACE, "ab" * 8)
    assert (await each_api.get("/v1/correlate", traceId=TRACE))["session"] == "s 1"


async def test_context_in_the_meta_of_an_mcp_request_places_an_event(api: Api) -> None:
    await api.events(*lines(STORY))
    meta = {"traceparent": f"00-{TRACE}-{'bb' * 8}-01", "baggage": "session.id=elsewhere"}
    await api.events({"type": "question.asked", "params": {"_meta": {"traceparent": meta["traceparent"]}}})
    await api.events({"type": "question.asked", "params": {"_meta": meta}})
    found = [event for event in (await api.get("/v1/events"))["items"] if event["type"] == "question.asked"]
    assert [(e["sessionId"], e["query"], e["correlatedBy"]) for e in found] == [
        ("session-abc", "query-001", "trace"),
        ("elsewhere", f"trace:{TRACE}", "baggage"),
    ]


async def test_an_operator_corrects_a_guess_and_takes_it_back(each_api: Api) -> None:
    api = each_api
    await api.events(*lines(STORY))
    await api.events({"type": "tool.result", "mcpSessionId": "mcp-xyz", "tool": "ask_question"})
    body = {"mcpSessionId": "mcp-xyz", "session": "other", "query": "q2"}
    response = await api.http.post("/v1/links", json=body)
    assert response.status_code == 201, response.text
    [link] = response.json()["links"]
    assert (link["session"], link["query"], link["namedBy"], response.json()["moved"]) == ("other", "q2", "operator", 2)
    await api.events({"type": "late", "mcpSessionId": "mcp-xyz"})
    found = (await api.get("/v1/sessions/other/events"))["items"]
    assert [event["type"] for event in found] == ["link.created", "tool.call", "tool.result", "late"]
    assert [event["correlatedBy"] for event in found] == ["explicit", "operator", "operator", "mcp-session"]
    view = await api.get("/v1/sessions/session-abc")
    assert [entry["type"] for entry in view["queries"]["query-001"]["events"]] == ["query.started"]
    listed = (await api.get("/v1/links", session="other"))["items"]
    assert [item["key"] for item in listed] == ["mcp:mcp-xyz"]

    gone = await api.http.delete(f"/v1/links/{link['link']}")
    assert (gone.status_code, gone.json()["key"]) == (200, "mcp:mcp-xyz")
    assert "mcp:mcp-xyz" in (await api.error("/v1/correlate?mcpSessionId=mcp-xyz", 404))["message"]
    assert (await api.error(f"/v1/links/{link['link']}", 404, "DELETE"))["message"]
    types = [event["type"] for event in (await api.get("/v1/sessions/other/events"))["items"]]
    assert types[-1] == "link.deleted"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mcpSessionId": "m"}, "session"),
        ({"session": "s"}, "body"),
        ({"session": "", "taskId": "t"}, "session"),
        ({"session": "s", "taskId": "t\n"}, "taskId"),
        ({"session": "s", "taskId": "t" * 300}, "taskId"),
        ({"session": "s", "traceId": "xyz"}, "traceId"),
        ({"session": "s", "taskId": 5}, "taskId"),
        ({"session": "s", "task": "t"}, "task"),
    ],
)
async def test_a_link_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any], field: str) -> None:
    error = await api.error("/v1/links", 400, "POST", json=body)
    assert field in str(error)


async def test_an_id_that_is_none_is_refused(api: Api) -> None:
    for bad in ("%25", "x", "AAAA"):
        assert (await api.error(f"/v1/links/{bad}", 400, "DELETE"))["message"]


async def test_metrics_say_how_many_links_there_are(api: Api) -> None:
    await api.events(*lines(STORY), {"type": "early", "taskId": "waits"})
    await api.services.maintenance.bound_links()
    text = (await api.http.get("/metrics")).text
    # Of the trace, the query, its uid and the MCP session; and of the task that waits. A tool call needs none.
    assert "ark_broker_links 5.0" in text
    assert "ark_broker_waiting_events 1.0" in text
