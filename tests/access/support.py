"""A clock that is told the time, and an issuer with real keys, to be reached without a network."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ark_broker.access.claims import ClaimMapping
from ark_broker.access.oidc import OidcVerifier

SECOND = 1_000_000_000
ISSUER = "https://issuer.example/realms/ark"
AUDIENCE = "ark-broker"
NOW = 1_700_000_000

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Jwk = dict[str, Any]


class Clock:
    """Nanoseconds since the epoch that pass when told to."""

    def __init__(self) -> None:
        self.now = NOW * SECOND

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def public_jwk(private: PrivateKey, **members: Any) -> Jwk:
    """The public half; a member that is None is left out."""
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    return {name: value for name, value in (jwk | members).items() if value is not None}


def public_pem(private: PrivateKey) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token; a claim that is `...` is left out."""
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": NOW - 10,
        "exp": NOW + 300,
        "scope": "openid read",
        "namespaces": ["team-a"],
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def part(value: object) -> str:
    """A segment of a JWT that is written by hand."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hmac_signed(secret: bytes, header: dict[str, Any], payload: dict[str, Any]) -> str:
    """By hand: PyJWT does not sign with a public key."""
    signed = f"{part(header)}.{part(payload)}"
    return f"{signed}.{part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


@dataclass
class Issuer:
    """Publishes keys, and counts how often it is asked. `behaves` answers in its place while it is set."""

    keys: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    says_issuer: str = ISSUER
    says_jwks_uri: object = f"{ISSUER}/keys"
    away: bool = False
    behaves: Callable[[Request], Awaitable[Response]] | None = None

    def client(self) -> httpx.AsyncClient:
        app = Starlette(
            routes=[
                Route("/realms/ark/.well-known/openid-configuration", self._discovery),
                Route("/realms/ark/keys", self._jwks),
            ]
        )
        return httpx.AsyncClient(transport=_Link(self, httpx.ASGITransport(app)))

    def count(self, end: str = "/keys") -> int:
        return sum(path.endswith(end) for path in self.asked)

    async def _discovery(self, request: Request) -> Response:
        if self.behaves is not None:
            return await self.behaves(request)
        return JSONResponse({"issuer": self.says_issuer, "jwks_uri": self.says_jwks_uri})

    async def _jwks(self, request: Request) -> Response:
        if self.behaves is not None:
            return await self.behaves(request)
        await asyncio.sleep(0)
        return JSONResponse({"keys": self.keys})


class _Link(httpx.AsyncBaseTransport):
    def __init__(self, issuer: Issuer, inner: httpx.AsyncBaseTransport) -> None:
        self._issuer = issuer
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._issuer.asked.append(request.url.path)
        if self._issuer.away:
            raise httpx.ConnectError("no route to host", request=request)
        return await self._inner.handle_async_request(request)


def verifier(
    issuer: Issuer, clock: Clock, *, jwks_url: str | None = None, mapping: ClaimMapping | None = None
) -> OidcVerifier:
    return OidcVerifier(ISSUER, AUDIENCE, jwks_url, issuer.client(), mapping or ClaimMapping(), clock)


def sign(
    private: PrivateKey, alg: str, kid: str | None = None, header: dict[str, Any] | None = None, **changes: Any
) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), private, algorithm=alg, headers=headers | (header or {}))
