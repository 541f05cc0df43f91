"""Spans on their way to an exporter: sent by a thread of its own, as soon as they are here."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from typing import Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

#: Spans in one request.
_BATCH: Final = 512

_log = logging.getLogger(__name__)


class SpanQueue:
    """A bounded queue before an exporter. `put` never waits: where the queue is full, the oldest is dropped."""

    def __init__(self, exporter: SpanExporter, size: int) -> None:
        self._exporter = exporter
        self._size = size
        self._begin()
        # A child process has no threads of its parent's, and what the parent queued is the parent's to send.
        queue = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _begin_again(queue))

    def _begin(self) -> None:
        self._spans: deque[ReadableSpan] = deque(maxlen=self._size)
        #: Guards what is below; notified whenever it changes.
        self._changed = threading.Condition()
        self._sending = False
        self._closed = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="ark-broker-span-starts", daemon=True)
        self._thread.start()

    def put(self, span: ReadableSpan) -> None:
        """Queue the span; after a shutdown, forget it."""
        with self._changed:
            if self._closed:
                return
            if len(self._spans) == self._size:
                self._dropped += 1
            self._spans.append(span)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is sent; false where it is not within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._spans and not self._sending, seconds)

    def shutdown(self, seconds: float) -> None:
        """Send what waits, within that time, and end the thread."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._thread.join(seconds)
        self._exporter.shutdown()

    def _run(self) -> None:
        # What the exporter does is not traced itself.
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            while batch := self._take():
                self._send(batch)
        finally:
            detach(token)

    def _take(self) -> list[ReadableSpan]:
        """The next spans, once there are some; empty when it is over."""
        with self._changed:
            self._sending = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._spans or self._closed)
            batch = [self._spans.popleft() for _ in range(min(_BATCH, len(self._spans)))]
            self._sending = bool(batch)
            dropped, self._dropped = self._dropped, 0
        if dropped:
            _log.warning("%d starts of spans were dropped: the queue was full", dropped)
        return batch

    def _send(self, batch: list[ReadableSpan]) -> None:
        try:
            result = self._exporter.export(batch)
        except Exception:  # noqa: BLE001 - an exporter's trouble is not the program's
            _log.exception("%d starts of spans were not sent", len(batch))
        else:
            if result is not SpanExportResult.SUCCESS:
                _log.warning("%d starts of spans were not sent", len(batch))


def _begin_again(queue: weakref.ref[SpanQueue]) -> None:
    if (found := queue()) is not None and not found._closed:
        found._begin()
