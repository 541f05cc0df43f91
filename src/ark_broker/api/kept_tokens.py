"""The broker's own tokens over their life: made, believed for a while, rotated, revoked; and tickets."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from ark_broker.access.grants import Grant
from ark_broker.access.tickets import is_ticket, ticket_name
from ark_broker.access.tokens import StoredToken, new_token, parse_token, rotate, verify
from ark_broker.log.database import is_unavailable
from ark_broker.log.tokens import TokenStore
from ark_broker.model.errors import Conflict, Forbidden, NotFound, RateLimited, Unauthorized
from ark_broker.model.timestamps import rfc3339

TICKET_SECONDS: Final = 60
#: Tickets that one may have at once: each is a row, and whoever may read may ask for them.
MOST_TICKETS: Final = 100
#: Seconds that a token that was looked up is believed: so long a revoked one may live on other replicas.
_BELIEVED: Final = 10.0
_MOST_BELIEVED: Final = 10_000
#: Nanoseconds between two notes of a token's use.
_USE_NOTED: Final = 60_000_000_000
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Believed:
    token: StoredToken | None
    until: float


class KeptTokens:
    """What one process does with the table of tokens."""

    def __init__(
        self,
        store: TokenStore,
        changed: Callable[[], Awaitable[None]],
        clock: Callable[[], int],
        monotonic: Callable[[], int],
    ) -> None:
        """`changed` is called once a token was revoked or rotated. Clocks give nanoseconds."""
        self._store = store
        self._changed = changed
        self._clock = clock
        self._monotonic = monotonic
        self._known: OrderedDict[str, _Believed] = OrderedDict()
        self._noting: set[asyncio.Task[None]] = set()
        self._noted: dict[str, int] = {}

    async def grant_of(self, text: str) -> Grant:
        """What the token allows; its use is noted. Raises Unauthorized."""
        parsed = parse_token(text)
        if parsed is None:
            raise Unauthorized("the token is cut off, or mistyped")
        token_id, secret = parsed
        now = self._clock()
        grant = verify(await self.look_up(token_id), secret, now)
        if grant is None:
            raise Unauthorized("the token is not accepted")
        if now - self._noted.get(token_id, 0) > _USE_NOTED:
            self._note_use(token_id, now)
        return grant

    async def look_up(self, token_id: str) -> StoredToken | None:
        """What is kept of the token, or was a few seconds ago."""
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
        await asyncio.gather(*self._noting, return_exceptions=True)

    async def create(self, token: StoredToken) -> str:
        """Keep a token made of this; returns the text, which nobody can ask for again."""
        text, made = self._made(token)
        await self._store.add(made.id, made.created_at, _ENCODER.encode(made))
        return text

    def _made(self, token: StoredToken) -> tuple[str, StoredToken]:
        text, token_id, secret_hash = new_token()
        return text, msgspec.structs.replace(token, id=token_id, hash=secret_hash, created_at=self._clock())

    async def ticket(self, grant: Grant) -> str:
        """A token that may stand in a URL: it reads what `grant` reads, for a minute, and within the same limits.

        Raises Forbidden for the grant of a ticket, which would thus never end, and RateLimited for too many at once.
        """
        if is_ticket(grant):
            raise Forbidden("a ticket gives no further ticket")
        now = self._clock()
        ends = now + TICKET_SECONDS * _SECOND
        owner = None if grant.token_id is None else await self.look_up(grant.token_id)
        if owner is not None and owner.expires_at is not None:
            ends = min(ends, owner.expires_at)
        text, made = self._made(
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
                via=grant.via,
                issuer=grant.issuer,
            )
        )
        live = await self._store.add_ticket(
            made.id,
            made.created_at,
            _ENCODER.encode(made),
            owner=grant.identity,
            expires_at=ends,
            most=MOST_TICKETS,
        )
        if live is not None:
            wait = TICKET_SECONDS if live.first_ends_at is None else (live.first_ends_at - now) // _SECOND + 1
            raise RateLimited(
                f"{grant.name!r} has {live.count} tickets that are good still; they end by themselves", wait
            )
        return text

    async def every(self) -> list[StoredToken]:
        """All tokens, the newest first; tickets are left out."""
        return [
            msgspec.structs.replace(_decode(content), last_used_at=used or None)
            for content, used in await self._store.every()
        ]

    async def revoke(self, token_id: str) -> StoredToken:
        """It is good no more: here at once, on other replicas within ten seconds. Raises NotFound.

        What is open with it ends: here at once, elsewhere within twenty seconds.
        """
        while True:
            token, content = await self._read(token_id)
            if token.revoked_at is not None:
                return token
            token = msgspec.structs.replace(token, revoked_at=self._clock())
            # Whoever changes it at the same time does not keep it from being revoked.
            if await self._keep(token, content):
                return token

    async def rotate(self, token_id: str, grace_seconds: float) -> str:
        """A new secret; the one so far is good for `grace_seconds` more.

        Raises NotFound, and Conflict for one that was revoked, or is changed by somebody else at the same time.
        """
        before, content = await self._read(token_id)
        if before.revoked_at is not None:
            raise Conflict("the token was revoked: make a new one", [])
        text, token = rotate(before, self._clock(), int(grace_seconds * _SECOND))
        if not await self._keep(token, content):
            # Once more would end a secret that somebody was given just now.
            raise Conflict("the token is rotated or revoked by somebody else at this moment", [])
        return text

    async def stored(self, token_id: str) -> StoredToken:
        """What is kept of the token, but for its last use. Raises NotFound."""
        token, _ = await self._read(token_id)
        return token

    async def _read(self, token_id: str) -> tuple[StoredToken, bytes]:
        row = await self._store.get(token_id)
        if row is None:
            raise NotFound(f"no token {token_id[:64]!r}")
        return _decode(row[0]), row[0]

    async def _keep(self, token: StoredToken, before: bytes) -> bool:
        is_kept = await self._store.replace(token.id, before, _ENCODER.encode(token))
        self._known.pop(token.id, None)
        await self._changed()
        return is_kept


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
