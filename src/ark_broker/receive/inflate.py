"""Content encodings, inflated piece by piece under a limit: a small body cannot become a large one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

import brotli
import zstandard

from ark_broker.model.errors import BadInput, TooLarge, UnsupportedMedia

#: As `Accept-Encoding` lists them.
ENCODINGS: Final = "gzip, deflate, zstd, br"
#: Inflated at once, at most (zstd: about): how far beyond its limit a body can get.
_BLOCK: Final = 64 * 1024
#: Handed to zlib at once, at most.
_PIECE: Final = 4 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
#: Zstandard makes at most one block of 128 KiB out of four bytes.
_ZSTD_BLOCK: Final = 128 * 1024
_ZSTD_LEAST: Final = 4


class Decoder(Protocol):
    """Takes a body as it arrives."""

    def feed(self, chunk: bytes) -> bytes:
        """What `chunk` adds to the decoded body. Raises TooLarge or BadInput."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The same, bit by bit: for a body without a limit, of which a small chunk may become a very large one."""

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
            return _Zlib(limit, "gzip")
        case "deflate":
            return _Zlib(limit, "deflate")
        case "zstd":
            return _Zstd(limit)
        case "br":
            return _Brotli(limit)
    raise UnsupportedMedia(f"supported encodings: {ENCODINGS}, identity", "Content-Encoding")


class _Identity:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0

    def feed(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        if self._size > self._limit:
            raise too_large(self._limit)
        return chunk

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        yield self.feed(chunk)

    def finish(self) -> bytes:
        return b""


class _Zlib:
    """gzip and deflate. Deflate without the zlib header, as some senders write it, is understood too.

    gzip members may follow each other, and are one body together (RFC 1952, 2.2).
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._size = 0
        self._head = b""
        self._empty = True
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS) if name == "gzip" else None

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self.pieces(chunk))

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        if not chunk:
            return
        self._empty = False
        if self._inflate is None:
            self._head += chunk
            if len(self._head) < 2:
                return
            chunk, self._head = self._head, b""
            self._inflate = zlib.decompressobj(_deflate_window(chunk))
        # zlib copies what it did not use: small pieces bound that, however many members a chunk has.
        for start in range(0, len(chunk), _PIECE):
            yield from self._inflated(self._inflate, chunk[start : start + _PIECE])

    def _inflated(self, inflate: zlib._Decompress, rest: bytes) -> Iterator[bytes]:
        while rest:
            if inflate.eof:
                inflate = self._inflate = self._next_member(rest)
            part = self._step(inflate, rest)
            if part:
                yield part
            # After the end `unconsumed_tail` says nothing any more.
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            while not rest and not inflate.eof and len(part) == _BLOCK:
                # It has taken all input, and may hold output back that did not fit the block.
                part = self._step(inflate, b"")
                if part:
                    yield part

    def _next_member(self, data: bytes) -> zlib._Decompress:
        if self._name != "gzip" or not data.startswith(_GZIP_MAGIC[: len(data)]):
            raise BadInput(f"data after the end of the {self._name} stream", "body")
        return zlib.decompressobj(16 + zlib.MAX_WBITS)

    def _step(self, inflate: zlib._Decompress, data: bytes) -> bytes:
        try:
            part = inflate.decompress(data, _BLOCK)
        except zlib.error as error:
            raise BadInput(f"not {self._name} data: {error}", "body") from None
        self._size += len(part)
        if self._size > self._limit:
            raise too_large(self._limit)
        return part

    def finish(self) -> bytes:
        if not self._empty and (self._inflate is None or not self._inflate.eof):
            raise BadInput(f"the {self._name} stream is cut short", "body")
        return b""


def _deflate_window(head: bytes) -> int:
    """What zlib needs to know: does the zlib header (RFC 1950) come first, or deflate's first block (RFC 1951)?

    No encoder begins a block with what would be a header: it would have to set bits that are only padding.
    """
    is_zlib = head[0] & 0x0F == 8 and (head[0] << 8 | head[1]) % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS


class _Zstd:
    """Zstandard. Frames may follow each other, as the format allows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        # The window is memory that the sender would make us reserve: 8 MiB is what every encoder stays below.
        self._context = zstandard.ZstdDecompressor(max_window_size=8 * 2**20)
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self.pieces(chunk))

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(chunk):
            # zstd inflates all it is given: the nearer the limit is, the less it gets at once.
            room = (self._limit - self._size) // _ZSTD_BLOCK * _ZSTD_LEAST
            piece = chunk[at : at + min(512, max(_ZSTD_LEAST, room))]
            at += len(piece)
            while piece:
                if self._frame is None or self._frame.eof:
                    self._frame = self._context.decompressobj(write_size=_BLOCK)
                part = self._inflate(self._frame, piece)
                piece = self._frame.unused_data if self._frame.eof else b""
                self._size += len(part)
                if self._size > self._limit:
                    raise too_large(self._limit)
                if part:
                    yield part

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


class _Brotli:
    """Brotli (RFC 7932), with its own windows of at most 16 MiB."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._empty = True
        self._inflate = brotli.Decompressor()

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self.pieces(chunk))

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        if not chunk:
            return
        self._empty = False
        if self._inflate.is_finished():
            raise BadInput("data after the end of the brotli stream", "body")
        part = self._step(chunk)
        while part:
            yield part
            part = b"" if self._inflate.is_finished() else self._step(b"")

    def _step(self, data: bytes) -> bytes:
        try:
            part: bytes = self._inflate.process(data, output_buffer_limit=_BLOCK)
        except brotli.error as error:
            raise BadInput(f"not brotli data: {error}", "body") from None
        self._size += len(part)
        if self._size > self._limit:
            raise too_large(self._limit)
        return part

    def finish(self) -> bytes:
        if not self._empty and not self._inflate.is_finished():
            raise BadInput("the brotli stream is cut short", "body")
        return b""


def too_large(limit: int) -> TooLarge:
    """The refusal of a body that is too large, in words."""
    return TooLarge(f"the body is larger than {limit} bytes")
