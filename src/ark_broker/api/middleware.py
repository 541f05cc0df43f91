"""Request id, on every request and every log line of it."""

from __future__ import annotations

import re
import time
import uuid
from typing import Final

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ark_broker.api.errors import error_response, respond_to
from ark_broker.api.paths import routable
from ark_broker.model.errors import BadInput

_log = structlog.get_logger("ark_broker.access")

#: Printable ASCII, short: the id is echoed in a header and written to logs.
_ACCEPTABLE: Final = re.compile(rb"[\x21-\x7e]{1,128}")


class RequestContext:
    """Echoes `X-Request-ID`, or makes one; one debug line a request. Bodies are never logged.

    What no route foresaw is answered here, where the answer still gets its id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["ark_broker.request_id"] = request_id
        header = (b"x-request-id", request_id.encode("ascii"))
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception as error:
                if status:
                    raise  # in the middle of a response: all that is left is to cut it off
                response = respond_to(Request(scope), error)
                await response(scope, receive, send_with_id)
            finally:
                _log.debug(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    ms=round((time.perf_counter() - started) * 1000, 2),
                )


class PathSegments:
    """Names in the paths of `/v1` may have slashes: `%2F` is part of a name, and not the end of a segment."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path")
        if scope["type"] == "http" and raw is not None and b"%" in raw and raw.startswith(b"/v1/"):
            try:
                scope["path"] = routable(raw)
            except BadInput as error:
                response = error_response(
                    400,
                    "VALIDATION_ERROR",
                    str(error),
                    scope.get("ark_broker.request_id"),
                    extra={"field": error.field},
                )
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ACCEPTABLE.fullmatch(value):
            return bytes(value).decode("ascii")
    return str(uuid.uuid4())
