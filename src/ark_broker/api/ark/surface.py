"""What Ark's programs may expect of every route they call.

Paths are case-insensitive and may end in a slash; a name in them may have a slash as `%2F`. HEAD works where GET does.
Any origin may read. Wrong methods are 404, JSON says its charset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ark_broker.api.errors import error_response
from ark_broker.api.paths import routable
from ark_broker.model.errors import BadInput

#: The paths, None for a name.
_ARK: Final = (
    ("health",),
    ("readyz",),
    ("metrics",),
    ("messages",),
    ("memory-status",),
    ("conversations",),
    ("conversations", None),
    ("conversations", None, "queries", None, "messages"),
    ("queries", None, "messages"),
    ("stream",),
    ("stream", None),
    ("stream", None, "complete"),
    ("traces",),
    ("traces", None),
    ("events",),
    ("events", None),
    ("sessions",),
    ("sessions", "queries", None),
    ("sessions", None),
    ("openapi.json",),
    ("api-docs",),
)
_OTLP: Final = (("v1", "traces"), ("v1", "logs"), ("v1", "metrics"))
#: First segments of what is not Ark's; the empty one is the dashboard's, `/`.
_OURS: Final = ("v1", "mcp", "ui", "")
_METHODS: Final = "GET,HEAD,PUT,PATCH,POST,DELETE"


class ArkSurface:
    """Sits before the routes; lets requests to `/v1` pass as they are, but that any origin may send OTLP."""

    def __init__(self, app: ASGIApp, origins: frozenset[str] | None = None) -> None:
        """`origins` are those whose pages may read; None for any."""
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        raw = scope.get("raw_path") or scope["path"].encode()
        try:
            segments = routable(raw).removeprefix("/").removesuffix("/").split("/")
        except BadInput as error:
            request_id = scope.get("ark_broker.request_id")
            response = error_response(400, "VALIDATION_ERROR", str(error), request_id, extra={"field": error.field})
            await response(scope, receive, send)
            return
        # What is nobody's path is answered as Ark's clients expect it too.
        is_ark = segments[0].lower() not in _OURS
        shape = _shape(segments, _ARK if is_ark else _OTLP)
        if shape is None and not is_ark:
            await self._app(scope, receive, send)
            return
        if shape is not None:
            scope["path"] = "/" + "/".join(
                segment if literal is None else literal for segment, literal in zip(segments, shape, strict=True)
            )
        scope["ark_broker.ark"] = is_ark
        is_preflight = is_ark or "access-control-request-method" in Headers(scope=scope)
        if scope["method"] == "OPTIONS" and is_preflight:
            await _preflight(scope, self._allowed(scope))(scope, receive, send)
        elif scope["method"] == "HEAD" and is_ark:
            await _head(self._app, scope, receive, _speaking(send, self._allowed(scope), is_ark=True))
        else:
            await self._app(scope, receive, _speaking(send, self._allowed(scope), is_ark=is_ark))

    def _allowed(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Headers that let a page of the request's origin read the answer."""
        if self._origins is None:
            return [_ANY_ORIGIN]
        origin = Headers(scope=scope).get("origin")
        allowed = [(b"vary", b"Origin")]
        if origin is not None and origin in self._origins:
            allowed.append((b"access-control-allow-origin", origin.encode("latin-1")))
        return allowed


def _shape(segments: Sequence[str], shapes: Sequence[tuple[str | None, ...]]) -> tuple[str | None, ...] | None:
    for shape in shapes:
        if len(shape) == len(segments) and all(
            literal is None or unquote(segment).lower() == literal
            for segment, literal in zip(segments, shape, strict=True)
        ):
            return shape
    return None


def _preflight(scope: Scope, allowed: list[tuple[bytes, bytes]]) -> Response:
    wanted = Headers(scope=scope).get("access-control-request-headers")
    headers = {
        "Access-Control-Allow-Methods": _METHODS,
        "Vary": "Access-Control-Request-Headers",
        "Content-Length": "0",
    }
    origin = dict(allowed).get(b"access-control-allow-origin")
    if origin is not None:
        headers["Access-Control-Allow-Origin"] = origin.decode("latin-1")
    if wanted is not None and wanted.isprintable() and len(wanted) <= 1_000:
        headers["Access-Control-Allow-Headers"] = wanted
    return Response(status_code=204, headers=headers)


_ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
#: Media types as Ark's broker spells them.
_SPELLED: Final = {
    b"application/json": b"application/json; charset=utf-8",
    b"text/event-stream; charset=utf-8": b"text/event-stream",
}


def _speaking(send: Send, allowed: list[tuple[bytes, bytes]], *, is_ark: bool) -> Send:
    async def speak(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), *allowed]
            if is_ark:
                headers = [
                    (name, _SPELLED.get(value, value)) if name == b"content-type" else (name, value)
                    for name, value in headers
                ]
            message["headers"] = headers
        await send(message)

    return speak


async def _head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """What GET would answer, without its body. A live stream ends as soon as it has begun."""
    begun = False

    async def begin(message: Message) -> None:
        nonlocal begun
        if message["type"] == "http.response.start":
            begun = True
            await send(message)

    async def receive_until_begun() -> Message:
        return {"type": "http.disconnect"} if begun else await receive()

    await app({**scope, "method": "GET"}, receive_until_begun, begin)
    await send({"type": "http.response.body", "body": b""})
