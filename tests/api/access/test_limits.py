"""Limits of one token: requests and bytes a minute, and what it may have open at once."""

from __future__ import annotations

import asyncio

from ark_broker.access.grants import Grant
from ark_broker.api.gate import Gate
from ark_broker.log.tokens import TokenStore
from tests.api.access.conftest import ADMIN, bearer
from tests.support.api import Api, StartApi
from tests.support.sse import listen
from tests.support.waiting import until


async def _token(api: Api, **more: object) -> dict[str, str]:
    wanted = {"name": "limited", "permissions": ["ingest", "read"], **more}
    made = await api.http.post("/v1/tokens", json=wanted, headers=bearer(ADMIN))
    assert made.status_code == 201, made.text
    return bearer(made.json()["token"])


async def test_one_token_has_so_many_requests_open_and_not_more(start_api: StartApi) -> None:
    async with start_api(auth=True, admin_token=ADMIN, token_max_open=2) as api:
        one, other = await _token(api), await _token(api)
        async with (
            listen(api.http, "/v1/stream", headers=one) as first,
            listen(api.http, "/v1/stream", headers=one) as second,
        ):
            await first.hello()
            await second.hello()
            refused = await api.http.get("/v1/sessions", headers=one)
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "1"
            assert (await api.http.get("/v1/sessions", headers=other)).status_code == 200

        async def free() -> bool:
            return (await api.http.get("/v1/sessions", headers=one)).status_code == 200

        await until(free)


async def test_the_gate_holds_up_what_is_beyond_the_minutes_share(api: Api) -> None:
    now = [0]
    services = api.services
    gate = Gate(TokenStore(services.database), enabled=True, monotonic=lambda: now[0])
    grant = Grant(name="n", permissions=frozenset({"ingest"}), namespaces=None, bytes_per_minute=100)
    await gate.pace(grant, 100)
    waiting = asyncio.create_task(gate.pace(grant, 50))
    await asyncio.sleep(0)
    assert not waiting.done()
    now[0] = 31_000_000_000
    await waiting
