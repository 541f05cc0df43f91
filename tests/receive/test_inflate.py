"""Content encodings: what inflates, what is refused, and how far a bomb gets."""

from __future__ import annotations

import gzip
import os
import random
import zlib

import brotli
import pytest
import zstandard

from ark_broker.model.errors import BadInput, TooLarge, UnsupportedMedia
from ark_broker.receive.inflate import decoder

LIMIT = 1_000_000
TEXT = b"the agent reads the weather report " * 300 + os.urandom(2_000)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


ENCODED = {
    "identity": TEXT,
    "": TEXT,
    "gzip": gzip.compress(TEXT),
    "X-GZip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    " deflate ": raw_deflate(TEXT),
    "zstd": zstd(TEXT),
    "br": brotli.compress(TEXT),
}
COMPRESSED = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd, "br": brotli.compress}


def inflate(encoding: str | None, body: bytes, limit: int = LIMIT, cuts: list[int] | None = None) -> bytes:
    """The body, fed in pieces of these sizes (repeated), whole by default."""
    reader = decoder(encoding, limit)
    found, at, number = [], 0, 0
    while at < len(body):
        size = cuts[number % len(cuts)] if cuts else len(body)
        found.append(reader.feed(body[at : at + size]))
        at, number = at + size, number + 1
    return b"".join([*found, reader.finish()])


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("cuts", [None, [1], [2], [3, 1, 700]], ids=["whole", "by 1", "by 2", "mixed"])
def test_every_encoding_comes_back_however_it_is_cut(encoding: str, cuts: list[int] | None) -> None:
    assert inflate(encoding, ENCODED[encoding], cuts=cuts) == TEXT


def test_no_encoding_means_identity() -> None:
    assert inflate(None, TEXT) == TEXT


@pytest.mark.parametrize("pack", [zlib.compress, raw_deflate], ids=["zlib", "raw"])
@pytest.mark.parametrize("data", [b"", b"x", b"{}", TEXT])
def test_deflate_is_told_apart_from_raw_deflate_whatever_is_in_it(pack: object, data: bytes) -> None:
    assert callable(pack)
    assert inflate("deflate", pack(data), cuts=[1]) == data


@pytest.mark.parametrize("level", range(10))
def test_raw_deflate_of_every_level_begins_with_no_zlib_header(level: int) -> None:
    chance = random.Random(level)
    for size in (1, 10, 1_000, 70_000):
        data = chance.randbytes(size)
        packer = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
        assert inflate("deflate", packer.compress(data) + packer.flush(), cuts=[1, 50]) == data


@pytest.mark.parametrize("encoding", ["gzip, gzip", "compress", "gzip,identity", "snappy"])
def test_other_encodings_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(UnsupportedMedia, match="gzip, deflate, zstd"):
        decoder(encoding, LIMIT)


@pytest.mark.parametrize("encoding", [key for key in ENCODED if key not in ("identity", "")])
@pytest.mark.parametrize("cuts", [None, [1]], ids=["whole", "by 1"])
def test_a_truncated_body_is_refused(encoding: str, cuts: list[int] | None) -> None:
    body = ENCODED[encoding]
    for end in (1, 2, 5, len(body) // 2, len(body) - 1):
        with pytest.raises(BadInput, match="body: "):
            inflate(encoding, body[:end], cuts=cuts)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", " deflate ", "zstd"])
@pytest.mark.parametrize("cuts", [None, [1]], ids=["whole", "by 1"])
def test_trailing_garbage_is_refused(encoding: str, cuts: list[int] | None) -> None:
    with pytest.raises(BadInput):
        inflate(encoding, ENCODED[encoding] + b"garbage", cuts=cuts)


def test_zstd_frames_may_follow_each_other() -> None:
    assert inflate("zstd", zstd(b"one ") + zstd(b"two"), cuts=[7]) == b"one two"


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_corrupt_bytes_are_refused_or_caught_by_no_other_error(encoding: str) -> None:
    body, chance = COMPRESSED[encoding](TEXT), random.Random(7)
    for _ in range(200):
        broken = bytearray(body)
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        try:
            inflate(encoding, bytes(broken))
        except BadInput as error:
            assert error.field in (None, "body")  # noqa: PT017 - not every flipped bit does harm


@pytest.mark.parametrize("encoding", ENCODED)
def test_the_limit_is_exact(encoding: str) -> None:
    assert inflate(encoding, ENCODED[encoding], limit=len(TEXT)) == TEXT
    with pytest.raises(TooLarge, match=f"larger than {len(TEXT) - 1} bytes"):
        inflate(encoding, ENCODED[encoding], limit=len(TEXT) - 1)


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("limit", [100, 10_000, LIMIT])
def test_a_bomb_is_stopped_within_two_blocks_of_its_limit(encoding: str, limit: int) -> None:
    bomb = COMPRESSED[encoding](bytes(50_000_000))
    assert len(bomb) < 60_000
    reader = decoder(encoding, limit)
    handed_out: list[bytes] = []
    with pytest.raises(TooLarge):
        handed_out.extend(reader.pieces(bomb))
    assert sum(map(len, handed_out)) <= limit
    # What was inflated and not handed out: one step's worth.
    assert reader._size <= limit + 2 * 128 * 1024  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_stream_without_a_limit_comes_in_bounded_pieces(encoding: str) -> None:
    data = b"{}\n" * 5_000_000
    reader = decoder(encoding, 2**62)
    sizes = [len(piece) for piece in reader.pieces(COMPRESSED[encoding](data))]
    assert sum(sizes) == len(data)
    assert max(sizes) <= 16 * 2**20


@pytest.mark.parametrize("encoding", [*COMPRESSED, "identity"])
def test_an_empty_body_is_empty_in_every_encoding(encoding: str) -> None:
    assert inflate(encoding, b"") == b""
    reader = decoder(encoding, LIMIT)
    assert reader.feed(b"") + reader.finish() == b""
