"""What a grant allows, how the configuration writes it, and how much passes in a minute."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ark_broker.access.grants import (
    ANYBODY,
    PERMISSIONS,
    Grant,
    GrantInvalid,
    Permission,
    RateLimit,
    TokenRefused,
    VerifierUnavailable,
    parse_namespaces,
    parse_permissions,
)

SECOND = 1_000_000_000
UNTIMED = settings(deadline=None)


class Clock:
    """Nanoseconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 5_000 * SECOND

    def __call__(self) -> int:
        return self.now


def grant(
    *permissions: Permission,
    name: str = "somebody",
    namespaces: frozenset[str] | None = None,
    requests: int | None = None,
    bytes: int | None = None,
) -> Grant:
    return Grant(
        name=name,
        permissions=frozenset(permissions),
        namespaces=namespaces,
        requests_per_minute=requests,
        bytes_per_minute=bytes,
    )


def test_a_grant_may_what_it_names_and_nothing_else() -> None:
    assert [permission for permission in PERMISSIONS if grant("ingest", "read").may(permission)] == ["ingest", "read"]


def test_admin_implies_every_permission() -> None:
    assert all(grant("admin").may(permission) for permission in PERMISSIONS)


def test_no_permission_allows_nothing() -> None:
    assert not any(grant().may(permission) for permission in PERMISSIONS)


def test_a_limited_grant_sees_its_namespaces_and_not_what_has_none() -> None:
    limited = grant("admin", namespaces=frozenset({"team-a"}))
    assert limited.is_limited
    assert limited.sees("team-a")
    assert not limited.sees("team-b")
    assert not limited.sees(None)
    assert not limited.sees("")


def test_a_grant_for_no_namespace_is_limited_and_sees_nothing() -> None:
    nothing = grant("read", namespaces=frozenset())
    assert nothing.is_limited
    assert not nothing.sees("team-a")
    assert not nothing.sees(None)


def test_anybody_sees_and_may_everything() -> None:
    assert all(ANYBODY.may(permission) for permission in PERMISSIONS)
    assert ANYBODY.sees("team-a")
    assert ANYBODY.sees(None)
    assert not ANYBODY.is_limited


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(GrantInvalid, match="at least 1"):
        grant("read", requests=0)


@pytest.mark.parametrize("text", ["ingest,read", " read , ingest ", "ingest read", "read,ingest,read,"])
def test_permissions_are_parsed_with_commas_or_white_space(text: str) -> None:
    assert parse_permissions(text) == {"ingest", "read"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no permission is named"),
        (" , ", "no permission is named"),
        ("ingest,write", "'write' is not a permission; there are ingest, read, answer, admin"),
        ("Read", "'Read' is not a permission"),
    ],
)
def test_bad_permissions_are_told_by_name(text: str, message: str) -> None:
    with pytest.raises(GrantInvalid, match=message):
        parse_permissions(text)


def test_namespaces_are_parsed_and_a_lone_star_is_all_of_them() -> None:
    assert parse_namespaces("team-a, team-b\tteam_C") == {"team-a", "team-b", "team_C"}
    assert parse_namespaces(" * ") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no namespace is named"),
        ("*,team-a", "must stand alone"),
        ("team-*", "'team-\\*' is not a namespace"),
        ("a" * 254, "is not a namespace"),
        ("a\x00b", "is not a namespace"),
    ],
)
def test_bad_namespaces_are_told_by_name(text: str, message: str) -> None:
    with pytest.raises(GrantInvalid, match=message):
        parse_namespaces(text)


def test_a_client_is_not_told_why_a_token_was_refused() -> None:
    refused = TokenRefused("it expired")
    assert (str(refused), refused.reason) == ("the token is not accepted", "it expired")
    unavailable = VerifierUnavailable("no route to host")
    assert "route" not in str(unavailable)
    assert (unavailable.reason, unavailable.retry_after) == ("no route to host", 5)


def test_a_grant_without_limits_never_waits_and_takes_no_room() -> None:
    limit = RateLimit(Clock())
    assert [limit.take(grant("read"), 10**9, 10**15) for _ in range(3)] == [0, 0, 0]
    assert len(limit) == 0


def test_a_minutes_worth_of_requests_passes_at_once_and_then_one_at_a_time() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    somebody = grant("read", requests=6)
    assert [limit.take(somebody) for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]
    clock.now += 10 * SECOND
    assert [limit.take(somebody) for _ in range(2)] == [0, 10]


def test_a_rest_fills_the_bucket_and_no_more() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    somebody = grant("read", requests=2)
    limit.take(somebody, 2)
    clock.now += 3600 * SECOND
    assert [limit.take(somebody) for _ in range(3)] == [0, 0, 30]


def test_what_one_bucket_refuses_is_not_taken_from_the_other() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    somebody = grant("ingest", requests=1, bytes=100)
    assert limit.take(somebody, requests=0, bytes=100) == 0
    assert limit.take(somebody, requests=1, bytes=50) == 30
    assert limit.take(somebody, requests=1, bytes=0) == 0


def test_what_is_larger_than_the_bucket_passes_when_it_is_full_and_is_paid_off() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    somebody = grant("ingest", bytes=100)
    assert limit.take(somebody, bytes=300) == 0
    assert limit.take(somebody, bytes=1) == pytest.approx(120.6)
    assert limit.take(somebody, bytes=300) == 180
    clock.now += 180 * SECOND
    assert limit.take(somebody, bytes=300) == 0


def test_grants_do_not_share_buckets() -> None:
    limit = RateLimit(Clock())
    assert limit.take(grant("read", name="a", requests=1)) == 0
    assert limit.take(grant("read", name="b", requests=1)) == 0
    assert limit.take(grant("read", name="a", requests=1)) == 60


def test_the_bucket_that_rested_longest_goes_first() -> None:
    limit = RateLimit(Clock(), most=2)
    for name in ("a", "b", "a", "c"):
        limit.take(grant("read", name=name, requests=1))
    assert len(limit) == 2
    assert limit.take(grant("read", name="a", requests=1)) == 60
    assert limit.take(grant("read", name="b", requests=1)) == 0


@UNTIMED
@given(
    per_minute=st.integers(1, 10_000),
    calls=st.lists(st.tuples(st.integers(0, 90 * SECOND), st.integers(1, 500)), max_size=60),
)
def test_no_more_than_the_bucket_and_the_rate_passes(per_minute: int, calls: list[tuple[int, int]]) -> None:
    clock = Clock()
    limit = RateLimit(clock)
    somebody = grant("ingest", bytes=per_minute)
    began, taken, largest = clock.now, 0, 0
    for pause, amount in calls:
        clock.now += pause
        if limit.take(somebody, bytes=amount) == 0:
            taken += amount
            largest = max(largest, amount)
    minutes = (clock.now - began) / (60 * SECOND)
    assert taken <= max(per_minute, largest) + per_minute * minutes + 1


@UNTIMED
@given(per_minute=st.integers(1, 10_000), amounts=st.lists(st.integers(1, 20_000), min_size=1, max_size=20))
def test_after_the_wait_that_was_told_it_passes(per_minute: int, amounts: list[int]) -> None:
    clock = Clock()
    limit = RateLimit(clock)
    somebody = grant("ingest", bytes=per_minute)
    for amount in amounts:
        wait = limit.take(somebody, bytes=amount)
        if wait:
            clock.now += int(wait * SECOND) + 1
            assert limit.take(somebody, bytes=amount) == 0
