"""A Pydantic AI agent with Logfire's SDK, which is told that `OTLP_ENDPOINT` is a Logfire of one's own.

That way, unlike with an added OTLP exporter, it also sends pending spans: those of work that has begun. It drops the
ones whose work ended before their batch went out; the tool flushes while it runs, so that its own is among the sent.
"""

from __future__ import annotations

import asyncio
import os

import logfire
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

QUESTION = "What is the weather in Paris?"


def set_up_tracing() -> None:
    """Send the spans of every agent, with contents, to `OTLP_ENDPOINT`."""
    logfire.configure(
        token="test",
        send_to_logfire=True,
        service_name="weather-service",
        # By default it is the commit of the repository that the program runs in.
        service_version="1.0.0",
        console=False,
        metrics=False,
        inspect_arguments=False,
        advanced=logfire.AdvancedOptions(base_url=os.environ["OTLP_ENDPOINT"]),
    )
    logfire.instrument_pydantic_ai()


def get_weather(city: str) -> str:
    """The current weather in a city."""
    logfire.force_flush()
    return "18 degrees and sunny" if city == "Paris" else "unknown"


async def ask() -> None:
    """Ask the agent, as a turn of the conversation `SESSION`, and print its answer as it comes."""
    provider = OpenAIProvider(base_url=os.environ["MODEL_URL"], api_key="test")
    model = OpenAIChatModel("gpt-4o-mini", provider=provider)
    agent = Agent(model, name="weather-agent", instructions="Answer questions about the weather.", tools=[get_weather])
    async with agent.run_stream(QUESTION, conversation_id=os.environ["SESSION"]) as answer:
        async for text in answer.stream_text(delta=True):
            print(text, end="")
    print()


def main() -> None:
    """Run the agent; the shutdown flushes its spans."""
    set_up_tracing()
    try:
        asyncio.run(ask())
    finally:
        logfire.shutdown()


if __name__ == "__main__":
    main()
