"""LangChain's `create_agent`, traced by LangSmith's own OpenTelemetry export."""

from __future__ import annotations

import os

os.environ |= {
    "LANGSMITH_OTEL_ENABLED": "true",
    "LANGSMITH_OTEL_ONLY": "true",
    "LANGSMITH_TRACING": "true",
    "LANGSMITH_API_KEY": "none",
    "LANGSMITH_PROJECT": "weather-project",
    # Unset, the SDK asks git, and writes the revision of the directory it runs in on every span.
    "LANGSMITH_REVISION_ID": "weather-1",
    "OTEL_EXPORTER_OTLP_ENDPOINT": os.environ["OTLP_ENDPOINT"],
}

from langchain.agents import create_agent
from langchain_core.tracers.langchain import wait_for_all_tracers
from langchain_openai import ChatOpenAI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{os.environ['OTLP_ENDPOINT']}/v1/traces")))
trace.set_tracer_provider(provider)


def get_weather(city: str) -> str:
    """The weather in a city."""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


model = ChatOpenAI(
    model="gpt-4o-mini", base_url=os.environ["MODEL_URL"], api_key="none", streaming=True, stream_usage=True
)
agent = create_agent(model=model, tools=[get_weather], name="weather-agent")
answer = agent.invoke(
    {"messages": [{"role": "user", "content": "What is the weather in Paris?"}]},
    {"metadata": {"session_id": os.environ["SESSION"]}},
)
print(answer["messages"][-1].content)
wait_for_all_tracers()
provider.force_flush()
provider.shutdown()
