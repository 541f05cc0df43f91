"""Who is asked about a token that is not the broker's own: each in turn, and one that is away keeps nobody out."""

from __future__ import annotations

import pytest

from ark_broker.access.grants import Grant, TokenRefused, VerifierUnavailable
from ark_broker.api.gate import Gate
from ark_broker.log.tokens import TokenStore
from ark_broker.model.errors import Unauthorized
from tests.support.api import Api

POD = Grant(name="system:serviceaccount:a:b", permissions=frozenset({"ingest"}), namespaces=frozenset({"a"}))


class Says:
    """A verifier with one answer to everything."""

    def __init__(self, answer: Grant | Exception) -> None:
        self.answer = answer
        self.asked = 0

    async def verify(self, _token: str) -> Grant:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def gate_of(api: Api, *verifiers: Says) -> Gate:
    return Gate(TokenStore(api.services.database), enabled=True, verifiers=verifiers)


@pytest.mark.parametrize("first", [TokenRefused("not ours"), VerifierUnavailable("away")], ids=["refuses", "is away"])
async def test_who_comes_second_is_asked_where_the_first_does_not_say_yes(api: Api, first: Exception) -> None:
    assert await gate_of(api, Says(first), Says(POD)).grant_of("a-pods-token") == POD


async def test_nobody_is_asked_after_the_one_that_accepts(api: Api) -> None:
    second = Says(POD)
    await gate_of(api, Says(POD), second).grant_of("a-pods-token")
    assert second.asked == 0


@pytest.mark.parametrize("order", [1, -1])
async def test_where_nobody_accepts_and_one_is_away_it_is_no_refusal(api: Api, order: int) -> None:
    both = [Says(VerifierUnavailable("away")), Says(TokenRefused("unknown"))][::order]
    with pytest.raises(VerifierUnavailable) as caught:
        await gate_of(api, *both).grant_of("a-pods-token")
    assert caught.value.reason == "away"


async def test_where_everybody_refuses_it_is_a_refusal(api: Api) -> None:
    with pytest.raises(Unauthorized):
        await gate_of(api, Says(TokenRefused("not ours")), Says(TokenRefused("unknown"))).grant_of("a-pods-token")
