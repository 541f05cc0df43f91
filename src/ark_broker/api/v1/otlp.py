"""OTLP/HTTP: `POST /v1/traces`, `/v1/logs`, `/v1/metrics`.

The rules are those of the OTLP specification 1.11 (https://opentelemetry.io/docs/specs/otlp/): the answer is
in the request's encoding; every failure is a `google.rpc.Status`; single bad spans are reported by partial
success while the rest is stored; overload is 503 with `Retry-After`, which every exporter retries.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ark_broker.api.errors import message_of, retry_headers, status_of
from ark_broker.api.services import Services, services_for
from ark_broker.model.errors import UnsupportedMedia
from ark_broker.receive.inflate import ENCODINGS
from ark_broker.receive.otlp import (
    Decoded,
    Encoding,
    Signal,
    count_metrics,
    decode_logs,
    decode_traces,
    encode_status,
    encode_success,
    encoding_of,
)

_log = structlog.get_logger(__name__)

_CONTENT_TYPES: Final[dict[Encoding, str]] = {"protobuf": "application/x-protobuf", "json": "application/json"}
#: google.rpc.Code by HTTP status.
_RPC_CODES: Final = {400: 3, 401: 16, 403: 7, 405: 12, 413: 3, 415: 3, 429: 8, 500: 13, 503: 14}
#: Bodies above this are decoded in a thread, so that other requests are served meanwhile.
_INLINE_BYTES: Final = 512 * 1024

METRICS_DROPPED: Final = "metrics are accepted and dropped: ark-broker stores traces, logs and events"


def _decode_metrics(body: bytes, encoding: Encoding, *, max_records: int) -> Decoded:
    count = count_metrics(body, encoding)
    return Decoded([], 0, METRICS_DROPPED if count and max_records else "")


_DECODE: Final = {"traces": decode_traces, "logs": decode_logs, "metrics": _decode_metrics}


async def decode(services: Services, signal: Signal, body: bytes, encoding: Encoding) -> Decoded:
    """The events in an export request, over whichever transport it came. Raises BadInput."""
    limit = services.settings.max_events_per_request
    if len(body) <= _INLINE_BYTES:
        return _DECODE[signal](body, encoding, max_records=limit)
    return await asyncio.to_thread(_DECODE[signal], body, encoding, max_records=limit)


async def store(services: Services, signal: Signal, decoded: Decoded, encoding: Encoding) -> bytes:
    """Commit what was decoded; returns the export response. Raises Overloaded or LogUnavailable."""
    appended = await services.append(signal, decoded.events)
    rejected = decoded.rejected + len(appended.refused)
    messages = [decoded.message, *(reason for _, reason in appended.refused[:1])]
    if rejected:
        services.metrics.refused.labels(signal, "invalid").inc(rejected)
    return encode_success(signal, encoding, rejected, "; ".join(filter(None, messages)))


class OtlpEndpoint:
    """One signal's route, as a plain ASGI endpoint: it is hot, and its errors are OTLP's."""

    def __init__(self, signal: Signal) -> None:
        self._signal: Final[Signal] = signal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = services_for(scope)
        headers = Headers(scope=scope)
        encoding: Encoding = "json"
        try:
            if scope["method"] != "POST":
                response = self._method_not_allowed(scope["method"])
            else:
                encoding = encoding_of(headers.get("content-type"))
                response = await self._export(services, headers, receive, encoding)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - every failure is answered in OTLP's shape
            response = self._failure(services, error, encoding)
        await response(scope, receive, send)

    async def _export(self, services: Services, headers: Headers, receive: Receive, encoding: Encoding) -> Response:
        async with services.intake.body(
            receive, headers.get("content-encoding"), headers.get("content-length")
        ) as body:
            decoded = await decode(services, self._signal, body, encoding)
            del body
            answer = await store(services, self._signal, decoded, encoding)
        return Response(answer, media_type=_CONTENT_TYPES[encoding])

    def _failure(self, services: Services, error: Exception, encoding: Encoding) -> Response:
        status = status_of(error)
        services.metrics.refused.labels(self._signal, str(status)).inc()
        if status == 500:
            _log.error("unhandled error", exc_info=error, signal=self._signal)
        headers = retry_headers(error)
        if isinstance(error, UnsupportedMedia):
            headers["Accept-Encoding"] = ENCODINGS
        return self._status(status, message_of(error), encoding, headers)

    def _method_not_allowed(self, method: str) -> Response:
        message = f"{method} is not allowed here: send OTLP by POST"
        return self._status(405, message, "json", {"Allow": "POST"})

    @staticmethod
    def _status(status: int, message: str, encoding: Encoding, headers: dict[str, str]) -> Response:
        body = encode_status(encoding, _RPC_CODES.get(status, 2), message)
        return Response(body, status_code=status, media_type=_CONTENT_TYPES[encoding], headers=headers)


def signal_of(path: str) -> Signal | None:
    """The signal whose route it is; None for another route."""
    signals: dict[str, Signal] = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1/metrics": "metrics"}
    return signals.get(path)


def refusal(headers: Headers, error: Exception) -> Response:
    """The answer to a request that did not get as far as its endpoint."""
    try:
        encoding = encoding_of(headers.get("content-type"))
    except UnsupportedMedia:
        encoding = "json"
    status = status_of(error)
    body = encode_status(encoding, _RPC_CODES.get(status, 2), message_of(error))
    return Response(body, status_code=status, media_type=_CONTENT_TYPES[encoding], headers=retry_headers(error))


def endpoints() -> dict[str, ASGIApp]:
    """Path → endpoint."""
    return {
        "/v1/traces": OtlpEndpoint("traces"),
        "/v1/logs": OtlpEndpoint("logs"),
        "/v1/metrics": OtlpEndpoint("metrics"),
    }
