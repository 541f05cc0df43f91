"""What FastAPI cannot see of the API: the plain ASGI routes, the cursors of the streams, and examples of answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI

from ark_broker.api.permissions import need_of

Json = dict[str, Any]

_EVENT: Final[Json] = {
    "seq": 41,
    "sessionSeq": 41,
    "id": "6f1c0e6cf2f04d5ea4a4b1d2c3e4f506",
    "kind": "event",
    "type": "tool.call",
    "time": "2024-01-15T10:30:00Z",
    "recordedAt": "2024-01-15T10:30:00.012Z",
    "sessionId": "session-abc",
    "query": "query-001",
    "tool": "web_search",
    "correlatedBy": "explicit",
    "body": {"type": "tool.call", "sessionId": "session-abc", "query": "query-001", "tool": "web_search"},
}
_LOG: Final = "2d1c3b44-8b0f-4a51-9d0e-3f5f0a0c7a11"
_PAGE: Final[Json] = {"items": [_EVENT], "next": 41, "more": False, "seq": 42, "log": _LOG}
_HELLO: Final = 'retry: 1000\nevent: hello\ndata: {"log":"2d1c3b44-…","from":0,"head":42,"recovered":true}\n\n'
_CHUNK: Final = '{"choices":[{"delta":{"content":"Hello"}}]}'
_SSE: Final = "text/event-stream"
_JSON: Final = "application/json"

#: (method, path) → media type and example of the 200.
_EXAMPLES: Final[dict[tuple[str, str], tuple[str, object]]] = {
    ("get", "/health"): ("text/html", "OK"),
    ("get", "/readyz"): ("text/html", "OK"),
    ("get", "/metrics"): ("text/plain", "ark_broker_stored_events_total 42.0\n"),
    ("get", "/v1/events"): (_JSON, _PAGE),
    ("get", "/v1/sessions/{session_id}/events"): (_JSON, _PAGE),
    ("delete", "/v1/sessions/{session_id}"): (_JSON, {"id": "session-abc", "deleted": True, "seq": 43}),
    ("get", "/v1/queries/{query}"): (
        _JSON,
        {
            "name": "query-001",
            "session": "session-abc",
            "phase": "done",
            "streamId": "query-001",
            "events": [{"type": "query.started", "ts": "2024-01-15T10:30:00Z"}],
            "seq": 42,
            "log": _LOG,
        },
    ),
    ("get", "/v1/traces/{trace_id}"): (
        _JSON,
        {
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "sessions": ["session-abc"],
            "queries": ["query-001"],
            "events": 1,
            "roots": [{"event": _EVENT}],
        },
    ),
    ("get", "/v1/events/stream"): (_SSE, _HELLO + 'id: 43\ndata: {"seq":43,"type":"tool.call",…}\n\n'),
    ("get", "/v1/sessions/{session_id}/stream"): (_SSE, _HELLO + 'id: 1\ndata: {"seq":1,"type":"query.started",…}\n\n'),
    ("get", "/v1/stream"): (_SSE, _HELLO + 'id: 43\ndata: {"session":{"id":"session-abc","status":"active",…}}\n\n'),
    ("get", "/v1/queries/{query}/stream"): (_SSE, _HELLO + f"id: 2\ndata: {_CHUNK}\n\ndata: [DONE]\n\n"),
}


def _parameter(name: str, kind: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": kind, "required": kind == "path", "description": description, "schema": schema}


_QUERY_NAME: Final = _parameter("query", "path", "Name of the query; a slash in it is `%2F`.", {"type": "string"})
_CURSOR: Final = [
    _parameter("Last-Event-ID", "header", "Go on behind the frame with this `id`.", {"type": "string"}),
    _parameter(
        "after",
        "query",
        "The same, where no header can be sent: a position, or `<log>:<position>`.",
        {"type": "string"},
    ),
    _parameter("from", "query", "Where to start without a cursor.", {"type": "string", "enum": ["start", "now"]}),
]


def _otlp(signal: str, message: str, partial: Json) -> Json:
    both = {
        "application/x-protobuf": {"schema": {"type": "string", "format": "binary"}},
        _JSON: {"schema": {"type": "object"}},
    }
    return {
        "tags": ["otlp"],
        "summary": f"Receive {signal} (OTLP/HTTP)",
        "description": f"`{message}` in protobuf or JSON; identity, gzip, deflate or zstd. The answer is in the "
        "encoding of the request; every failure is a `google.rpc.Status`.",
        "operationId": f"export_{signal}",
        "requestBody": {"required": True, "content": both},
        "responses": {
            "200": {
                "description": "Stored, but for what `partialSuccess` counts",
                "content": {_JSON: {"example": partial}},
            },
            "400": {"description": "Cannot be read: do not send it again"},
            "413": {"description": "Too large, as sent or after decompression"},
            "415": {"description": "Content type or encoding that is not supported"},
            "503": {"description": "No room now: send it again after `Retry-After` seconds"},
        },
    }


def _rejected(field: str) -> Json:
    return {"partialSuccess": {field: "1", "errorMessage": "1 rejected; the first: …"}}


_ROUTES: Final[dict[tuple[str, str], Json]] = {
    ("post", "/mcp"): {
        "tags": ["mcp"],
        "summary": "MCP, streamable HTTP",
        "description": "JSON-RPC of the Model Context Protocol; see docs/mcp.md.",
        "operationId": "mcp",
        "requestBody": {"required": True, "content": {_JSON: {"schema": {"type": "object"}}}},
        "responses": {"200": {"description": "JSON-RPC, as JSON or as a stream of events"}},
    },
    ("post", "/v1/traces"): _otlp("traces", "ExportTraceServiceRequest", _rejected("rejectedSpans")),
    ("post", "/v1/logs"): _otlp("logs", "ExportLogsServiceRequest", _rejected("rejectedLogRecords")),
    ("post", "/v1/metrics"): _otlp(
        "metrics",
        "ExportMetricsServiceRequest",
        {"partialSuccess": {"errorMessage": "metrics are accepted and dropped"}},
    ),
    ("post", "/stream/{query}"): {
        "tags": ["ark: stream"],
        "summary": "Stream a query's completion chunks in",
        "description": "One JSON value a line, stored as it arrives; the request may stay open for hours. A line that "
        "is not JSON is reported, and the rest is kept.",
        "operationId": "post_chunks",
        "parameters": [_QUERY_NAME],
        "requestBody": {"content": {"application/x-ndjson": {"schema": {"type": "string"}, "example": _CHUNK + "\n"}}},
        "responses": {
            "200": {
                "description": "The body has ended, and all of it is stored",
                "content": {
                    _JSON: {"example": {"status": "stream_processed", "query": "query-001", "chunks_received": 12}}
                },
            }
        },
    },
    ("get", "/stream/{query}"): {
        "tags": ["ark: stream"],
        "summary": "Read a query's completion chunks (SSE)",
        "description": "Chunks as they were posted, then `[DONE]`. Ends with an error chunk after a long silence.",
        "operationId": "read_chunks",
        "parameters": [
            _QUERY_NAME,
            _parameter(
                "from-beginning", "query", "Begin with the stored chunks.", {"type": "boolean", "default": False}
            ),
            _parameter(
                "wait-for-query", "query", "Seconds to wait for the first chunk.", {"type": "integer", "minimum": 0}
            ),
            _parameter("max-chunk-size", "query", "Accepted, and not used.", {"type": "integer", "minimum": 1}),
        ],
        "responses": {
            "200": {"description": "The stream", "content": {_SSE: {"example": f"data: {_CHUNK}\n\ndata: [DONE]\n\n"}}}
        },
    },
    ("post", "/stream/{query}/complete"): {
        "tags": ["ark: stream"],
        "summary": "Say that a query's stream is complete",
        "description": "Readers get `[DONE]`. A stream that goes on afterwards can be completed again.",
        "operationId": "complete_stream",
        "parameters": [_QUERY_NAME],
        "responses": {
            "200": {
                "description": "`completed`, or `already_completed`",
                "content": {_JSON: {"example": {"status": "completed", "query": "query-001"}}},
            }
        },
    },
}


def install(app: FastAPI) -> None:
    """Have `/openapi.json` describe every route."""
    described = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            _complete(described())
        schema = app.openapi_schema
        assert schema is not None
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(schema: Json) -> None:
    paths: Json = schema["paths"]
    for (method, path), operation in _ROUTES.items():
        paths.setdefault(path, {})[method] = operation
    for (method, path), (media, example) in _EXAMPLES.items():
        answer = paths[path][method]["responses"]["200"]
        answer.setdefault("content", {}).setdefault(media, {})["example"] = example
    for path, item in paths.items():
        if path.startswith("/v1/") and path.endswith("/stream"):
            _add_parameters(item["get"], _CURSOR)
        for method, operation in item.items():
            _say_who_may(operation, method.upper(), path)
    schema.setdefault("components", {})["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "Needed where `ARK_BROKER_AUTH` is on; `x-permission` of each operation says which "
            "permission of the token. See docs/access.md.",
        }
    }


def _say_who_may(operation: Json, method: str, path: str) -> None:
    need = need_of(method, path)
    operation["x-permission"] = need
    operation["security"] = [] if need == "open" else [{"bearer": []}]


def _add_parameters(operation: Json, parameters: Iterable[Json]) -> None:
    operation.setdefault("parameters", []).extend(parameters)
