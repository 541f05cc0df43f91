"""The one place where things are put together: parts, routes, the process's start and end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from ark_broker import __version__
from ark_broker.api import dashboard, errors, grpc_port, health, openapi
from ark_broker.api.ark import events as ark_events
from ark_broker.api.ark import messages as ark_messages
from ark_broker.api.ark import sessions as ark_sessions
from ark_broker.api.ark import stream as ark_stream
from ark_broker.api.ark import traces as ark_traces
from ark_broker.api.ark.surface import ArkSurface
from ark_broker.api.connection import GuardedHttp
from ark_broker.api.direct import Direct, HotRoutes
from ark_broker.api.elsewhere import Elsewhere, Neighbours
from ark_broker.api.gate import Gate
from ark_broker.api.guarded import Guarded
from ark_broker.api.intake import Intake
from ark_broker.api.middleware import PathSegments, RequestContext
from ark_broker.api.services import Readiness, Services
from ark_broker.api.v1 import (
    a2a,
    access,
    chat,
    deliveries,
    events,
    export,
    links,
    otlp,
    overview,
    queries,
    questions,
    replay,
    resume,
    sessions,
    traces,
)
from ark_broker.doors import check as check_doors
from ark_broker.doors import deliveries_from, gate_from, redactor_from
from ark_broker.log import schema
from ark_broker.log.database import Database, is_unavailable, open_database
from ark_broker.log.listen import Listener
from ark_broker.log.maintenance import LinkBounds, Maintenance
from ark_broker.log.read import Reader
from ark_broker.log.tail import Tail
from ark_broker.log.writer import Writer
from ark_broker.logs import configure
from ark_broker.mcp import endpoint as mcp
from ark_broker.mcp.endpoint import McpEndpoint
from ark_broker.metrics import Metrics
from ark_broker.model.errors import ArkBrokerError
from ark_broker.questions.desk import Desk
from ark_broker.receive.prices import PricesInvalid, PriceTable, price_table
from ark_broker.settings import Settings
from ark_broker.workers import supervise

if TYPE_CHECKING:
    from ark_broker.api.grpc import GrpcReceiver

_log = structlog.get_logger(__name__)

_DESCRIPTION = """One durable log, and one live view, for everything an LLM agent platform emits about a query."""


def open_from(settings: Settings) -> Database:
    """The database that the settings name; a SQLite file's directory is made."""
    if settings.sqlite_path is not None:
        settings.sqlite_path.parent.mkdir(parents=True, exist_ok=True)
    return open_database(
        settings.sqlalchemy_url,
        pool_size=settings.database_pool_size,
        sqlite_synchronous=settings.sqlite_synchronous,
    )


def prices_from(settings: Settings) -> PriceTable:
    """The price table that the settings name. Raises PricesInvalid."""
    if settings.prices is None:
        return price_table()
    try:
        return price_table(settings.prices.read_bytes())
    except OSError as error:
        raise PricesInvalid(f"cannot read the price table {settings.prices}: {error.strerror}") from None


def build(settings: Settings, database: Database) -> tuple[Services, Listener]:
    """The parts of one process, connected but not started."""
    metrics = Metrics()
    reader = Reader(database)
    tail = Tail(
        reader,
        ring_bytes=settings.ring_bytes,
        coalesce_seconds=settings.session_list_coalesce_ms / 1000,
    )
    writer = Writer(
        database,
        tail.publish,
        queue_bytes=settings.queue_bytes,
        commit_max_events=settings.commit_max_events,
        apart=settings.auth,
    )
    writer.stats.observe_commit = metrics.commit_seconds.observe
    writer.stats.observe_failure = metrics.commit_failures.inc
    redactor = redactor_from(settings)
    desk = Desk(writer, reader, tail, None if redactor is None else redactor.redact_body)
    maintenance = Maintenance(
        database,
        writer,
        trace_quiet_seconds=settings.trace_quiet_seconds,
        pack_after_seconds=settings.pack_after_seconds,
        retention_seconds={str(kind): age for kind, age in settings.retention.items()},
        deadlines=desk.look_after_deadlines,
        link_bounds=LinkBounds(
            settings.max_links,
            settings.link_retention_seconds,
            settings.max_unassigned,
            settings.unassigned_retention_seconds,
        ),
    )
    listener = Listener(database, reader, tail.heard, poll_seconds=settings.poll_seconds)
    metrics.listening.set_function(lambda: float(listener.listening))
    services = Services(
        settings=settings,
        database=database,
        writer=writer,
        reader=reader,
        tail=tail,
        maintenance=maintenance,
        intake=Intake(settings.queue_bytes, settings.max_body_bytes),
        metrics=metrics,
        prices=prices_from(settings),
        desk=desk,
        readiness=Readiness(),
        redactor=redactor,
    )
    return services, listener


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """The parts, started; stopped in the order that loses nothing: what is queued is committed first."""
    database = open_from(settings)
    services, listener = build(settings, database)
    try:
        if settings.sqlite_path is not None:
            await schema.migrate(database)
        else:
            await schema.check(database)
        await services.tail.start()
        services.writer.start()
        listener.start()
        services.maintenance.start()
        yield services
    finally:
        await services.maintenance.close()
        await services.writer.close()
        await listener.close()
        await services.tail.close()
        await database.close()


def create_app(settings: Settings) -> FastAPI:
    """The ASGI app. Its parts live as long as its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as resources:
            services = await resources.enter_async_context(running(settings))
            app.state.services, app.state.grpc = services, None
            app.state.gate = await gate_from(settings, services.database, resources)
            app.state.mcp = McpEndpoint(services)
            app.state.deliveries = deliveries_from(settings, services)
            await app.state.deliveries.start()
            resources.push_async_callback(app.state.deliveries.close)
            app.state.grpc = receiver = await _start_grpc(services, app.state.gate)
            try:
                yield
            finally:
                await app.state.mcp.close()
                if receiver is not None:
                    await receiver.stop()

    app = FastAPI(
        title="Ark Broker",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # The usual pages for it load their scripts from other hosts: ours is part of the dashboard's build.
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    # The hot routes are plain ASGI endpoints, and come first.
    for path, endpoint in otlp.endpoints().items():
        app.router.routes.append(Route(path, endpoint, methods=None, include_in_schema=False))
    app.router.routes.append(Route(mcp.PATH, mcp.McpRoute(), methods=None, include_in_schema=False))
    app.router.routes.append(Route("/stream/{rest:path}", ark_stream.StreamEndpoint(), include_in_schema=False))
    app.router.routes.extend(dashboard.routes())
    for resource in (
        health,
        events,
        sessions,
        queries,
        questions,
        a2a,
        traces,
        links,
        replay,
        resume,
        export,
        overview,
        chat,
        access,
        deliveries,
    ):
        app.include_router(resource.router)
    for resource in (ark_messages, ark_events, ark_sessions, ark_traces, ark_stream):
        app.include_router(resource.router)
    errors.install(app)
    openapi.install(app)
    hot = {("POST", path): endpoint for path, endpoint in otlp.endpoints().items()}
    hot[("POST", "/events")] = Direct(ark_events.post_event)
    hot[("POST", "/messages")] = Direct(ark_messages.post_messages)
    app.add_middleware(HotRoutes, routes=hot)
    app.add_middleware(Guarded)
    app.add_middleware(PathSegments)
    app.add_middleware(ArkSurface, origins=settings.allowed_origins)
    if not settings.auth:
        neighbours = Neighbours(settings.allowed_origins or (), settings.own_hosts, is_loopback=settings.is_loopback)
        app.add_middleware(Elsewhere, neighbours=neighbours)
    app.add_middleware(RequestContext)
    return app


async def _start_grpc(services: Services, gate: Gate) -> GrpcReceiver | None:
    """The receiver of OTLP/gRPC, listening; None where there is none. Raises SettingsError where one was asked for."""
    settings = services.settings
    if not grpc_port.wanted(settings):
        return None
    # What the library would write to stderr about a client's mistakes is no log line; the client is told.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from ark_broker.api.grpc import GrpcReceiver  # noqa: PLC0415 - grpcio is an extra

    receiver = GrpcReceiver(services, gate)
    try:
        await receiver.start()
    except RuntimeError as error:
        if grpc_port.asked_for(settings):
            raise grpc_port.taken(settings, error) from None
        grpc_port.warn_taken(settings, error)
        return None
    return receiver


def _operation_id(route: APIRoute) -> str:
    is_ark = any(str(tag).startswith("ark") for tag in route.tags)
    return f"ark_{route.name}" if is_ark else route.name


def _drain(app: FastAPI) -> None:
    """Let live streams end and take no new gRPC calls, while the open requests finish."""
    app.state.services.tail.finish_followers()
    if app.state.grpc is not None:
        app.state.grpc.begin_stop()


class _Server(uvicorn.Server):
    """Tells the app at once when it has to go: live streams end, and requests finish, while uvicorn waits."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        services = getattr(self._app.state, "services", None)
        if isinstance(services, Services) and not services.readiness.draining:
            services.readiness.draining = True
            # A signal handler runs between two bytecodes of the loop: streams are woken from the loop itself.
            asyncio.get_event_loop().call_soon_threadsafe(_drain, self._app)
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but without raising the signal again afterwards: a clean stop is exit code 0."""
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {sig: signal.signal(sig, self.handle_exit) for sig in handled}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _config(settings: Settings, app: FastAPI | str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=GuardedHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        timeout_keep_alive=75,
    )


def _serve(settings: Settings, sockets: list[socket.socket] | None) -> int:
    configure(settings)
    if settings.is_exposed:
        _log.warning("without authentication: whoever reaches it may read and remove everything", host=settings.host)
    app = create_app(settings)
    server = _Server(_config(settings, app), app)
    server.run(sockets=sockets)
    return 0 if server.started else 1


def _worker(settings: Settings, sockets: list[socket.socket]) -> None:
    sys.exit(_serve(settings, sockets))


def run(settings: Settings) -> int:
    """Serve until told to stop; returns the exit code: 0 after a clean stop, 1 where it could not start."""
    configure(settings)
    try:
        prices_from(settings)
        check_doors(settings)
        asyncio.run(_preflight(settings))
        settings, held = grpc_port.prepare(settings)
    except ArkBrokerError as error:
        _complain(str(error))
        return 1
    except Exception as error:
        if not is_unavailable(error):
            raise
        _complain(f"cannot reach the database ({settings.database_label}): {error}")
        return 1
    try:
        if settings.workers == 1:
            return _serve(settings, None)
        listener = _config(settings, "").bind_socket()
        return supervise(settings.workers, partial(_worker, settings), listener)
    except SystemExit as stop:
        return 1 if stop.code else 0
    finally:
        for holder in held:
            holder.close()


async def _preflight(settings: Settings) -> None:
    """Find out before a socket is open that the database is not there, or not up to date."""
    database = open_from(settings)
    if settings.sqlite_path is not None:
        await database.close()
        return
    try:
        await schema.check(database)
    finally:
        await database.close()


def migrate(settings: Settings) -> str:
    """Bring the database's schema up to date; returns what was done, in one line."""

    async def upgrade() -> tuple[str | None, str]:
        database = open_from(settings)
        try:
            return await schema.migrate(database)
        finally:
            await database.close()

    before, after = asyncio.run(upgrade())
    if before == after:
        return f"{settings.database_label}: the schema is up to date ({after})"
    return f"{settings.database_label}: migrated from {before or 'empty'} to {after}"


def _complain(message: str) -> None:
    sys.stderr.write(f"ark-broker: {message}\n")
