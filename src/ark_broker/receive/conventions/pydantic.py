"""Pydantic AI and Logfire, in what they have beside the GenAI conventions.

Logfire exports a pending span at the start of a span: it is no work, but says that work has begun. An agent's run
repeats the tokens of its calls as `gen_ai.aggregated_usage.*`, which is read by nobody here.
"""

from __future__ import annotations

from typing import Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family

#: Attribute and value of a span that only says that another one has begun.
PENDING: Final = ("logfire.span_type", "pending_span")

FAMILY: Final = Family(
    name="pydantic",
    fields={"agent": ("agent_name",), "model": ("model_name",)},
    content={
        "input": ("tool_arguments", "pydantic_ai.all_messages", "all_messages_events", "prompt", "events"),
        "output": ("tool_response", "final_result", "pydantic_ai.final_result"),
    },
    names={
        "agent run": (v.AGENT_COMPLETED, v.AGENT_FAILED),
        "running tool": (v.TOOL_CALL, v.TOOL_FAILED),
    },
)
