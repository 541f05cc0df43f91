"""Who is it? Bearer tokens of the broker's own, of an issuer, of a cluster; and a browser's cookie."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import structlog

from ark_broker.access.grants import ANYBODY, PERMISSIONS, Grant, RateLimit, TokenRefused
from ark_broker.access.tickets import is_ticket, is_ticket_name, owner_of, ticket_name
from ark_broker.access.tokens import TOKEN_PREFIX, StoredToken, is_good, new_token, parse_token, rotate, verify
from ark_broker.api.visits import Visits
from ark_broker.log.database import is_unavailable
from ark_broker.log.tokens import TokenStore
from ark_broker.model.errors import BadInput, Forbidden, NotFound, Overloaded, RateLimited, Unauthorized
from ark_broker.model.timestamps import rfc3339

_log = structlog.get_logger(__name__)

#: What a browser that has logged in sends.
COOKIE: Final = "ark_broker_token"
#: Query parameter with a ticket, for readers that cannot send headers (a browser's EventSource).
TICKET: Final = "ticket"
TICKET_SECONDS: Final = 60
#: Parameters that people put tokens into, which then are in every log on the way.
_NOT_IN_URLS: Final = ("token", "access_token", "api_key", "apikey")
#: Seconds that a token that was looked up is believed: so long a revoked one may live on other replicas.
_BELIEVED: Final = 10.0
_MOST_BELIEVED: Final = 10_000
#: Seconds between two looks at the tokens of what is open.
_LOOKED_AFTER: Final = 10.0
#: Nanoseconds that a stream is open by a ticket of whoever has no stored token: nobody can be asked after that one.
_LONGEST_BY_TICKET: Final = 3600_000_000_000
#: Nanoseconds between two notes of a token's use.
_USE_NOTED: Final = 60_000_000_000
#: Nanoseconds between two times that expired tickets are forgotten.
_SWEPT: Final = 60_000_000_000
_SECOND: Final = 1_000_000_000
_LONGEST: Final = 16 * 1024
#: Seconds that a body is held up before it is looked at again.
_LONGEST_PAUSE: Final = 1.0
_WHO: Final = "send `Authorization: Bearer <token>`; `ark-broker token create` makes one"


class Verifier(Protocol):
    """Says who a token of somebody else's belongs to. Raises TokenRefused, VerifierUnavailable."""

    async def verify(self, token: str) -> Grant: ...


@dataclass(frozen=True, slots=True)
class _Believed:
    token: StoredToken | None
    until: float


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
        self._store = store
        self.enabled = enabled
        self._admin = None if admin_token is None else admin_token.encode()
        self._verifiers = verifiers
        self._clock = clock
        self._monotonic = monotonic
        self._limits = RateLimit(monotonic)
        self._known: OrderedDict[str, _Believed] = OrderedDict()
        #: Requests and streams that are open.
        self.visits = Visits(most_open, looked_after_seconds)
        self._noting: set[asyncio.Task[None]] = set()
        self._noted: dict[str, int] = {}
        #: When expired tickets were last forgotten.
        self._swept = 0

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
        owner = owner_of(grant)
        with self.visits.inside(owner.token_id or owner.name, grant.name):
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
        stored = await self._look_up(owner.token_id)
        return stored is not None and is_good(stored, self._clock())

    async def grant_of(self, token: str) -> Grant:
        """What the token allows. Raises Unauthorized, VerifierUnavailable."""
        if len(token) > _LONGEST:
            raise Unauthorized("the token is not accepted")
        if token.startswith(TOKEN_PREFIX):
            return await self._own(token)
        if self._admin is not None and hmac.compare_digest(token.encode(errors="replace"), self._admin):
            return Grant(name="admin-token", permissions=frozenset(PERMISSIONS), namespaces=None)
        reasons = []
        for verifier in self._verifiers:
            try:
                return await verifier.verify(token)
            except TokenRefused as refusal:
                reasons.append(refusal.reason)
        _log.info("a token was refused", reasons=reasons)
        raise Unauthorized("the token is not accepted")

    async def _own(self, token: str) -> Grant:
        parsed = parse_token(token)
        if parsed is None:
            raise Unauthorized("the token is cut off, or mistyped")
        token_id, secret = parsed
        now = self._clock()
        stored = await self._look_up(token_id)
        grant = verify(stored, secret, now)
        if grant is None:
            raise Unauthorized("the token is not accepted")
        if now - self._noted.get(token_id, 0) > _USE_NOTED:
            self._note_use(token_id, now)
        return grant

    async def _look_up(self, token_id: str) -> StoredToken | None:
        now = self._monotonic() / _SECOND
        known = self._known.get(token_id)
        if known is None or known.until < now:
            row = await self._store.get(token_id)
            known = _Believed(None if row is None else _decode(row[0]), now + _BELIEVED)
            self._known[token_id] = known
            self._known.move_to_end(token_id)
            if len(self._known) > _MOST_BELIEVED:
                gone, _ = self._known.popitem(last=False)
                self._noted.pop(gone, None)
        return known.token

    def _note_use(self, token_id: str, now: int) -> None:
        self._noted[token_id] = now

        async def note() -> None:
            try:
                await self._store.used(token_id, now)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                self._noted.pop(token_id, None)

        task = asyncio.get_running_loop().create_task(note(), name="token-use")
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def close(self) -> None:
        """Finish what is under way."""
        await self.visits.close()
        await asyncio.gather(*self._noting, return_exceptions=True)

    # -- the tokens themselves

    async def create(self, token: StoredToken) -> str:
        """Keep a token made of this; returns the text, which nobody can ask for again."""
        text, token_id, secret_hash = new_token()
        made = msgspec.structs.replace(token, id=token_id, hash=secret_hash, created_at=self._clock())
        await self._store.add(token_id, made.created_at, _ENCODER.encode(made))
        return text

    async def ticket(self, grant: Grant) -> str:
        """A token for one URL: it reads what `grant` reads, for a minute, and within the same limits.

        Raises Forbidden for the grant of a ticket, which would thus never end.
        """
        if is_ticket(grant):
            raise Forbidden("a ticket gives no further ticket")
        now = self._clock()
        if now - self._swept > _SWEPT:
            self._swept = now
            await self.every()
        ends = now + TICKET_SECONDS * _SECOND
        owner = None if grant.token_id is None else await self._look_up(grant.token_id)
        if owner is not None and owner.expires_at is not None:
            ends = min(ends, owner.expires_at)
        return await self.create(
            StoredToken(
                id="",
                name=ticket_name(grant),
                hash=b"",
                permissions=frozenset({"read"}),
                namespaces=grant.namespaces,
                created_at=now,
                expires_at=ends,
                requests_per_minute=grant.requests_per_minute,
                bytes_per_minute=grant.bytes_per_minute,
            )
        )

    async def every(self) -> list[StoredToken]:
        """All tokens, the newest first; tickets are left out, and forgotten once they have expired."""
        found = []
        for content, used in await self._store.every():
            token = _decode(content)
            if is_ticket_name(token.name):
                if token.expires_at is not None and token.expires_at < self._clock():
                    await self._store.remove(token.id)
                continue
            found.append(msgspec.structs.replace(token, last_used_at=used or None))
        return found

    async def revoke(self, token_id: str) -> StoredToken:
        """It is good no more: here at once, on other replicas within ten seconds. Raises NotFound.

        What is open with it ends: here at once, elsewhere within twenty seconds.
        """
        token = await self.stored(token_id)
        if token.revoked_at is None:
            token = msgspec.structs.replace(token, revoked_at=self._clock())
            await self._keep(token)
        return token

    async def rotate(self, token_id: str, grace_seconds: float) -> str:
        """A new secret; the one so far is good for `grace_seconds` more. Raises NotFound."""
        text, token = rotate(await self.stored(token_id), self._clock(), int(grace_seconds * _SECOND))
        await self._keep(token)
        return text

    async def stored(self, token_id: str) -> StoredToken:
        """What is kept of the token, but for its last use. Raises NotFound."""
        row = await self._store.get(token_id)
        if row is None:
            raise NotFound(f"no token {token_id[:64]!r}")
        return _decode(row[0])

    async def _keep(self, token: StoredToken) -> None:
        await self._store.replace(token.id, _ENCODER.encode(token))
        self._known.pop(token.id, None)
        await self.visits.look_after()


_ENCODER: Final = msgspec.msgpack.Encoder()
_decode: Final = msgspec.msgpack.Decoder(StoredToken).decode


def token_json(token: StoredToken) -> dict[str, object]:
    """A token as the API shows it: nothing of its secret."""

    def time_of(at: int | None) -> str | None:
        return None if at is None else rfc3339(at)

    found: dict[str, object] = {
        "id": token.id,
        "name": token.name,
        "permissions": sorted(token.permissions),
        "namespaces": None if token.namespaces is None else sorted(token.namespaces),
        "createdAt": time_of(token.created_at),
        "expiresAt": time_of(token.expires_at),
        "revokedAt": time_of(token.revoked_at),
        "lastUsedAt": time_of(token.last_used_at),
        "requestsPerMinute": token.requests_per_minute,
        "bytesPerMinute": token.bytes_per_minute,
    }
    return {key: value for key, value in found.items() if value is not None or key == "namespaces"}


def _bearer(header: str | None) -> str | None:
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookie(header: str | None) -> str | None:
    for part in (header or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None
