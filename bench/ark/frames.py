"""Live streams as a client reads them: the data of each frame, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable


class FrameSplitter:
    """Bytes of an event stream → data of whole frames. Comments and other fields are left out."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._after_newline = False

    def feed(self, data: bytes) -> list[bytes]:
        """Data of the frames that end here. It is one line: what relays frames by lines tears others apart."""
        self._pieces.append(data)
        # Large frames come in many pieces, which are joined once; and the end of a frame may be cut in two.
        ends = b"\n\n" in data or (self._after_newline and data.startswith(b"\n"))
        self._after_newline = data.endswith(b"\n")
        if not ends:
            return []
        *frames, rest = b"".join(self._pieces).split(b"\n\n")
        self._pieces = [rest]
        return [found for each in frames if (found := _data(each)) is not None]


def _data(text: bytes) -> bytes | None:
    lines = [line[6:] for line in text.split(b"\n") if line.startswith(b"data: ")]
    if len(lines) > 1:
        raise ValueError(f"a frame of {len(lines)} data lines")
    return lines[0] if lines else None


async def frames(port: int, path: str, connected: Callable[[], None] | None = None) -> AsyncIterator[list[bytes]]:
    """Data of the frames that came together, until the server ends the stream.

    `connected` is called at the first byte of the body. Raises ConnectionError where the answer is not a stream.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: b\r\nAccept: text/event-stream\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200") or b"transfer-encoding: chunked" not in head:
            raise ConnectionError(f"{path} is answered {head.decode()!r}")
        splitter = FrameSplitter()
        while size := int(await reader.readuntil(b"\r\n"), 16):
            data = (await reader.readexactly(size + 2))[:-2]
            if connected is not None:
                connected()
                connected = None
            if found := splitter.feed(data):
                yield found
    finally:
        writer.close()
