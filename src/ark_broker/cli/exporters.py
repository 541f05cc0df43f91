"""Whether an OpenTelemetry SDK with these variables would reach the broker (OpenTelemetry specification, "OTLP Exporter
Configuration" and "General SDK Configuration")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

_PREFIX = "OTEL_EXPORTER_OTLP"
_SIGNALS = ("TRACES", "LOGS")
_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - names of this machine
_GRPC_PORT = 4317
_PROTOCOLS = ("grpc", "http/protobuf", "http/json")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why telemetry would miss the broker, and what to do."""

    told: str
    todo: str


def exporter_problems(environment: Mapping[str, str], url: str, *, authentication: bool) -> list[Problem]:
    """What keeps exporters with these variables from the broker at `url`; empty where nothing does.

    `authentication`: whether the broker wants a token.
    """
    return [
        *_switched_off(environment),
        *_endpoints(environment, urlsplit(url), url),
        *_others(environment, authentication),
    ]


def _switched_off(environment: Mapping[str, str]) -> Iterator[Problem]:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Problem("OTEL_SDK_DISABLED is true: nothing is recorded", "unset OTEL_SDK_DISABLED")
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter and "otlp" not in exporter.split(","):
        yield Problem(f"OTEL_TRACES_EXPORTER is {exporter}: spans go elsewhere", "set OTEL_TRACES_EXPORTER=otlp")
    if environment.get("OTEL_TRACES_SAMPLER", "").strip() in ("always_off", "parentbased_always_off"):
        yield Problem("OTEL_TRACES_SAMPLER drops every span", "unset OTEL_TRACES_SAMPLER")


def _endpoints(environment: Mapping[str, str], broker: SplitResult, url: str) -> Iterator[Problem]:
    for name in (f"{_PREFIX}_ENDPOINT", *(f"{_PREFIX}_{signal}_ENDPOINT" for signal in _SIGNALS)):
        value = environment.get(name, "").strip()
        if not value:
            continue
        signal = name.removeprefix(_PREFIX).removesuffix("_ENDPOINT").strip("_").lower()
        protocol = _protocol(environment, signal)
        fixed = f"{url}/v1/{signal}" if signal else url
        todo = f"set {name}={fixed} and {_PREFIX}_PROTOCOL=http/protobuf"
        try:
            named = urlsplit(value if "//" in value else f"//{value}")
            port = named.port
        except ValueError:
            yield Problem(f"{name} is no URL", todo)
            continue
        if not _same_host(named.hostname or "", broker.hostname or ""):
            yield Problem(f"{name} is {_shown(named)}: another machine than the broker's", todo)
        elif protocol == "grpc":
            if port != _GRPC_PORT:
                yield Problem(f"{name} is {_shown(named)}: the broker takes gRPC on port {_GRPC_PORT} only", todo)
        elif "//" not in value or (port or _default_port(named)) != (broker.port or _default_port(broker)):
            yield Problem(f"{name} is {_shown(named)}: the broker listens at {url}", todo)
        elif signal and named.path.rstrip("/") != f"{broker.path.rstrip('/')}/v1/{signal}":
            yield Problem(f"{name} is used as it is, and its path is not /v1/{signal}", todo)
        elif not signal and named.path.rstrip("/") != broker.path.rstrip("/"):
            yield Problem(f"{name} has a path to which /v1/traces is added", todo)


def _others(environment: Mapping[str, str], authentication: bool) -> Iterator[Problem]:
    for name in (f"{_PREFIX}_PROTOCOL", *(f"{_PREFIX}_{signal}_PROTOCOL" for signal in _SIGNALS)):
        value = environment.get(name, "").strip()
        if value and value not in _PROTOCOLS:
            yield Problem(f"{name} is {value}, which is no protocol of OTLP", f"set {name}=http/protobuf")
    set_here = any(environment.get(f"{_PREFIX}{part}_ENDPOINT", "").strip() for part in ("", "_TRACES"))
    headers = environment.get(f"{_PREFIX}_TRACES_HEADERS") or environment.get(f"{_PREFIX}_HEADERS", "")
    names = {unquote(each.partition("=")[0]).strip().lower() for each in headers.split(",")}
    if authentication and set_here and "authorization" not in names:
        yield Problem(
            f"{_PREFIX}_HEADERS has no authorization, and the broker wants a token",
            f"set {_PREFIX}_HEADERS=authorization=Bearer%20<token>",
        )


def _protocol(environment: Mapping[str, str], signal: str) -> str:
    """Without a variable most SDKs take http/protobuf; a gRPC exporter is known by its port."""
    name = f"{_PREFIX}_{signal.upper()}_PROTOCOL" if signal else f"{_PREFIX}_TRACES_PROTOCOL"
    found = environment.get(name) or environment.get(f"{_PREFIX}_PROTOCOL") or ""
    if found.strip():
        return found.strip()
    value = environment.get(f"{_PREFIX}_{signal.upper()}_ENDPOINT" if signal else f"{_PREFIX}_ENDPOINT", "")
    return "grpc" if value.rstrip("/").endswith(f":{_GRPC_PORT}") else "http/protobuf"


def _same_host(one: str, other: str) -> bool:
    return one == other or (one in _LOCAL and other in _LOCAL)


def _default_port(url: SplitResult) -> int:
    return 443 if url.scheme == "https" else 80


def _shown(url: SplitResult) -> str:
    """Without user and password."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}{'://' if url.scheme else ''}{url.hostname or ''}{port}{url.path}"
