"""What `ark-broker send` was given: events, or OTLP requests, found out from the bytes."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ark_broker.cli import strict_json

Kind = Literal["traces", "logs"]
_GZIP = b"\x1f\x8b"
_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_OTLP: dict[str, Kind] = {"resourceSpans": "traces", "resourceLogs": "logs"}
#: Bytes, unpacked: what the broker takes in one request, many times over.
_MOST = 2**30


class PayloadError(Exception):
    """Neither events nor OTLP; the text says why."""


@dataclass(slots=True)
class Payload:
    """Custom events, or OTLP requests as (body, content type, signal)."""

    events: list[Mapping[str, Any]] = field(default_factory=list)
    requests: list[tuple[bytes, str, Kind]] = field(default_factory=list)


def read_payload(content: bytes, signal: Kind | None) -> Payload:
    """What the bytes are. `signal` says what OTLP in protobuf holds, and that it is OTLP in protobuf.

    Raises PayloadError.
    """
    if content.startswith(_GZIP):
        content = _unpacked(content)
    if not content.strip():
        raise PayloadError("there is nothing in it")
    if signal is None and content.lstrip()[:1] in (b"{", b"["):
        return _from_json(content)
    if signal is None and _is_text(content):
        raise PayloadError("neither JSON nor OTLP")
    if content.lstrip()[:1] == b"{":
        return _from_json(content)
    kind: Kind = signal or "traces"
    _check_protobuf(content, kind)
    return Payload(requests=[(content, _PROTOBUF, kind)])


def _from_json(content: bytes) -> Payload:
    payload = Payload()
    for value in _values(content):
        kind = next((kind for name, kind in _OTLP.items() if name in value), None)
        if kind is None:
            payload.events.append(value)
        else:
            payload.requests.append((json.dumps(value).encode(), _JSON, kind))
    return payload


def _values(content: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        value = strict_json.loads(content)
    except ValueError as error:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2:
            raise PayloadError(f"no JSON: {error}") from None
        for number, line in enumerate(lines, 1):
            try:
                value = strict_json.loads(line)
            except ValueError as problem:
                raise PayloadError(f"line {number} is no JSON: {problem}") from None
            yield _object(value, f"line {number}")
        return
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield _object(each, f"[{index}]")
    else:
        yield _object(value, "it")


def _object(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PayloadError(f"{place} is no JSON object")
    return value


def _unpacked(content: bytes) -> bytes:
    try:
        unpacked = zlib.decompressobj(wbits=31)
        found = unpacked.decompress(content, _MOST)
        if unpacked.unconsumed_tail:
            raise PayloadError("too long, once it is unpacked")
        return gzip.decompress(content) if unpacked.unused_data else found
    except (OSError, EOFError, zlib.error) as error:
        raise PayloadError(f"broken gzip: {error}") from None


def _is_text(content: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in content[:1_000])


def _check_protobuf(content: bytes, kind: Kind) -> None:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest() if kind == "traces" else ExportLogsServiceRequest()
    try:
        request.ParseFromString(content)
    except DecodeError as error:
        raise PayloadError(f"no OTLP of {kind} in protobuf: {error}") from None
