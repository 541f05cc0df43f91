"""The Broker page's tabs: whenever they open and however often they are cut, they end with exactly what is stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Any

import httpx
import pytest

from tests.e2e.ark.event_source import connect
from tests.e2e.ark.site import Site, a_query
from tests.support.process import StartBroker

TABS = ("traces", "messages", "chunks", "events")
WORDS = [f"word-{number} " for number in range(30)]


async def stored(site: Site, tab: str) -> list[Any]:
    """What the broker's list holds, oldest first, each item as the tab's frames show it."""
    match tab:
        case "chunks":
            return [item["data"]["chunk"] for item in await site.every("/stream")]
        case "traces":
            # Newest trace first, the spans of each as they came.
            return by_id([span for trace in await site.every("/traces") for span in trace["spans"]])
        case "messages":
            return await site.every("/messages")
        case _:
            return await site.every("/events")


def by_id(spans: list[Any]) -> list[Any]:
    return sorted(spans, key=lambda span: (span["traceId"], span["spanId"]))


async def a_wave(site: Site, wave: int, *, replica: int = 0, words: list[str] = WORDS) -> None:
    """Some queries at once, of both kinds of executor."""
    broker = site.brokers[replica].url
    await asyncio.gather(
        *(
            site.go.call(
                "run",
                broker=broker,
                query=a_query(f"go-{replica}-{wave}-{number}", session=f"session-{number}"),
                text="hi",
                words=words,
                tool=True,
            )
            for number in range(3)
        ),
        site.sdk.call(
            "run", broker=broker, query=f"sdk-{replica}-{wave}", user="hi", words=words[:5], conversation="sdk-talk"
        ),
    )


async def assert_tab_is_exact(site: Site, tab: str, name: str) -> None:
    """Nothing is missing, nothing double, and it comes in the order of the list."""
    expected = await stored(site, tab)
    shown = await site.shown(name, len(expected))
    items = by_id(shown["items"]) if tab == "traces" else shown["items"]
    assert len(items) == len(expected), f"{name}: {len(items)} of {len(expected)}"
    assert items == expected, name
    assert shown["errors"] == [], name
    positions = [int(position) for position in shown["ids"]]
    assert positions == sorted(set(positions)), name


async def assert_sessions_are_right(site: Site, name: str) -> None:
    """Each session ends as a page shows it that asks."""
    sessions = sorted((await site.get("/sessions"))["sessions"].values(), key=lambda session: session["sessionId"])
    assert sessions
    shown = await site.dashboard.call("shown_with", name=name, items=sessions)
    assert shown["items"] == sessions
    for session in sessions:
        assert await site.proxied(f"/v1/broker/sessions/{session['sessionId']}") == session


@pytest.mark.parametrize("resume", ["cursor", "header"])
async def test_tabs_that_are_cut_again_and_again_miss_nothing_and_repeat_nothing(site: Site, resume: str) -> None:
    for number, tab in enumerate((*TABS, "sessions")):
        await site.open(tab, tab, resume=resume, seed=number)
    for wave in range(2):
        await a_wave(site, wave)

    for tab in TABS:
        await assert_tab_is_exact(site, tab, tab)
    await assert_sessions_are_right(site, "sessions")
    assert (await site.shown("chunks", 0))["connections"] > 5


async def test_tabs_that_open_late_read_pages_first_and_go_on(sqlite_site: Site) -> None:
    site = sqlite_site
    # More than one page of chunks.
    await a_wave(site, 0, words=WORDS * 12)
    assert len(await stored(site, "chunks")) > 1_000
    for tab in TABS:
        await site.open(tab, tab)
    pages = {tab: (await site.shown(tab, 0))["pages"] for tab in TABS}
    for tab in TABS:
        shown = pages[tab]
        assert (by_id(shown) if tab == "traces" else shown) == await stored(site, tab)

    await a_wave(site, 1)

    for tab in TABS:
        await assert_tab_is_exact(site, tab, tab)


async def test_a_dashboard_that_knows_no_ids_shows_everything_once(sqlite_site: Site) -> None:
    site = sqlite_site
    for tab in TABS:
        await site.open(tab, tab, resume="old")
    await site.open("sessions", "sessions", resume="old")
    await a_wave(site, 0)
    for tab in TABS:
        await site.open(f"late {tab}", tab, resume="old")
    await a_wave(site, 1)

    for tab in TABS:
        expected = await stored(site, tab)
        for name in (tab, f"late {tab}"):
            shown = await site.shown(name, len(expected))
            assert (by_id(shown["items"]) if tab == "traces" else shown["items"]) == expected, name
            assert shown["errors"] == []
    await assert_sessions_are_right(site, "sessions")


async def test_tabs_see_what_came_to_another_replica(
    start_site: Callable[..., Site], start_broker: StartBroker, postgres_url: str
) -> None:
    site = start_site(start_broker(postgres_url), start_broker(postgres_url))
    await site.resolve()
    for replica in range(2):
        for number, tab in enumerate((*TABS, "sessions")):
            # One of them is cut, the other is not.
            await site.open(f"{tab} {replica}", tab, replica=replica, seed=number if replica else None)
        await site.chat(f"chat {replica}", "go-0-0-0", replica=replica)

    await asyncio.gather(a_wave(site, 0, replica=0), a_wave(site, 0, replica=1))

    chats = [await site.said(f"chat {replica}") for replica in range(2)]
    assert chats[0] == chats[1]
    assert (chats[0]["text"], chats[0]["doneMarkers"]) == ("".join(WORDS), 1)
    for replica in range(2):
        for tab in TABS:
            await assert_tab_is_exact(site, tab, f"{tab} {replica}")
        await assert_sessions_are_right(site, f"sessions {replica}")


async def test_a_sessions_tab_that_is_cut_between_any_two_frames_gets_every_session(sqlite_site: Site) -> None:
    """Sessions that change together must not be lost to who comes back between them."""
    site = sqlite_site
    count = 40
    url = f"{site.url}/sessions"
    async with httpx.AsyncClient(timeout=30, verify=False) as http:
        events = [
            {"reason": "QueryExecutionStart", "data": {"queryId": f"u{n}", "queryName": f"q{n}", "sessionId": f"s{n}"}}
            for n in range(count)
        ]
        for answer in await asyncio.gather(*(http.post(f"{site.url}/events", json=event) for event in events)):
            assert answer.status_code == 201
    frames = await sessions_from(url, "", count)
    for place in range(0, count, 7):
        seen = {session for session, _ in frames[: place + 1]}
        missing = {session for session, _ in frames} - seen
        again = await sessions_from(url, frames[place][1], len(missing), missing)
        assert missing <= {session for session, _ in again}


async def sessions_from(
    url: str, last_event_id: str, count: int, wanted: set[str] | None = None
) -> list[tuple[str, str]]:
    """Session and id of each frame behind a position, until `count` sessions (of those wanted) were seen."""
    found: dict[str, str] = {}
    async with aclosing(connect(url, {"watch": "true"}, last_event_id=last_event_id)) as pieces:
        with suppress(TimeoutError):
            # What is missing is better seen than waited for.
            async with asyncio.timeout(20):
                while len(found if wanted is None else wanted & found.keys()) < count:
                    for message in (await anext(pieces))[1]:
                        found.setdefault(json.loads(message.data)["sessionId"], message.last_event_id)
    return list(found.items())


async def test_tabs_go_on_after_the_broker_was_killed(sqlite_site: Site) -> None:
    site = sqlite_site
    broker = site.brokers[0]
    for tab in (*TABS, "sessions"):
        await site.open(tab, tab)
    await a_wave(site, 0)
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)
    await a_wave(site, 1)

    for tab in TABS:
        await assert_tab_is_exact(site, tab, tab)
    await assert_sessions_are_right(site, "sessions")
