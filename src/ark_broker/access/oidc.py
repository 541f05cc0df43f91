"""Tokens of an OpenID Connect issuer: JWTs that are checked here, with keys that the issuer publishes.

Rules are those of RFC 7519, RFC 8725 and, for access tokens, RFC 9068. `jku`, `x5u` and `jwk` of a token's header,
which say where its own key is to be had, are not looked at.
"""

from __future__ import annotations

import binascii
import math
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

import httpx
import jwt
import msgspec

from ark_broker.access.claims import ClaimMapping
from ark_broker.access.grants import Grant, TokenRefused, VerifierUnavailable
from ark_broker.access.jwks import ALGORITHMS, IssuerKeys, Key

__all__ = ["ClaimMapping", "OidcVerifier"]

LONGEST_TOKEN: Final = 16 * 1024
LEEWAY_SECONDS: Final = 60
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
#: A JWT made for something else, such as a logout or an event, says so (RFC 8725 section 3.11).
_TYPES: Final = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")
#: Keys that may have to be tried for a token that does not say which.
_MOST_TRIES: Final = 8


@dataclass(frozen=True)
class _Header:
    alg: str
    kid: str | None

    def fits(self, keys: tuple[Key, ...]) -> list[Key]:
        """The keys it may mean: those of its `kid`, else those without one; all, where it has none."""
        able = [key for key in keys if self.alg in key.algorithms]
        if self.kid is None:
            return able
        return [key for key in able if key.kid == self.kid] or [key for key in able if key.kid is None]


class OidcVerifier:
    """Says who a token of one issuer belongs to."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        jwks_url: str | None,
        client: httpx.AsyncClient,
        mapping: ClaimMapping,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`clock` gives nanoseconds since the Unix epoch. Without `jwks_url`, the issuer is asked where its keys are.

        Raises ValueError for an issuer that is no URL, and for no audience: a token for anybody else would do.
        """
        parts = urlsplit(issuer)
        if parts.scheme not in ("https", "http") or not parts.netloc or parts.query or parts.fragment:
            raise ValueError("the issuer must be an http(s) URL without a query and a fragment")
        if not audience:
            raise ValueError("an audience is needed")
        self.issuer: Final = issuer
        self._audience = audience
        self._mapping = mapping
        self._clock = clock
        self._keys = IssuerKeys(client, issuer, jwks_url, clock)
        self._jws = jwt.PyJWS(
            algorithms=ALGORITHMS, options={"verify_signature": True, "enforce_minimum_key_length": True}
        )

    async def verify(self, token: str) -> Grant:
        """What the token allows.

        Raises TokenRefused, and VerifierUnavailable where the issuer's keys are needed and cannot be had.
        """
        header = self._header(token)
        # Nothing is believed yet. But a token that does not even say it is ours, such as a service account's, shall
        # have nobody ask the issuer for a key that it cannot have, nor wait for an issuer that is away.
        self._check_whose(_claims(_unverified(token)))
        claims = _claims(await self._payload(token, header))
        self._check_whose(claims)
        self._check_times(claims)
        return replace(self._mapping.grant(claims), via="oidc", issuer=self.issuer)

    def _header(self, token: str) -> _Header:
        if len(token) > LONGEST_TOKEN:
            raise TokenRefused(f"it is longer than {LONGEST_TOKEN} characters")
        if _COMPACT.fullmatch(token) is None:
            raise TokenRefused("it is not a signed JWT")
        try:
            header = self._jws.get_unverified_header(token)
        except jwt.PyJWTError:
            raise TokenRefused("it is not a signed JWT") from None
        alg, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if not isinstance(alg, str) or alg not in ALGORITHMS:
            raise TokenRefused("its algorithm is not one that is trusted")
        if not isinstance(kid, str | None):
            raise TokenRefused("its `kid` is not a string")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise TokenRefused("it is a JWT for something else")
        if "crit" in header:
            raise TokenRefused("it needs an extension that is not understood")
        return _Header(alg, kid)

    async def _payload(self, token: str, header: _Header) -> bytes:
        """What was signed. A signature that no known key fits has the keys looked for again."""
        keys = await self._keys.current()
        known = header.fits(keys)
        payload = self._open(token, header, known)
        if payload is not None:
            return payload
        renewed = await self._keys.renewed()
        if renewed is None and not known:
            raise VerifierUnavailable("the token names a key that is not known, and the issuer cannot be asked")
        if renewed is not None and renewed is not keys:
            known = header.fits(renewed)
            payload = self._open(token, header, known)
        if payload is None:
            raise TokenRefused("its signature is wrong" if known else "the issuer has no such key")
        return payload

    def _open(self, token: str, header: _Header, keys: list[Key]) -> bytes | None:
        for key in keys[:_MOST_TRIES]:
            try:
                payload: bytes = self._jws.decode(token, key.public, algorithms=[header.alg])
            except jwt.PyJWTError:
                continue
            return payload
        return None

    def _check_whose(self, claims: Mapping[str, object]) -> None:
        """RFC 7519 sections 4.1.1 and 4.1.3. Raises TokenRefused."""
        if claims.get("iss") != self.issuer:
            raise TokenRefused("it is of another issuer")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRefused("it is for another audience")

    def _check_times(self, claims: Mapping[str, object]) -> None:
        """RFC 7519 sections 4.1.4 to 4.1.6. Raises TokenRefused."""
        now = self._clock() / 1_000_000_000
        expires, begins, issued = (_seconds(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is None:
            raise TokenRefused("it never expires")
        if now >= expires + LEEWAY_SECONDS:
            raise TokenRefused("it has expired")
        if begins is not None and now < begins - LEEWAY_SECONDS:
            raise TokenRefused("it is not good yet")
        if issued is not None and now < issued - LEEWAY_SECONDS:
            raise TokenRefused("it was issued in the future")


def _unverified(token: str) -> bytes:
    """The payload as it stands in the token, whoever signed it. Raises TokenRefused."""
    encoded = token.split(".")[1]
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        raise TokenRefused("it is not a signed JWT") from None


def _claims(payload: bytes) -> dict[str, object]:
    try:
        claims: object = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TokenRefused("its claims are not JSON") from None
    if not isinstance(claims, dict):
        raise TokenRefused("its claims are not an object")
    return claims


def _seconds(claims: Mapping[str, object], name: str) -> int | float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TokenRefused(f"its `{name}` is not a time")
    return value
