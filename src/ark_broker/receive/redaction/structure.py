"""Keys whose values hold an event together: what the broker correlates by."""

from __future__ import annotations

from typing import Final

#: In lower case. Their values are never looked at; an operator's rule that names one is refused.
STRUCTURAL: Final = frozenset(
    {
        # OTLP
        *("traceid", "spanid", "parentspanid", "tracestate", "traceparent", "bytesvalue"),
        *("timeunixnano", "observedtimeunixnano", "starttimeunixnano", "endtimeunixnano"),
        *("trace_id", "span_id", "parent_span_id", "trace.id", "span.id"),
        # ids, as JSON and as attributes
        *("id", "jsonrpc.request.id", "messageid", "message_id", "contextid", "context_id"),
        *("taskid", "task_id", "task.id", "a2a.task.id", "a2a.message.id", "artifactid"),
        *("sessionid", "session_id", "session.id", "ark.session.id", "langfuse.session.id", "session.previous_id"),
        *(
            "traceloop.association.properties.session_id",
            "langsmith.metadata.thread_id",
            "langsmith.metadata.session_id",
        ),
        *("conversationid", "conversation_id", "conversation.id", "gen_ai.conversation.id"),
        *("langsmith.metadata.conversation_id", "ai.telemetry.metadata.sessionid", "thread_id", "threadid"),
        *("query.name", "query.uid", "queryuid", "query_uid", "query.namespace"),
        *("toolcallid", "tool_call_id", "tool.call_id", "tool.id", "gen_ai.tool.call.id", "ai.toolcall.id", "call_id"),
        *("mcpsessionid", "mcp_session_id", "mcp.session.id", "mcp-session-id"),
        *("questionid", "question_id", "streamid", "stream_id", "operation_id", "gen_ai.response.id"),
    }
)
