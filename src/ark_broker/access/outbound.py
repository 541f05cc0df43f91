"""JSON over HTTP from whoever vouches for tokens: bounded in time and in size, and never by way of a redirect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx
import msgspec

MOST_BYTES: Final = 256 * 1024
TIMEOUT_SECONDS: Final = 5.0


class NoAnswer(Exception):  # noqa: N818 - reads as what it says
    """There was no answer, or none that can be used. `str()` is one line for the log."""


async def ask(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json: object | None = None,
) -> tuple[int, object]:
    """Status and body (None where that is not a success). Raises NoAnswer.

    The time is for the whole exchange: httpx's own timeouts begin anew with every piece that drips in.
    """
    # Uncompressed: a small body that inflates to a large one would be large before it could be measured.
    sent = {"accept": "application/json", "accept-encoding": "identity", **(headers or {})}
    try:
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            client.stream(method, url, headers=sent, json=json, follow_redirects=False) as response,
        ):
            if not response.is_success:
                return response.status_code, None
            return response.status_code, _decode(url, await _read(url, response))
    except TimeoutError:
        raise NoAnswer(f"{url} did not answer within {TIMEOUT_SECONDS:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # What the error says may quote a header; its name does not.
        raise NoAnswer(f"{url} cannot be reached: {type(error).__name__}") from error


async def _read(url: str, response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise NoAnswer(f"{url} answered with an encoding that was not asked for")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MOST_BYTES:
            raise NoAnswer(f"{url} answered with more than {MOST_BYTES} bytes")
    return bytes(body)


def _decode(url: str, body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NoAnswer(f"{url} answered with something else than JSON") from None
