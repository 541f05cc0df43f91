"""What each route takes: the one list, which the gate asks, the OpenAPI document shows and a test walks.

open      anybody: it shows nothing of anybody's
any       whoever is known; the route looks closer itself
ingest    whoever may send
read      whoever may look
answer    whoever may answer questions
admin     whoever may remove, correct and give access
operator  admin, read for `GET`, of all namespaces: what is there cannot be parted by namespace
"""

from __future__ import annotations

from typing import Final, Literal

from ark_broker.access.grants import Permission

Need = Literal["open", "any", "ingest", "read", "answer", "admin", "operator"]

#: (method, path): `*` is one segment, `**` any number. The first that fits counts; what none fits is `operator`.
_RULES: Final[tuple[tuple[str, str, Need], ...]] = (
    ("GET", "/", "open"),
    ("GET", "/ui", "open"),
    ("GET", "/ui/**", "open"),
    ("GET", "/health", "open"),
    ("GET", "/readyz", "open"),
    ("GET", "/docs", "open"),
    ("GET", "/api-docs", "open"),
    ("GET", "/openapi.json", "open"),
    ("GET", "/v1/schemas/*", "open"),
    ("POST", "/v1/login", "open"),
    ("POST", "/v1/logout", "open"),
    ("GET", "/v1/me", "any"),
    ("POST", "/v1/tickets", "read"),
    ("GET", "/metrics", "operator"),
    ("*", "/v1/tokens", "operator"),
    ("*", "/v1/tokens/**", "operator"),
    ("*", "/v1/webhooks", "operator"),
    ("*", "/v1/webhooks/**", "operator"),
    ("*", "/v1/deliveries", "operator"),
    ("*", "/v1/deliveries/**", "operator"),
    ("*", "/mcp", "any"),
    ("POST", "/v1/traces", "ingest"),
    ("POST", "/v1/logs", "ingest"),
    ("POST", "/v1/metrics", "ingest"),
    ("POST", "/v1/events", "ingest"),
    ("POST", "/v1/a2a/*", "ingest"),
    ("POST", "/v1/questions", "ingest"),
    ("POST", "/v1/questions/*/answer", "answer"),
    ("POST", "/v1/questions/*/cancel", "answer"),
    # It only reads what a query streams.
    ("POST", "/v1/chat/completions", "read"),
    ("GET", "/v1/**", "read"),
    ("DELETE", "/v1/sessions/*", "admin"),
    # Ark's surface.
    ("POST", "/messages", "ingest"),
    ("POST", "/conversations", "ingest"),
    ("POST", "/events", "ingest"),
    ("POST", "/traces", "ingest"),
    ("POST", "/sessions", "ingest"),
    ("POST", "/stream/**", "ingest"),
    ("GET", "/messages", "read"),
    ("GET", "/memory-status", "read"),
    ("GET", "/conversations", "read"),
    ("GET", "/conversations/**", "read"),
    ("GET", "/queries/*/messages", "read"),
    ("GET", "/stream", "read"),
    ("GET", "/stream/*", "read"),
    ("GET", "/traces", "read"),
    ("GET", "/traces/*", "read"),
    ("GET", "/events", "read"),
    ("GET", "/events/*", "read"),
    ("GET", "/sessions", "read"),
    ("GET", "/sessions/*", "read"),
)
_PARTED: Final = tuple((method, tuple(path.split("/")[1:]), need) for method, path, need in _RULES)


def need_of(method: str, path: str) -> Need:
    """What a request takes, by its method and path (or the path's template)."""
    method = "GET" if method == "HEAD" else method
    segments = path.split("/")[1:]
    return next(
        (need for allowed, pattern, need in _PARTED if allowed in ("*", method) and _fits(segments, pattern)),
        "operator",
    )


def permission_for(need: Need, method: str) -> Permission | None:
    """The permission that it comes down to; None where there is none to have."""
    match need:
        case "open" | "any":
            return None
        case "operator":
            return "read" if method in ("GET", "HEAD") else "admin"
    return need


def _fits(segments: list[str], pattern: tuple[str, ...]) -> bool:
    if pattern[-1] == "**":
        head = pattern[:-1]
        return len(segments) > len(head) and all(map(_same, segments, head))
    return len(segments) == len(pattern) and all(map(_same, segments, pattern))


def _same(segment: str, pattern: str) -> bool:
    return pattern in ("*", segment)
