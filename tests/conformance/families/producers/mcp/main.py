"""An MCP client and, in a process of its own, an MCP server over stdio, both with the SDK's built-in spans.

The client puts `traceparent` into `params._meta`, so the server's spans join the client's trace. The SDK has no
agent and no session of a conversation: the program writes those two itself, on a span around the call.
"""

from __future__ import annotations

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.mcpserver import MCPServer
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def set_up_tracing(service: str) -> TracerProvider:
    """Export this process's spans to `OTLP_ENDPOINT`; the caller shuts the provider down, which flushes it."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{os.environ['OTLP_ENDPOINT']}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def serve() -> None:
    """Serve `get_weather` until the client closes the pipe."""
    server = MCPServer("weather-tools")

    @server.tool()
    def get_weather(city: str) -> str:
        """The current weather in a city."""
        return "18 degrees and sunny" if city == "Paris" else "unknown"

    server.run("stdio")


async def ask() -> None:
    """Call the server's tool inside an agent's span."""
    here = StdioServerParameters(
        command=sys.executable, args=[__file__, "server"], env={"OTLP_ENDPOINT": os.environ["OTLP_ENDPOINT"]}
    )
    agent = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "weather-agent",
        "session.id": os.environ["SESSION"],
    }
    with trace.get_tracer("weather-agent").start_as_current_span("invoke_agent weather-agent", attributes=agent):
        async with Client(stdio_client(here)) as client:
            await client.list_tools()
            result = await client.call_tool("get_weather", {"city": "Paris"})
    print(result.content)


def main() -> None:
    """Run one of the two processes; a process without an argument is the client, which starts the server."""
    is_server = sys.argv[1:] == ["server"]
    provider = set_up_tracing("weather-tools" if is_server else "weather-service")
    try:
        if is_server:
            serve()
        else:
            asyncio.run(ask())
    finally:
        provider.shutdown()


if __name__ == "__main__":
    main()
