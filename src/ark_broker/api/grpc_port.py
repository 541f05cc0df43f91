"""Whether OTLP/gRPC is received, and on which port: found out before a socket is open.

This module runs without the extra `grpc`; `ark_broker.api.grpc` does not.
"""

from __future__ import annotations

import socket
from importlib.util import find_spec
from typing import Final

import structlog

from ark_broker.settings import Settings, SettingsError, variable

_log = structlog.get_logger(__name__)

_NOT_INSTALLED: Final = "OTLP/gRPC needs the package grpcio: pip install 'ark-broker[grpc]'"


def installed() -> bool:
    """Whether the extra is there."""
    return find_spec("grpc") is not None


def wanted(settings: Settings) -> bool:
    """Whether this broker is to receive OTLP/gRPC. Raises SettingsError where it was asked for and cannot be."""
    if settings.grpc_port == 0:
        return False
    if installed():
        return True
    if asked_for(settings):
        raise SettingsError(f"{variable('grpc_port')}: {_NOT_INSTALLED}")
    return False


def asked_for(settings: Settings) -> bool:
    """Whether the port was set, and is not merely the default."""
    return "grpc_port" in settings.model_fields_set


def without(settings: Settings) -> Settings:
    """The same settings, but no OTLP/gRPC."""
    return settings.model_copy(update={"grpc_port": 0})


def prepare(settings: Settings) -> tuple[Settings, list[socket.socket]]:
    """The settings to start with, without the port where it cannot be had, and what keeps the port for the workers.

    Several workers each listen on the port by themselves (`SO_REUSEPORT`); the sockets that are returned only hold
    it, so that no other broker joins in while no worker has it. Raises SettingsError where the port was set.
    """
    if not wanted(settings):
        return without(settings), []
    try:
        return settings, _claim(settings)
    except OSError as error:
        if asked_for(settings):
            raise taken(settings, error) from None
        warn_taken(settings, error)
        return without(settings), []


def taken(settings: Settings, reason: Exception) -> SettingsError:
    """The refusal to start without the port that was set."""
    return SettingsError(f"{variable('grpc_port')}: cannot listen on {address(settings)}: {reason}")


def warn_taken(settings: Settings, reason: Exception) -> None:
    """Say that it goes on without OTLP/gRPC."""
    _log.warning("OTLP/gRPC is off: its port cannot be used", address=address(settings), reason=str(reason))


def address(settings: Settings) -> str:
    """Where it listens, as gRPC writes it: `127.0.0.1:4317`, `[::]:4317`."""
    host = settings.host
    return f"[{host}]:{settings.grpc_port}" if ":" in host else f"{host}:{settings.grpc_port}"


def _claim(settings: Settings) -> list[socket.socket]:
    """Sockets bound to the port, none for a single worker. Raises OSError where somebody else has the port."""
    found = socket.getaddrinfo(settings.host, settings.grpc_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = [(family, sockaddr) for family, _, _, _, sockaddr in found]
    # Without SO_REUSEPORT first: with it, another broker of the same user would share the port unnoticed.
    for family, sockaddr in addresses:
        _bound(family, sockaddr, shared=False).close()
    if settings.workers == 1:
        return []
    return [_bound(family, sockaddr, shared=True) for family, sockaddr in addresses]


def _bound(family: socket.AddressFamily, sockaddr: object, *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(sockaddr)  # type: ignore[arg-type] # getaddrinfo returns what bind takes
    except OSError:
        bound.close()
        raise
    return bound
