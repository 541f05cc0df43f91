"""Whose chunks are being posted: a query's name in one namespace says nothing of it in another."""

from __future__ import annotations

import asyncio
import math

import pytest

from ark_broker.access.grants import ANYBODY, Grant
from ark_broker.api.ark.open_streams import OpenStreams


def of(*namespaces: str, name: str = "n") -> Grant:
    return Grant(name=name, permissions=frozenset({"ingest"}), namespaces=frozenset(namespaces))


@pytest.mark.parametrize("other", [of("b"), of("a", "b"), ANYBODY], ids=["one", "several", "all"])
async def test_a_post_of_another_namespace_is_neither_waited_for_nor_told(other: Grant) -> None:
    streams = OpenStreams()
    with streams.open(of("a"), "q") as stream:
        await streams.ended(other, "q", math.inf)
        streams.completed(other, "q")
        assert not stream.completed


async def test_a_post_of_the_same_namespace_is_waited_for_and_told() -> None:
    streams = OpenStreams()
    with streams.open(of("a"), "q") as stream:
        waiting = asyncio.create_task(streams.ended(of("a", name="another token"), "q", math.inf))
        await asyncio.sleep(0)
        assert not waiting.done()
        streams.completed(of("a", name="another token"), "q")
        assert stream.completed
    await waiting
