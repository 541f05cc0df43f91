"""Tokens of Kubernetes service accounts: the API server says whose they are (TokenReview, authentication.k8s.io/v1).

The broker's own service account needs the cluster role `system:auth-delegator`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, TypeVar

import httpx

from ark_broker.access import outbound
from ark_broker.access.grants import Grant, GrantInvalid, Permission, TokenRefused, VerifierUnavailable, check_limits

#: Where Kubernetes puts what a pod needs to speak to the API server.
TOKEN_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
CA_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
LONGEST_TOKEN: Final = 16 * 1024

Value = TypeVar("Value")

_PATH: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_SECOND: Final = 1_000_000_000
_KEEP_GRANT: Final = 60 * _SECOND
_KEEP_REFUSAL: Final = 10 * _SECOND
_MOST_KEPT: Final = 10_000
#: A flood of made-up tokens must not become a flood on the API server.
_MOST_REVIEWS_AT_ONCE: Final = 32
#: Service accounts' tokens are signed JWTs. Nobody else's secret is passed on to the API server.
_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_OWN_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(?:\.{_LABEL})*"
_SERVICE_ACCOUNT: Final = re.compile(rf"system:serviceaccount:({_LABEL}):({_SUBDOMAIN})")
_ACCOUNT: Final = re.compile(rf"{_LABEL}/{_SUBDOMAIN}")


@dataclass(frozen=True, kw_only=True)
class AccountRule:
    """What one service account may do."""

    permissions: frozenset[Permission]
    #: None: all.
    namespaces: frozenset[str] | None


@dataclass(frozen=True, kw_only=True)
class ServiceAccountMapping:
    """How service accounts become a Grant. Raises GrantInvalid for a limit below 1, and for what names no account."""

    #: What every service account may do in its own namespace; empty: only those in `accounts` may anything.
    permissions: frozenset[Permission] = frozenset()
    #: `<namespace>/<name>` → what that one may do instead.
    accounts: Mapping[str, AccountRule] = field(default_factory=dict)
    requests_per_minute: int | None = None
    bytes_per_minute: int | None = None

    def __post_init__(self) -> None:
        check_limits(self.requests_per_minute, self.bytes_per_minute)
        for account in self.accounts:
            if _ACCOUNT.fullmatch(account) is None:
                raise GrantInvalid(f"{account!r} does not name a service account: <namespace>/<name>")

    def grant(self, username: object) -> Grant | str:
        """What the user of that name may do, or why nothing."""
        match = _SERVICE_ACCOUNT.fullmatch(username) if isinstance(username, str) else None
        if match is None:
            return "it is not of a service account"
        namespace, name = match.groups()
        own = AccountRule(permissions=self.permissions, namespaces=frozenset({namespace}))
        rule = self.accounts.get(f"{namespace}/{name}", own)
        if not rule.permissions:
            return f"the service account {namespace}/{name} has no permission"
        return Grant(
            name=match[0],
            permissions=rule.permissions,
            namespaces=rule.namespaces,
            via="kubernetes",
            requests_per_minute=self.requests_per_minute,
            bytes_per_minute=self.bytes_per_minute,
        )


def in_cluster_url(host: str, port: str) -> str:
    """The API server, from what a pod finds in `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def cluster_client(ca_file: Path = CA_FILE) -> httpx.AsyncClient:
    """A client that trusts the cluster's own authority and no other, and no proxy of the environment.

    The caller closes it. Raises OSError (`ssl.SSLError` is one) for a file that cannot be read or holds none.
    """
    return httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(ca_file)), trust_env=False)


class TokenReviewer:
    """Says whose service account a token is of. Callers with the same token share one review.

    What the API server said is kept under the token's SHA-256: a grant for 60 seconds, a refusal for 10.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        api_url: str,
        token_file: Path,
        audience: str | None,
        mapping: ServiceAccountMapping,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`client` trusts the cluster's authority: see `cluster_client`. `clock` gives nanoseconds.

        `token_file` has the broker's own token, and is read anew when it changes. Without `audience`, tokens made
        for the API server itself are taken.
        """
        self._client = client
        self._url = api_url.rstrip("/") + _PATH
        self._own_token = _OwnToken(token_file)
        self._audience = audience
        self._mapping = mapping
        self._grants = _Kept[Grant](clock, _KEEP_GRANT)
        self._refusals = _Kept[str](clock, _KEEP_REFUSAL)
        self._reviews: dict[bytes, asyncio.Task[Grant | str]] = {}
        self._room = asyncio.Semaphore(_MOST_REVIEWS_AT_ONCE)

    async def verify(self, token: str) -> Grant:
        """What the token allows. Raises TokenRefused, and VerifierUnavailable where the API server cannot say."""
        if len(token) > LONGEST_TOKEN:
            raise TokenRefused(f"it is longer than {LONGEST_TOKEN} characters")
        if _JWT.fullmatch(token) is None:
            raise TokenRefused("it is not a signed JWT")
        digest = sha256(token.encode()).digest()
        answer = self._grants.get(digest) or self._refusals.get(digest) or await self._shared_review(digest, token)
        if isinstance(answer, str):
            raise TokenRefused(answer)
        return answer

    async def _shared_review(self, digest: bytes, token: str) -> Grant | str:
        """Join the review of that token, or begin one. Who stops waiting does not stop it for the others."""
        review = self._reviews.get(digest)
        if review is None:
            review = self._reviews[digest] = asyncio.create_task(self._kept_review(digest, token))
            review.add_done_callback(lambda done: self._reviewed(digest, done))
        return await asyncio.shield(review)

    def _reviewed(self, digest: bytes, review: asyncio.Task[Grant | str]) -> None:
        del self._reviews[digest]
        if not review.cancelled():
            review.exception()  # looked at, in case all who waited for it have gone

    async def _kept_review(self, digest: bytes, token: str) -> Grant | str:
        answer = await self._review(token)
        if isinstance(answer, str):
            self._refusals.put(digest, answer)
        else:
            self._grants.put(digest, answer)
        return answer

    async def _review(self, token: str) -> Grant | str:
        """The grant, or why there is none. Raises VerifierUnavailable."""
        own_token = await asyncio.to_thread(self._own_token.read)
        spec: dict[str, object] = {"token": token}
        if self._audience is not None:
            spec["audiences"] = [self._audience]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        headers = {"authorization": f"Bearer {own_token}"}
        try:
            # Waiting for room counts, too.
            async with asyncio.timeout(outbound.TIMEOUT_SECONDS), self._room:
                code, answer = await outbound.ask(self._client, "POST", self._url, headers=headers, json=body)
        except outbound.NoAnswer as error:
            raise VerifierUnavailable(str(error)) from error
        except TimeoutError as error:
            raise VerifierUnavailable("the API server has too much to review") from error
        status = answer.get("status") if isinstance(answer, dict) else None
        if code not in (200, 201) or not isinstance(status, dict):
            raise VerifierUnavailable(_trouble(code))
        return self._reading(status)

    def _reading(self, status: Mapping[str, object]) -> Grant | str:
        # `error` beside that says what was wrong with the token, in words that may quote it.
        if status.get("authenticated") is not True:
            return "the API server does not know it"
        audiences = status.get("audiences")
        # An authenticator that knows nothing of audiences takes any token, and leaves this out (API reference).
        if self._audience is not None and not (isinstance(audiences, list) and self._audience in audiences):
            return "it is for another audience"
        user = status.get("user")
        return self._mapping.grant(user.get("username") if isinstance(user, dict) else None)


def _trouble(code: int) -> str:
    if code == 401:
        return "the API server does not take the broker's own token"
    if code == 403:
        return "the broker may not create tokenreviews: it needs the cluster role `system:auth-delegator`"
    return f"the API server answered {code} without a review"


class _OwnToken:
    """The broker's own token. Kubernetes puts a new one in its place long before it expires."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._token = ""

    def read(self) -> str:
        """Blocks, if only for a look at the file. Raises VerifierUnavailable."""
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                token = self._path.read_text(encoding="ascii").strip()
                if _OWN_TOKEN.fullmatch(token) is None:
                    raise VerifierUnavailable(f"{self._path} does not hold a token")
                self._token, self._seen = token, seen
        except (OSError, UnicodeDecodeError) as error:
            raise VerifierUnavailable(f"{self._path} cannot be read: {type(error).__name__}") from error
        return self._token


class _Kept(Generic[Value]):
    """Answers by digest, each for a while; the one that was not used for longest goes first."""

    def __init__(self, clock: Callable[[], int], duration: int) -> None:
        self._clock = clock
        self._duration = duration
        self._values: OrderedDict[bytes, tuple[int, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, digest: bytes) -> Value | None:
        found = self._values.get(digest)
        if found is None:
            return None
        put_at, value = found
        # A clock that was set back must not keep anything longer: hence the absolute value.
        if abs(self._clock() - put_at) >= self._duration:
            del self._values[digest]
            return None
        self._values.move_to_end(digest)
        return value

    def put(self, digest: bytes, value: Value) -> None:
        self._values[digest] = (self._clock(), value)
        self._values.move_to_end(digest)
        if len(self._values) > _MOST_KEPT:
            self._values.popitem(last=False)
