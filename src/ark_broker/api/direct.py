"""Hot routes, past FastAPI's own dispatch, which costs more than what they do. They are described as ordinary ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ark_broker.api.errors import respond_to
from ark_broker.api.services import Services, services_for

Handler = Callable[[Request, Services], Awaitable[Response]]


class Direct:
    """A route's function as a plain ASGI endpoint. Errors are answered as elsewhere."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._handler(request, services_for(scope))
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - answered in the house's shape
            response = respond_to(request, error)
        await response(scope, receive, send)


class HotRoutes:
    """Innermost of the middleware: hands (method, path) to their endpoints, all else to the router."""

    def __init__(self, app: ASGIApp, routes: Mapping[tuple[str, str], ASGIApp]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        await (found or self._app)(scope, receive, send)
