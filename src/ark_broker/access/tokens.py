"""The broker's own tokens: how they look, what is kept of them, and whether one is good.

    arkb_<id>_<secret>        base62: 22 characters of id, 43 of secret; 71 in all

The last 6 characters of the secret are the CRC-32 of all before them. Thus a secret scanner that finds the prefix
knows a real token from an example, and a token that was cut or mistyped is told from one that was removed, without
looking anything up. The checksum proves nothing about who made the token.

A plain SHA-256 of the secret is kept. Slow hashes (bcrypt, Argon2) are there to make guessing a person's password
expensive; a secret of 37 random base62 characters (220 bits) cannot be guessed at any price, and a slow hash would
be paid for with every request.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib
from hashlib import sha256
from typing import Final

import msgspec

from ark_broker.access.grants import Grant, Permission, Via, check_limits

#: Whatever begins like this is meant for the broker itself, and never for an issuer.
TOKEN_PREFIX: Final = "arkb_"  # noqa: S105 - what tokens begin with

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH: Final = 22
_RANDOM_LENGTH: Final = 37
_CHECKSUM_LENGTH: Final = 6
_TOKEN: Final = re.compile(
    rf"{TOKEN_PREFIX}([0-9A-Za-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_RANDOM_LENGTH + _CHECKSUM_LENGTH}}})"
)
#: No secret has this hash, as far as anybody knows.
_NO_HASH: Final = bytes(32)


class StoredToken(msgspec.Struct, kw_only=True, frozen=True):
    """What is kept of a token. Times are nanoseconds since the Unix epoch. Raises GrantInvalid for a limit below 1."""

    id: str
    #: Who holds it, for people and for the audit log.
    name: str
    #: SHA-256 of the secret.
    hash: bytes
    #: The secret before the last rotation, which is good until `previous_until`.
    previous_hash: bytes | None = None
    previous_until: int | None = None
    permissions: frozenset[Permission]
    #: None: all.
    namespaces: frozenset[str] | None
    created_at: int
    #: From then on it is not good any more.
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    requests_per_minute: int | None = None
    bytes_per_minute: int | None = None
    #: Of a ticket: who vouched for whoever got it.
    via: Via = "token"
    issuer: str | None = None

    def __post_init__(self) -> None:
        check_limits(self.requests_per_minute, self.bytes_per_minute)


def new_token() -> tuple[str, str, bytes]:
    """A token, its id, and the hash of its secret. The token is shown once, and kept nowhere."""
    token_id = _random(_ID_LENGTH)
    text, secret_hash = new_secret(token_id)
    return text, token_id, secret_hash


def new_secret(token_id: str) -> tuple[str, bytes]:
    """A token with an id that exists, and the hash of its secret."""
    unsummed = f"{TOKEN_PREFIX}{token_id}_{_random(_RANDOM_LENGTH)}"
    text = unsummed + _checksum(unsummed)
    return text, hash_secret(text.rpartition("_")[2])


def rotate(stored: StoredToken, now_ns: int, grace_ns: int) -> tuple[str, StoredToken]:
    """A new secret for the token, and what to keep of it: the secret so far stays good for `grace_ns` more.

    The secret before that is good no longer: there are two at most.
    """
    text, secret_hash = new_secret(stored.id)
    rotated = msgspec.structs.replace(
        stored, hash=secret_hash, previous_hash=stored.hash, previous_until=now_ns + grace_ns
    )
    return text, rotated


def parse_token(text: str) -> tuple[str, str] | None:
    """Id and secret; None for what is no token of the broker's, or was cut or mistyped."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    if _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        return None
    return match[1], match[2]


def hash_secret(secret: str) -> bytes:
    """SHA-256 of it: 32 bytes."""
    return sha256(secret.encode(errors="surrogatepass")).digest()


def verify(stored: StoredToken | None, secret: str, now_ns: int) -> Grant | None:
    """What the token allows; None where the secret is another, or the token has expired or was revoked.

    `stored` is None where nobody knows the id. That takes the same work as a wrong secret, so that the time of the
    answer does not tell which ids there are.
    """
    given = hash_secret(secret)
    is_current = hmac.compare_digest(given, _NO_HASH if stored is None else stored.hash)
    is_previous = hmac.compare_digest(given, _previous_hash(stored))
    if stored is None or not (is_current or (is_previous and _is_before(now_ns, stored.previous_until))):
        return None
    if not is_good(stored, now_ns):
        return None
    return Grant(
        name=stored.name,
        permissions=stored.permissions,
        namespaces=stored.namespaces,
        token_id=stored.id,
        via=stored.via,
        issuer=stored.issuer,
        requests_per_minute=stored.requests_per_minute,
        bytes_per_minute=stored.bytes_per_minute,
    )


def is_good(stored: StoredToken, now_ns: int) -> bool:
    """False for one that was revoked, or has expired."""
    # Revoked is revoked, whatever the clocks of the replicas say.
    return stored.revoked_at is None and (stored.expires_at is None or now_ns < stored.expires_at)


def _previous_hash(stored: StoredToken | None) -> bytes:
    return _NO_HASH if stored is None or stored.previous_hash is None else stored.previous_hash


def _is_before(now_ns: int, until: int | None) -> bool:
    return until is not None and now_ns < until


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """CRC-32 in base62, most significant digit first. 62 to the 6th is more than 2 to the 32nd."""
    rest = zlib.crc32(text.encode("ascii"))
    digits: list[str] = []
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
