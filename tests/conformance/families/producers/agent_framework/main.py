"""A Microsoft Agent Framework agent, with the framework's own observability and message contents switched on.

The framework's OTLP exporter speaks gRPC by default; it is told to speak HTTP. The only id of a session that its
spans show is the service's (`gen_ai.conversation.id`), not the one of `create_session`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

from agent_framework import Agent
from agent_framework.observability import configure_otel_providers
from agent_framework.openai import OpenAIChatCompletionClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

QUESTION = "What is the weather in Paris?"


def get_weather(city: Annotated[str, "The city to look up."]) -> str:
    """The current weather in a city."""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


async def ask() -> None:
    """Ask the agent and print its answer as it comes."""
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="test", base_url=os.environ["MODEL_URL"])
    agent = Agent(client, name="weather-agent", instructions="Answer questions about the weather.", tools=[get_weather])
    session = agent.get_session(service_session_id=os.environ["SESSION"])
    async for update in agent.run(QUESTION, session=session, stream=True):
        print(update.text, end="")
    print()


def main() -> None:
    """Run the agent; the provider's shutdown flushes its spans, and the exit of the process its log records."""
    configure_otel_providers(
        service_name="weather-service",
        otlp_endpoint=os.environ["OTLP_ENDPOINT"],
        otlp_protocol="http/protobuf",
        enable_sensitive_data=True,
    )
    try:
        asyncio.run(ask())
    finally:
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        provider.shutdown()


if __name__ == "__main__":
    main()
