"""What the routes work with. `app.py` puts it together; a route gets it from its request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.datastructures import State
from starlette.types import Scope

from ark_broker.access.grants import ANYBODY, Grant
from ark_broker.api.ark.open_streams import OpenStreams
from ark_broker.api.intake import Intake
from ark_broker.log.database import Database
from ark_broker.log.maintenance import Maintenance
from ark_broker.log.read import Reader
from ark_broker.log.tail import Tail
from ark_broker.log.writer import Appended, Writer
from ark_broker.metrics import Metrics
from ark_broker.model import Event
from ark_broker.model.errors import LogUnavailable
from ark_broker.questions.desk import Desk
from ark_broker.receive.confine import confine
from ark_broker.receive.prices import PriceTable, needs_price
from ark_broker.receive.redaction import Redactor
from ark_broker.settings import Settings

#: Key of a request's scope with who sent it, where access is controlled.
GRANT: Final = "ark_broker.grant"


@dataclass(slots=True)
class Readiness:
    """Whether this process should get traffic. `draining` is set when it is told to stop."""

    draining: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """One process's parts."""

    settings: Settings
    database: Database
    writer: Writer
    reader: Reader
    tail: Tail
    maintenance: Maintenance
    intake: Intake
    metrics: Metrics
    prices: PriceTable
    desk: Desk
    readiness: Readiness = field(default_factory=Readiness)
    streams: OpenStreams = field(default_factory=OpenStreams)
    redactor: Redactor | None = None
    #: Who they are for. Where it is limited to namespaces, reads see those only, and what is sent belongs to them.
    grant: Grant = ANYBODY

    def seen_by(self, grant: Grant) -> Services:
        """The same parts, as far as `grant` goes."""
        if grant.namespaces is None:
            return replace(self, grant=grant)
        reader = self.reader.confined(grant.namespaces)
        return replace(self, grant=grant, reader=reader, desk=self.desk.reading(reader))

    def redact(self, events: Sequence[Event]) -> None:
        """Take out of the events what the rules name, before anybody sees them."""
        if self.redactor is not None:
            for event in events:
                self.redactor.redact(event)

    async def append(self, signal: str, events: Sequence[Event], *, fresh: bool = False) -> Appended:
        """Commit a request's events; counts them. `fresh`: see Writer.append.

        Raises Overloaded or LogUnavailable, and Forbidden for events of a namespace that is not the sender's.
        """
        if self.grant.namespaces is not None:
            confine(events, self.grant.namespaces)
        self.redact(events)
        self.metrics.received.labels(signal).inc(len(events))
        priced = [event for event in events if needs_price(event)]
        if priced and not self.prices.is_loaded:
            # The first call that needs a price loads the table, which takes a moment.
            await asyncio.to_thread(self.prices.price, priced)
        else:
            self.prices.price(priced)
        try:
            # What is queued is committed even when the request has to be told to come again, or its sender goes away:
            # it is stored once, however often it is sent.
            async with asyncio.timeout(self.settings.ack_timeout_seconds):
                appended = await self.writer.append(events, fresh=fresh)
        except TimeoutError:
            raise LogUnavailable("the database takes too long to commit") from None
        self.metrics.stored.inc(appended.stored)
        self.metrics.duplicates.inc(appended.duplicates)
        return appended


def services_of(state: State) -> Services:
    """The services that the app was built with."""
    services = state.services
    assert isinstance(services, Services)
    return services


def services_for(scope: Scope) -> Services:
    """The services as whoever sent the request may use them."""
    services = services_of(scope["app"].state)
    grant = scope.get(GRANT)
    return services if grant is None else services.seen_by(grant)


async def _from_request(request: Request) -> Services:
    # A coroutine: FastAPI would send a plain function through its thread pool, for every request.
    return services_for(request.scope)


Deps = Annotated[Services, Depends(_from_request)]
