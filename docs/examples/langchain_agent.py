"""An agent on LangChain that asks a person before it uses its tool.

    pip install ark-broker langchain-openai
    OPENAI_API_KEY=… python langchain_agent.py "What is the weather in Paris?"

The question waits in the broker's inbox: answer it in the dashboard, or with `ark-broker answer`.
"""

import asyncio
import sys
import uuid

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from opentelemetry import trace

from ark_broker.client import AsyncClient
from ark_broker.client.otel import instrument


@tool
async def get_weather(city: str) -> str:
    """The weather in a city, now."""
    return f"18 degrees and sunny in {city}"


async def approved(broker, query, call):
    """Ask a person, and wait for the answer, whatever happens to the broker meanwhile."""
    question = await broker.ask(
        f"May the agent call {call['name']}?",
        query=query,
        context=str(call["args"]),
        options=["yes", "no"],
        asked_by="weather",
        expires_in=3600,
    )
    return question["state"] == "answered" and question["answer"] == "yes"


async def call_tool(tracer, broker, query, call):
    if not await approved(broker, query, call):
        return ToolMessage("a person said no", tool_call_id=call["id"])
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call["name"],
        "gen_ai.tool.call.id": call["id"],
    }
    with tracer.start_as_current_span(f"execute_tool {call['name']}", attributes=attributes) as span:
        result = await get_weather.ainvoke(call["args"])
        span.set_attribute("gen_ai.tool.call.result", result)
    return ToolMessage(result, tool_call_id=call["id"])


async def answer(model, chunks, messages):
    """One turn of the model: its text goes to the broker as it comes."""
    whole = None
    async for part in model.astream(messages):
        if part.text:
            await chunks.send(part.text)
        whole = part if whole is None else whole + part
    return whole


async def run(question, session, query):
    model = ChatOpenAI(model="gpt-4o-mini", streaming=True).bind_tools([get_weather])
    tracer = trace.get_tracer("example")
    messages = [HumanMessage(question)]
    place = {"session.id": session, "query.name": query, "gen_ai.operation.name": "invoke_agent"}
    with tracer.start_as_current_span("invoke_agent weather", attributes=place | {"gen_ai.agent.name": "weather"}):
        async with AsyncClient() as broker, broker.stream_chunks(query, model="gpt-4o-mini") as chunks:
            while True:
                message = await answer(model, chunks, messages)
                if not message.tool_calls:
                    return message.text
                messages.append(message)
                messages += [await call_tool(tracer, broker, query, call) for call in message.tool_calls]


if __name__ == "__main__":
    provider = instrument("langchain-example")
    print(asyncio.run(run(sys.argv[1], "langchain-example", f"weather-{uuid.uuid4().hex[:8]}")))
    provider.shutdown()
