"""An agent made by hand with Traceloop's SDK: its decorators, and OpenLLMetry's instrumentation of the OpenAI client.

The session is the association property `session_id`, which is on every span that begins after it was set.
"""

from __future__ import annotations

import json
import os
from typing import Any

from openai import OpenAI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, tool, workflow

QUESTION = "What is the weather in Paris?"
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The current weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "The city to look up."}},
                "required": ["city"],
            },
        },
    }
]


@tool(name="get_weather")
def get_weather(city: str) -> str:
    """The current weather in a city."""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


def call_model(client: OpenAI, messages: list[dict[str, Any]]) -> tuple[str, dict[int, dict[str, str]]]:
    """One streamed answer: its text, and its tool calls by their index."""
    text, calls = "", dict[int, dict[str, str]]()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    for chunk in client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=TOOLS, **options):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for part in choice.delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += part.id or ""
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
    return text, calls


@agent(name="weather-agent")
def run_agent(question: str) -> str:
    """Call the model, and the tools that it asks for, until it answers."""
    client = OpenAI(base_url=os.environ["MODEL_URL"], api_key="test")
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Answer questions about the weather."},
        {"role": "user", "content": question},
    ]
    while True:
        text, calls = call_model(client, messages)
        if not calls:
            return text
        asked = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in calls.values()
        ]
        messages.append({"role": "assistant", "tool_calls": asked})
        for call in calls.values():
            result = get_weather(**json.loads(call["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


@workflow(name="weather-workflow")
def ask(question: str) -> str:
    """The whole of one request."""
    return run_agent(question)


def main() -> None:
    """Ask inside the session `SESSION`; the provider's shutdown flushes the spans."""
    Traceloop.init(app_name="weather-service", api_endpoint=os.environ["OTLP_ENDPOINT"], telemetry_enabled=False)
    Traceloop.set_association_properties({"session_id": os.environ["SESSION"]})
    try:
        print(ask(QUESTION))
    finally:
        provider = trace.get_tracer_provider()
        assert isinstance(provider, TracerProvider)
        provider.shutdown()


if __name__ == "__main__":
    main()
