"""LangChain's `create_agent`, with OpenInference's instrumentation."""

from __future__ import annotations

import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from openinference.instrumentation import TracerProvider, using_session
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{os.environ['OTLP_ENDPOINT']}/v1/traces")))
LangChainInstrumentor().instrument(tracer_provider=provider)


def get_weather(city: str) -> str:
    """The weather in a city."""
    return "18 degrees and sunny" if city == "Paris" else "unknown"


model = ChatOpenAI(
    model="gpt-4o-mini", base_url=os.environ["MODEL_URL"], api_key="none", streaming=True, stream_usage=True
)
agent = create_agent(model=model, tools=[get_weather], name="weather-agent")
with using_session(os.environ["SESSION"]):
    answer = agent.invoke({"messages": [{"role": "user", "content": "What is the weather in Paris?"}]})
print(answer["messages"][-1].content)
provider.shutdown()
