"""Streaming chunks to the broker, with a thread that sends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import httpx

from ark_broker.client.chunks import ChunkFormat, Sendable
from ark_broker.client.errors import BrokerError, Unreachable
from ark_broker.client.producer import HURRY, Delivery
from ark_broker.client.steps import Call


class ChunkStream:
    """Chunks of one query, on their way while the block runs. See `Client.stream_chunks`."""

    def __init__(
        self,
        http: httpx.Client,
        delivery: Delivery,
        chunk_format: ChunkFormat,
        complete: Callable[[Call], None] | None,
    ) -> None:
        self._http = http
        self._delivery = delivery
        self._outbox = delivery.outbox
        self._format = chunk_format
        self._complete = complete
        #: Guards the outbox; notified whenever it changes, or the thread ends.
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="ark-broker-chunks", daemon=True)
        self._error: BaseException | None = None
        self._abandoned = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def send(self, chunk: Sendable) -> None:
        """Send text, or a whole chunk. Waits only where the broker is far behind.

        Raises what ended the stream: `Refused`, or `Unreachable` once the client's `retry_seconds` are over.
        """
        self._put(self._format.line(chunk))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                last = self._format.finish()
                if last is not None:
                    self._put(last)
                self._end(None)
            elif self._thread.is_alive():
                self._break_off(error)
        finally:
            with self._changed:
                self._abandoned = True
                self._outbox.close()
                self._changed.notify_all()

    def _break_off(self, error: BaseException) -> None:
        try:
            self._put(self._format.error(error))
            self._end(None if isinstance(error, Exception) else HURRY)
        except BrokerError as second:
            error.add_note(f"the stream of chunks could not be ended: {second}")

    def _end(self, timeout: float | None) -> None:
        """Wait until everything is stored, and say that this was all."""
        with self._changed:
            self._outbox.close()
            self._changed.notify_all()
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise Unreachable(f"not everything was stored within {timeout} s")
        if self._error is not None:
            raise self._error
        if self._complete is not None:
            self._complete(self._delivery.completion)

    def _put(self, line: bytes) -> None:
        with self._changed:
            self._outbox.put(line)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._outbox.is_full or not self._thread.is_alive())
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._send_all()
        except BaseException as error:  # noqa: BLE001 - raised by the next `send`, or when the block is left
            self._error = error
        finally:
            with self._changed:
                self._changed.notify_all()

    def _send_all(self) -> None:
        while self._has_work():
            try:
                response = self._http.post(
                    self._delivery.target, content=self._body(), headers=self._delivery.headers()
                )
                with self._changed:
                    self._delivery.stored(response)
                    self._changed.notify_all()
            except (BrokerError, httpx.RequestError) as error:
                self._pause(self._delivery.failed(error))

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned, max(0.0, deadline - time.monotonic()))

    def _has_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._outbox.has_lines or self._outbox.is_closed)
            return self._outbox.has_lines and not self._abandoned

    def _body(self) -> Iterator[bytes]:
        sent = 0
        while True:
            with self._changed:
                lines = self._outbox.part(sent)
                if not lines:
                    if self._outbox.is_whole(sent):
                        return
                    self._wait_for_line(sent)
                    continue
            sent += len(lines)
            yield b"".join(lines)

    def _wait_for_line(self, sent: int) -> None:
        ready = self._changed.wait_for(
            lambda: bool(self._outbox.part(sent)) or self._outbox.is_whole(sent), self._delivery.patience()
        )
        if not ready:
            self._outbox.seal()
