"""An agent's loop on the OpenAI SDK, with OpenTelemetry's own instrumentation of it.

The instrumentation knows model calls; the spans of agent and tool are the program's, named as the GenAI conventions
ask for. `CONVENTION=latest` opts in to the newer ones, with messages in attributes instead of log events.
"""

from __future__ import annotations

import json
import os

LATEST = os.environ.get("CONVENTION") == "latest"
if LATEST:
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY" if LATEST else "true"

from openai import OpenAI
from opentelemetry import _logs, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ENDPOINT = os.environ["OTLP_ENDPOINT"]
spans, logs = TracerProvider(), LoggerProvider()
spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{ENDPOINT}/v1/traces")))
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{ENDPOINT}/v1/logs")))
trace.set_tracer_provider(spans)
_logs.set_logger_provider(logs)
OpenAIInstrumentor().instrument()
tracer = trace.get_tracer("weather")
client = OpenAI(base_url=os.environ["MODEL_URL"], api_key="none")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def call_tool(call: dict) -> str:
    """The tool, in the span that the conventions ask for."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call["function"]["name"],
        "gen_ai.tool.call.id": call["id"],
        "gen_ai.tool.call.arguments": call["function"]["arguments"],
    }
    with tracer.start_as_current_span("execute_tool get_weather", attributes=attributes) as span:
        city = json.loads(call["function"]["arguments"])["city"]
        result = "18 degrees and sunny" if city == "Paris" else "unknown"
        span.set_attribute("gen_ai.tool.call.result", result)
        return result


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


def run(question: str) -> str:
    """Ask the model, call what it asks for, ask again."""
    messages: list = [{"role": "user", "content": question}]
    while True:
        message = ask_model(messages)
        messages.append(message)
        if "tool_calls" not in message:
            return message["content"]
        for call in message["tool_calls"]:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": call_tool(call)})


agent = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "weather-agent",
    "gen_ai.conversation.id": os.environ["SESSION"],
}
with tracer.start_as_current_span("invoke_agent weather-agent", attributes=agent):
    print(run("What is the weather in Paris?"))
spans.shutdown()
logs.shutdown()
