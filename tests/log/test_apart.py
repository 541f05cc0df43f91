"""Namespaces kept apart: whatever ids an event comes with, it joins nothing of another namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ark_broker.log import schema
from ark_broker.log.database import open_database
from ark_broker.log.read import Reader
from ark_broker.log.writer import Writer
from ark_broker.model import Event
from tests.support.events import child, make, root


class Apart:
    """A writer that keeps namespaces apart, and what it wrote."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self.writer = writer
        self.reader = reader

    async def placed(self) -> dict[str, list[str | None]]:
        """Namespace → sessions of its events, in the order of the log."""
        from ark_broker.log.scope import WHOLE_LOG

        found: dict[str, list[str | None]] = {}
        for event in (await self.reader.page(WHOLE_LOG, 0, 1000)).events:
            found.setdefault(event.namespace or "", []).append(event.session_id)
        return found


@pytest.fixture
async def apart(sqlalchemy_url: str) -> AsyncIterator[Apart]:
    database = open_database(sqlalchemy_url)
    await schema.migrate(database)
    writer = Writer(database, lambda _commit: None, queue_bytes=2**24, apart=True)
    writer.start()
    yield Apart(writer, Reader(database))
    await writer.close()
    await database.close()


def of(namespace: str | None, name: str, *, confined: bool = False, **fields: Any) -> Event:
    return make(f"{namespace} {name}", namespace=namespace, confined=confined, **fields)


@pytest.mark.parametrize("together", [True, False], ids=["one-commit", "two-commits"])
@pytest.mark.parametrize("confined", [True, False])
async def test_the_second_namespace_with_the_same_session_id_gets_its_own(
    apart: Apart, together: bool, confined: bool
) -> None:
    batches = [
        [of(name, str(number), session_id="s1", query="q1", confined=confined) for number in range(2)]
        for name in ("a", "b")
    ]
    if together:
        await apart.writer.append([event for batch in batches for event in batch])
    else:
        for batch in batches:
            await apart.writer.append(batch)
    assert await apart.placed() == {"a": ["s1", "s1"], "b": ["s1␟b", "s1␟b"]}


@pytest.mark.parametrize("together", [True, False], ids=["one-commit", "two-commits"])
@pytest.mark.parametrize(
    "keys",
    [
        {"query": "q1"},
        {"query_uid": "uid-1"},
        {"task_id": "t1"},
        {"mcp_session_id": "m1"},
        {"conversation_id": "c1"},
        {"tool_call_id": "call-1"},
        {"trace_id": "ab" * 16},
    ],
    ids=lambda keys: next(iter(keys)),
)
async def test_no_key_leads_into_another_namespace(apart: Apart, keys: dict[str, str], together: bool) -> None:
    owner = of("a", "owner", session_id="s-a", **({"query": "own"} | keys))
    guest = of("b", "guest", confined=True, **keys)
    if together:
        await apart.writer.append([owner, guest])
    else:
        await apart.writer.append([owner])
        await apart.writer.append([guest])
    placed = await apart.placed()
    assert placed["a"] == ["s-a"]
    assert placed["b"][0] in (None, "c1")


async def test_what_waits_in_one_namespace_is_not_adopted_by_another(apart: Apart) -> None:
    await apart.writer.append([of("b", "early", query="q1", kind="chunk", confined=True)])
    await apart.writer.append([of("a", "owner", session_id="s-a", query="q1")])
    assert await apart.placed() == {"b": [None], "a": ["s-a"]}
    await apart.writer.append([of("b", "late", session_id="s-b", query="q1", confined=True)])
    assert await apart.placed() == {"b": ["s-b", "s-b"], "a": ["s-a"]}


async def test_two_queries_of_one_name_each_get_their_own_chunks(apart: Apart) -> None:
    for name in ("a", "b"):
        await apart.writer.append([of(name, "named", session_id=f"s-{name}", query="q1", confined=True)])
    for name in ("a", "b", "a"):
        await apart.writer.append([of(name, "chunk" + name, query="q1", kind="chunk", confined=True)])
    assert await apart.placed() == {"a": ["s-a", "s-a"], "b": ["s-b", "s-b"]}


async def test_a_controller_for_all_namespaces_and_a_confined_executor_meet(apart: Apart) -> None:
    await apart.writer.append([of("a", "controller", session_id="s1", query="q1", trace_id="cd" * 16)])
    await apart.writer.append([of("a", "executor", trace_id="cd" * 16, confined=True)])
    assert await apart.placed() == {"a": ["s1", "s1"]}


async def test_who_is_confined_does_not_join_what_somebody_named_without_a_namespace(apart: Apart) -> None:
    await apart.writer.append([of(None, "somebody", session_id="s1", query="q1")])
    await apart.writer.append([of("a", "confined", session_id="s1", query="q1", confined=True)])
    assert await apart.placed() == {"": ["s1"], "a": ["s1␟a"]}


async def test_events_without_a_namespace_get_that_of_their_session(apart: Apart) -> None:
    await apart.writer.append([child("before", 1, session_id=None)])
    await apart.writer.append([root("root", 1, session_id="s1", query="q1", namespace="a")])
    await apart.writer.append([child("after", 1)])
    assert await apart.placed() == {"a": ["s1", "s1", "s1"]}
