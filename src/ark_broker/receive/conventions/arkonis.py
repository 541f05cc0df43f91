"""ARKONIS ark-operator: `arkonis.task` above `arkonis.llm.call` and `arkonis.tool.call`.

A task's id changes with every retry, and is that of a queue, not of A2A; the trace id stays. So the trace is what holds
its spans together, and its session where nobody names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, Told, always

_TOOL: Final = "arkonis.tool.call"


def _refine(told: Told, _kind: str) -> Mapping[str, Any]:
    """MCP tools are called `<server>__<tool>`."""
    if told.name != _TOOL:
        return {}
    server, separator, tool = str(told.attributes["tool.name"]).partition("__")
    return {"mcp_server": server} if separator and tool else {}


FAMILY: Final = Family(
    name="arkonis",
    fields={
        "session_id": ("ark.run",),
        "model": ("llm.model",),
        "input_tokens": ("llm.input_tokens",),
        "output_tokens": ("llm.output_tokens",),
    },
    inherited={"session_id": ("ark.run",), "agent": ("ark.role",)},
    names={
        "arkonis.task": (v.AGENT_COMPLETED, v.AGENT_FAILED),
        "arkonis.llm.call": always(v.LLM_REQUEST),
        _TOOL: (v.TOOL_CALL, v.TOOL_FAILED),
    },
    marks=("tool.name",),
    refine=_refine,
    refines=frozenset({v.TOOL_CALL, v.TOOL_FAILED}),
)
