"""The middleware that asks, before any route runs, who it is and whether they may; and notes what they changed."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ark_broker.access.grants import ANYBODY, Grant
from ark_broker.api.audit import audit_event
from ark_broker.api.errors import request_id_of, respond_to
from ark_broker.api.gate import Gate
from ark_broker.api.permissions import Need, need_of, permission_for
from ark_broker.api.services import GRANT, services_of
from ark_broker.api.v1 import otlp
from ark_broker.model import Event
from ark_broker.model.errors import ArkBrokerError, Forbidden, RateLimited, Unauthorized

_log = structlog.get_logger(__name__)

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
#: Where bodies are that have no end in sight.
_STREAMS: Final = "/stream/"
#: What producers post to all day long: they only send, and need not be looked up in the list of routes.
HOT: Final = frozenset({"/v1/traces", "/v1/logs", "/v1/metrics", "/v1/events", "/events", "/messages"})


class Guarded:
    """Stands before the routes. Without authentication every request passes, and what it changes is noted still."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gate = scope["app"].state.gate if scope["type"] == "http" else None
        if not isinstance(gate, Gate):
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        if not gate.enabled:
            if not _is_hot(method, path) and method not in _SAFE and _is_noted(need_of(method, path), method):
                send = _audited(scope, send, ANYBODY)
            await self._app(scope, receive, send)
            return
        need = need_of(method, path)
        if need == "open":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            parameters = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            grant, by_cookie, token = await gate.identify_with(headers, parameters)
            _check(grant, need, method)
            if by_cookie and method not in _SAFE:
                _check_origin(headers)
        except ArkBrokerError as error:
            await _refusal(scope, error)(scope, receive, send)
            return
        scope[GRANT] = grant
        if _is_noted(need, method):
            send = _audited(scope, send, grant)
        if grant.bytes_per_minute is not None and "content-length" not in headers:
            receive = _paced(gate, grant, receive) if path.startswith(_STREAMS) else _counted(gate, grant, receive)
        answer = _Answer(send)
        try:
            async with asyncio.timeout(None) as limit:
                with gate.inside(grant), gate.held(grant, token, limit):
                    await self._app(scope, receive, answer.send)
        except RateLimited as error:
            await _refusal(scope, error)(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            await answer.end(scope, receive)


class _Answer:
    """What was sent of an answer that may have to end early."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = self._whole = self._sized = False

    async def send(self, message: Message) -> None:
        """Pass it on."""
        if message["type"] == "http.response.start":
            self._begun = True
            self._sized = any(name == b"content-length" for name, _ in message["headers"])
        self._whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def end(self, scope: Scope, receive: Receive) -> None:
        """The token is not good any more: a stream is over, and who comes again is told why."""
        if not self._begun:
            refusal = _refusal(scope, Unauthorized("the token is not accepted any more"))
            # Who is still sending finds out by the connection: many clients read no answer before they have sent all.
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, self._send)
        elif not self._whole and not self._sized:
            # (One that has said how long it is breaks off.)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _paced(gate: Gate, grant: Grant, receive: Receive) -> Receive:
    """A body that may go on for hours is not refused in the middle: its sender has to wait."""

    async def paced() -> Message:
        message = await receive()
        if size := len(message.get("body", b"")):
            await gate.pace(grant, size)
        return message

    return paced


def _counted(gate: Gate, grant: Grant, receive: Receive) -> Receive:
    """Any other body is read within a time, which who is held up would not keep: its route gets RateLimited."""

    async def counted() -> Message:
        message = await receive()
        if size := len(message.get("body", b"")):
            gate.charge_bytes(grant, size)
        return message

    return counted


def _check(grant: Grant, need: Need, method: str) -> None:
    permission = permission_for(need, method)
    if permission is not None and not grant.may(permission):
        raise Forbidden(f"{grant.name!r} has not the permission `{permission}`")
    if need == "operator" and grant.is_limited:
        raise Forbidden(f"{grant.name!r} is limited to namespaces, and this is about all of them")


def _check_origin(headers: Headers) -> None:
    """A cookie is sent by whatever page makes the browser send it: only our own page may change anything.

    Raises Forbidden.
    """
    if headers.get("sec-fetch-site") == "same-origin":
        return
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc != headers.get("host"):
        raise Forbidden("a request with a cookie has to come from the broker's own page")


def _refusal(scope: Scope, error: ArkBrokerError) -> Response:
    if otlp.signal_of(scope["path"]) is not None and scope["method"] == "POST":
        return otlp.refusal(Headers(scope=scope), error)
    return respond_to(Request(scope), error)


def _is_hot(method: str, path: str) -> bool:
    return method == "POST" and (path in HOT or path.startswith(_STREAMS))


def _is_noted(need: Need, method: str) -> bool:
    """True for what removes, corrects and gives access."""
    return need in ("admin", "operator") and method not in _SAFE


def _audited(scope: Scope, send: Send, grant: Grant) -> Send:
    """Notes the request in the log before its answer goes out, where it was carried out."""

    async def audited(message: Message) -> None:
        if message["type"] == "http.response.start" and 200 <= message["status"] < 300:
            try:
                await services_of(scope["app"].state).append("audit", [_event(scope, grant, message["status"])])
            except ArkBrokerError as error:
                # It was done: to say that it failed would be a lie, and to say nothing would be another.
                _log.error("an audit event was not stored", by=grant.name, path=scope["path"], reason=str(error))
        await send(message)

    return audited


def _event(scope: Scope, grant: Grant, status: int) -> Event:
    return audit_event(
        grant,
        {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "requestId": request_id_of(Request(scope)),
            "client": None if scope.get("client") is None else scope["client"][0],
        },
    )
