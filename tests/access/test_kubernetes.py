"""Tokens of service accounts, reviewed by a stand-in for the API server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ark_broker.access import kubernetes
from ark_broker.access.grants import Grant, GrantInvalid, Permission, TokenRefused, VerifierUnavailable
from ark_broker.access.kubernetes import (
    AccountRule,
    ServiceAccountMapping,
    TokenReviewer,
    cluster_client,
    in_cluster_url,
)
from tests.access.support import Clock

INGEST: frozenset[Permission] = frozenset({"ingest"})
ADMIN: frozenset[Permission] = frozenset({"admin"})
TOKEN = "aGVhZGVy.cGF5bG9hZA.c2lnbmF0dXJl"
COLLECTOR = "system:serviceaccount:team-a:collector"
GRANT = Grant(name=COLLECTOR, permissions=INGEST, namespaces=frozenset({"team-a"}), via="kubernetes")


@dataclass
class ApiServer:
    """Knows tokens by heart. `answers` is what it says instead while that is set."""

    users: dict[str, str] = field(default_factory=lambda: {TOKEN: COLLECTOR})
    own_token: str = "own-1"
    knows_audiences: bool = True
    answers: Response | None = None
    away: bool = False
    hangs: bool = False
    reviews: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def client(self) -> httpx.AsyncClient:
        app = Starlette(routes=[Route("/apis/authentication.k8s.io/v1/tokenreviews", self._review, methods=["POST"])])
        return httpx.AsyncClient(transport=httpx.ASGITransport(app))

    async def _review(self, request: Request) -> Response:
        if self.away:
            raise httpx.ConnectError("no route to host")
        review = await request.json()
        self.reviews.append(review)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        self.at_once -= 1
        if self.answers is not None:
            return self.answers
        if request.headers["authorization"] != f"Bearer {self.own_token}":
            return JSONResponse({"kind": "Status", "code": 401}, 401)
        return JSONResponse(review | {"status": self._status(review["spec"])}, 201)

    def _status(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        username = self.users.get(spec["token"])
        if username is None:
            return {"authenticated": False, "user": {}, "error": f"[invalid bearer token {spec['token']}]"}
        status = {"authenticated": True, "user": {"username": username, "uid": "1", "groups": ["system:masters"]}}
        return status | ({"audiences": spec["audiences"]} if self.knows_audiences and "audiences" in spec else {})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("own-1\n")
    return path


@pytest.fixture
def reviewer(server: ApiServer, token_file: Path, clock: Clock) -> TokenReviewer:
    return review_with(server, token_file, clock)


def review_with(
    server: ApiServer,
    token_file: Path,
    clock: Clock,
    audience: str | None = "ark-broker",
    mapping: ServiceAccountMapping | None = None,
) -> TokenReviewer:
    mapping = mapping or ServiceAccountMapping(permissions=INGEST)
    return TokenReviewer(server.client(), "https://10.0.0.1:443/", token_file, audience, mapping, clock)


async def refusal(reviewer: TokenReviewer, token: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        await reviewer.verify(token)
    return caught.value.reason


async def outage(reviewer: TokenReviewer, token: str = TOKEN) -> str:
    with pytest.raises(VerifierUnavailable) as caught:
        await reviewer.verify(token)
    return caught.value.reason


def put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


async def test_a_service_account_gets_the_configured_permissions_in_its_own_namespace(
    reviewer: TokenReviewer, server: ApiServer
) -> None:
    assert await reviewer.verify(TOKEN) == GRANT
    assert server.reviews == [
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": TOKEN, "audiences": ["ark-broker"]},
        }
    ]


async def test_without_an_audience_none_is_asked_for(server: ApiServer, token_file: Path, clock: Clock) -> None:
    assert await review_with(server, token_file, clock, audience=None).verify(TOKEN) == GRANT
    assert server.reviews[0]["spec"] == {"token": TOKEN}


async def test_an_account_that_is_listed_gets_what_is_listed_instead(
    server: ApiServer, token_file: Path, clock: Clock
) -> None:
    mapping = ServiceAccountMapping(
        permissions=INGEST,
        accounts={
            "team-a/collector": AccountRule(permissions=ADMIN, namespaces=None),
            "team-a/reader": AccountRule(permissions=frozenset({"read"}), namespaces=frozenset({"team-b"})),
            "team-a/banned": AccountRule(permissions=frozenset(), namespaces=None),
        },
        requests_per_minute=5,
    )
    reviewer = review_with(server, token_file, clock, mapping=mapping)
    server.users = {f"{name}.x.y": f"system:serviceaccount:team-a:{name}" for name in ("collector", "reader", "banned")}
    collector, reader = await reviewer.verify("collector.x.y"), await reviewer.verify("reader.x.y")
    assert (collector.permissions, collector.namespaces, collector.requests_per_minute) == (ADMIN, None, 5)
    assert (reader.permissions, reader.namespaces) == ({"read"}, {"team-b"})
    assert await refusal(reviewer, "banned.x.y") == "the service account team-a/banned has no permission"


async def test_an_account_that_is_not_listed_gets_nothing_where_nothing_is_configured_for_all(
    server: ApiServer, token_file: Path, clock: Clock
) -> None:
    reviewer = review_with(server, token_file, clock, mapping=ServiceAccountMapping())
    assert await refusal(reviewer, TOKEN) == "the service account team-a/collector has no permission"


@pytest.mark.parametrize("account", ["team-a:collector", "collector", "team-a/", "team-a/*", "Team/collector"])
def test_what_names_no_account_is_refused_at_once(account: str) -> None:
    with pytest.raises(GrantInvalid, match="does not name a service account"):
        ServiceAccountMapping(accounts={account: AccountRule(permissions=INGEST, namespaces=None)})


@pytest.mark.parametrize(
    "username",
    [
        "system:admin",
        "alice",
        "system:serviceaccount:team-a",
        "system:serviceaccount:team-a:",
        "system:serviceaccount::collector",
        "system:serviceaccount:team-a:collector:extra",
        "system:serviceaccount:team-a,team-b:collector",
        "xsystem:serviceaccount:team-a:collector",
        "system:serviceaccount:team-a:collector\n",
        "",
    ],
    ids=ascii,
)
async def test_users_who_are_no_service_accounts_are_refused(
    username: str, reviewer: TokenReviewer, server: ApiServer
) -> None:
    server.users[TOKEN] = username
    assert await refusal(reviewer, TOKEN) == "it is not of a service account"


async def test_a_token_that_is_not_known_is_refused_without_quoting_it(reviewer: TokenReviewer) -> None:
    assert await refusal(reviewer, "a.b.c") == "the API server does not know it"


async def test_an_answer_that_does_not_confirm_the_audience_is_a_refusal(
    reviewer: TokenReviewer, server: ApiServer
) -> None:
    server.knows_audiences = False
    assert await refusal(reviewer, TOKEN) == "it is for another audience"


@pytest.mark.parametrize(
    "token", ["", "a", "a.b", "arkb_x", "a.b.c\n", "é.b.c", "\ud800.b.c", "a.b." + "c" * 20_000], ids=len
)
async def test_what_is_no_jwt_or_too_long_is_refused_without_a_review(
    token: str, reviewer: TokenReviewer, server: ApiServer
) -> None:
    await refusal(reviewer, token)
    assert server.reviews == []


async def test_a_grant_is_kept_for_a_minute(reviewer: TokenReviewer, server: ApiServer, clock: Clock) -> None:
    await reviewer.verify(TOKEN)
    server.users.clear()
    clock.forward(59.9)
    assert await reviewer.verify(TOKEN) == GRANT
    clock.forward(0.1)
    assert await refusal(reviewer, TOKEN) == "the API server does not know it"
    assert len(server.reviews) == 2


async def test_a_refusal_is_kept_for_ten_seconds(reviewer: TokenReviewer, server: ApiServer, clock: Clock) -> None:
    await refusal(reviewer, "a.b.c")
    server.users["a.b.c"] = COLLECTOR
    clock.forward(9.9)
    await refusal(reviewer, "a.b.c")
    assert len(server.reviews) == 1
    clock.forward(0.1)
    assert await reviewer.verify("a.b.c") == GRANT


async def test_a_clock_that_was_set_back_keeps_nothing_longer(
    reviewer: TokenReviewer, server: ApiServer, clock: Clock
) -> None:
    await reviewer.verify(TOKEN)
    server.users.clear()
    clock.forward(-3600)
    await refusal(reviewer, TOKEN)


async def test_no_token_is_kept(reviewer: TokenReviewer) -> None:
    await reviewer.verify(TOKEN)
    await refusal(reviewer, "a.b.c")
    assert TOKEN not in repr(vars(reviewer._grants))
    assert "a.b.c" not in repr(vars(reviewer._refusals))


async def test_what_is_kept_is_bounded_and_refusals_push_out_no_grants(
    reviewer: TokenReviewer, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "_MOST_KEPT", 3)
    await reviewer.verify(TOKEN)
    for number in range(5):
        await refusal(reviewer, f"a.b.{number}")
    assert (len(reviewer._grants), len(reviewer._refusals)) == (1, 3)
    asked = len(server.reviews)
    await reviewer.verify(TOKEN)
    await refusal(reviewer, "a.b.4")
    assert len(server.reviews) == asked
    await refusal(reviewer, "a.b.0")
    assert len(server.reviews) == asked + 1


async def test_callers_with_the_same_token_share_a_review(reviewer: TokenReviewer, server: ApiServer) -> None:
    assert await asyncio.gather(*(reviewer.verify(TOKEN) for _ in range(20))) == [GRANT] * 20
    assert len(server.reviews) == 1


async def test_a_caller_who_gives_up_does_not_stop_the_review_for_the_others(
    reviewer: TokenReviewer, server: ApiServer
) -> None:
    calls = [asyncio.create_task(reviewer.verify(TOKEN)) for _ in range(2)]
    await asyncio.sleep(0)
    calls[0].cancel()
    assert await calls[1] == GRANT
    assert len(server.reviews) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (JSONResponse({}, 403), "system:auth-delegator"),
        (JSONResponse({}, 500), "answered 500"),
        (JSONResponse({}, 429), "answered 429"),
        (JSONResponse({}), "answered 200 without a review"),
        (JSONResponse([], 201), "answered 201 without a review"),
        (JSONResponse({"status": None}, 201), "answered 201 without a review"),
        (Response("<html>"), "something else than JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_answer_that_is_no_review_is_an_outage_and_not_kept(
    answer: Response, reason: str, reviewer: TokenReviewer, server: ApiServer
) -> None:
    server.answers = answer
    assert reason in await outage(reviewer)
    server.answers = None
    assert await reviewer.verify(TOKEN) == GRANT


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": "true", "audiences": ["ark-broker"], "user": {"username": COLLECTOR}},
        {"authenticated": 1, "audiences": ["ark-broker"], "user": {"username": COLLECTOR}},
        {"authenticated": True},
        {"authenticated": True, "audiences": "ark-broker"},
        {"authenticated": True, "audiences": ["ark-broker"]},
        {"authenticated": True, "audiences": ["ark-broker"], "user": {"username": [COLLECTOR]}},
    ],
    ids=str,
)
async def test_a_review_that_is_not_whole_is_a_refusal(
    status: dict[str, Any], reviewer: TokenReviewer, server: ApiServer
) -> None:
    server.answers = JSONResponse({"status": status}, 201)
    await refusal(reviewer, TOKEN)


async def test_while_the_api_server_is_away_known_tokens_serve_and_others_are_an_outage(
    reviewer: TokenReviewer, server: ApiServer
) -> None:
    await reviewer.verify(TOKEN)
    server.away = True
    assert await reviewer.verify(TOKEN) == GRANT
    assert "cannot be reached: ConnectError" in await outage(reviewer, "a.b.c")
    server.away = False
    assert await refusal(reviewer, "a.b.c") == "the API server does not know it"


async def test_a_flood_of_tokens_waits_for_room(reviewer: TokenReviewer, server: ApiServer) -> None:
    answers = await asyncio.gather(*(refusal(reviewer, f"a.b.{number}") for number in range(100)))
    assert set(answers) == {"the API server does not know it"}
    assert len(server.reviews) == 100
    assert 1 < server.most_at_once <= 32


async def test_an_api_server_that_never_answers_is_an_outage(
    reviewer: TokenReviewer, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ark_broker.access.outbound.TIMEOUT_SECONDS", 0.05)
    server.hangs = True
    calls = (reviewer.verify(f"a.b.{number}") for number in range(40))
    failed = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in failed} == {VerifierUnavailable}


async def test_the_brokers_own_token_is_read_anew_when_it_changes(
    reviewer: TokenReviewer, server: ApiServer, token_file: Path, tmp_path: Path
) -> None:
    await reviewer.verify(TOKEN)
    server.own_token = "own-2"
    assert await outage(reviewer, "a.b.c") == "the API server does not take the broker's own token"
    # As the kubelet does it: a new file is put in the old one's place.
    (tmp_path / "next").write_text("own-2")
    (tmp_path / "next").replace(token_file)
    assert await refusal(reviewer, "a.b.c") == "the API server does not know it"


async def test_the_brokers_own_token_is_not_read_while_it_stays_the_same(
    reviewer: TokenReviewer, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    read_text = Path.read_text

    def counted(path: Path, **how: Any) -> str:
        reads.append(path)
        return read_text(path, **how)

    monkeypatch.setattr(Path, "read_text", counted)
    for number in range(3):
        await refusal(reviewer, f"a.b.{number}")
    assert reads == [token_file]


@pytest.mark.parametrize("content", [b"", b" \n", b"a b", b"a\r\nX-Evil: 1", "é".encode(), None], ids=ascii)
async def test_an_own_token_that_cannot_be_used_is_an_outage(
    content: bytes | None, reviewer: TokenReviewer, token_file: Path, server: ApiServer
) -> None:
    put(token_file, content)
    assert str(token_file) in await outage(reviewer)
    assert server.reviews == []


@pytest.mark.parametrize(("host", "url"), [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")])
def test_the_api_server_is_found_from_what_a_pod_knows(host: str, url: str) -> None:
    assert in_cluster_url(host, "443") == url


async def test_the_clusters_authority_is_read_from_its_file(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cluster")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "ca.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    async with cluster_client(path) as client:
        assert not client.trust_env


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_authority_that_cannot_be_read_is_told(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OSError):  # noqa: PT011 - FileNotFoundError or SSLError
        cluster_client(path)
