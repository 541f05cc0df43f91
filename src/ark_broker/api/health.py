"""`GET /health`, `/readyz`, `/metrics`."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from ark_broker.api.services import Deps

#: Kubernetes asks every few seconds: a database that takes longer than this is none to work with.
READY_SECONDS: Final = 2.0

router = APIRouter(tags=["health"])


@router.get("/health", summary="Is the process alive?", response_class=HTMLResponse)
async def health() -> Response:
    return HTMLResponse("OK")


@router.get(
    "/readyz",
    summary="Should this process get traffic?",
    description="Database reachable (its schema was checked at start), writer alive, not shutting down.",
    response_class=HTMLResponse,
)
async def ready(services: Deps) -> Response:
    problem = ""
    if services.readiness.draining:
        problem = "shutting down"
    elif not services.writer.alive:
        problem = "the writer has stopped"
    else:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await services.reader.head()
        except Exception:  # noqa: BLE001 - whatever it was: not ready
            problem = "the database does not answer"
    if problem:
        return PlainTextResponse(f"not ready: {problem}", status_code=503, headers={"Retry-After": "1"})
    return HTMLResponse("OK")


@router.get("/api-docs", include_in_schema=False)
async def api_docs() -> Response:
    return RedirectResponse("/docs")


@router.get("/metrics", summary="Prometheus metrics of this process", response_class=PlainTextResponse)
async def metrics(services: Deps) -> Response:
    found = services.metrics
    found.queue_bytes.set(services.writer.queued_bytes)
    found.intake_bytes.set(services.intake.used)
    found.lag.set(services.tail.lag)
    links = services.maintenance.link_stats
    found.links.set(links.links)
    found.waiting.set(links.waiting)
    found.forgotten_links.set(links.forgotten_links)
    found.forgotten_waiting.set(links.forgotten_waiting)
    if services.redactor is not None:
        for rule, count in services.redactor.counts.items():
            found.redacted.labels(rule).set(count)
    return Response(found.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
