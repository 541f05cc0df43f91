"""OTLP/gRPC: the `Export` methods of the trace, logs and metrics services, with the pipeline of OTLP/HTTP.

The rules are those of the OTLP specification 1.11 (https://opentelemetry.io/docs/specs/otlp/#otlpgrpc): a request
that will never do is INVALID_ARGUMENT, or RESOURCE_EXHAUSTED without RetryInfo for one that is too large; overload
is UNAVAILABLE with RetryInfo, which every exporter retries.

Needs the extra `grpc`: nothing imports this module where that is not installed (see `grpc_port`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import grpc.aio
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from ark_broker.api import grpc_port
from ark_broker.api.errors import message_of, retry_headers, status_of
from ark_broker.api.gate import Gate
from ark_broker.api.intake import Intake
from ark_broker.api.services import Services
from ark_broker.api.v1.otlp import decode, store
from ark_broker.model.errors import Forbidden, Overloaded, TooLarge, Unauthorized
from ark_broker.receive.inflate import decoder
from ark_broker.receive.otlp import Signal

_log = structlog.get_logger(__name__)

_SERVICES: Final[dict[Signal, str]] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
#: By HTTP status; anything else is INTERNAL.
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
#: RFC 1952. No protobuf message begins with it: it would be field 3 with a wire type that does not exist.
_GZIP_MAGIC: Final = b"\x1f\x8b"
#: Compressed bytes that are inflated in one go, before other requests have a turn.
_PIECE: Final = 64 * 1024
#: What the budget must have room for before a message is read: about what the transport holds of it by then.
_UNREAD: Final = 64 * 1024
#: Bytes of a failure's message. All of it goes into headers, percent-encoded, and clients take 8 KiB of them.
_MAX_MESSAGE: Final = 1000
#: Calls at once on one connection; a client with more keeps them back.
_MAX_STREAMS: Final = 100
#: grpc_compression_algorithm, a bit each: identity and gzip, which are what the specification asks for.
_COMPRESSIONS: Final = 1 << 0 | 1 << 2


class GrpcReceiver:
    """The gRPC server of one process. It listens from `start` to `stop`."""

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate
        self._server: Any = None
        self._stopped: asyncio.Task[None] | None = None
        #: Requests that are being stored.
        self._storing: set[asyncio.Task[bytes]] = set()

    async def start(self) -> None:
        """Listen. Raises RuntimeError where the port cannot be had."""
        settings = self._services.settings
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                ("grpc.max_concurrent_streams", _MAX_STREAMS),
                # The message comes as it was sent, and is inflated here: under the limit, and within the budget.
                ("grpc.per_message_decompression", 0),
                ("grpc.compression_enabled_algorithms_bitset", _COMPRESSIONS),
                ("grpc.so_reuseport", int(settings.workers > 1)),
            )
        )
        self._server.add_generic_rpc_handlers([self._handlers(signal) for signal in _SERVICES])
        self._server.add_insecure_port(grpc_port.address(settings))
        await self._server.start()
        _log.info("receiving OTLP/gRPC", address=grpc_port.address(settings))

    def begin_stop(self) -> None:
        """Take no new calls from now on; those that are open have `shutdown_seconds` to finish."""
        if self._stopped is None:
            self._stopped = asyncio.create_task(self._server.stop(self._services.settings.shutdown_seconds))

    async def stop(self) -> None:
        """The same, and return when they have."""
        self.begin_stop()
        assert self._stopped is not None
        await self._stopped
        if self._storing:
            await asyncio.wait(self._storing)

    def store(self, work: Coroutine[Any, Any, bytes]) -> asyncio.Future[bytes]:
        """Do `work` to its end, also when the caller goes away: its memory is counted as long as it is used."""
        task = asyncio.create_task(work)
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return asyncio.shield(task)

    def _handlers(self, signal: Signal) -> Any:
        # As far as the bytes go, a unary request is a stream of one message. This way the message is read when there
        # is room for it, and not before the handler is called.
        method = grpc.stream_unary_rpc_method_handler(_Export(self, self._services, self._gate, signal).__call__)
        return grpc.method_handlers_generic_handler(_SERVICES[signal], {"Export": method})


class _Export:
    """One signal's `Export` method, on bytes."""

    def __init__(self, receiver: GrpcReceiver, services: Services, gate: Gate, signal: Signal) -> None:
        self._receiver = receiver
        self._gate = gate
        self._services = services
        self._intake: Final[Intake] = services.intake
        self._signal: Final[Signal] = signal

    async def __call__(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        try:
            async with self._admitted(context) as services:
                self._check_room()
                message = await self._read(messages)
                self._gate.charge_bytes(services.grant, len(message))
                answer = self._receiver.store(self._store(services, message))
                del message
                return await answer
        except Exception as error:  # noqa: BLE001 - every failure is answered with a status
            failure = error
        await self._fail(context, failure)
        raise AssertionError("abort does not return")

    @asynccontextmanager
    async def _admitted(self, context: Any) -> AsyncIterator[Services]:
        """The services for whoever calls, as long as their token is good: what is stored by then is stored to its end.

        Raises Unauthorized, Forbidden, RateLimited, VerifierUnavailable.
        """
        if not self._gate.enabled:
            yield self._services
            return
        found = {str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        headers = {key: found[key] for key in ("authorization",) if key in found}
        grant, _, token = await self._gate.identify_with(headers, {})
        if not grant.may("ingest"):
            raise Forbidden(f"{grant.name!r} has not the permission `ingest`")
        try:
            async with asyncio.timeout(None) as limit:
                with self._gate.inside(grant), self._gate.held(grant, token, limit):
                    yield self._services.seen_by(grant)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unauthorized("the token is not accepted any more") from None

    def _check_room(self) -> None:
        """Refuse a message before it is read where the budget has no room even for its start. Raises Overloaded.

        It holds nothing: how long the message is gRPC does not say before it is whole, and calls that send nothing
        should not keep others out.
        """
        self._intake.reserve(_UNREAD)
        self._intake.release(_UNREAD)

    async def _read(self, messages: AsyncIterator[bytes]) -> bytes:
        try:
            async with asyncio.timeout(self._intake.patience):
                message = await anext(messages, None)
        except TimeoutError:
            raise Overloaded(f"the message did not arrive within {self._intake.patience} seconds") from None
        if message is None:
            raise _Unread(f"no message of at most {self._intake.max_body} bytes was sent")
        return message

    async def _store(self, services: Services, message: bytes) -> bytes:
        with _Held(self._intake, len(message)) as held:
            if message.startswith(_GZIP_MAGIC):
                message = await self._inflated(message, held)
            decoded = await decode(services, self._signal, message, "protobuf")
            del message
            return await store(services, self._signal, decoded, "protobuf")

    async def _inflated(self, message: bytes, held: _Held) -> bytes:
        inflate = decoder("gzip", self._intake.max_body)
        parts: list[bytes] = []
        for start in range(0, len(message), _PIECE):
            if start:
                await asyncio.sleep(0)
            for part in inflate.pieces(message[start : start + _PIECE]):
                held.take(len(part))
                parts.append(part)
        inflate.finish()
        return b"".join(parts)

    async def _fail(self, context: Any, error: Exception) -> None:
        """End the call with the status that says what `error` means."""
        status = status_of(error)
        reason = "unread" if isinstance(error, _Unread) else str(status)
        self._services.metrics.refused.labels(self._signal, reason).inc()
        if status == 500:
            _log.error("unhandled error", exc_info=error, signal=self._signal)
        code = _CODES.get(status, grpc.StatusCode.INTERNAL)
        # Cut as bytes: a character may be four of them.
        message = message_of(error).encode()[:_MAX_MESSAGE].decode(errors="ignore")
        retry_after = retry_headers(error).get("Retry-After")
        details = () if retry_after is None else _retry_details(code.value[0], message, int(retry_after))
        await context.abort(code, message, details)


class _Unread(TooLarge):
    """There was no message: gRPC has refused one by its length already, or the caller went away. It looks the same."""


class _Held:
    """What a request holds of the budget for bodies, given back when the block is left."""

    def __init__(self, intake: Intake, size: int) -> None:
        self._intake = intake
        self._size = 0
        self.take(size)

    def take(self, size: int) -> None:
        """Hold `size` bytes more. Raises Overloaded where they are not there."""
        self._intake.reserve(size)
        self._size += size

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._intake.release(self._size)


def _retry_details(code: int, message: str, seconds: int) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata that says when to come back."""
    retry = RetryInfo(retry_delay=Duration(seconds=seconds))
    packed = AnyMessage()
    packed.Pack(retry)
    return (
        ("grpc-status-details-bin", Status(code=code, message=message, details=[packed]).SerializeToString()),
        # Where the exporter of OpenTelemetry's Python SDK looks for it.
        ("google.rpc.retryinfo-bin", retry.SerializeToString()),
    )
