"""A span that is sent by OTLP and waited for on a live stream."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ark_broker.cli.render.amounts import moment
from ark_broker.client import BrokerError, Client, Refused

_SECONDS = 10.0
_BEGUN = "doctor.started"
_SPAN = "doctor.span"


class ProbeError(Exception):
    """It was sent, and not seen."""


class Probe:
    """One try, in a session of its own."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.session = f"ark-broker-doctor-{uuid4()}"
        self._sent = False
        #: Seconds that the broker's clock is ahead of ours, and how far off that may be; None before `run`.
        self.clock_offset: float | None = None
        self.clock_doubt = 0.0

    def run(self) -> float:
        """Seconds from sending the span to seeing it. Raises ProbeError, BrokerError."""
        seen: queue.Queue[Mapping[str, Any] | BrokerError] = queue.Queue()
        before = datetime.now(UTC)
        self._sent = True
        self._client.send({"type": _BEGUN, "sessionId": self.session})
        after = datetime.now(UTC)
        threading.Thread(target=self._watch, args=(seen,), daemon=True, name="doctor-stream").start()
        begun = _await(seen, _BEGUN, "a live stream of the session does not show what it has already")
        self._compare_clocks(before, after, begun)
        sent = time.monotonic()
        self._client.send_otlp(self._request(), content_type="application/x-protobuf")
        _await(seen, _SPAN, "the span was taken, and is not seen on the live stream")
        return time.monotonic() - sent

    def clean_up(self) -> str | None:
        """Delete the session; why it stays, where it does."""
        if not self._sent:
            return None
        try:
            self._client.delete_session(self.session)
        except Refused as error:
            if error.status == 404:
                return None
            return f"session {self.session} stays: {error.message}"
        except BrokerError as error:
            return f"session {self.session} stays: {error}"
        return None

    def _watch(self, seen: queue.Queue[Mapping[str, Any] | BrokerError]) -> None:
        """On a thread of its own, until the process ends or both have come."""
        try:
            with closing(self._client.tail(self.session, start="start", on_gap=lambda _hello: None)) as found:
                for event in found:
                    seen.put(event)
                    if event["type"] == _SPAN:
                        return
        except BrokerError as error:
            seen.put(error)

    def _compare_clocks(self, before: datetime, after: datetime, event: Mapping[str, Any]) -> None:
        recorded = moment(event.get("recordedAt"))
        if recorded is None:
            return
        half = (after - before) / 2
        self.clock_offset = (recorded - (before + half)).total_seconds()
        self.clock_doubt = half.total_seconds()

    def _request(self) -> bytes:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "ark-broker-doctor"
        now = time.time_ns()
        span = resource.scope_spans.add().spans.add(
            trace_id=os.urandom(16), span_id=os.urandom(8), name=_SPAN, start_time_unix_nano=now, end_time_unix_nano=now
        )
        span.attributes.add(key="session.id").value.string_value = self.session
        return request.SerializeToString()


def _await(seen: queue.Queue[Mapping[str, Any] | BrokerError], kind: str, otherwise: str) -> Mapping[str, Any]:
    deadline = time.monotonic() + _SECONDS
    while (left := deadline - time.monotonic()) > 0:
        try:
            event = seen.get(timeout=left)
        except queue.Empty:
            break
        if isinstance(event, BrokerError):
            raise event
        if event["type"] == kind:
            return event
    raise ProbeError(f"{otherwise} (within {_SECONDS:.0f} s)")
