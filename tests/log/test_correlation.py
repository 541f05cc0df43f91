"""Links of every kind, however late they come: late ones adopt, chains resolve, named sessions are never merged."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ark_broker.log.scope import Scope
from ark_broker.model import Event
from ark_broker.model.errors import NotFound, TooLarge
from ark_broker.model.vocabulary import TOMBSTONES
from tests.log.conftest import Log, open_log
from tests.support.events import child, make, root, trace


async def kept(log: Log) -> dict[bytes, Event]:
    """What is in the log, by id; tombstones left out."""
    return {event.id: event for event in await log.events() if event.type not in TOMBSTONES}


async def placed(log: Log) -> set[tuple[str | None, str | None]]:
    """Session and query of everything in the log."""
    return {(event.session_id, event.query) for event in (await kept(log)).values()}


#: What an event may be found by, and the rule that says so.
KEYS: list[tuple[dict[str, Any], str]] = [
    ({"query": "q", "kind": "chunk"}, "query"),
    ({"query_uid": "8d1c"}, "query-uid"),
    ({"task_id": "t-1"}, "task"),
    ({"mcp_session_id": "mcp-xyz"}, "mcp-session"),
    ({"mcp_session_id": "mcp-xyz", "mcp_server": "ark-broker"}, "mcp-session"),
    ({"tool_call_id": "call_1"}, "tool-call"),
    ({"trace_id": trace(7), "parent_span_id": "ab" * 8}, "trace"),
]


@pytest.mark.parametrize(("key", "rule"), KEYS, ids=[rule for _, rule in KEYS])
async def test_an_event_is_found_by_any_key_before_and_after_its_session_is_named(
    log: Log, key: dict[str, Any], rule: str
) -> None:
    await log.writer.append([make("early", **key)])
    assert (await log.events())[0].session_id is None
    await log.writer.append(
        [root("named", 7, session_id="s", query="q", **{k: v for k, v in key.items() if "id" in k})]
    )
    await log.writer.append([make("late", **key)])
    found = await kept(log)
    assert await placed(log) == {("s", "q")}
    assert sorted(event.correlated_by or "" for event in found.values()) == sorted(["explicit", rule, rule])
    session = (await log.reader.page(Scope("session", "s"), 0, 10)).events
    assert sorted(event.id for event in session) == sorted(found), "each is in the session's stream once"


async def test_a_conversation_stands_for_a_session_until_one_is_named(log: Log) -> None:
    await log.writer.append([child(1, 7, conversation_id="c")])
    assert {(e.session_id, e.correlated_by) for e in await log.events()} == {("c", "conversation")}
    await log.writer.append([make(2, conversation_id="c")])
    await log.writer.append([root(3, 7, session_id="s", query="q")])
    assert {event.session_id for event in (await kept(log)).values()} == {"s"}
    assert await log.reader.session("c") is None
    await log.writer.append([make(4, conversation_id="c")])
    assert {event.session_id for event in (await kept(log)).values()} == {"s"}


async def test_a_session_that_was_named_is_not_taken_for_a_conversation(log: Log) -> None:
    await log.writer.append([root(1, 7, session_id="c", conversation_id="c")])
    await log.writer.append([child(2, 8, conversation_id="c"), root(3, 8, session_id="s")])
    found = {event.span_id: event.session_id for event in (await kept(log)).values() if event.trace_id == trace(7)}
    assert set(found.values()) == {"c"}


async def test_a_session_of_its_own_within_a_conversation_keeps_its_events(log: Log) -> None:
    """One is the session, the other the conversation; nothing is merged."""
    await log.writer.append([root(1, 7, session_id="browser"), child(2, 7, conversation_id="thread")])
    assert {(event.session_id, event.conversation_id) for event in await log.events()} == {
        ("browser", None),
        ("browser", "thread"),
    }


async def test_a_chain_of_keys_resolves_whatever_comes_first(log: Log) -> None:
    await log.writer.append([make("a", task_id="t")])
    await log.writer.append([make("b", task_id="t", mcp_session_id="m")])
    await log.writer.append([make("c", mcp_session_id="m", query_uid="u")])
    assert await placed(log) == {(None, None)}
    await log.writer.append([make("d", query_uid="u", session_id="s", query="q")])
    assert await placed(log) == {("s", "q")}


async def test_a_chain_resolves_within_one_batch_in_an_unlucky_order(log: Log) -> None:
    await log.writer.append(
        [
            make("a", task_id="t"),
            make("b", task_id="t", mcp_session_id="m"),
            make("c", mcp_session_id="m", query_uid="u"),
            make("d", query_uid="u", session_id="s", query="q"),
        ]
    )
    assert await placed(log) == {("s", "q")}


async def test_an_mcp_session_belongs_to_whoever_used_it_last(log: Log) -> None:
    for number, session in ((1, "a"), (2, "b")):
        fields = {"session_id": session, "query": f"q-{session}", "mcp_session_id": "m"}
        await log.writer.append([root(f"call {session}", number, **fields)])
        await log.writer.append([make(f"server {session}", mcp_session_id="m")])
    assert await placed(log) == {("a", "q-a"), ("b", "q-b")}
    link = (await log.reader.links(["mcp:m"]))["mcp:m"]
    assert (link.session_id, link.query, link.trace_id) == ("b", "q-b", trace(2))


async def test_mcp_sessions_of_two_servers_are_two_though_they_are_called_the_same(log: Log) -> None:
    await log.writer.append([root(1, 1, session_id="a", mcp_session_id="1", mcp_server="x")])
    await log.writer.append([root(2, 2, session_id="b", mcp_session_id="1", mcp_server="y")])
    await log.writer.append([make(n, mcp_session_id="1", mcp_server=n) for n in ("x", "y")])
    found = {event.mcp_server: event.session_id for event in await log.events()}
    assert found == {"x": "a", "y": "b"}


async def test_tool_call_ids_that_are_used_again_join_no_traces(log: Log) -> None:
    await log.writer.append([root(1, 1, session_id="a", tool_call_id="call_0")])
    await log.writer.append([root(2, 2, tool_call_id="call_0")])
    found = {event.trace_id: event.session_id for event in await log.events()}
    assert found == {trace(1): "a", trace(2): f"trace:{trace(2)}"}


async def test_a_remote_servers_trace_joins_the_session_through_its_mcp_session(log: Log) -> None:
    await log.writer.append([root("server", 2, mcp_session_id="m"), child("inside", 2)])
    assert {event.session_id for event in await log.events()} == {f"trace:{trace(2)}"}
    await log.writer.append([root("client", 1, session_id="s", query="q", mcp_session_id="m")])
    assert await placed(log) == {("s", "q")}


async def test_a_guess_gives_way_to_what_the_trace_says_itself(log: Log) -> None:
    """The trace was put into a session by a shared key; then its root names another one."""
    await log.writer.append([root(1, 1, session_id="a", conversation_id="c")])
    await log.writer.append([child(2, 2, conversation_id="c", input_tokens=5, type="llm.request")])
    assert {event.session_id for event in await log.events()} == {"a"}
    await log.writer.append([root(3, 2, session_id="b")])
    found = {event.trace_id: event.session_id for event in (await kept(log)).values()}
    assert found == {trace(1): "a", trace(2): "b"}
    for session, events, tokens in (("a", 1, 0), ("b", 2, 5)):
        row = await log.reader.session(session)
        assert row is not None
        assert (row.summary.events, row.summary.input_tokens) == (events, tokens)


async def test_an_operator_moves_what_was_guessed_and_what_comes(log: Log) -> None:
    await log.writer.append([root(1, 1, session_id="a", query="q1", mcp_session_id="m")])
    await log.writer.append([make("guessed", mcp_session_id="m", type="tool.call", tool="ask", tool_call_id="x")])
    commit = await log.writer.create_links(["mcp:m"], "b", "q2")
    await log.writer.append([make("later", mcp_session_id="m")])
    found = await kept(log)
    assert {(e.session_id, e.query, e.correlated_by) for e in found.values() if e.trace_id is None} == {
        ("b", "q2", "operator"),
        ("b", "q2", "mcp-session"),
        ("b", None, "explicit"),
    }
    assert [event.type for event in commit.stored] == ["link.created"]
    first, second = await log.reader.session("a"), await log.reader.session("b")
    assert first is not None
    assert second is not None
    assert (first.summary.events, first.summary.tools, second.summary.tools) == (1, [], ["ask"])


async def test_a_link_that_was_deleted_places_nothing_more(log: Log) -> None:
    await log.writer.append([root(1, 1, session_id="a", mcp_session_id="m")])
    commit = await log.writer.delete_link("mcp:m")
    assert [(event.type, event.session_id) for event in commit.stored] == [("link.deleted", "a")]
    await log.writer.append([make("later", mcp_session_id="m")])
    assert (await log.events())[-1].session_id is None
    with pytest.raises(NotFound):
        await log.writer.delete_link("mcp:n")


async def test_a_session_too_large_to_take_apart_stays_whole(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ark_broker.log.adopt.MAX_REHOME", 3)
    await log.writer.append([root(1, 1, session_id="a", mcp_session_id="m"), *(make(n, session_id="a") for n in "xyz")])
    with pytest.raises(TooLarge):
        await log.writer.create_links(["mcp:m"], "b", None)
    link = (await log.reader.links(["mcp:m"]))["mcp:m"]
    assert link.session_id == "a"


async def test_packed_chunks_move_with_the_session_that_was_a_guess(log: Log) -> None:
    from ark_broker.log.packs import pack_finished

    chunks = [make(n, kind="chunk", type="llm.chunk", query="q", conversation_id="c") for n in range(3)]
    end = make("end", kind="chunk", type="stream.completed", query="q", conversation_id="c")
    await log.writer.append([*chunks, end])
    assert await pack_finished(log.database, 2**62) == 0, "nobody has named its session"
    await log.writer.append([make("named", session_id="s", query="q")])
    assert await pack_finished(log.database, 2**62) == 4
    await log.writer.create_links(["query:q"], "t", None)
    assert {event.session_id for event in (await kept(log)).values() if event.kind == "chunk"} == {"t"}
    page = await log.reader.page(Scope("session", "t"), 0, 20)
    assert len([event for event in page.events if event.kind == "chunk"]) == 4


# -- any order, any batches, twice: the same in the end ---------------------------------------------

STORY = [
    root("root", 1, type="query.completed", session_id="s", query="q", query_uid="u", time=9),
    child("call", 1, type="llm.request", input_tokens=7, output_tokens=2, cost=0.5, time=3),
    child("tool", 1, type="tool.call", tool="t", tool_call_id="c1", mcp_session_id="m", task_id="k", time=4),
    make("task", kind="task", type="task.updated", task_id="k", task_state="working", time=5),
    make("server", type="tool.call", tool="t", mcp_session_id="m", trace_id=trace(2), span_id="cc" * 8, time=4),
    make("bare", kind="event", type="tool.result", tool_call_id="c1", time=6),
    make("chunk", kind="chunk", type="llm.chunk", query="q", time=5),
]


def fresh(event: Event) -> Event:
    return msgspec.structs.replace(event)


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Event]]:
    """The story in any order, some of it twice, in batches."""
    order = draw(st.permutations([*STORY, *draw(st.lists(st.sampled_from(STORY), max_size=3))]))
    cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1), max_size=4)))
    return [list(order[start:end]) for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=deliveries())
async def test_any_order_in_any_batches_gives_the_same_session(
    batches: list[list[Event]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = await open_log(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('order')}/log.db")
    try:
        for batch in batches:
            await log.writer.append([fresh(event) for event in batch])
        assert await placed(log) == {("s", "q")}
        row = await log.reader.session("s")
        assert row is not None
        summary = row.summary
        assert (summary.events, summary.tool_calls, summary.input_tokens, summary.phases) == (7, 1, 7, {"done": 1})
        stream = (await log.reader.page(Scope("session", "s"), 0, 100)).events
        assert len(stream) == len({event.id for event in stream}) == 7
        assert await log.reader.session(f"trace:{trace(1)}") is None
    finally:
        await log.close()


# -- two replicas, and bounds -------------------------------------------------------------------------


async def test_children_first_split_over_two_replicas_and_sent_twice_give_the_tidy_session(
    two_logs: tuple[Log, Log], log: Log
) -> None:
    await log.writer.append([fresh(event) for event in STORY])
    one, other = two_logs
    messy = [*reversed(STORY), *STORY]
    for number, event in enumerate(messy):
        await (one, other)[number % 2].writer.append([fresh(event)])
    tidy, found = await log.reader.session("s"), await other.reader.session("s")
    assert tidy is not None
    assert found is not None
    assert found.summary == tidy.summary
    assert await placed(one) == await placed(log) == {("s", "q")}
    async with other.reader.snapshot() as connection, log.reader.snapshot() as tidy_connection:
        queries = await other.reader.queries_of("s", 10, connection)
        assert queries == await log.reader.queries_of("s", 10, tidy_connection)


async def test_links_and_waiting_events_are_bounded_by_number_and_age(log: Log) -> None:
    from ark_broker.log.maintenance import LinkBounds, Maintenance

    for number in range(6):
        await log.writer.append([make(("named", number), session_id="s", query="q", query_uid=f"u{number}")])
        await log.writer.append([make(("waits", number), task_id=f"t{number}")])

    def upkeep(**bounds: float) -> Maintenance:
        known = {"max_links": 100, "link_seconds": 1e6, "max_waiting": 100, "waiting_seconds": 1e6}
        return Maintenance(
            log.database,
            log.writer,
            trace_quiet_seconds=60,
            pack_after_seconds=60,
            retention_seconds={},
            link_bounds=LinkBounds(**(known | bounds)),  # type: ignore[arg-type]
        )

    roomy = upkeep()
    await roomy.bound_links()
    assert (roomy.link_stats.links, roomy.link_stats.waiting, roomy.link_stats.forgotten_links) == (13, 6, 0)
    tight = upkeep(max_links=4, max_waiting=2)
    await tight.bound_links()
    stats = tight.link_stats
    assert (stats.links, stats.waiting, stats.forgotten_links, stats.forgotten_waiting) == (4, 2, 9, 4)
    assert set(await log.reader.links(["uid:u0", "uid:u5", "task:t5"])) == {"uid:u5", "task:t5"}
    await log.writer.append([make("late", session_id="s", task_id=name) for name in ("t5",)])
    found = {event.task_id: event.session_id for event in await log.events() if event.task_id}
    assert (found["t5"], found["t0"]) == ("s", None)
    old = upkeep(link_seconds=0, waiting_seconds=0)
    await old.bound_links()
    assert (old.link_stats.links, old.link_stats.waiting) == (0, 0)
    assert len(await log.events()) == 13, "what was forgotten is still in the log"


# -- corners ------------------------------------------------------------------------------------------


async def test_an_event_that_names_its_query_is_found_by_its_task_as_well(log: Log) -> None:
    await log.writer.append([make("named", query="q", task_id="t"), make("chunk", kind="chunk", task_id="t")])
    await log.writer.append([make("late", session_id="s", task_id="t")])
    assert {event.session_id for event in await log.events()} == {"s"}


async def test_links_of_a_deleted_session_are_made_anew(log: Log) -> None:
    await log.writer.append([root(1, 1, session_id="s", query="q", mcp_session_id="m")])
    await log.writer.delete_session("s")
    await log.writer.append([root(2, 1, session_id="s", query="q", mcp_session_id="m")])
    assert set(await log.reader.links(["query:q", "mcp:m", f"trace:{trace(1)}"])) == {
        "query:q",
        "mcp:m",
        f"trace:{trace(1)}",
    }


async def test_the_other_keys_of_what_an_operator_moved_move_along(log: Log) -> None:
    await log.writer.append([root(1, 1, mcp_session_id="m")])
    await log.writer.create_links([f"trace:{trace(1)}"], "s", None)
    await log.writer.append([make("late", mcp_session_id="m")])
    assert {event.session_id for event in (await kept(log)).values()} == {"s"}


async def test_an_operator_moves_only_what_has_the_key(log: Log) -> None:
    await log.writer.append([root(1, 1, session_id="a")])
    await log.writer.append([child(("of", n), 1, conversation_id=f"c{n}") for n in (1, 2)])
    await log.writer.create_links(["conversation:c1"], "b", None)
    found = {event.conversation_id: event.session_id for event in (await kept(log)).values() if event.conversation_id}
    assert found == {"c1": "b", "c2": "a"}


async def test_a_query_of_another_session_names_nothing_here(log: Log) -> None:
    await log.writer.append([make(1, session_id="a", mcp_session_id="m")])
    await log.writer.append([make(2, mcp_session_id="m")])
    await log.writer.append(
        [
            make(3, session_id="a", query="qa", mcp_session_id="m"),
            make(4, session_id="b", query="qb", mcp_session_id="m"),
        ]
    )
    found = {(event.session_id, event.query) for event in await log.events()}
    assert ("a", "qb") not in found
    assert ("b", "qb") in found


async def test_a_conversation_that_stood_in_moves_whole_however_it_was_joined(log: Log) -> None:
    await log.writer.append([child(1, 1, task_id="t")])
    await log.writer.append([make(2, task_id="t", conversation_id="c")])
    await log.writer.append([root(3, 1, session_id="s")])
    assert {event.session_id for event in (await kept(log)).values()} == {"s"}


async def test_a_named_session_stays_named_when_the_event_that_named_it_is_gone(log: Log) -> None:
    from sqlalchemy import delete

    from ark_broker.log.tables import events

    await log.writer.append([make("name", session_id="a", mcp_session_id="m")])
    await log.writer.append([make(n, mcp_session_id="m", task_id=n) for n in ("t", "t2")])
    async with log.database.writer.begin() as connection:
        await connection.execute(delete(events).where(events.c.seq == 1))
    await log.writer.create_links(["task:t"], "b", None)
    row = await log.reader.session("a")
    assert row is not None
    assert (row.summary.named, row.summary.events) == (True, 1)


async def test_a_session_that_is_named_like_a_provisional_one_is_no_guess(log: Log) -> None:
    name = f"trace:{trace(9)}"
    await log.writer.append([root(1, 1, session_id=name, task_id="t")])
    await log.writer.append([make(2, session_id="s", task_id="t")])
    assert [event.session_id for event in await log.events()] == [name, "s"]


async def test_a_named_session_goes_before_a_guess_however_the_guess_is_known(log: Log) -> None:
    await log.writer.append([make(0, session_id="s", task_id="t1"), child(1, 1, conversation_id="c1")])
    await log.writer.append([child(2, 1, task_id="t1")])
    assert {event.session_id for event in (await kept(log)).values()} == {"s"}


async def test_a_deleted_session_takes_nobody_in_while_its_rows_are_still_there(log: Log) -> None:
    await log.writer.append([root(1, 1, session_id="s", tool_call_id="k")])
    await log.writer.delete_session("s")
    await log.writer.append([make(2, tool_call_id="k")])
    assert (await log.events())[-1].session_id is None


async def test_a_link_that_waits_cannot_be_forgotten(log: Log) -> None:
    await log.writer.append([make("x", task_id="t")])
    with pytest.raises(NotFound):
        await log.writer.delete_link("task:t")
    await log.writer.append([make("y", session_id="s", task_id="t")])
    assert {event.session_id for event in await log.events()} == {"s"}


async def test_readers_get_the_end_of_a_session_that_an_operator_emptied(log: Log) -> None:
    await log.writer.append([root(1, 1)])
    commit = await log.writer.create_links([f"trace:{trace(1)}"], "s", None)
    delivered = {event.seq for event in (*commit.stored, *commit.adopted)}
    assert {event.seq for event in await log.events()} == delivered
    [moved] = [event for event in await log.events() if event.type == "session.moved"]
    assert moved.body == b'{"to":"s"}'


async def test_a_custom_event_called_like_a_marker_holds_no_packing_up(log: Log) -> None:
    from ark_broker.log.packs import pack_finished

    await log.writer.append([make("odd", kind="event", type="stream.completed", session_id="s")])
    chunk = make("c", kind="chunk", type="llm.chunk", query="q", session_id="s")
    await log.writer.append([chunk, make("e", kind="chunk", type="stream.completed", query="q", session_id="s")])
    assert await pack_finished(log.database, 2**62) == 2
