"""A real OpenTelemetry Collector between the broker and whom it hands on to (`make receivers`).

ARK_BROKER_TEST_COLLECTOR names the program that `tests/conformance/collector` is built to.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from tests.conformance.test_receivers import running
from tests.deliver.test_deliveries import pieces, rich_request
from tests.support.otlp import PROTOBUF
from tests.support.process import Broker, StartBroker, free_port
from tests.support.receivers import Receiver, a_receiver, fine, listening

COLLECTOR = os.environ.get("ARK_BROKER_TEST_COLLECTOR")
pytestmark = [
    pytest.mark.skipif(COLLECTOR is None, reason="NOT TESTED: no Collector is built: `make receivers`"),
    pytest.mark.timeout(300),
]

CONFIGURATION = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters:
  otlphttp:
    endpoint: "{behind}"
    # What is behind it refuses, it refuses: so the broker has to keep it.
    sending_queue: {{enabled: false}}
    retry_on_failure: {{enabled: false}}
service:
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlphttp]}}}}
  telemetry: {{metrics: {{level: none}}}}
"""


@asynccontextmanager
async def collector(directory: Path, port: int, behind: Receiver) -> AsyncIterator[None]:
    """The Collector, while the block runs."""
    configuration = directory / "collector.yaml"
    configuration.write_text(CONFIGURATION.format(port=port, behind=behind.url))
    command = [str(COLLECTOR), f"--config={configuration}"]
    program = running(command, directory / "collector.log", f"http://127.0.0.1:{port}/")
    await asyncio.to_thread(program.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(program.__exit__, None, None, None)


async def send(broker: Broker) -> None:
    async with httpx.AsyncClient() as http:
        content = rich_request().SerializeToString()
        response = await http.post(f"{broker.url}/v1/traces", content=content, headers=PROTOBUF)
        assert response.status_code == 200


def told(piece: object) -> str:
    """A span as text. An attribute without a value leaves the Collector with an empty one, which says the same."""
    if isinstance(piece, tuple):
        return str(tuple(map(told, piece)))
    return re.sub(r" *value \{\n *\}\n", "", str(piece))


def unordered(receiver: Receiver) -> list[str]:
    return sorted(told(piece) for received in receiver.taken for piece in pieces(received.traces))


async def test_what_comes_out_of_a_collector_equals_what_was_sent(
    start_broker: StartBroker, database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    port = free_port()
    async with collector(tmp_path, port, receiver):
        await send(start_broker(database_url, upstreams=f"http://127.0.0.1:{port}"))
        await receiver.until_named(*(span.name for _, _, span in pieces(rich_request())))
    assert unordered(receiver) == sorted(told(piece) for piece in pieces(rich_request()))


async def test_what_is_behind_a_collector_may_be_away_with_a_restart_in_it(
    start_broker: StartBroker, database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    port = free_port()
    receiver.answer = lambda _received: Response(status_code=503)
    broker = start_broker(database_url, upstreams=f"http://127.0.0.1:{port}")
    async with collector(tmp_path, port, receiver):
        await send(broker)
        await receiver.until_received(2)
        broker.kill()
        broker.start()
        receiver.answer = fine
        # Whoever was killed holds its place in the log for half a minute.
        await receiver.until_named(*(span.name for _, _, span in pieces(rich_request())), timeout=90)
    assert unordered(receiver) == sorted(told(piece) for piece in pieces(rich_request()))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """What is behind the Collector."""
    with a_receiver() as found:
        async with listening(found):
            yield found
