"""What every family may say: the keys that join events, in Ark's, OpenTelemetry's and plain spellings."""

from __future__ import annotations

from typing import Final

from ark_broker.receive.conventions.family import Family

_SESSION: Final = ("ark.session.id", "session.id")
_NAMESPACE: Final = ("query.namespace", "ark.query.namespace", "k8s.namespace.name")
_CONVERSATION: Final = ("gen_ai.conversation.id", "conversation.id", "ark.conversation.id")

FAMILY: Final = Family(
    name="common",
    fields={
        "session_id": _SESSION,
        "query": ("query.name", "ark.query.name"),
        "query_uid": ("query.uid", "ark.query.uid", "ark.query"),
        "namespace": _NAMESPACE,
        # No session: a conversation may go on in several. It stands for one where nobody names any.
        "conversation_id": _CONVERSATION,
        "user_id": ("user.id", "enduser.id", "user.name"),
        "mcp_session_id": ("mcp.session.id",),
        "mcp_server": ("mcp.server.name", "server.name"),
        "task_id": ("a2a.task.id",),
        "question_id": ("question.id",),
        "stream_id": ("stream.id",),
        "phase": ("query.phase",),
    },
    inherited={
        "session_id": _SESSION,
        "conversation_id": ("gen_ai.conversation.id", "conversation.id"),
        "namespace": ("k8s.namespace.name",),
        "user_id": ("user.id",),
    },
)
