"""Who is it? Bearer tokens of the broker's own, of an issuer, of a cluster; and a browser's cookie."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

from ark_broker.access.grants import ANYBODY, PERMISSIONS, Grant, RateLimit, TokenRefused, VerifierUnavailable
from ark_broker.access.tickets import is_ticket, owner_of
from ark_broker.access.tokens import TOKEN_PREFIX, is_good
from ark_broker.api.kept_tokens import KeptTokens
from ark_broker.api.visits import Visits
from ark_broker.log.database import is_unavailable
from ark_broker.log.tokens import TokenStore
from ark_broker.model.errors import BadInput, Overloaded, RateLimited, Unauthorized

_log = structlog.get_logger(__name__)

#: What a browser that has logged in sends.
COOKIE: Final = "ark_broker_token"
#: Query parameter with a ticket, for readers that cannot send headers (a browser's EventSource).
TICKET: Final = "ticket"
#: Parameters that people put tokens into, which then are in every log on the way.
_NOT_IN_URLS: Final = ("token", "access_token", "api_key", "apikey")
#: Seconds between two looks at the tokens of what is open.
_LOOKED_AFTER: Final = 10.0
#: Nanoseconds that a stream is open by a ticket of whoever has no stored token: nobody can be asked after that one.
_LONGEST_BY_TICKET: Final = 3600_000_000_000
_LONGEST: Final = 16 * 1024
#: Seconds that a body is held up before it is looked at again.
_LONGEST_PAUSE: Final = 1.0
_WHO: Final = "send `Authorization: Bearer <token>`; `ark-broker token create` makes one"


class Verifier(Protocol):
    """Says who a token of somebody else's belongs to. Raises TokenRefused, VerifierUnavailable."""

    async def verify(self, token: str) -> Grant: ...


class Gate:
    """Decides who may come in. One a process."""

    def __init__(
        self,
        store: TokenStore,
        *,
        enabled: bool,
        admin_token: str | None = None,
        verifiers: tuple[Verifier, ...] = (),
        most_open: int = 1_000,
        looked_after_seconds: float = _LOOKED_AFTER,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.enabled = enabled
        self._admin = None if admin_token is None else admin_token.encode()
        self._verifiers = verifiers
        self._clock = clock
        self._limits = RateLimit(monotonic)
        #: Requests and streams that are open.
        self.visits = Visits(most_open, looked_after_seconds)
        #: The broker's own.
        self.tokens: Final = KeptTokens(store, self.visits.look_after, clock, monotonic)

    async def identify(self, headers: Mapping[str, str], parameters: Mapping[str, str]) -> tuple[Grant, bool]:
        """Who asks, and whether a cookie says so. Raises Unauthorized, RateLimited, BadInput, VerifierUnavailable."""
        grant, by_cookie, _ = await self.identify_with(headers, parameters)
        return grant, by_cookie

    async def identify_with(self, headers: Mapping[str, str], parameters: Mapping[str, str]) -> tuple[Grant, bool, str]:
        """The same, and the token that was shown."""
        if not self.enabled:
            return ANYBODY, False, ""
        for name in _NOT_IN_URLS:
            if name in parameters:
                raise BadInput("tokens do not belong into a URL: send `Authorization: Bearer <token>`", name)
        token = _bearer(headers.get("authorization"))
        if token is not None and TICKET in parameters:
            raise BadInput("is for those who send no `Authorization`", TICKET)
        by_cookie = token is None and TICKET not in parameters
        if token is None:
            token = parameters.get(TICKET) or _cookie(headers.get("cookie"))
        if not token:
            raise Unauthorized(f"who are you? {_WHO}")
        grant = await self.grant_of(token)
        if TICKET in parameters and not is_ticket(grant):
            raise BadInput("takes a ticket of `POST /v1/tickets`, not a token", TICKET)
        self.charge(grant, headers)
        return grant, by_cookie, token

    def charge(self, grant: Grant, headers: Mapping[str, str]) -> None:
        """Count one request against the token's share of this minute. Raises RateLimited."""
        length = headers.get("content-length", "")
        self._take(grant, 1, int(length[:15]) if length.isascii() and length.isdigit() else 0)

    def charge_bytes(self, grant: Grant, size: int) -> None:
        """Count bytes that no header had announced. Raises RateLimited."""
        self._take(grant, 0, size)

    def _take(self, grant: Grant, requests: int, size: int) -> None:
        wait = self._limits.take(owner_of(grant), requests, size)
        if wait > 0:
            raise RateLimited(f"the limit of {grant.name!r} for this minute is used up", max(1, round(wait + 0.5)))

    async def pace(self, grant: Grant, size: int) -> None:
        """Count bytes of a body whose length nobody said, and hold its sender up where they are too many."""
        owner = owner_of(grant)
        wait = self._limits.take(owner, 0, size)
        while wait > 0:
            await asyncio.sleep(min(wait, _LONGEST_PAUSE))
            wait = self._limits.take(owner, 0, size)

    @contextmanager
    def inside(self, grant: Grant) -> Iterator[None]:
        """While one of its requests is open. Raises RateLimited where there are too many at once."""
        with self.visits.inside(owner_of(grant).identity, grant.name):
            yield

    @contextmanager
    def held(self, grant: Grant, token: str, limit: asyncio.Timeout) -> Iterator[None]:
        """While a request is open with that token: `limit` runs out soon after the token, or its owner's, has ended."""
        opened = self._clock()

        async def still_good() -> bool:
            try:
                if is_ticket(grant):
                    return await self._owner_is_good(grant, opened)
                now = await self.grant_of(token)
            except Unauthorized:
                return False
            except Overloaded:
                return True
            except Exception as error:
                if not is_unavailable(error):
                    raise
                # Nobody can say now; what is open is no more than it was.
                return True
            return (now.permissions, now.namespaces) == (grant.permissions, grant.namespaces)

        with self.visits.held(token, still_good, limit):
            yield

    async def _owner_is_good(self, ticket: Grant, opened: int) -> bool:
        """A ticket opens a stream within its minute; the stream is as good as the token of whoever got the ticket."""
        owner = owner_of(ticket)
        if owner.token_id is None:
            return self._clock() - opened < _LONGEST_BY_TICKET
        stored = await self.tokens.look_up(owner.token_id)
        return stored is not None and is_good(stored, self._clock())

    async def grant_of(self, token: str) -> Grant:
        """What the token allows. Raises Unauthorized, VerifierUnavailable."""
        if len(token) > _LONGEST:
            raise Unauthorized("the token is not accepted")
        if token.startswith(TOKEN_PREFIX):
            return await self.tokens.grant_of(token)
        if self._admin is not None and hmac.compare_digest(token.encode(errors="replace"), self._admin):
            return Grant(name="admin-token", permissions=frozenset(PERMISSIONS), namespaces=None, via="admin")
        return await self._of_others(token)

    async def _of_others(self, token: str) -> Grant:
        """What somebody else's token allows. One who cannot say now keeps nobody from being asked in turn."""
        reasons, unavailable = [], None
        for verifier in self._verifiers:
            try:
                return await verifier.verify(token)
            except TokenRefused as refusal:
                reasons.append(refusal.reason)
            except VerifierUnavailable as error:
                unavailable = unavailable or error
                reasons.append(error.reason)
        if unavailable is not None:
            _log.warning("a token could not be checked", reasons=reasons)
            raise unavailable
        _log.info("a token was refused", reasons=reasons)
        raise Unauthorized("the token is not accepted")

    async def close(self) -> None:
        """Finish what is under way."""
        await self.visits.close()
        await self.tokens.close()


def _bearer(header: str | None) -> str | None:
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookie(header: str | None) -> str | None:
    for part in (header or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None
