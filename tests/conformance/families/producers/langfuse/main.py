"""An agent made by hand with Langfuse's SDK: observations of the types agent and tool, and its drop-in for OpenAI's.

The SDK's own exporter would send to Langfuse's path; it takes another one, which is how its users send elsewhere.
"""

from __future__ import annotations

import json
import os
from typing import Any

from langfuse import Langfuse, observe, propagate_attributes
from langfuse.openai import OpenAI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

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


@observe(as_type="tool")
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


@observe(name="weather-agent", as_type="agent")
def ask(question: str) -> str:
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


def main() -> None:
    """Ask inside the session `SESSION`; the shutdown flushes the spans."""
    exporter = OTLPSpanExporter(endpoint=f"{os.environ['OTLP_ENDPOINT']}/v1/traces")
    langfuse = Langfuse(
        public_key="pk-test", secret_key="sk-test", base_url=os.environ["OTLP_ENDPOINT"], span_exporter=exporter
    )
    try:
        with propagate_attributes(session_id=os.environ["SESSION"]):
            print(ask(QUESTION))
    finally:
        langfuse.shutdown()


if __name__ == "__main__":
    main()
