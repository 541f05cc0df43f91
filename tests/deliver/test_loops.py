"""Brokers that send to each other, or to themselves: what comes back is not sent round again."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.support.otlp import PROTOBUF, span_id, traces
from tests.support.process import Broker, StartBroker, free_port
from tests.support.waiting import wait_until


def send(broker: Broker, number: int, headers: dict[str, str]) -> None:
    content = traces({"trace_id": bytes([number]) * 16, "span_id": span_id(number)}).SerializeToString()
    response = httpx.post(f"{broker.url}/v1/traces", content=content, headers=PROTOBUF | headers)
    assert response.status_code == 200, response.text


def spans_of(broker: Broker, headers: dict[str, str]) -> list[str]:
    items = httpx.get(f"{broker.url}/v1/events", params={"limit": 1000}, headers=headers).json()["items"]
    return sorted(item["traceId"] for item in items if item["kind"] == "span")


def counted(broker: Broker, name: str, headers: dict[str, str]) -> int:
    text = httpx.get(f"{broker.url}/metrics", headers=headers).text
    return sum(int(float(value)) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


def all_sent(broker: Broker, headers: dict[str, str]) -> bool:
    items = httpx.get(f"{broker.url}/v1/deliveries", headers=headers).json()["items"]
    return bool(items) and all(item["lag"] == 0 for item in items)


def settle(brokers: list[Broker], headers: dict[str, str], echoes: int) -> None:
    """Wait until each has come back, and nobody has anything left to send."""
    came_back = "ark_broker_duplicate_events_total"
    wait_until(
        lambda: (
            sum(counted(broker, came_back, headers) for broker in brokers) >= echoes
            and all(all_sent(broker, headers) for broker in brokers)
        ),
        timeout=60,
        what="all to have come round",
    )


@pytest.mark.parametrize("mark", ["false", "true"])
def test_two_brokers_that_send_to_each_other_come_to_rest(start_broker: StartBroker, tmp_path: Path, mark: str) -> None:
    ports = [free_port(), free_port()]
    one, other = brokers = [
        start_broker(
            f"sqlite:///{tmp_path}/{number}.db",
            port=port,
            upstreams=f"http://127.0.0.1:{ports[1 - number]}?mark={mark}",
        )
        for number, port in enumerate(ports)
    ]
    for number in range(1, 6):
        send(one, number, {})
        send(other, number + 100, {})
    settle(brokers, {}, echoes=10)
    # One more says that nothing of the first is on its way any more: cursors send in order.
    send(one, 7, {})
    settle(brokers, {}, echoes=11)

    expected = sorted(bytes([number]).hex() * 16 for number in (*range(1, 6), *range(101, 106), 7))
    wait_until(lambda: spans_of(one, {}) == spans_of(other, {}) == expected, timeout=60, what="all to be in both")
    duplicates = [counted(broker, "ark_broker_duplicate_events_total", {}) for broker in brokers]
    # Each comes back once, to whom it was sent first, and is known there.
    assert duplicates == [6, 5]


@pytest.mark.parametrize("mark", ["false", "true"])
def test_a_broker_that_sends_to_itself_comes_to_rest(start_broker: StartBroker, tmp_path: Path, mark: str) -> None:
    port = free_port()
    broker = start_broker(f"sqlite:///{tmp_path}/a.db", port=port, upstreams=f"http://127.0.0.1:{port}?mark={mark}")
    for number in range(1, 6):
        send(broker, number, {})
    settle([broker], {}, echoes=5)
    send(broker, 7, {})
    settle([broker], {}, echoes=6)
    assert len(spans_of(broker, {})) == 6
    assert counted(broker, "ark_broker_duplicate_events_total", {}) == 6


def test_brokers_that_send_with_tokens_for_one_namespace_come_to_rest(
    start_broker: StartBroker, tmp_path: Path
) -> None:
    """What comes with such a token is another event than what came without: it goes round once, and no further."""
    ports = [free_port(), free_port()]
    admin = "an-operators-own-secret-0123456789"
    headers = {"authorization": f"Bearer {admin}"}
    brokers = [
        start_broker(f"sqlite:///{tmp_path}/{number}.db", port=port, auth=True, admin_token=admin)
        for number, port in enumerate(ports)
    ]
    tokens = [
        httpx.post(
            f"{broker.url}/v1/tokens",
            json={"name": "n", "permissions": ["ingest"], "namespaces": ["team-a"]},
            headers=headers,
        ).json()["token"]
        for broker in brokers
    ]
    for broker in brokers:
        broker.close()
    brokers = [
        start_broker(
            f"sqlite:///{tmp_path}/{number}.db",
            port=port,
            auth=True,
            admin_token=admin,
            upstreams=(
                f'[{{"name": "up", "url": "http://127.0.0.1:{ports[1 - number]}/v1/traces",'
                f' "headers": {{"authorization": "Bearer {tokens[1 - number]}"}}}}]'
            ),
        )
        for number, port in enumerate(ports)
    ]
    for number in range(1, 4):
        send(brokers[0], number, headers)
    # There, back as the namespace's own, and there again, where it is known by now.
    settle(brokers, headers, echoes=3)
    assert [len(spans_of(broker, headers)) for broker in brokers] == [6, 3]
    assert [counted(broker, "ark_broker_duplicate_events_total", headers) for broker in brokers] == [0, 3]
