"""An agent's loop on the OpenAI SDK, with OpenInference's instrumentation and its decorators for agent and tool."""

from __future__ import annotations

import json
import os

from openai import OpenAI
from openinference.instrumentation import TracerProvider, using_session
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{os.environ['OTLP_ENDPOINT']}/v1/traces")))
OpenAIInstrumentor().instrument(tracer_provider=provider)
tracer = provider.get_tracer("weather")
client = OpenAI(base_url=os.environ["MODEL_URL"], api_key="none")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


@tracer.tool(name="get_weather")
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


def ask_model(messages: list) -> dict:
    """One streamed model call, put together to a message."""
    message: dict = {"role": "assistant", "content": ""}
    stream = client.chat.completions.create(
        model="gpt-4o-mini", messages=messages, tools=TOOLS, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                if call.id:
                    function = {"name": call.function.name, "arguments": ""}
                    message["tool_calls"] = [{"id": call.id, "type": "function", "function": function}]
                message["tool_calls"][0]["function"]["arguments"] += call.function.arguments or ""
    return message


@tracer.agent(name="weather-agent")
def run(question: str) -> str:
    """Ask the model, call what it asks for, ask again."""
    messages: list = [{"role": "user", "content": question}]
    while True:
        message = ask_model(messages)
        messages.append(message)
        if "tool_calls" not in message:
            return message["content"]
        for call in message["tool_calls"]:
            result = get_weather(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


with using_session(os.environ["SESSION"]):
    print(run("What is the weather in Paris?"))
provider.shutdown()
