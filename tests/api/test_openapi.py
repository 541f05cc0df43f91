"""`/openapi.json`: every route, with what it takes and an example of what it answers."""

from __future__ import annotations

from typing import Any

from tests.support.api import Api

ROUTES = {
    ("get", "/health"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("post", "/v1/traces"),
    ("post", "/v1/logs"),
    ("post", "/v1/metrics"),
    ("post", "/v1/events"),
    ("get", "/v1/events"),
    ("get", "/v1/events/stream"),
    ("get", "/v1/sessions"),
    ("get", "/v1/sessions/{session_id}"),
    ("delete", "/v1/sessions/{session_id}"),
    ("get", "/v1/sessions/{session_id}/events"),
    ("get", "/v1/sessions/{session_id}/stream"),
    ("get", "/v1/stream"),
    ("get", "/v1/queries/{query}"),
    ("get", "/v1/queries/{query}/stream"),
    ("get", "/v1/traces/{trace_id}"),
    ("post", "/stream/{query}"),
    ("get", "/stream/{query}"),
    ("post", "/stream/{query}/complete"),
}
PARAMETERS = {
    "/v1/sessions": {"status", "namespace", "agent", "query", "since", "until", "q", "limit", "cursor"},
    "/v1/sessions/{session_id}/events": {"session_id", "after", "type", "query", "limit"},
    "/v1/sessions/{session_id}/stream": {"session_id", "after", "from", "type", "Last-Event-ID"},
    "/v1/events": {"after", "type", "limit"},
    "/v1/events/stream": {"after", "from", "type", "Last-Event-ID"},
    "/v1/stream": {"after", "from", "Last-Event-ID"},
    "/v1/queries/{query}": {"query", "namespace", "session"},
    "/v1/queries/{query}/stream": {"query", "namespace", "session", "events", "after", "from", "Last-Event-ID"},
    "/stream/{query}": {"query", "from-beginning", "wait-for-query", "max-chunk-size"},
}


async def operations(api: Api) -> dict[tuple[str, str], dict[str, Any]]:
    paths = (await api.get("/openapi.json"))["paths"]
    return {(method, path): operation for path, item in paths.items() for method, operation in item.items()}


async def test_every_route_is_described(api: Api) -> None:
    found = await operations(api)

    assert found.keys() >= ROUTES
    for route, operation in found.items():
        assert operation["summary"], route
        assert operation["tags"], route


async def test_every_parameter_is_described(api: Api) -> None:
    found = await operations(api)

    for path, names in PARAMETERS.items():
        assert {parameter["name"] for parameter in found["get", path]["parameters"]} >= names, path


async def test_every_answer_has_an_example(api: Api) -> None:
    found = await operations(api)

    missing = [
        route
        for route in sorted(ROUTES)
        if not any("example" in content for content in found[route]["responses"]["200"].get("content", {}).values())
    ]
    assert missing == []
