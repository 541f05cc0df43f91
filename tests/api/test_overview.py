"""`GET /v1/overview`: figures over time, and what a list of sessions shows of activity."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ark_broker.model.timestamps import rfc3339
from tests.support.api import Api
from tests.support.events import NOON
from tests.support.sse import listen

HOUR = 3_600_000_000_000


def story(query: str, at: int, end: str = "query.completed", **fields: Any) -> list[dict[str, Any]]:
    given = {"sessionId": f"session of {query}", "query": query, "agent": "planner"} | fields
    return [
        given | {"type": "query.started", "time": at},
        given
        | {"type": "llm.request", "time": at, "model": "gpt-4o", "inputTokens": 10, "outputTokens": 5, "cost": 0.5},
        given | {"type": "tool.call", "time": at, "tool": "search"},
        given | {"type": end, "time": at + 2_000_000_000},
    ]


@pytest.fixture
def now() -> int:
    """The middle of an hour, some hours ago."""
    return time.time_ns() // HOUR * HOUR - 5 * HOUR + HOUR // 2


async def test_figures_are_given_by_time_agent_and_model(each_api: Api, now: int) -> None:
    api = each_api
    await api.events(*story("one", now), *story("two", now, "query.failed", agent="writer"))
    await api.events(*story("three", now + HOUR))

    found = await api.get("/v1/overview", since=rfc3339(now), until=rfc3339(now + 2 * HOUR), bucket="1h")

    assert (found["since"], found["bucket"]) == (rfc3339(now - HOUR // 2), 3_600)
    assert [point["queries"]["total"] for point in found["points"]] == [2, 1, 0]
    assert [point["at"] for point in found["points"]] == [rfc3339(now - HOUR // 2 + bar * HOUR) for bar in range(3)]
    total = found["total"]
    assert total["queries"] == {"total": 3, "running": 0, "waiting": 0, "done": 2, "error": 1, "canceled": 0}
    assert total["sessions"] == {"total": 3, "active": 0, "waiting": 0, "error": 1, "idle": 2}
    assert (total["modelCalls"], total["toolCalls"], total["cost"]) == (3, 3, 1.5)
    assert total["tokens"] == {"input": 30, "output": 15}
    assert total["latency"]["count"] == 3
    assert total["latency"]["average"] == 2_000
    assert total["latency"]["p95"] == pytest.approx(2_000, rel=0.2)
    assert "timeToFirstToken" not in total
    assert {group["name"]: group["total"]["queries"]["total"] for group in found["agents"]} == {
        "planner": 2,
        "writer": 1,
    }
    assert {group["name"]: group["total"]["tokens"]["output"] for group in found["models"]} == {"gpt-4o": 15}
    assert len(found["agents"][1]["points"]) == 1


async def test_figures_are_narrowed_by_namespace_agent_and_model(each_api: Api, now: int) -> None:
    await each_api.events(*story("one", now, namespace="a"), *story("two", now, agent="writer", namespace="b"))
    for narrowed in ({"namespace": "a"}, {"agent": "planner"}, {"agent": "planner", "model": "gpt-4o"}):
        found = await each_api.get("/v1/overview", **narrowed)
        assert found["total"]["modelCalls"] == 1, narrowed
    for nothing in ({"namespace": "c"}, {"agent": "nobody"}, {"model": "none"}):
        found = await each_api.get("/v1/overview", **nothing)
        assert (found["total"]["modelCalls"], found["agents"], found["models"]) == (0, [], [])


@pytest.mark.parametrize(
    ("hours", "bucket"), [(1, 60), (24, 900), (72, 3_600), (24 * 90, 86_400), (24 * 2_000, 2_592_000)]
)
async def test_bars_are_as_long_as_makes_about_a_hundred(api: Api, hours: int, bucket: int) -> None:
    now = time.time_ns()
    found = await api.get("/v1/overview", since=rfc3339(now - hours * HOUR), until=rfc3339(now))
    assert found["bucket"] == bucket
    assert len(found["points"]) <= 102


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"since": "2024-01-02T00:00:00Z", "until": "2024-01-01T00:00:00Z"}, "since"),
        ({"since": "2020-01-01T00:00:00Z", "bucket": "1m"}, "bucket"),
        ({"bucket": "7 weeks"}, "bucket"),
        ({"since": "yesterday"}, "since"),
        ({"agent": "a\x00b"}, "agent"),
    ],
)
async def test_what_makes_no_sense_is_refused(api: Api, params: dict[str, str], field: str) -> None:
    assert (await api.error("/v1/overview", 400, params=params))["field"] == field


async def test_times_at_the_ends_of_the_calendar_are_taken(api: Api) -> None:
    calendar = {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z", "bucket": "9999d"}
    found = await api.get("/v1/overview", **calendar)
    assert found["since"] == "1970-01-01T00:00:00Z"
    await api.events({"type": "query.started", "sessionId": "s", "query": "q", "time": 0})
    assert (await api.get("/v1/overview", since="0001-01-01T00:00:00Z", bucket="9999d"))["total"]["queries"][
        "total"
    ] <= 1


async def test_sessions_show_their_activity_in_lists_and_in_the_live_list(each_api: Api) -> None:
    api = each_api
    async with listen(api.http, "/v1/stream") as frames:
        await frames.hello()
        await api.events(
            *({"type": "step", "sessionId": "s", "query": "q", "time": NOON + n * HOUR} for n in range(30))
        )
        live = (await frames.next()).json()["session"]
    listed = (await api.get("/v1/sessions"))["items"][0]
    viewed = await api.get("/v1/sessions/s")
    assert sum(listed["activity"]) == 30
    assert len(listed["activity"]) <= 24
    assert listed["activityInterval"] > 3_600_000
    for other in (live, viewed):
        assert (other["activity"], other["activityInterval"]) == (listed["activity"], listed["activityInterval"])
