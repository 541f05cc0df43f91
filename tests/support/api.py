"""A broker inside the test's own event loop, behind a real socket: fast to start, and its parts can be looked at."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import structlog
import uvicorn
from starlette.routing import BaseRoute, Route

from ark_broker.api.connection import GuardedHttp
from ark_broker.api.services import Services
from ark_broker.app import create_app, migrate
from ark_broker.settings import load_settings
from tests.support.events import NOON
from tests.support.otlp import PROTOBUF, traces
from tests.support.waiting import until


@dataclass
class Api:
    """The broker, reached over HTTP."""

    http: httpx.AsyncClient
    services: Services
    #: What the broker has logged.
    logs: list[structlog.types.EventDict]

    def errors(self) -> list[structlog.types.EventDict]:
        """What it has logged as an error: bugs. At the end there must be none."""
        return [entry for entry in self.logs if entry["log_level"] in ("error", "critical")]

    async def spans(self, *spans: dict[str, Any]) -> None:
        """Send spans and wait until they are stored."""
        content = traces(*spans).SerializeToString()
        response = await self.http.post("/v1/traces", content=content, headers=PROTOBUF)
        assert (response.status_code, response.content) == (200, b"")

    async def events(self, *events: dict[str, Any]) -> None:
        """Send custom events; without a `time` of their own they follow each other by a second."""
        timed = [{"time": NOON + number * 1_000_000_000} | event for number, event in enumerate(events)]
        response = await self.http.post("/v1/events", json=timed)
        assert response.status_code == 200, response.text

    async def chunks(self, query: str, *lines: str) -> dict[str, Any]:
        """Post NDJSON lines; returns the answer."""
        response = await self.http.post(f"/stream/{query}", content="".join(f"{line}\n" for line in lines))
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def complete(self, query: str) -> str:
        """Mark the query's stream complete; returns the status said."""
        response = await self.http.post(f"/stream/{query}/complete", json={})
        assert response.status_code == 200, response.text
        found: str = response.json()["status"]
        return found

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The JSON at `path`, which must answer 200."""
        response = await self.http.get(path, params=params)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def followed(self) -> None:
        """Wait until somebody follows a stream, or waits for an answer."""

        async def is_followed() -> bool:
            return self.services.tail.follower_count > 0

        await until(is_followed, what="somebody to follow")

    async def error(self, path: str, status: int, method: str = "GET", **request: Any) -> dict[str, Any]:
        """The `error` object of an answer with this status, in the house's shape."""
        async with self.http.stream(method, path, **request) as response:
            # Not read before it is known to be an error: a live stream would have no end.
            assert response.status_code == status, response
            await response.aread()
        assert response.headers["content-type"].partition(";")[0] == "application/json"
        body = response.json()
        assert set(body) == {"error"}
        found: dict[str, Any] = body["error"]
        assert {"code", "message", "requestId"} <= set(found)
        assert found["requestId"] == response.headers["x-request-id"]
        return found


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


StartApi = Callable[..., AbstractAsyncContextManager[Api]]


@cache
def _included() -> list[BaseRoute]:
    """The routers that every app includes: FastAPI works out their routes with the first request of each app.

    That takes longer than most tests.
    """
    return [route for route in create_app(load_settings()).router.routes if not isinstance(route, Route)]


@asynccontextmanager
async def serve(database_url: str, **settings: Any) -> AsyncIterator[Api]:
    """A broker on that database, migrated. Fails at the end where it has logged an error."""
    with structlog.testing.capture_logs() as logs:
        async with _serving(database_url, settings, logs) as api:
            yield api
    errors = api.errors()
    assert not errors, errors


@asynccontextmanager
async def _serving(
    database_url: str, settings: dict[str, Any], logs: list[structlog.types.EventDict]
) -> AsyncIterator[Api]:
    loaded = load_settings({"database_url": database_url, "grpc_port": 0, "ack_timeout_seconds": 60, **settings})
    await asyncio.to_thread(migrate, loaded)
    app = create_app(loaded)
    app.router.routes[:] = [route for route in app.router.routes if isinstance(route, Route)] + _included()
    config = uvicorn.Config(
        app,
        http=GuardedHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        running = asyncio.create_task(server.serve(sockets=[listener]))

        async def started() -> bool:
            assert not running.done(), "it ended while it started"
            return server.started

        await until(started)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
                yield Api(http, app.state.services, logs)
        finally:
            app.state.services.tail.finish_followers()
            server.should_exit = True
            await running
