"""OpenTelemetry MCP conventions: spans named `{mcp.method.name} {tool or prompt}`, of client and server.

https://github.com/open-telemetry/semantic-conventions-genai. Traceloop's instrumentation of MCP is in `openllmetry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told

_CALL: Final = "tools/call"


def _refine(told: Told, _kind: str) -> Mapping[str, Any]:
    # The client's span in the official Python SDK is called `MCP send tools/call get_weather`.
    method, _, rest = told.name.removeprefix("MCP send ").partition(" ")
    return {"tool": rest} if method == _CALL and rest else {}


FAMILY: Final = Family(
    name="mcp",
    content={
        "input": ("mcp.request.argument",),
        "output": ("mcp.response.value",),
    },
    kinds={"mcp.method.name": {_CALL: (v.TOOL_CALL, v.TOOL_FAILED)}},
    marks=("mcp.method.name",),
    refine=_refine,
    refines=frozenset({v.TOOL_CALL, v.TOOL_FAILED}),
)
