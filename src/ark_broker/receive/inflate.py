"""Content encodings, inflated piece by piece under a limit: a small body cannot become a large one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

import zstandard

from ark_broker.model.errors import BadInput, TooLarge, UnsupportedMedia

#: Inflated at once, at most: how far beyond its limit a body can get.
_BLOCK: Final = 64 * 1024
#: Handed to zlib at once, at most.
_PIECE: Final = 4 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"


class Decoder(Protocol):
    """Takes a body as it arrives."""

    def feed(self, chunk: bytes) -> bytes:
        """What `chunk` adds to the decoded body. Raises TooLarge or BadInput."""

    def finish(self) -> bytes:
        """What is left at the end. Raises BadInput where the body is cut short."""


def decoder(content_encoding: str | None, limit: int) -> Decoder:
    """A decoder for the header's value, for at most `limit` decoded bytes.

    Raises UnsupportedMedia for an encoding that is not known, and for several on top of each other.
    """
    match (content_encoding or "identity").strip().lower():
        case "identity" | "":
            return _Identity(limit)
        case "gzip" | "x-gzip":
            return _Zlib(limit, "gzip", 16 + zlib.MAX_WBITS)
        case "deflate":
            return _Zlib(limit, "deflate", zlib.MAX_WBITS)
        case "zstd":
            return _Zstd(limit)
    raise UnsupportedMedia("supported encodings: gzip, deflate, zstd, identity", "Content-Encoding")


class _Identity:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0

    def feed(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        if self._size > self._limit:
            raise too_large(self._limit)
        return chunk

    def finish(self) -> bytes:
        return b""


class _Zlib:
    """gzip and deflate. Deflate without the zlib header, as some senders write it, is understood too.

    gzip members may follow each other, and are one body together (RFC 1952, 2.2).
    """

    def __init__(self, limit: int, name: str, window: int) -> None:
        self._limit = limit
        self._name = name
        self._window = window
        self._size = 0
        self._inflate = zlib.decompressobj(window)
        self._may_be_raw = name == "deflate"
        #: What was fed while it is not known yet whether there is a header.
        self._start = b""
        self._empty = True

    def feed(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        self._empty = False
        parts: list[bytes] = []
        # zlib copies what it did not use: small pieces bound that, however many members a chunk has.
        for start in range(0, len(chunk), _PIECE):
            parts += self._inflated(chunk[start : start + _PIECE])
        return b"".join(parts)

    def _inflated(self, rest: bytes) -> Iterator[bytes]:
        while rest:
            if self._inflate.eof:
                self._next_member(rest)
            part = self._step(rest)
            yield part
            rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            # It may have taken all input, and hold output back that did not fit the block.
            while not rest and not self._inflate.eof and len(part) == _BLOCK:
                part = self._step(b"")
                yield part

    def _next_member(self, data: bytes) -> None:
        if self._name != "gzip" or not data.startswith(_GZIP_MAGIC[: len(data)]):
            raise BadInput(f"data after the end of the {self._name} stream", "body")
        self._inflate = zlib.decompressobj(self._window)

    def _step(self, data: bytes) -> bytes:
        try:
            part = self._inflate.decompress(data, _BLOCK)
        except zlib.error as error:
            if not self._may_be_raw:
                raise BadInput(f"not {self._name} data: {error}", "body") from None
            self._may_be_raw = False
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._step(self._start + data)
        if self._may_be_raw:
            self._start += data
            self._may_be_raw = not part and len(self._start) < _PIECE
        self._size += len(part)
        if self._size > self._limit:
            raise too_large(self._limit)
        return part

    def finish(self) -> bytes:
        if self._empty:
            return b""
        if not self._inflate.eof:
            raise BadInput(f"the {self._name} stream is cut short", "body")
        return b""


class _Zstd:
    """Zstandard. Frames may follow each other, as the format allows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        # The window is memory that the sender would make us reserve: 8 MiB is what every encoder stays below.
        self._context = zstandard.ZstdDecompressor(max_window_size=8 * 2**20)
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def feed(self, chunk: bytes) -> bytes:
        parts = []
        # zstd inflates all it is given: small pieces bound how far beyond the limit one call can get.
        for start in range(0, len(chunk), 512):
            piece = chunk[start : start + 512]
            while piece:
                if self._frame is None or self._frame.eof:
                    self._frame = self._context.decompressobj(write_size=_BLOCK)
                part = self._inflate(self._frame, piece)
                piece = self._frame.unused_data if self._frame.eof else b""
                self._size += len(part)
                if self._size > self._limit:
                    raise too_large(self._limit)
                parts.append(part)
        return b"".join(parts)

    @staticmethod
    def _inflate(frame: zstandard.ZstdDecompressionObj, piece: bytes) -> bytes:
        try:
            return frame.decompress(piece)
        except zstandard.ZstdError as error:
            raise BadInput(f"not zstd data: {error}", "body") from None

    def finish(self) -> bytes:
        if self._frame is not None and not self._frame.eof:
            raise BadInput("the zstd stream is cut short", "body")
        return b""


def too_large(limit: int) -> TooLarge:
    """The refusal of a body that is too large, in words."""
    return TooLarge(f"the body is larger than {limit} bytes")
