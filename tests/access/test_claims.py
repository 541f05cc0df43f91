"""What the claims of an issuer's token stand for."""

from __future__ import annotations

from typing import Any

import pytest

from ark_broker.access.claims import ClaimMapping
from ark_broker.access.grants import Grant, GrantInvalid, Permission, TokenRefused

ADMIN: frozenset[Permission] = frozenset({"admin"})
READ: frozenset[Permission] = frozenset({"read"})
ALL = ClaimMapping(namespaces_absent="all")


def permissions(mapping: ClaimMapping, **claims: Any) -> set[str]:
    try:
        return set(mapping.grant({"sub": "alice", "namespaces": ["team-a"], **claims}).permissions)
    except TokenRefused:
        return set()


def namespaces(mapping: ClaimMapping, **claims: Any) -> frozenset[str] | None:
    return mapping.grant({"sub": "alice", "scope": "read", **claims}).namespaces


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"scope": "openid ingest read"}, {"ingest", "read"}),
        ({"scp": ["answer"]}, {"answer"}),
        ({"scp": "answer read"}, {"answer", "read"}),
        ({"roles": ["admin", "other"]}, {"admin"}),
        ({"scope": "read", "roles": ["ingest"]}, {"read", "ingest"}),
        ({"groups": ["admin", "read"]}, set()),
        ({"scope": "Read READ reader"}, set()),
        ({"scope": None, "roles": {"admin": True}, "scp": [["admin"], 5, None]}, set()),
    ],
)
def test_permissions_are_named_as_they_are_but_not_by_a_group(claims: dict[str, Any], expected: set[str]) -> None:
    assert permissions(ClaimMapping(), **claims) == expected


def test_a_mapping_says_what_a_group_stands_for_and_then_nothing_else_counts() -> None:
    mapping = ClaimMapping(values={"ark-admins": ADMIN, "ark-readers": READ})
    assert permissions(mapping, groups=["ark-admins", "staff"]) == {"admin"}
    assert permissions(mapping, groups=["ark-readers"], roles=["ark-admins"]) == {"admin", "read"}
    assert permissions(mapping, groups=["admin"], scope="admin") == set()


def test_a_mapped_value_with_spaces_is_one_value_except_in_a_scope() -> None:
    mapping = ClaimMapping(values={"ARK Admins": ADMIN, "Admins": READ})
    assert permissions(mapping, groups="ARK Admins") == {"admin"}
    assert permissions(mapping, scope="ARK Admins") == {"read"}


def test_a_named_claim_is_the_only_one_that_counts() -> None:
    mapping = ClaimMapping(permissions_claim="ark")
    assert permissions(mapping, ark="ingest read", scope="admin", roles=["admin"]) == {"ingest", "read"}
    assert permissions(mapping, scope="admin") == set()
    assert permissions(ClaimMapping(permissions_claim="groups"), groups=["read"]) == {"read"}


def test_a_claim_is_named_by_a_path_or_by_a_name_with_dots_in_it() -> None:
    path = ClaimMapping(permissions_claim="realm_access.roles")
    assert permissions(path, realm_access={"roles": ["read"]}) == {"read"}
    assert permissions(path, realm_access="roles") == set()
    address = ClaimMapping(permissions_claim="https://ark.example/roles")
    assert permissions(address, **{"https://ark.example/roles": ["read"]}) == {"read"}


@pytest.mark.parametrize("claim", [["team-a", "team-b"], "team-a team-b", ["team-b", "team-a", "team-a"]], ids=str)
def test_namespaces_are_those_of_the_claim(claim: object) -> None:
    assert namespaces(ClaimMapping(), namespaces=claim) == {"team-a", "team-b"}


def test_without_the_claim_a_token_is_refused_or_sees_everything_as_configured() -> None:
    with pytest.raises(TokenRefused) as caught:
        namespaces(ClaimMapping())
    assert caught.value.reason == "there is no claim `namespaces`"
    assert namespaces(ALL) is None


@pytest.mark.parametrize(
    "claim", [None, "", [], {}, 5, True, [5], "*", ["*"], ["team-*"], ["team a"], ["a", "*"]], ids=str
)
@pytest.mark.parametrize("mapping", [ClaimMapping(), ALL], ids=["none", "all"])
def test_a_claim_that_names_no_namespace_never_means_all(mapping: ClaimMapping, claim: object) -> None:
    with pytest.raises(TokenRefused) as caught:
        namespaces(mapping, namespaces=claim)
    assert caught.value.reason == "the claim `namespaces` does not name namespaces"


def test_a_mapping_says_which_namespaces_a_value_stands_for() -> None:
    mapping = ClaimMapping(
        namespaces_claim="groups",
        namespace_values={"a-devs": frozenset({"team-a", "shared"}), "b-devs": frozenset({"team-b"}), "ops": None},
        namespaces_absent="all",
    )
    assert namespaces(mapping, groups=["a-devs", "b-devs", "staff"]) == {"team-a", "team-b", "shared"}
    assert namespaces(mapping, groups=["a-devs", "ops"]) is None
    for nothing in ([], ["staff"], "team-a", None):
        with pytest.raises(TokenRefused, match="not accepted"):
            namespaces(mapping, groups=nothing)


def test_the_name_and_the_limits_are_those_of_the_mapping() -> None:
    mapping = ClaimMapping(name_claim="client.id", requests_per_minute=10, bytes_per_minute=20)
    claims = {"client": {"id": "collector"}, "scope": "ingest", "namespaces": "team-a", "jti": "1"}
    assert mapping.grant(claims) == Grant(
        name="collector",
        permissions=frozenset({"ingest"}),
        namespaces=frozenset({"team-a"}),
        requests_per_minute=10,
        bytes_per_minute=20,
    )


@pytest.mark.parametrize("name", [None, "", " ", 5, ["alice"], "a\x00", "a\u2028b", "x" * 257], ids=ascii)
def test_a_token_of_nobody_is_refused(name: object) -> None:
    with pytest.raises(TokenRefused) as caught:
        ALL.grant({"sub": name, "scope": "read"})
    assert caught.value.reason == "the claim `sub` does not name anybody"


def test_a_limit_below_one_is_refused_at_once() -> None:
    with pytest.raises(GrantInvalid):
        ClaimMapping(requests_per_minute=0)
