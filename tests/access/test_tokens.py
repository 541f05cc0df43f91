"""The broker's own tokens."""

from __future__ import annotations

import hmac
import re

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ark_broker.access.grants import Grant, GrantInvalid
from ark_broker.access.tokens import (
    StoredToken,
    hash_secret,
    new_secret,
    new_token,
    parse_token,
    rotate,
    verify,
)

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
UNTIMED = settings(deadline=None)
TOKEN, TOKEN_ID, HASH = new_token()
SECRET = TOKEN.rpartition("_")[2]


def stored(**changes: object) -> StoredToken:
    token = StoredToken(
        id=TOKEN_ID,
        name="collector",
        hash=HASH,
        permissions=frozenset({"ingest"}),
        namespaces=frozenset({"team-a"}),
        created_at=NOW - SECOND,
    )
    return msgspec.structs.replace(token, **changes)


def test_a_token_has_the_shape_that_scanners_look_for() -> None:
    text, token_id, secret_hash = new_token()
    assert re.fullmatch(r"arkb_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}", text)
    parsed = parse_token(text)
    assert parsed is not None
    assert parsed[0] == token_id
    assert hash_secret(parsed[1]) == secret_hash
    assert len(secret_hash) == 32


def test_no_two_tokens_are_alike() -> None:
    made = [new_token() for _ in range(200)]
    assert len({text for text, _, _ in made}) == len({token_id for _, token_id, _ in made}) == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arkb_",
        TOKEN[:-1],
        TOKEN + "a",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.upper(),
        TOKEN.replace("arkb", "arkc"),
        "arkb_" + "a" * 22 + "_" + "b" * 43,
        "eyJhbGciOiJub25lIn0.e30.",
        "arkb_" + "é" * 22 + "_" + "é" * 43,
        "arkb_" + "٣" * 22 + "_" + "٣" * 43,
    ],
    ids=range(12),
)
def test_what_is_no_token_is_not_parsed(text: str) -> None:
    assert parse_token(text) is None


@UNTIMED
@given(token_id=st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", min_size=22, max_size=22))
def test_a_token_of_any_id_is_parsed_to_what_it_was_made_of(token_id: str) -> None:
    text, secret_hash = new_secret(token_id)
    parsed = parse_token(text)
    assert parsed is not None
    assert parsed[0] == token_id
    assert hash_secret(parsed[1]) == secret_hash


@UNTIMED
@given(position=st.integers(0, len(TOKEN) - 1), character=st.characters())
def test_a_single_mistyped_character_is_seen_without_a_look_up(position: int, character: str) -> None:
    assume(TOKEN[position] != character)
    assert parse_token(TOKEN[:position] + character + TOKEN[position + 1 :]) is None


@UNTIMED
@given(position=st.integers(0, len(TOKEN) - 2))
def test_two_characters_that_changed_places_are_seen_without_a_look_up(position: int) -> None:
    swapped = TOKEN[:position] + TOKEN[position + 1] + TOKEN[position] + TOKEN[position + 2 :]
    assume(swapped != TOKEN)
    assert parse_token(swapped) is None


@UNTIMED
@given(text=st.text())
def test_no_text_makes_the_parser_fail(text: str) -> None:
    assert parse_token(text) is None


@UNTIMED
@given(secret=st.one_of(st.text(), st.from_regex(r"[0-9A-Za-z]{43}", fullmatch=True)))
def test_no_other_secret_verifies(secret: str) -> None:
    assume(secret != SECRET)
    assert verify(stored(), secret, NOW) is None
    assert verify(stored(previous_hash=HASH, previous_until=NOW + SECOND, hash=bytes(32)), secret, NOW) is None


@UNTIMED
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(TOKEN) - 1), st.sampled_from("0aZ_~é\x00"), st.booleans()), min_size=1, max_size=4
    )
)
def test_no_mutation_of_a_token_verifies(edits: list[tuple[int, str, bool]]) -> None:
    text = TOKEN
    for position, character, insert in edits:
        text = text[:position] + character + text[position + (0 if insert else 1) :]
    assume(text != TOKEN)
    parsed = parse_token(text)
    assert parsed is None or parsed[0] != TOKEN_ID or verify(stored(), parsed[1], NOW) is None


def test_a_good_token_gives_its_grant() -> None:
    grant = verify(stored(requests_per_minute=60, bytes_per_minute=1000), SECRET, NOW)
    assert grant == Grant(
        name="collector",
        permissions=frozenset({"ingest"}),
        namespaces=frozenset({"team-a"}),
        token_id=TOKEN_ID,
        requests_per_minute=60,
        bytes_per_minute=1000,
    )


def test_a_token_is_good_until_it_expires() -> None:
    assert verify(stored(expires_at=NOW + 1), SECRET, NOW) is not None
    assert verify(stored(expires_at=NOW), SECRET, NOW) is None


@pytest.mark.parametrize("revoked_at", [NOW - SECOND, NOW, NOW + SECOND, 0])
def test_a_revoked_token_is_refused_whatever_the_clock_says(revoked_at: int) -> None:
    assert verify(stored(revoked_at=revoked_at), SECRET, NOW) is None


def test_after_a_rotation_both_secrets_are_good_until_the_grace_ends() -> None:
    text, rotated = rotate(stored(), NOW, 60 * SECOND)
    parsed = parse_token(text)
    assert parsed is not None
    assert parsed[0] == TOKEN_ID
    for now, old_is_good in [(NOW, True), (NOW + 60 * SECOND - 1, True), (NOW + 60 * SECOND, False)]:
        assert verify(rotated, parsed[1], now) is not None
        assert (verify(rotated, SECRET, now) is not None) == old_is_good


def test_a_second_rotation_ends_the_first_secret() -> None:
    _, once = rotate(stored(), NOW, 60 * SECOND)
    _, twice = rotate(once, NOW, 60 * SECOND)
    assert verify(twice, SECRET, NOW) is None


def test_a_rotated_token_still_expires_and_is_still_revoked() -> None:
    _, rotated = rotate(stored(expires_at=NOW), NOW, 60 * SECOND)
    assert verify(rotated, SECRET, NOW) is None
    _, rotated = rotate(stored(revoked_at=NOW), NOW, 60 * SECOND)
    assert verify(rotated, SECRET, NOW) is None


def test_a_previous_hash_without_an_end_is_not_good() -> None:
    assert verify(stored(hash=bytes(32), previous_hash=HASH), SECRET, NOW) is None


def test_an_unknown_id_takes_the_same_comparisons_as_a_wrong_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counted(given: bytes, expected: bytes) -> bool:
        seen.append((len(given), len(expected)))
        return compare(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    assert verify(None, SECRET, NOW) is None
    unknown, seen[:] = list(seen), []
    assert verify(stored(), "wrong", NOW) is None
    assert unknown == seen == [(32, 32), (32, 32)]


def test_a_stored_token_survives_being_stored() -> None:
    token = stored(expires_at=NOW, namespaces=None)
    assert msgspec.json.decode(msgspec.json.encode(token), type=StoredToken) == token


def test_a_stored_limit_below_one_is_refused() -> None:
    with pytest.raises(GrantInvalid):
        stored(bytes_per_minute=0)
