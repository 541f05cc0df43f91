"""An agent on the plain OpenAI SDK. Its work and its answer show in the broker while they come.

    pip install ark-broker openai
    OPENAI_API_KEY=… python openai_sdk.py "What is the weather in Paris?"

The broker is that of ARK_BROKER_URL (http://127.0.0.1:4318 where it is not set).
"""

import json
import sys
import uuid

from openai import OpenAI
from opentelemetry import trace

from ark_broker.client import Client
from ark_broker.client.otel import instrument

MODEL = "gpt-4o-mini"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def get_weather(city):
    return f"18 degrees and sunny in {city}"


def call_tool(tracer, call):
    """Run the tool in a span. What is known of it goes into the span when it starts: then it shows at once."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.function.name,
        "gen_ai.tool.call.id": call.id,
        "gen_ai.tool.call.arguments": call.function.arguments,
    }
    with tracer.start_as_current_span(f"execute_tool {call.function.name}", attributes=attributes) as span:
        result = get_weather(**json.loads(call.function.arguments))
        span.set_attribute("gen_ai.tool.call.result", result)
    return {"role": "tool", "tool_call_id": call.id, "content": result}


def answer(openai, chunks, messages):
    """One turn of the model: each chunk goes to the broker as it comes."""
    with openai.chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER]) as stream:
        for event in stream:
            if event.type == "chunk":
                chunks.send(event.chunk)
        return stream.get_final_completion().choices[0].message


def run(question, session, query):
    openai, tracer = OpenAI(), trace.get_tracer("example")
    messages = [{"role": "user", "content": question}]
    place = {"session.id": session, "query.name": query, "gen_ai.operation.name": "invoke_agent"}
    with (
        tracer.start_as_current_span("invoke_agent weather", attributes=place | {"gen_ai.agent.name": "weather"}),
        Client() as broker,
        broker.stream_chunks(query) as chunks,
    ):
        while True:
            message = answer(openai, chunks, messages)
            if not message.tool_calls:
                return message.content
            messages.append(message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
            messages += [call_tool(tracer, call) for call in message.tool_calls]


if __name__ == "__main__":
    provider = instrument("openai-example")
    print(run(sys.argv[1], "openai-example", f"weather-{uuid.uuid4().hex[:8]}"))
    provider.shutdown()
