"""Telemetry that is accepted must be readable: no odd value keeps a view, a list or a neighbour from being served."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from ark_broker.model import Event
from ark_broker.model.details import Details
from ark_broker.sessions.calls import tool_calls, tool_report
from ark_broker.sessions.conversation import _continued
from ark_broker.sessions.summary import QuerySummary, SessionSummary, fold, settle
from ark_broker.sessions.tally import MAX_REPORTS
from ark_broker.sessions.view import build_view
from tests.support.api import Api
from tests.support.events import NOON, make, span, trace

SPAN: dict[str, Any] = {"name": "chat m", "attributes": {"gen_ai.operation.name": "chat", "session.id": "s1"}}
DEEP = "[" * 300 + "]" * 300


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.usage.input_tokens": 2**63 - 1},
        {"duration.ms": 1e300},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": DEEP},
        {"gen_ai.input.messages": '[{"role":"user","content":' + DEEP + "}]"},
        {"gen_ai.usage.cost": 1e308, "gen_ai.usage.output_tokens": -5},
    ],
)
async def test_a_session_with_an_odd_value_can_be_read(each_api: Api, attributes: dict[str, Any]) -> None:
    for number in range(3):
        await each_api.spans(SPAN | {"span_id": bytes([number + 1] * 8), "attributes": SPAN["attributes"] | attributes})
    for path in ("/v1/sessions", "/v1/sessions/s1", "/v1/sessions/s1/conversation", "/v1/sessions/s1/events"):
        await each_api.get(path)


async def test_an_event_that_nests_too_deep_to_be_written_is_refused(each_api: Api) -> None:
    body = b'{"type":"x","sessionId":"s","input":' + DEEP.encode() + b"}"
    for media in ("application/json", "application/x-ndjson"):
        answer = await each_api.http.post("/v1/events", content=body, headers={"content-type": media})
        assert answer.status_code == 400
        assert "nested deeper" in answer.text
    await each_api.events({"type": "x", "sessionId": "s", "input": orjson.loads("[" * 50 + "]" * 50)})
    await each_api.get("/v1/sessions/s")


@pytest.mark.parametrize("value", [[], {}, False, "  "])
async def test_what_names_nothing_is_no_session(each_api: Api, value: object) -> None:
    answer = await each_api.http.post(
        "/v1/events", json={"name": "step", "traceId": trace(1), "spanId": span(1), "attributes": {"session.id": value}}
    )
    assert answer.status_code == 200
    assert [event.get("sessionId") for event in (await each_api.get("/v1/events"))["items"]] == [None]


def told(number: int, **fields: Any) -> Event:
    known = {"type": "tool.call", "query": "q", "tool": "t", "time": NOON + number, "duration": 10**9}
    return make(number, **(known | fields))


def under(number: int) -> dict[str, Any]:
    return {"trace_id": trace(1), "span_id": span(number + 10), "parent_span_id": span(1)}


#: 20,000 reports of one sort each, of which a step that looks at all others for each would take minutes.
CROWDS: list[list[Event]] = [
    [told(n, tool_call_id="c", **under(n)) for n in range(20_000)],
    [told(n, **under(n) | {"parent_span_id": span(n + 9)}) for n in range(20_000)],
    [told(n, **under(n)) for n in range(10_000)]
    + [told(-n, kind="log", tool_call_id=f"c{n}", **under(n)) for n in range(1, 10_000)],
    [told(n, kind="event", type="tool.result", tool_call_id="c") for n in range(20_000)],
]


@pytest.mark.parametrize("crowd", CROWDS, ids=["one id", "one chain", "named by logs", "one result"])
def test_no_crowd_of_reports_holds_anybody_up(crowd: list[Event]) -> None:
    found = tool_calls(map(tool_report, crowd))
    assert sum(len(call.reports) for call in found) == len(crowd)
    build_view("s", crowd, lambda _event: Details())


def test_a_summary_stays_small_whatever_it_is_told() -> None:
    session, queries = SessionSummary(id="s"), dict[str, QuerySummary]()
    for number in range(2_000):
        fold(session, queries, told(number, kind="event", type="tool.result", tool_call_id="c", duration=0))
        fold(session, queries, told(number + 10_000, kind="event", type="tool.result", duration=0))
        settle(session, queries.values())
    assert len(queries["q"].tally.tools) <= MAX_REPORTS
    assert queries["q"].tool_calls >= 2_000
    assert len(queries["q"].encode()) < 30_000


def test_a_wrapped_model_call_counts_once_however_many_there_are() -> None:
    session, queries = SessionSummary(id="s"), dict[str, QuerySummary]()
    for number in range(400):
        wrapper = {"trace_id": trace(1), "span_id": span(2 * number + 2), "parent_span_id": span(1)}
        provider = {"trace_id": trace(1), "span_id": span(2 * number + 3), "parent_span_id": span(2 * number + 2)}
        for name, ids, at in (("p", provider, 1), ("w", wrapper, 0)):
            call = make((name, number), type="llm.request", query="q", time=NOON + 10 * number + at, **ids)
            call.input_tokens = 100
            fold(session, queries, call)
        if number % 3 == 0:
            settle(session, queries.values())
    settle(session, queries.values())
    assert queries["q"].input_tokens == 40_000


def test_conversations_are_joined_in_linear_time() -> None:
    one = [{"role": "user", "content": "a"}] * 50_000
    other = [*one, {"role": "user", "content": "b"}]
    assert len(_continued(one, other)) == 50_001
    assert len(_continued(other, one)) == 100_001
