"""Pages of other sites, where nobody needs a token: what a browser may be made to do to a broker that it can reach.

A browser sends what any page tells it to, also to this machine. So without authentication no page of another origin
changes anything by the broker's own routes; and a broker on a loopback address answers to no name that somebody else's
name server could have given its address (DNS rebinding). Programs that are no browsers notice neither. Ark's routes and
OTLP's take what any origin sends, as Ark's own broker and OpenTelemetry's collectors do; MCP has a check of its own,
also with authentication.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ark_broker.api.errors import respond_to
from ark_broker.model.errors import Forbidden

_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
#: Where OTLP comes in: instrumented pages of any origin send it.
_INGESTION: Final = frozenset(("/v1/traces", "/v1/logs", "/v1/metrics"))
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443", "": ""}
_SHOWN: Final = 100


class Neighbours:
    """Who may be a browser's page here. Immutable: `refusal` is asked for every request."""

    def __init__(self, origins: Iterable[str], hosts: Iterable[str], *, is_loopback: bool) -> None:
        """`origins` are those whose pages are trusted, `hosts` names that the broker goes by.

        Names are checked where it listens on a loopback address alone (`is_loopback`).
        """
        self._origins = frozenset(origin.lower().removesuffix("/") for origin in origins)
        named = (urlsplit(origin).hostname or "" for origin in self._origins)
        self._hosts = frozenset(_name_of(host.lower()) for host in (*hosts, *named))
        self._is_loopback = is_loopback

    def refusal(self, scope: Scope) -> str | None:
        """Why the request is refused; None where it is not. `scope` is that of an HTTP request, as ASGI has it."""
        host = origin = site = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
                if self._is_loopback and not self._is_known(value):
                    return (
                        f"requests for the host {_shown(value)} are not answered: a page may have given this address "
                        "a name of its own. ARK_BROKER_ALLOWED_HOSTS names those that are the broker's"
                    )
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if not (origin or site == b"cross-site") or scope["method"] in _SAFE or not _is_ours(scope["path"]):
            return None
        if origin and self._is_trusted(origin, host):
            return None
        return (
            f"a page of another origin ({_shown(origin) if origin else 'cross-site'}) may not change anything here: "
            "ARK_BROKER_CORS_ORIGINS names those that may"
        )

    def _is_trusted(self, origin: bytes, host: bytes) -> bool:
        text = origin.decode("latin-1").lower()
        if text in self._origins:
            return True
        scheme, _, place = text.partition("://")
        default = _DEFAULT_PORTS.get(scheme)
        if default is None or not place:
            return False
        return place.removesuffix(default) == host.decode("latin-1").lower().removesuffix(default)

    def _is_known(self, host: bytes) -> bool:
        name = _name_of(host.decode("latin-1").lower())
        # A name without a dot is none that a stranger could have registered.
        return "." not in name or name.endswith(".localhost") or name in self._hosts or _is_address(name)


class Elsewhere:
    """Answers 403 to what a page of another site makes a browser send. Stands before every route."""

    def __init__(self, app: ASGIApp, neighbours: Neighbours) -> None:
        self._app = app
        self._neighbours = neighbours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self._neighbours.refusal(scope) if scope["type"] == "http" else None
        if reason is None:
            await self._app(scope, receive, send)
        else:
            await respond_to(Request(scope), Forbidden(reason))(scope, receive, send)


def _is_ours(path: str) -> bool:
    lowered = path.lower().removesuffix("/")
    return lowered.startswith("/v1/") and lowered not in _INGESTION


def _name_of(host: str) -> str:
    """The name in `name:port`, without the dot of the root; of an IPv6 address what is in its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _shown(value: bytes) -> str:
    return ascii(value.decode("latin-1")[:_SHOWN])
