"""However a session's telemetry arrives, its view is the same."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import httpx
import pytest

from tests.support.events import NOON
from tests.support.otlp import PROTOBUF, SECOND, traces
from tests.support.process import Broker, StartBroker

SESSION: Final = "session-abc"
QUERY: Final = "query-001"
#: What depends on when things arrived, not on what they say.
_OF_ARRIVAL: Final = {"seq", "log"}


def span(number: int, parent: int, name: str, **attributes: str) -> dict[str, Any]:
    """Span `number` of the trace, below `parent` (0: the root)."""
    return {
        "number": number,
        "name": name,
        "parent_span_id": parent.to_bytes(8, "big") if parent else b"",
        "start_time_unix_nano": NOON + number * SECOND,
        "end_time_unix_nano": NOON + number * SECOND + 1,
        "attributes": attributes,
    }


def tidy() -> list[dict[str, Any]]:
    """A query in order, parents first; only the last span names the session."""
    return [
        span(1, 0, "invoke_agent", **{"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher"}),
        span(2, 1, "query.started", **{"query.name": QUERY}),
        span(3, 1, "chat gpt-4o", **{"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}),
        span(4, 3, "execute_tool", **{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search"}),
        span(5, 1, "query.completed", **{"query.name": QUERY, "session.id": SESSION}),
    ]


def case(number: int, spans: list[dict[str, Any]]) -> bytes:
    """One request, with a trace, a query and a session of that case's own."""
    own = [
        one
        | {
            "trace_id": number.to_bytes(16, "big"),
            "attributes": {key: renamed(value, number) for key, value in one["attributes"].items()},
        }
        for one in spans
    ]
    return traces(*own).SerializeToString()


def renamed(text: str, number: int) -> str:
    return {SESSION: f"{SESSION}-{number}", QUERY: f"{QUERY}-{number}"}.get(text, text)


async def deliver(
    client: httpx.AsyncClient, urls: list[str], number: int, deliveries: list[list[dict[str, Any]]]
) -> None:
    """One request each, to the brokers in turns."""
    for turn, spans in enumerate(deliveries):
        url = f"{urls[turn % len(urls)]}/v1/traces"
        response = await client.post(url, content=case(number, spans), headers=PROTOBUF)
        assert (response.status_code, response.content) == (200, b"")


async def view(client: httpx.AsyncClient, url: str, number: int) -> dict[str, Any]:
    """The case's session, without what depends on arrival, and with the names that every case has in common."""
    response = await client.get(f"{url}/v1/sessions/{renamed(SESSION, number)}")
    assert response.status_code == 200, response.text
    text = response.text
    for name in (SESSION, QUERY):
        text = text.replace(renamed(name, number), name)
    found: dict[str, Any] = without(json.loads(text.replace(f"{number:032x}", "the-trace")))
    return found


def without(value: Any) -> Any:
    """`value` without the fields that depend on arrival, at any depth."""
    if isinstance(value, dict):
        return {name: without(inner) for name, inner in value.items() if name not in _OF_ARRIVAL}
    return [without(inner) for inner in value] if isinstance(value, list) else value


def shuffled(seed: int) -> list[list[dict[str, Any]]]:
    """The spans one by one, in some order, some of them twice."""
    chance = random.Random(seed)
    spans = tidy() + chance.sample(tidy(), 2)
    chance.shuffle(spans)
    return [[one] for one in spans]


DISORDERS: Final = {
    "children first": [[one] for one in reversed(tidy())],
    "all twice": [tidy(), tidy()],
    "in two halves": [tidy()[2:], tidy()[:2]],
    "root alone first": [tidy()[:1], tidy()[1:]],
    **{f"shuffled {seed}": shuffled(seed) for seed in range(20)},
}


@pytest.mark.slow
async def test_any_order_on_two_replicas_gives_the_view_of_a_tidy_delivery(
    start_broker: StartBroker, postgres_url: str
) -> None:
    urls = [start_broker(postgres_url).url for _ in range(2)]
    async with httpx.AsyncClient() as client:
        await deliver(client, urls[:1], 100, [tidy()])
        expected = await view(client, urls[0], 100)
        assert list(expected["queries"]) == [QUERY]
        assert len(expected["queries"][QUERY]["events"]) >= 4

        for number, (name, deliveries) in enumerate(DISORDERS.items(), 200):
            await deliver(client, urls, number, deliveries)
            for url in urls:
                assert await view(client, url, number) == expected, name


async def test_clocks_that_are_wrong_by_decades_change_no_order_of_arrival(broker: Broker) -> None:
    years = {"2024": NOON, "2200": 7_258_118_400 * SECOND, "1970": 1 * SECOND, "2024 again": NOON - 3_600 * SECOND}
    async with httpx.AsyncClient(base_url=broker.url) as client:
        for number, (year, start) in enumerate(years.items(), 1):
            one = span(number, 0, year, **{"session.id": SESSION}) | {
                "start_time_unix_nano": start,
                "end_time_unix_nano": start + SECOND,
            }
            response = await client.post("/v1/traces", content=case(1, [one]), headers=PROTOBUF)
            assert (response.status_code, response.content) == (200, b"")
        session = f"/v1/sessions/{renamed(SESSION, 1)}"
        page = (await client.get(f"{session}/events")).json()
        shown = (await client.get(session)).json()

    assert [item["type"] for item in page["items"]] == list(years)
    assert [item["seq"] for item in page["items"]] == [1, 2, 3, 4]
    assert [item["time"][:4] for item in page["items"]] == ["2024", "2200", "1970", "2024"]
    [query] = shown["queries"].values()
    assert [event["type"] for event in query["events"]] == ["1970", "2024 again", "2024", "2200"]
