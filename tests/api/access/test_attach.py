"""Attaching an OpenAI client shows no more than its token does."""

from __future__ import annotations

import openai
import pytest
from openai import AsyncOpenAI

from tests.api.access.conftest import Locked
from tests.support.api import Api


def sdk_of(who: Api, token: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{who.http.base_url}/v1", api_key=token, max_retries=0, timeout=20)


async def fill(who: Api, text: str) -> None:
    named = {"sessionId": "shared", "query": "q"}
    await who.events(named | {"type": "query.started"})
    await who.chunks("q", f'{{"choices":[{{"delta":{{"content":"{text}"}}}}],"ark":{{"session":"shared"}}}}')
    await who.events({"type": "query.completed", "sessionId": f"only {text}", "query": f"of {text}"})
    await who.events(named | {"type": "query.completed"})
    await who.complete("q")


async def test_each_team_attaches_to_its_own_query(each_locked: Locked) -> None:
    for namespace in ("alpha", "bravo"):
        await fill(await each_locked.person(["ingest", "read"], [namespace]), namespace)
    for namespace, other in (("alpha", "bravo"), ("bravo", "alpha")):
        token = await each_locked.token("read", [namespace])
        async with sdk_of(each_locked.api, token) as sdk:
            chunks = await sdk.chat.completions.create(model="query/q", messages=[], stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
            assert text == namespace
            whole = await sdk.chat.completions.create(model="query/q", messages=[])
            assert whole.choices[0].message.content == namespace
            assert {model.id async for model in sdk.models.list()} == {"query/q", f"query/of {namespace}"}
            for asked in (f"query/of {other}", "query/of nobody"):
                with pytest.raises(openai.NotFoundError) as caught:
                    await sdk.chat.completions.create(model=asked, messages=[])
                assert caught.value.code == "model_not_found"
            for more in ({"namespace": other}, {"session": f"only {other}"}):
                with pytest.raises(openai.NotFoundError):
                    await sdk.chat.completions.create(model="query/q", messages=[], extra_body=more)


async def test_it_takes_the_permission_to_read(locked: Locked) -> None:
    await fill(locked.operator, "secret")
    async with sdk_of(locked.api, await locked.token("ingest")) as sdk:
        with pytest.raises(openai.PermissionDeniedError):
            await sdk.chat.completions.create(model="query/q", messages=[])
    async with sdk_of(locked.api, "no token") as sdk:
        with pytest.raises(openai.AuthenticationError):
            await sdk.models.list()
