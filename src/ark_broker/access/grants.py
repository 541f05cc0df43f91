"""What somebody may do, and how much of it: pure, and the same whoever vouched for the token."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ark_broker.model.errors import ArkBrokerError, Overloaded

Permission = Literal["ingest", "read", "answer", "admin"]
#: Who vouches for somebody: a token of the broker's own, its admin token, an issuer, a cluster; whoever may use the
#: database itself; nobody, where access control is off.
Via = Literal["token", "admin", "oidc", "kubernetes", "cli", "open"]
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)

_SEPARATOR: Final = re.compile(r"[\s,]+")
#: What producers use is wider than Kubernetes' DNS labels. No `*`: patterns would be taken for names.
_NAMESPACE: Final = re.compile(r"[^\s,*\x00-\x1f\x7f]{1,253}")
_MINUTE: Final = 60_000_000_000


class GrantInvalid(ValueError):  # noqa: N818 - reads as what it says
    """A permission, namespace or limit in the configuration is none. One line that says which."""


class TokenRefused(ArkBrokerError):  # noqa: N818
    """The token gives nobody's grant. `reason` is for the log and holds nothing of the token; clients get `str()`."""

    def __init__(self, reason: str) -> None:
        super().__init__("the token is not accepted")
        self.reason = reason


class VerifierUnavailable(Overloaded):
    """Nobody can say now whether the token is good; it may well be. `reason` is for the log."""

    def __init__(self, reason: str, retry_after: int = 5) -> None:
        super().__init__("the token cannot be checked at the moment", retry_after)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a token allows whoever holds it. Raises GrantInvalid for a limit below 1."""

    #: Who it is, for the audit log: the name of a token, the subject of an issuer, a service account.
    name: str
    permissions: frozenset[Permission]
    #: None: all of them, and what belongs to none.
    namespaces: frozenset[str] | None
    #: The broker's own token that it came from.
    token_id: str | None = None
    #: Names are told apart by it: an issuer may call somebody `admin-token`.
    via: Via = "token"
    #: The issuer that vouches, where one does.
    issuer: str | None = None
    requests_per_minute: int | None = None
    bytes_per_minute: int | None = None

    def __post_init__(self) -> None:
        check_limits(self.requests_per_minute, self.bytes_per_minute)

    def may(self, permission: Permission) -> bool:
        """True where it has the permission; `admin` has them all."""
        return permission in self.permissions or "admin" in self.permissions

    def sees(self, namespace: str | None) -> bool:
        """True for what lies in one of its namespaces. What has no namespace is for those who see everything."""
        if self.namespaces is None:
            return True
        return namespace is not None and namespace in self.namespaces

    @property
    def identity(self) -> str:
        """Who it is, the same for every token that somebody comes with, and another one for everybody else."""
        return " ".join((self.via, self.issuer or "-", self.token_id or self.name))

    @property
    def is_limited(self) -> bool:
        """True where it sees some namespaces only."""
        return self.namespaces is not None


def check_limits(*limits: int | None) -> None:
    """Raise GrantInvalid for a limit below 1: no access is said by giving no permission."""
    if any(limit is not None and limit < 1 for limit in limits):
        raise GrantInvalid("a limit per minute must be at least 1")


#: Whoever asks, where access control is off.
ANYBODY: Final = Grant(name="anybody", permissions=frozenset(PERMISSIONS), namespaces=None, via="open")


def permission_of(word: str) -> Permission | None:
    """The permission of that name."""
    return next((known for known in PERMISSIONS if known == word), None)


def parse_permissions(text: str) -> frozenset[Permission]:
    """Permissions with commas or white space between them. Raises GrantInvalid for none at all, or an unknown one."""
    return to_permissions(_words(text))


def to_permissions(words: Iterable[str]) -> frozenset[Permission]:
    """The same from single words."""
    found: set[Permission] = set()
    for word in words:
        permission = permission_of(word)
        if permission is None:
            raise GrantInvalid(f"{word!r} is not a permission; there are {', '.join(PERMISSIONS)}")
        found.add(permission)
    if not found:
        raise GrantInvalid(f"no permission is named; there are {', '.join(PERMISSIONS)}")
    return frozenset(found)


def parse_namespaces(text: str) -> frozenset[str] | None:
    """Namespaces with commas or white space between them; None, which is all, for `*`.

    Raises GrantInvalid for none at all, for `*` beside others, and for what cannot be a namespace.
    """
    words = _words(text)
    return None if words == ["*"] else to_namespaces(words)


def to_namespaces(words: Iterable[str]) -> frozenset[str]:
    """The same from single words, of which none may be `*`."""
    found = frozenset(words)
    for word in sorted(found):
        if word == "*":
            raise GrantInvalid("`*` stands for all namespaces, and must stand alone")
        if _NAMESPACE.fullmatch(word) is None:
            raise GrantInvalid(f"{word[:64]!r} is not a namespace (patterns are not understood)")
    if not found:
        raise GrantInvalid("no namespace is named; `*` names all")
    return found


def _words(text: str) -> list[str]:
    return [word for word in _SEPARATOR.split(text) if word]


@dataclass(slots=True)
class _Bucket:
    """When it will be full again, in the clock's nanoseconds: all that a token bucket needs to keep."""

    requests: int
    bytes: int


class RateLimit:
    """Token buckets, one for requests and one for bytes per grant, each with room for one minute's worth.

    Tokens of an issuer share the bucket of their subject, so that a fresh token gives no fresh minute. The bucket
    that was not used for longest goes when there are `most`: after a minute's rest it would be full in any case.
    """

    def __init__(self, clock: Callable[[], int], most: int = 10_000) -> None:
        """`clock` gives nanoseconds and never runs backwards: `time.monotonic_ns`."""
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, grant: Grant, requests: int = 1, bytes: int = 0) -> float:
        """Seconds to wait before asking again; 0 where it was taken. Nothing is taken from one bucket alone.

        What is larger than the bucket passes when the bucket is full, and is paid off before anything else passes.
        """
        if grant.requests_per_minute is None and grant.bytes_per_minute is None:
            return 0.0
        now = self._clock()
        bucket = self._bucket(grant.identity, now)
        by_requests = _full_again(bucket.requests, now, requests, grant.requests_per_minute)
        by_bytes = _full_again(bucket.bytes, now, bytes, grant.bytes_per_minute)
        wait = max(_wait(bucket.requests, now, by_requests), _wait(bucket.bytes, now, by_bytes))
        if wait > 0:
            return wait / 1_000_000_000
        bucket.requests, bucket.bytes = by_requests, by_bytes
        return 0.0

    def _bucket(self, key: str, now: int) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(now, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


def _full_again(full_at: int, now: int, amount: int, per_minute: int | None) -> int:
    """When the bucket is full again, once `amount` was taken from it."""
    return now if per_minute is None else max(full_at, now) + amount * _MINUTE // per_minute


def _wait(full_at: int, now: int, full_again: int) -> int:
    """Nanoseconds until `full_again` is at most a minute ahead, or until the bucket is full."""
    return max(0, min(full_again - now - _MINUTE, full_at - now))
