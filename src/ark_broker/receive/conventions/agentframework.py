"""Microsoft Agent Framework: GenAI names for agents, models and tools; workflows and their executors of its own."""

from __future__ import annotations

from typing import Final

from ark_broker.model import vocabulary as v
from ark_broker.receive.conventions.family import Family, always

FAMILY: Final = Family(
    name="agentframework",
    fields={
        "agent": ("executor.id",),
        "tool": ("agent_framework.function.name",),
        "error": ("workflow.error", "build.error.message"),
    },
    names={
        "workflow.run": (v.WORKFLOW_COMPLETED, v.WORKFLOW_FAILED),
        "workflow.build": always("workflow.build"),
        "executor.process": always("executor.process"),
        "edge_group.process": always("edge_group.process"),
        "message.send": always("message.send"),
    },
)
