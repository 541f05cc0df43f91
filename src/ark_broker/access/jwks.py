"""The keys an issuer signs with (RFC 7517): fetched when needed, and kept for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import httpx
import jwt

from ark_broker.access.grants import VerifierUnavailable
from ark_broker.access.outbound import NoAnswer, ask

if TYPE_CHECKING:
    from jwt.algorithms import AllowedPublicKeys

_RSA: Final = ("RS256", "RS384", "RS512", "PS256")
#: Key type and curve → what such a key may be used with. Nothing symmetric, and never `none` (RFC 8725 section 3.1).
_ALGORITHMS_OF: Final[Mapping[tuple[object, object], tuple[str, ...]]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
ALGORITHMS: Final = (*_RSA, "ES256", "ES384", "EdDSA")

_SECOND: Final = 1_000_000_000
_FRESH: Final = 600 * _SECOND
#: How long keys are good for while the issuer does not give them anew.
_STALE: Final = 24 * 3600 * _SECOND
#: Between two looks for a key that nobody knew.
_BETWEEN_RENEWALS: Final = 60 * _SECOND
_AFTER_FAILURE: Final = 10 * _SECOND


@dataclass(frozen=True)
class Key:
    """A public key, and the algorithms it may be used with: by its own `alg`, or else by its type."""

    kid: str | None
    public: AllowedPublicKeys
    algorithms: tuple[str, ...]


class IssuerKeys:
    """The keys of one issuer. Callers that need them at once share one fetch.

    They are fetched anew after 10 minutes. Where that fails they stay good for 24 hours from when they were fetched,
    and it is tried again after 10 seconds at the earliest.
    """

    def __init__(self, client: httpx.AsyncClient, issuer: str, jwks_url: str | None, clock: Callable[[], int]) -> None:
        """`clock` gives nanoseconds. Without `jwks_url` it is discovered."""
        self._client = client
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fetched_at: int | None = None
        self._failed_at: int | None = None
        self._renewed_at: int | None = None
        #: Why the last fetch failed; None where it did not.
        self._trouble: str | None = None
        self._pending: asyncio.Task[None] | None = None

    async def current(self) -> tuple[Key, ...]:
        """The keys as far as they are known. Raises VerifierUnavailable where they are not, or are too old."""
        if not self._is_within(_FRESH, self._fetched_at) and not self._is_within(_AFTER_FAILURE, self._failed_at):
            await self._fetch()
        if not self._is_within(_STALE, self._fetched_at):
            raise VerifierUnavailable(self._trouble or "the issuer's keys are too old")
        return self._keys

    async def renewed(self) -> tuple[Key, ...] | None:
        """The keys, looked for again if that was not done in the last minute; None where the issuer is away.

        After a fetch that failed it is tried again in 10 seconds: until then a new key would be good for nothing.
        """
        between = _BETWEEN_RENEWALS if self._trouble is None else _AFTER_FAILURE
        if self._pending is not None:
            await self._fetch()
        elif not self._is_within(between, self._renewed_at):
            self._renewed_at = self._clock()
            await self._fetch()
        return self._keys if self._trouble is None else None

    def _is_within(self, duration: int, since: int | None) -> bool:
        # A clock that was set back must not keep anything longer: hence the absolute value.
        return since is not None and abs(self._clock() - since) < duration

    async def _fetch(self) -> None:
        """Join the fetch that is under way, or begin one. Who stops waiting does not stop it for the others."""
        if self._pending is None:
            self._pending = asyncio.create_task(self._load())
            self._pending.add_done_callback(self._loaded)
        await asyncio.shield(self._pending)

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._pending = None
        if not task.cancelled():
            task.exception()  # looked at, in case all who waited for it have gone

    async def _load(self) -> None:
        try:
            self._keys = await self._published()
        except NoAnswer as error:
            self._trouble = str(error)
            self._failed_at = self._clock()
        else:
            self._fetched_at = self._clock()
            self._trouble = self._failed_at = None

    async def _published(self) -> tuple[Key, ...]:
        """None that can be used is an answer, too: the issuer may have withdrawn them all. Raises NoAnswer."""
        url = self._jwks_url or await self._discover()
        found = (await self._document(url)).get("keys")
        if not isinstance(found, list):
            raise NoAnswer(f"{url} has no list of keys")
        return tuple(key for member in found if (key := usable_key(member)) is not None)

    async def _discover(self) -> str:
        """Where the keys are (OpenID Connect Discovery 1.0, section 4). Raises NoAnswer."""
        url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = await self._document(url)
        if document.get("issuer") != self._issuer:
            raise NoAnswer(f"{url} is about another issuer")
        found = document.get("jwks_uri")
        schemes = ("https://", "http://") if self._issuer.startswith("http://") else ("https://",)
        if not isinstance(found, str) or not found.startswith(schemes):
            raise NoAnswer(f"{url} has no `jwks_uri` that begins with {' or '.join(schemes)}")
        return found

    async def _document(self, url: str) -> dict[str, object]:
        status, document = await ask(self._client, "GET", url)
        if status != 200:
            raise NoAnswer(f"{url} answered {status}")
        if not isinstance(document, dict):
            raise NoAnswer(f"{url} answered with something else than an object")
        return document


def usable_key(found: object) -> Key | None:
    """The member of a JWK set as a key for signatures; None where it is for something else, is weak or is broken.

    RFC 7517 section 5 has such members passed over: an issuer may publish kinds of keys that came later.
    """
    if not isinstance(found, dict) or found.get("use", "sig") != "sig" or "d" in found:
        return None
    operations = found.get("key_ops", ["verify"])
    algorithms = _algorithms(found)
    kid = found.get("kid")
    if not algorithms or not isinstance(operations, list) or "verify" not in operations:
        return None
    if not isinstance(kid, str | None):
        return None
    try:
        jwk = jwt.PyJWK(found, algorithms[0])
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):  # whatever a broken member brings about
        return None
    if jwk.Algorithm.check_key_length(jwk.key) is not None:
        return None
    return Key(kid, cast("AllowedPublicKeys", jwk.key), algorithms)


def _algorithms(jwk: Mapping[str, object]) -> tuple[str, ...]:
    kty, crv, own = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    if not isinstance(kty, str) or not isinstance(crv, str | None):
        return ()
    by_type = _ALGORITHMS_OF.get((kty, crv), ())
    return by_type if own is None else tuple(known for known in by_type if known == own)
