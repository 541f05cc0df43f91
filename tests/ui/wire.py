"""A wire between browser and broker that can be cut, which `set_offline` does not do to streams that are open."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Wire:
    """Passes TCP on to a port of this machine, until it is cut; then all that is open ends, and nothing new begins."""

    def __init__(self, listener: socket.socket, port: int) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._listener = listener
        self._port = port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        with self._lock:
            self._is_cut = True
            ended, self._open = self._open, set()
        for each in ended:
            _end(each)

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._is_cut = False

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._port)) as broker:
            with self._lock:
                if self._is_cut:
                    return
                self._open |= {client, broker}
            back = threading.Thread(target=_copy, args=(broker, client), daemon=True)
            back.start()
            _copy(client, broker)
            back.join()
            with self._lock:
                self._open -= {client, broker}


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Until the source ends; then the target is ended too."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    _end(target)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """A wire to that port, whole."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(listener, port)
        thread = threading.Thread(target=wire.serve)
        thread.start()
        try:
            yield wire
        finally:
            wire.cut()
            _end(listener)
            thread.join(10)
