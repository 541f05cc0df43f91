"""What every family may say: the keys that join events, in Ark's, OpenTelemetry's and plain spellings."""

from __future__ import annotations

from typing import Final

from ark_broker.receive.conventions.family import Family

_SESSION: Final = ("ark.session.id", "session.id", "gen_ai.conversation.id")

FAMILY: Final = Family(
    name="common",
    fields={
        "session_id": _SESSION,
        "query": ("query.name", "ark.query.name"),
        "query_uid": ("query.uid", "ark.query.uid", "ark.query"),
        "namespace": ("query.namespace", "ark.query.namespace", "k8s.namespace.name"),
        "conversation_id": ("conversation.id", "gen_ai.conversation.id"),
        "mcp_session_id": ("mcp.session.id",),
        "mcp_server": ("mcp.server.name", "server.name"),
        "task_id": ("a2a.task.id",),
        "question_id": ("question.id",),
        "stream_id": ("stream.id",),
    },
    inherited={"session_id": _SESSION, "namespace": ("k8s.namespace.name",)},
)
