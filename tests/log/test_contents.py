"""Long content that repeats is stored once, and comes back byte for byte."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from ark_broker.log.contents import MIN_BODY, is_split, join, references, split
from ark_broker.log.maintenance import Maintenance
from ark_broker.log.scope import WHOLE_LOG, Scope
from ark_broker.log.tables import contents, events
from tests.log.conftest import Log
from tests.support.events import child, make, root


def conversation(turns: int) -> bytes:
    """A body as an LLM span has it: the whole conversation as JSON text inside JSON."""
    messages = [
        {
            "role": "user" if n % 2 == 0 else "assistant",
            "parts": [{"type": "text", "content": f"{n} " + "words " * 300}],
        }
        for n in range(turns)
    ]
    return json.dumps(
        {
            "resource": {"attributes": []},
            "span": {"attributes": [{"key": "m", "value": {"stringValue": json.dumps(messages)}}]},
        }
    ).encode()


@given(
    st.lists(st.sampled_from([b'{"role":', b'{\\"role\\":', b'"span":{', b",", b"x" * 700, b"y" * 5000, b'"', b"\\"]))
)
def test_what_is_cut_is_joined_to_the_same_bytes(parts: list[bytes]) -> None:
    body = b'{"a":' + b"".join(parts)
    cut = split(body, "owner")
    if cut is not None:
        assert is_split(cut.stored)
        assert set(references(cut.stored)) == set(cut.pieces)
        assert join(cut.stored, cut.pieces) == body
    else:
        assert len(body) < MIN_BODY or all(len(part) < 5000 for part in parts)


def test_a_longer_conversation_shares_the_pieces_of_the_shorter_one() -> None:
    short, long = split(conversation(6), "s"), split(conversation(8), "s")
    assert short is not None
    assert long is not None
    assert len(long.pieces.keys() & short.pieces.keys()) >= 5


def test_owners_share_nothing() -> None:
    one, other = split(conversation(6), "one"), split(conversation(6), "other")
    assert one is not None
    assert other is not None
    assert not one.pieces.keys() & other.pieces.keys()


async def stored_bytes(log: Log) -> int:
    async with log.database.reader.connect() as connection:
        rows = (await connection.execute(select(func.sum(func.length(events.c.body))))).scalar_one()
        pieces = (await connection.execute(select(func.sum(func.length(contents.c.data))))).scalar_one()
    return int(rows) + int(pieces or 0)


async def test_a_growing_conversation_takes_little_more_room_than_its_last_turn(log: Log) -> None:
    bodies = [conversation(turns) for turns in range(2, 40)]
    for number, body in enumerate(bodies):
        await log.writer.append([make(number, session_id="s", body=body)])
    page = await log.reader.page(WHOLE_LOG, 0, 100)
    assert [event.body for event in page.events] == bodies
    assert await stored_bytes(log) < 2 * len(bodies[-1]) < sum(map(len, bodies)) / 5


async def test_an_event_that_moves_keeps_its_content(log: Log) -> None:
    body = conversation(10)
    await log.writer.append([child(1, 7, body=body)])
    await log.writer.append([child(2, 7, body=body, session_id="s")])
    await log.writer.append([root(3, 7, session_id="s", query="q", body=body)])
    found = (await log.reader.page(Scope("query", "q"), 0, 10)).events
    assert [event.body for event in found] == [body] * 3


async def test_content_goes_with_its_session_and_comes_back_with_it(log: Log) -> None:
    body = conversation(10)
    await log.writer.append([make(1, session_id="s", body=body), make(2, session_id="kept", body=body)])
    commit = await log.writer.delete_session("s")
    await log.writer.append([make(3, session_id="s", body=body)])
    maintenance = Maintenance(
        log.database, log.writer, trace_quiet_seconds=60, pack_after_seconds=60, retention_seconds={}
    )
    assert await maintenance.remove_session_rows("s", commit.head) == 1
    found = (await log.reader.page(WHOLE_LOG, 0, 10)).events
    assert {event.id: event.body for event in found if event.body != b"{}"} == {
        make(2).id: body,
        make(3).id: body,
    }
    async with log.database.reader.connect() as connection:
        owners = await connection.execute(select(contents.c.session_id, contents.c.epoch).distinct())
        assert sorted(map(tuple, owners)) == [("kept", 0), ("s", commit.head)]
