"""Two who change one token at the same moment: nothing that was taken back comes back."""

from __future__ import annotations

import asyncio

import pytest

from ark_broker.access.tokens import StoredToken
from ark_broker.api.gate import Gate
from ark_broker.log.tokens import TokenStore
from ark_broker.model.errors import Conflict, Unauthorized
from tests.api.access.conftest import Locked
from tests.support.api import Api


class Waiting(TokenStore):
    """A store whose next look at a token takes as long as it is told to."""

    def __init__(self, store: TokenStore) -> None:
        super().__init__(store._database)
        self.looked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def get(self, token_id: str) -> tuple[bytes, int] | None:
        found = await super().get(token_id)
        self.looked.set()
        await self.go_on.wait()
        return found


async def made(store: TokenStore) -> tuple[str, str]:
    """A token and its id."""
    text = await Gate(store, enabled=True).tokens.create(
        StoredToken(id="", name="n", hash=b"", permissions=frozenset({"read"}), namespaces=None, created_at=0)
    )
    return text, text.split("_")[1]


async def test_a_rotation_does_not_undo_a_revocation_that_came_between(each_api: Api) -> None:
    store = TokenStore(each_api.services.database)
    text, token_id = await made(store)
    slow = Waiting(store)
    rotating = asyncio.create_task(Gate(slow, enabled=True).tokens.rotate(token_id, 60))
    await slow.looked.wait()
    await Gate(store, enabled=True).tokens.revoke(token_id)
    slow.go_on.set()
    with pytest.raises(Conflict):
        await rotating
    gate = Gate(store, enabled=True)
    assert (await gate.tokens.stored(token_id)).revoked_at is not None
    with pytest.raises(Unauthorized):
        await gate.grant_of(text)


async def test_a_revocation_holds_whatever_came_between(each_api: Api) -> None:
    store = TokenStore(each_api.services.database)
    text, token_id = await made(store)
    slow = Waiting(store)
    revoking = asyncio.create_task(Gate(slow, enabled=True).tokens.revoke(token_id))
    await slow.looked.wait()
    rotated = await Gate(store, enabled=True).tokens.rotate(token_id, 60)
    slow.go_on.set()
    assert (await revoking).revoked_at is not None
    for secret in (text, rotated):
        with pytest.raises(Unauthorized):
            await Gate(store, enabled=True).grant_of(secret)


async def test_of_two_who_rotate_at_once_one_is_told_and_both_know_what_is_good(each_api: Api) -> None:
    """Otherwise one of them would have a secret that was good for a moment, and the old one no grace."""
    store = TokenStore(each_api.services.database)
    text, token_id = await made(store)
    slow = Waiting(store)
    second = asyncio.create_task(Gate(slow, enabled=True).tokens.rotate(token_id, 60))
    await slow.looked.wait()
    first = await Gate(store, enabled=True).tokens.rotate(token_id, 60)
    slow.go_on.set()
    with pytest.raises(Conflict):
        await second
    for secret in (text, first):
        assert (await Gate(store, enabled=True).grant_of(secret)).token_id == token_id


async def test_a_token_that_was_revoked_gets_no_new_secret(locked: Locked) -> None:
    token_id = (await locked.token("read")).split("_")[1]
    await locked.operator.http.delete(f"/v1/tokens/{token_id}")
    error = await locked.operator.error(f"/v1/tokens/{token_id}/rotate", 409, "POST", json={})
    assert "revoked" in error["message"]
