"""`/mcp`, streamable HTTP: https://modelcontextprotocol.io/specification/2025-11-25/basic/transports

No request needs what another left in memory, so any replica serves any of them, and a restart ends no session. What
clients of the revisions before 2026-07-28 need of a session is its id: it is given out here, and links to a query.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import uuid
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ark_broker.access.grants import ANYBODY
from ark_broker.api.errors import message_of, retry_headers, status_of
from ark_broker.api.services import GRANT, Services
from ark_broker.mcp.asking import Asking
from ark_broker.model.errors import ArkBrokerError, TooLarge

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH: Final = "/mcp"
#: Bytes of a request; a question has at most a quarter of that.
MAX_BODY: Final = 1 << 20
_SESSION: Final = "mcp-session-id"
#: The specification: visible ASCII. The length is ours.
_SESSION_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")
_INVALID_REQUEST: Final = -32600
_INTERNAL_ERROR: Final = -32603


class McpEndpoint:
    """The ASGI endpoint. The SDK is loaded with the first request: who does not use it does not pay for it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asking = Asking()
        self._starting = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = _refusal(scope["method"], headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        try:
            body = await self._body(receive, headers)
        except ArkBrokerError as error:
            await _error(status_of(error), message_of(error), headers=retry_headers(error))(scope, receive, send)
            return
        message = _message(body)
        method, session_id = message.get("method"), headers.get(_SESSION)
        if method == "notifications/cancelled" and "id" not in message and session_id is not None:
            params = message.get("params")
            if isinstance(params, dict):
                reason = params.get("reason")
                await self._asking.canceled(
                    self._services.seen_by(scope.get(GRANT, ANYBODY)),
                    session_id,
                    params.get("requestId"),
                    reason if isinstance(reason, str) else None,
                )
            await Response(status_code=202)(scope, receive, send)
            return
        opened = uuid.uuid4().hex if method == "initialize" else None
        manager = await self._started()
        await manager.handle_request(scope, _replayed(body, receive), _naming(send, opened))

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        length = headers.get("content-length")
        if length is not None and length.isdigit() and int(length[:20]) > MAX_BODY:
            raise TooLarge(f"the body is larger than {MAX_BODY} bytes")
        async with self._services.intake.body(receive, headers.get("content-encoding"), length) as body:
            if len(body) > MAX_BODY:
                raise TooLarge(f"the body is larger than {MAX_BODY} bytes")
            return body

    async def _started(self) -> StreamableHTTPSessionManager:
        async with self._starting:
            if self._manager is None:
                manager = await asyncio.to_thread(self._load)
                up = asyncio.Event()
                self._running = asyncio.create_task(self._run(manager, up), name="mcp")
                await up.wait()
                self._manager = manager
            return self._manager

    def _load(self) -> StreamableHTTPSessionManager:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415 - see the class

        from ark_broker.mcp.server import McpServer  # noqa: PLC0415

        return StreamableHTTPSessionManager(
            McpServer(self._services, self._asking).sdk, stateless=True, max_request_body_size=MAX_BODY
        )

    async def _run(self, manager: StreamableHTTPSessionManager, up: asyncio.Event) -> None:
        # Its task group is entered and left by one task, as anyio wants it.
        async with manager.run():
            up.set()
            await self._stop.wait()

    async def close(self) -> None:
        """End what is still open."""
        self._stop.set()
        if self._running is not None:
            await self._running
        await self._asking.close()


def _refusal(method: str, headers: Headers) -> Response | None:
    origin = headers.get("origin")
    if origin is not None and not _is_local(origin):
        # A web page somewhere has no business here, also where its name was made to lead to this machine.
        return _error(403, "requests from web pages of other hosts are not served")
    session_id = headers.get(_SESSION)
    if session_id is not None and _SESSION_ID.fullmatch(session_id) is None:
        return _error(400, "Mcp-Session-Id: must be 1 to 256 visible ASCII characters")
    if method == "DELETE":
        return Response(status_code=204)  # nothing is kept of a session that could be ended
    if method != "POST":
        # There is no stream that the server would begin: a call's own stream has all that belongs to it.
        return _error(405, "only POST and DELETE are served here", headers={"Allow": "POST, DELETE"})
    return None


def _is_local(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    code = _INVALID_REQUEST if status < 500 else _INTERNAL_ERROR
    content = orjson.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}})
    return Response(content, status_code=status, media_type="application/json", headers=headers)


def _message(body: bytes) -> dict[str, object]:
    """The JSON-RPC message, as far as it is one: the SDK judges it."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _naming(send: Send, session_id: str | None) -> Send:
    """Gives the answer to `initialize` the id of the session that it opens."""
    if session_id is None:
        return send

    async def named(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            message["headers"] = [*message.get("headers", ()), (_SESSION.encode(), session_id.encode())]
        await send(message)

    return named


class McpRoute:
    """What the router holds: the endpoint itself lives as long as the app's lifespan."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = scope["app"].state.mcp
        assert isinstance(endpoint, McpEndpoint)
        await endpoint(scope, receive, send)
