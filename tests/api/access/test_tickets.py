"""Tickets are rows that whoever may read can ask for: how many there are, and that they go."""

from __future__ import annotations

import pytest

from ark_broker.access.grants import Grant
from ark_broker.access.tickets import owner_of
from ark_broker.access.tokens import StoredToken
from ark_broker.api import kept_tokens
from ark_broker.api.gate import Gate
from ark_broker.api.kept_tokens import MOST_TICKETS, TICKET_SECONDS
from ark_broker.log import tokens
from ark_broker.log.tokens import TokenStore, forget_tickets
from ark_broker.model.errors import RateLimited
from tests.api.access.conftest import Locked
from tests.support.api import Api
from tests.support.stored import query

_SECOND = 1_000_000_000
ALICE = Grant(
    name="alice", permissions=frozenset({"read"}), namespaces=None, via="oidc", issuer="https://issuer.example"
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000 * _SECOND

    def __call__(self) -> int:
        return self.now


async def test_nobody_has_more_than_so_many_tickets_at_once(
    each_locked: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 5
    monkeypatch.setattr(kept_tokens, "MOST_TICKETS", most)
    who, other = await each_locked.person("read", name="ann"), await each_locked.person("read", name="ann")
    statuses = [(await who.http.post("/v1/tickets")).status_code for _ in range(most)]
    assert set(statuses) == {201}
    refused = await who.http.post("/v1/tickets")
    assert refused.status_code == 429
    assert "'ann' has 5 tickets" in refused.json()["error"]["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= TICKET_SECONDS
    assert (await other.http.post("/v1/tickets")).status_code == 201
    # The tokens are all there is to list.
    assert [each["name"] for each in (await each_locked.operator.get("/v1/tokens"))["items"]] == ["ann", "ann"]


async def test_there_is_room_again_when_the_first_ends(api: Api) -> None:
    clock = Clock()
    gate = Gate(TokenStore(api.services.database), enabled=True, clock=clock)
    for _ in range(MOST_TICKETS):
        await gate.tokens.ticket(ALICE)
        clock.now += _SECOND // 10
    with pytest.raises(RateLimited) as caught:
        await gate.tokens.ticket(ALICE)
    clock.now += caught.value.retry_after * _SECOND
    await gate.tokens.ticket(ALICE)


async def test_people_of_one_name_have_tickets_of_their_own(api: Api) -> None:
    """An issuer calls its people as it likes: also like the broker's own admin token."""
    gate = Gate(TokenStore(api.services.database), enabled=True)
    admin = Grant(name="alice", permissions=frozenset({"admin"}), namespaces=None, via="admin")
    for _ in range(MOST_TICKETS):
        await gate.tokens.ticket(ALICE)
    ticket = await gate.grant_of(await gate.tokens.ticket(admin))
    assert owner_of(ticket).identity == admin.identity != ALICE.identity


async def test_a_ticket_counts_as_its_owner_whoever_vouches(api: Api) -> None:
    gate = Gate(TokenStore(api.services.database), enabled=True, most_open=1)
    ticket = await gate.grant_of(await gate.tokens.ticket(ALICE))
    with gate.inside(ticket), pytest.raises(RateLimited), gate.inside(ALICE):
        pass


async def test_more_rows_of_tickets_than_a_list_has_hide_no_token(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MOST", 3)
    gate = Gate(TokenStore(api.services.database), enabled=True)
    await gate.tokens.create(
        StoredToken(id="", name="ops", hash=b"", permissions=frozenset({"admin"}), namespaces=None, created_at=0)
    )
    for _ in range(5):
        await gate.tokens.ticket(ALICE)
    assert [token.name for token in await gate.tokens.every()] == ["ops"]


async def test_tickets_that_have_ended_are_removed_together_and_tokens_stay(
    each_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_STEP", 2)
    services = each_api.services
    url = services.settings.database_url or ""
    clock = Clock()
    gate = Gate(TokenStore(services.database), enabled=True, clock=clock)
    await gate.tokens.create(
        StoredToken(
            id="", name="old", hash=b"", permissions=frozenset({"read"}), namespaces=None, created_at=0, expires_at=1
        )
    )
    for _ in range(5):
        await gate.tokens.ticket(ALICE)
    clock.now += TICKET_SECONDS * _SECOND
    await gate.tokens.ticket(ALICE)
    assert await forget_tickets(services.database, clock.now) == 5
    assert (await query(url, "SELECT count(*) FROM tokens"))[0][0] == 2
    assert [token.name for token in await gate.tokens.every()] == ["old"]


async def test_the_broker_removes_them_by_itself(api: Api) -> None:
    """Nobody's request has to: it is one of the jobs of the maintenance."""
    maintenance, clock = api.services.maintenance, Clock()
    clock.now = 1
    await Gate(TokenStore(api.services.database), enabled=True, clock=clock).tokens.ticket(ALICE)
    assert await maintenance.forget_tickets() == 1
    assert "maintenance-tickets" in {task.get_name() for task in maintenance._tasks}
