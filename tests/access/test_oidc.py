"""Tokens of an OpenID Connect issuer: which are taken, and what of the issuer is believed."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ark_broker.access.grants import Grant, TokenRefused, VerifierUnavailable
from ark_broker.access.jwks import ALGORITHMS, usable_key
from ark_broker.access.oidc import LONGEST_TOKEN, OidcVerifier
from tests.access.support import (
    AUDIENCE,
    ISSUER,
    NOW,
    Clock,
    Issuer,
    PrivateKey,
    claims,
    hmac_signed,
    part,
    public_jwk,
    public_pem,
    rsa_key,
    sign,
    verifier,
)

RSA = rsa_key()
OTHER_RSA = rsa_key()
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()

ALICE = Grant(
    name="alice", permissions=frozenset({"read"}), namespaces=frozenset({"team-a"}), via="oidc", issuer=ISSUER
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(keys=[public_jwk(RSA, kid="first")])


async def refusal(verify: OidcVerifier, token: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        await verify.verify(token)
    assert token not in repr(caught.value) + caught.value.reason or not token
    return caught.value.reason


async def outage(verify: OidcVerifier, token: str) -> str:
    with pytest.raises(VerifierUnavailable) as caught:
        await verify.verify(token)
    return caught.value.reason


# Signatures


@pytest.mark.parametrize(
    ("private", "alg"),
    [
        (RSA, "RS256"),
        (RSA, "RS384"),
        (RSA, "RS512"),
        (RSA, "PS256"),
        (P256, "ES256"),
        (P384, "ES384"),
        (ED25519, "EdDSA"),
    ],
    ids=ALGORITHMS,
)
async def test_each_trusted_algorithm_is_taken(private: PrivateKey, alg: str, issuer: Issuer, clock: Clock) -> None:
    issuer.keys = [public_jwk(private, kid="k")]
    assert await verifier(issuer, clock).verify(sign(private, alg, "k")) == ALICE


@pytest.mark.parametrize(
    "alg", ["HS256", "hs256", "none", "None", "NONE", "", "RS1", "ES256K", "PS512", "dir", 5, None]
)
async def test_other_algorithms_are_refused_before_the_issuer_is_asked(
    alg: object, issuer: Issuer, clock: Clock
) -> None:
    token = f"{part({'alg': alg, 'kid': 'first'})}.{part(claims())}.{part(b'signature')}"
    assert await refusal(verifier(issuer, clock), token) == "its algorithm is not one that is trusted"
    assert issuer.asked == []


@pytest.mark.parametrize("signature", ["", "AA"])
async def test_a_token_without_a_signature_is_refused(signature: str, issuer: Issuer, clock: Clock) -> None:
    await refusal(verifier(issuer, clock), f"{part({'alg': 'none'})}.{part(claims())}.{signature}")
    await refusal(verifier(issuer, clock), f"{part({'alg': 'RS256', 'kid': 'first'})}.{part(claims())}.{signature}")


async def test_an_hmac_made_with_the_public_key_is_refused(issuer: Issuer, clock: Clock) -> None:
    for secret in (public_pem(RSA), str(public_jwk(RSA)["n"]).encode()):
        for alg in ("HS256", "RS256", "ES256"):
            await refusal(verifier(issuer, clock), hmac_signed(secret, {"alg": alg, "kid": "first"}, claims()))


async def test_a_symmetric_key_that_the_issuer_publishes_is_not_used(issuer: Issuer, clock: Clock) -> None:
    issuer.keys = [{"kty": "oct", "kid": "first", "k": part(b"x" * 32), "alg": alg} for alg in ("HS256", "RS256")]
    token = hmac_signed(b"x" * 32, {"alg": "RS256", "kid": "first"}, claims())
    assert await refusal(verifier(issuer, clock), token) == "the issuer has no such key"


async def test_a_key_is_used_for_its_own_algorithm_only(issuer: Issuer, clock: Clock) -> None:
    issuer.keys = [public_jwk(RSA, kid="first", alg="PS256")]
    verify = verifier(issuer, clock)
    assert await verify.verify(sign(RSA, "PS256", "first")) == ALICE
    assert await refusal(verify, sign(RSA, "RS256", "first")) == "the issuer has no such key"


async def test_a_key_of_another_type_under_the_same_kid_does_not_help(issuer: Issuer, clock: Clock) -> None:
    assert await refusal(verifier(issuer, clock), sign(P256, "ES256", "first")) == "the issuer has no such key"


async def test_a_signature_of_another_key_is_refused(issuer: Issuer, clock: Clock) -> None:
    assert await refusal(verifier(issuer, clock), sign(OTHER_RSA, "RS256", "first")) == "its signature is wrong"


async def test_keys_that_the_token_brings_along_are_not_looked_at(issuer: Issuer, clock: Clock) -> None:
    header = {"jwk": public_jwk(OTHER_RSA), "jku": f"{ISSUER}/evil", "x5u": f"{ISSUER}/evil"}
    assert await refusal(verifier(issuer, clock), sign(OTHER_RSA, "RS256", "first", header)) == "its signature is wrong"
    assert issuer.count("/evil") == 0


@pytest.mark.parametrize(
    "members",
    [
        *({"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"d": "AQAB"}),
        *({"n": None}, {"n": "!"}, {"n": 5}, {"e": ""}, {"kid": 5}, {"kty": 5}, {"crv": ["P-256"]}),
        *({"alg": "HS256"}, {"alg": "none"}, {"alg": ["RS256"]}),
    ],
    ids=str,
)
def test_keys_that_are_broken_or_for_something_else_are_passed_over(members: dict[str, Any]) -> None:
    assert usable_key(public_jwk(RSA, **members)) is None


def test_what_is_no_key_is_passed_over() -> None:
    weak = public_jwk(rsa_key(1024))
    secp521 = public_jwk(ec.generate_private_key(ec.SECP521R1()))
    wrong_curve = public_jwk(P384, crv="P-256")
    private = RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"key_ops": ["sign", "verify"]}
    members: list[object] = [None, [], "key", {}, {"kty": "oct", "k": "AAAA"}, weak, secp521, wrong_curve, private]
    for found in members:
        assert usable_key(found) is None


async def test_one_bad_key_does_not_spoil_the_others(issuer: Issuer, clock: Clock) -> None:
    issuer.keys = [None, {"kty": "quantum"}, public_jwk(RSA, n="!"), public_jwk(RSA, kid="first")]
    assert await verifier(issuer, clock).verify(sign(RSA, "RS256", "first")) == ALICE


# Which key


async def test_a_key_without_a_kid_serves_tokens_with_and_without_one(issuer: Issuer, clock: Clock) -> None:
    issuer.keys = [public_jwk(RSA)]
    for kid in (None, "whatever"):
        assert await verifier(issuer, clock).verify(sign(RSA, "RS256", kid)) == ALICE


async def test_a_token_without_a_kid_is_tried_with_every_key(issuer: Issuer, clock: Clock) -> None:
    issuer.keys = [public_jwk(OTHER_RSA, kid="a"), public_jwk(P256, kid="b"), public_jwk(RSA, kid="c")]
    assert await verifier(issuer, clock).verify(sign(RSA, "RS256")) == ALICE


async def test_keys_that_share_a_kid_are_all_tried(issuer: Issuer, clock: Clock) -> None:
    issuer.keys = [public_jwk(key, kid="first") for key in (P256, OTHER_RSA, RSA)]
    verify = verifier(issuer, clock)
    pairs: list[tuple[PrivateKey, str]] = [(RSA, "RS256"), (OTHER_RSA, "RS256"), (P256, "ES256")]
    for private, alg in pairs:
        assert await verify.verify(sign(private, alg, "first")) == ALICE


async def test_a_token_is_not_tried_with_keys_of_other_kids(issuer: Issuer, clock: Clock) -> None:
    issuer.keys = [public_jwk(RSA, kid="first"), public_jwk(P256, kid="second")]
    assert await refusal(verifier(issuer, clock), sign(RSA, "RS256", "second")) == "the issuer has no such key"


# Claims


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.example"}, "it is of another issuer"),
        ({"iss": ISSUER + "/"}, "it is of another issuer"),
        ({"iss": ...}, "it is of another issuer"),
        ({"aud": "other"}, "it is for another audience"),
        ({"aud": ["other", AUDIENCE + "2"]}, "it is for another audience"),
        ({"aud": {AUDIENCE: 1}}, "it is for another audience"),
        ({"aud": [[AUDIENCE]]}, "it is for another audience"),
        ({"aud": []}, "it is for another audience"),
        ({"aud": ...}, "it is for another audience"),
        ({"exp": NOW - 60}, "it has expired"),
        ({"exp": ...}, "it never expires"),
        ({"exp": str(NOW + 300)}, "its `exp` is not a time"),
        ({"exp": None}, "its `exp` is not a time"),
        ({"exp": True}, "its `exp` is not a time"),
        ({"nbf": NOW + 61}, "it is not good yet"),
        ({"nbf": "soon"}, "its `nbf` is not a time"),
        ({"iat": NOW + 61}, "it was issued in the future"),
        ({"sub": ...}, "the claim `sub` does not name anybody"),
        ({"sub": " "}, "the claim `sub` does not name anybody"),
        ({"sub": 7}, "the claim `sub` does not name anybody"),
        ({"sub": "a\nb"}, "the claim `sub` does not name anybody"),
        ({"scope": "openid"}, "no claim gives a permission"),
        ({"namespaces": ...}, "there is no claim `namespaces`"),
    ],
    ids=str,
)
async def test_claims_that_are_wrong_are_refused(
    changes: dict[str, Any], reason: str, issuer: Issuer, clock: Clock
) -> None:
    assert await refusal(verifier(issuer, clock), sign(RSA, "RS256", "first", **changes)) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 59},
        {"exp": NOW + 0.5},
        {"nbf": NOW + 60},
        {"iat": NOW + 60},
        {"iat": ..., "nbf": ...},
        {"aud": ["other", AUDIENCE]},
    ],
    ids=str,
)
async def test_a_minute_of_difference_between_clocks_is_allowed(
    changes: dict[str, Any], issuer: Issuer, clock: Clock
) -> None:
    assert await verifier(issuer, clock).verify(sign(RSA, "RS256", "first", **changes)) == ALICE


@pytest.mark.parametrize("payload", [b"[]", b"null", b"{", b"\xff", b'{"exp": 1e999}', b"[" * 8000])
async def test_a_payload_that_is_no_object_is_refused(payload: bytes, issuer: Issuer, clock: Clock) -> None:
    token = jwt.PyJWS().encode(payload, RSA, algorithm="RS256", headers={"kid": "first"})
    await refusal(verifier(issuer, clock), token)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ({"typ": "at+jwt"}, True),
        ({"typ": "application/AT+JWT"}, True),
        ({"typ": None}, False),
        ({"typ": "logout+jwt"}, False),
        ({"typ": "dpop+jwt"}, False),
        ({"crit": ["exp"], "exp": 1}, False),
        ({"crit": []}, False),
        ({"crit": ["b64"], "b64": True}, False),
    ],
    ids=str,
)
async def test_a_jwt_for_something_else_is_refused(
    header: dict[str, Any], taken: bool, issuer: Issuer, clock: Clock
) -> None:
    signed = f"{part({'alg': 'ES256', 'kid': 'p', **header})}.{part(claims())}"
    issuer.keys = [public_jwk(P256, kid="p")]
    signature = jwt.algorithms.get_default_algorithms()["ES256"].sign(signed.encode(), P256)
    token = f"{signed}.{part(signature)}"
    if taken:
        assert await verifier(issuer, clock).verify(token) == ALICE
    else:
        await refusal(verifier(issuer, clock), token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "é.é.é",
        "\ud800.a.b",
        "[]",
        "x" * 10_000,
        "bnVsbA.e30.AA",
        "W10.e30.AA",
    ],
    ids=lambda token: ascii(token)[:20],
)
async def test_what_is_no_jwt_is_refused(token: str, issuer: Issuer, clock: Clock) -> None:
    assert await refusal(verifier(issuer, clock), token) == "it is not a signed JWT"
    assert issuer.asked == []


async def test_a_huge_token_is_refused_without_a_look(issuer: Issuer, clock: Clock) -> None:
    token = sign(RSA, "RS256", "first", padding="x" * LONGEST_TOKEN)
    assert await refusal(verifier(issuer, clock), token) == "it is longer than 16384 characters"
    assert issuer.asked == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(data=st.data())
def test_no_mutation_of_a_token_verifies(data: st.DataObject) -> None:
    token = MUTATED
    position = data.draw(st.integers(0, len(token)))
    replacement = data.draw(st.text("AZaz09-_.=+ \n", max_size=3))
    removed = data.draw(st.integers(0, 3))
    mutated = token[:position] + replacement + token[position + removed :]
    assume(mutated != token)

    async def attempt() -> None:
        with pytest.raises(TokenRefused):
            await verifier(Issuer(keys=[public_jwk(P256, kid="p")]), Clock()).verify(mutated)

    asyncio.run(attempt())


MUTATED = sign(P256, "ES256", "p")


# The issuer


async def test_the_keys_are_fetched_once_for_all_who_need_them(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    token = sign(RSA, "RS256", "first")
    assert await asyncio.gather(*(verify.verify(token) for _ in range(20))) == [ALICE] * 20
    assert (issuer.count("/openid-configuration"), issuer.count()) == (1, 1)


async def test_a_caller_who_gives_up_does_not_stop_the_fetch_for_the_others(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    calls = [asyncio.create_task(verify.verify(sign(RSA, "RS256", "first"))) for _ in range(2)]
    await asyncio.sleep(0)
    calls[0].cancel()
    assert await calls[1] == ALICE
    assert issuer.count() == 1


async def test_a_named_jwks_url_needs_no_discovery(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock, jwks_url=f"{ISSUER}/keys")
    assert await verify.verify(sign(RSA, "RS256", "first")) == ALICE
    assert issuer.asked == ["/realms/ark/keys"]


async def test_keys_are_kept_for_ten_minutes(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    token = sign(RSA, "RS256", "first", exp=NOW + 10_000)
    await verify.verify(token)
    clock.forward(599)
    await verify.verify(token)
    assert issuer.count() == 1
    clock.forward(1)
    await verify.verify(token)
    assert issuer.count() == 2


async def test_a_withdrawn_key_is_refused_once_the_keys_are_fetched_anew(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    token = sign(RSA, "RS256", "first", exp=NOW + 10_000)
    await verify.verify(token)
    issuer.keys = []
    clock.forward(600)
    assert await refusal(verify, token) == "the issuer has no such key"


async def test_a_new_key_is_found_at_once(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    await verify.verify(sign(RSA, "RS256", "first"))
    issuer.keys.append(public_jwk(OTHER_RSA, kid="second"))
    assert await verify.verify(sign(OTHER_RSA, "RS256", "second")) == ALICE
    assert issuer.count() == 2


async def test_a_new_key_under_the_old_kid_is_found(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    await verify.verify(sign(RSA, "RS256", "first"))
    issuer.keys = [public_jwk(OTHER_RSA, kid="first")]
    assert await verify.verify(sign(OTHER_RSA, "RS256", "first")) == ALICE
    assert await refusal(verify, sign(RSA, "RS256", "first")) == "its signature is wrong"


async def test_unknown_kids_have_the_issuer_asked_once_a_minute(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    await verify.verify(sign(RSA, "RS256", "first"))
    tokens = [sign(OTHER_RSA, "RS256", f"unknown-{number}") for number in range(5)]
    for token in tokens:
        assert await refusal(verify, token) == "the issuer has no such key"
    await asyncio.gather(*(verify.verify(token) for token in tokens), return_exceptions=True)
    assert issuer.count() == 2
    clock.forward(60)
    await asyncio.gather(*(verify.verify(token) for token in tokens), return_exceptions=True)
    assert issuer.count() == 3


async def test_callers_who_find_a_rotation_at_once_all_get_the_new_key(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    await verify.verify(sign(RSA, "RS256", "first"))
    issuer.keys = [public_jwk(OTHER_RSA, kid="second")]
    token = sign(OTHER_RSA, "RS256", "second")
    assert await asyncio.gather(*(verify.verify(token) for _ in range(10))) == [ALICE] * 10
    assert issuer.count() == 2


async def test_old_keys_serve_for_a_day_while_the_issuer_is_away(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    token = sign(RSA, "RS256", "first", exp=NOW + 10**6)
    await verify.verify(token)
    issuer.away = True
    clock.forward(24 * 3600 - 1)
    assert await verify.verify(token) == ALICE
    clock.forward(1)
    assert "cannot be reached: ConnectError" in await outage(verify, token)
    issuer.away = False
    clock.forward(10)
    assert await verify.verify(token) == ALICE


async def test_an_issuer_that_is_away_is_not_asked_with_every_request(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    issuer.away = True
    for _ in range(5):
        await outage(verify, sign(RSA, "RS256", "first"))
    assert len(issuer.asked) == 1
    clock.forward(10)
    await outage(verify, sign(RSA, "RS256", "first"))
    assert len(issuer.asked) == 2


async def test_while_the_issuer_is_away_an_unknown_key_is_no_refusal_and_a_forgery_is(
    issuer: Issuer, clock: Clock
) -> None:
    verify = verifier(issuer, clock)
    await verify.verify(sign(RSA, "RS256", "first"))
    issuer.away = True
    for _ in range(2):
        assert "key that is not known" in await outage(verify, sign(OTHER_RSA, "RS256", "second"))
        assert await refusal(verify, sign(OTHER_RSA, "RS256", "first")) == "its signature is wrong"
    assert await verify.verify(sign(RSA, "RS256", "first")) == ALICE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://kubernetes.default.svc.cluster.local"}, "it is of another issuer"),
        ({"iss": ...}, "it is of another issuer"),
        ({"aud": "https://kubernetes.default.svc"}, "it is for another audience"),
    ],
    ids=str,
)
async def test_a_token_for_somebody_else_is_refused_without_asking_for_keys(
    changes: dict[str, Any], reason: str, issuer: Issuer, clock: Clock
) -> None:
    """A cluster's service accounts need no issuer of ours, whether it answers or not."""
    issuer.away = True
    verify = verifier(issuer, clock)
    assert await refusal(verify, sign(OTHER_RSA, "RS256", "of-the-cluster", **changes)) == reason
    assert issuer.asked == []


@pytest.mark.parametrize(
    "payload", [b"not JSON", b"[]", b"[" * 11_000, b'{"\xd3": 1}'], ids=["text", "list", "deep", "bytes"]
)
async def test_claims_that_cannot_be_read_are_refused_without_asking_for_keys(
    payload: bytes, issuer: Issuer, clock: Clock
) -> None:
    token = f"{part({'alg': 'RS256', 'kid': 'first'})}.{part(payload)}.{part(b'signature')}"
    assert (await refusal(verifier(issuer, clock), token)).startswith("its claims are not")
    assert issuer.asked == []


async def test_a_token_that_only_says_it_is_for_us_still_needs_the_signature(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    good, forged = sign(RSA, "RS256", "first"), part(claims(scope="admin"))
    header, _, signature = good.split(".")
    assert await refusal(verify, f"{header}.{forged}.{signature}") == "its signature is wrong"


async def test_after_a_fetch_that_failed_a_new_key_is_looked_for_again_in_ten_seconds(
    issuer: Issuer, clock: Clock
) -> None:
    verify = verifier(issuer, clock)
    await verify.verify(sign(RSA, "RS256", "first"))
    issuer.keys, issuer.away = [public_jwk(OTHER_RSA, kid="second")], True
    token = sign(OTHER_RSA, "RS256", "second")
    await outage(verify, token)
    issuer.away = False
    await outage(verify, token)
    clock.forward(10)
    assert await verify.verify(token) == ALICE


async def test_a_clock_that_was_set_back_has_the_keys_fetched_anew(issuer: Issuer, clock: Clock) -> None:
    verify = verifier(issuer, clock)
    await verify.verify(sign(RSA, "RS256", "first"))
    clock.forward(-3600)
    await verify.verify(sign(RSA, "RS256", "first", iat=NOW - 3700))
    assert issuer.count() == 2


@pytest.mark.parametrize("says", [ISSUER + "/", ISSUER.upper(), "https://issuer.example", "", None])
async def test_an_issuer_that_says_it_is_another_is_not_believed(says: Any, issuer: Issuer, clock: Clock) -> None:
    issuer.says_issuer = says
    assert "is about another issuer" in await outage(verifier(issuer, clock), sign(RSA, "RS256", "first"))
    assert issuer.count() == 0


@pytest.mark.parametrize("uri", [None, 5, "", "/keys", "file:///etc/passwd", "http://issuer.example/realms/ark/keys"])
async def test_keys_are_not_fetched_from_somewhere_less_safe(uri: object, issuer: Issuer, clock: Clock) -> None:
    issuer.says_jwks_uri = uri
    assert "no `jwks_uri`" in await outage(verifier(issuer, clock), sign(RSA, "RS256", "first"))
    assert issuer.count() == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response("no", 500), "answered 500"),
        (Response(status_code=204), "answered 204|something else than JSON"),
        (RedirectResponse("https://issuer.example/elsewhere"), "answered 307"),
        (Response("<html>"), "something else than JSON"),
        (Response(b'{"keys": "\xd3"}'), "something else than JSON"),
        (Response(b"[" * 100_000), "something else than JSON"),
        (JSONResponse([]), "something else than an object"),
        (JSONResponse({"keys": {}}), "has no list of keys"),
        (JSONResponse({"keys": ["x" * 300_000]}), "more than 262144 bytes"),
        (Response(gzip.compress(b"{}"), headers={"content-encoding": "gzip"}), "encoding that was not asked for"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_answers_that_are_no_keys_are_an_outage(
    answer: Response, reason: str, issuer: Issuer, clock: Clock
) -> None:
    async def behave(_: Request) -> Response:
        return answer

    issuer.behaves = behave
    verify = verifier(issuer, clock, jwks_url=f"{ISSUER}/keys")
    with pytest.raises(VerifierUnavailable) as caught:
        await verify.verify(sign(RSA, "RS256", "first"))
    assert any(part in caught.value.reason for part in reason.split("|"))
    assert issuer.count("/elsewhere") == 0


async def test_an_issuer_that_never_answers_is_an_outage(
    issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def behave(_: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("ark_broker.access.outbound.TIMEOUT_SECONDS", 0.01)
    issuer.behaves = behave
    assert "did not answer within" in await outage(verifier(issuer, clock), sign(RSA, "RS256", "first"))


@pytest.mark.parametrize("issuer_url", ["", "issuer.example", "ftp://issuer.example", f"{ISSUER}?a=b", f"{ISSUER}#a"])
async def test_an_issuer_that_is_no_url_is_refused_at_once(issuer_url: str) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValueError, match="the issuer must be"):
            OidcVerifier(issuer_url, AUDIENCE, None, client, verifier(Issuer(), Clock())._mapping)


async def test_an_audience_is_needed() -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValueError, match="an audience is needed"):
            OidcVerifier(ISSUER, "", None, client, verifier(Issuer(), Clock())._mapping)
