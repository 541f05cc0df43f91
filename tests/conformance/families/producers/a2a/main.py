"""An A2A client and, in a process of its own, an A2A agent that streams its task, both with the SDK's own spans.

The SDK spans its methods but passes no trace context on; the HTTP instrumentations do that. The SDK has no
conversation on its spans: the program writes `session.id` itself, and sends the same id as the message's context.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from a2a.client import ClientConfig, create_client
from a2a.helpers import get_stream_response_text, new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Role, SendMessageRequest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from starlette.applications import Starlette

RPC_PATH = "/rpc"
QUESTION = "What is the weather in Paris?"
ANSWER = "It is 18 degrees and sunny in Paris."


class WeatherExecutor(AgentExecutor):
    """Answers every message with a task: two status updates and an artifact."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Stream the task of one message."""
        task = new_task_from_user_message(context.message)
        task.id, task.context_id = context.task_id, context.context_id
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work(updater.new_agent_message([new_text_part("Looking up the weather in Paris.")]))
        await updater.add_artifact([new_text_part(ANSWER)], name="answer", last_chunk=True)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Cancel the task."""
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def set_up_tracing(service: str) -> TracerProvider:
    """Export this process's spans to `OTLP_ENDPOINT`; the caller shuts the provider down, which flushes it."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{os.environ['OTLP_ENDPOINT']}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def agent_card(url: str) -> AgentCard:
    """The card of the agent that is served at `url`."""
    return AgentCard(
        name="weather-agent",
        description="Tells the weather.",
        version="1.0.0",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="weather", name="Weather", description="The weather in a city.", tags=["weather"])],
    )


def serve() -> None:
    """Serve the agent on a free port, whose URL is the first line printed, until SIGTERM."""
    provider = set_up_tracing("weather-agent")

    @asynccontextmanager
    async def flush_at_the_end(_: Starlette) -> AsyncIterator[None]:
        yield
        provider.shutdown()

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    card = agent_card(url + RPC_PATH)
    handler = DefaultRequestHandler(WeatherExecutor(), InMemoryTaskStore(), card)
    app = Starlette(
        routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, RPC_PATH)], lifespan=flush_at_the_end
    )
    StarletteInstrumentor.instrument_app(app)
    print(url, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


async def ask(url: str) -> None:
    """Send the question inside an agent's span and read the task's stream to its end."""
    session = os.environ["SESSION"]
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather-agent", "session.id": session}
    message = new_text_message(QUESTION, context_id=session, role=Role.ROLE_USER)
    with trace.get_tracer("weather-agent").start_as_current_span("invoke_agent weather-agent", attributes=agent):
        async with httpx.AsyncClient(timeout=30) as http:
            client = await create_client(url, ClientConfig(httpx_client=http, streaming=True))
            async for response in client.send_message(SendMessageRequest(message=message)):
                print(response.WhichOneof("payload"), get_stream_response_text(response))


def run_client() -> None:
    """Start the server's process, ask it, and stop it, so that its spans are flushed too."""
    provider = set_up_tracing("weather-service")
    HTTPXClientInstrumentor().instrument()
    with subprocess.Popen([sys.executable, __file__, "server"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            asyncio.run(ask(server.stdout.readline().strip()))
        finally:
            server.terminate()
            provider.shutdown()


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["server"] else run_client()
