"""What only shows through ark-api: JSON that must be JSON, watches that are relayed line by line, ids in paths."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx

from tests.e2e.ark.site import Site, a_query

STORES = ("traces", "messages", "chunks", "events", "sessions")
#: Line breaks to some readers of lines, but not to JSON: `str.splitlines` cuts at each of them.
BREAKS = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\rj\nk"


async def first_lines(site: Site, path: str, count: int, **params: str) -> list[str]:
    """The first lines of a watch, as ark-api relays them."""
    query = {"memory": site.memories[0], "watch": "true", **params}
    lines: list[str] = []
    async with (
        asyncio.timeout(30),
        httpx.AsyncClient(timeout=None, verify=False) as client,
        client.stream("GET", f"{site.proxy}{path}", params=query) as response,
    ):
        assert response.status_code == 200
        async for line in response.aiter_lines():
            lines.append(line)
            if len(lines) == count:
                break
    return lines


async def test_every_answer_is_json(sqlite_site: Site) -> None:
    site = sqlite_site
    run = await site.go.call("run", broker=site.url, query=a_query("q", session="s"), text="hi", words=["hello"])
    for store in STORES:
        page = await site.proxied(f"/v1/broker/{store}", limit=1)
        assert len(page["items"]) == 1, store
    assert set((await site.proxied("/v1/broker/sessions"))["sessions"]) == {"s"}
    uid = run["query"]["uid"]
    assert len((await site.proxied(f"/v1/broker/events/{uid}", limit=1000))["items"]) == len(run["events"])
    for missing in ("traces/" + "0" * 31 + "1", "sessions/unknown"):
        response = await site.request("GET", f"/v1/broker/{missing}")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (await site.proxied("/v1/broker/events/unknown"))["items"] == []
    response = await site.request("GET", "/v1/broker/traces", memory="nobody")
    assert (response.status_code, response.json()["error"]["type"]) == (503, "service_unavailable")
    for store in STORES:
        response = await site.request("GET", f"/v1/broker/{store}", limit=1001)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "PAGINATION_ERROR"), store


async def test_a_watch_that_is_refused_is_told_as_data(shared_site: Site) -> None:
    site = shared_site
    for path, params in (
        ("/v1/broker/events", {"cursor": "-1"}),
        ("/v1/broker/messages", {"cursor": "-1"}),
        ("/v1/broker/traces", {"cursor": "-1"}),
        ("/v1/broker/sessions", {"status": "asleep"}),
        ("/v1/broker/chunks", {"query-id": "x" * 300}),
    ):
        line, blank = await first_lines(site, path, 2, **params)
        assert blank == ""
        told = json.loads(line.removeprefix("data: "))
        assert set(told) == {"error"}
        assert told["error"]["error"]["code"] in ("VALIDATION_ERROR", "PAGINATION_ERROR"), path


async def test_a_watch_greets_at_once(shared_site: Site) -> None:
    site = shared_site
    for store in STORES:
        assert await first_lines(site, f"/v1/broker/{store}", 2) == [": connected", ""]
    assert await first_lines(site, "/v1/broker/chunks", 2, **{"query-id": "q"}) == [": connected", ""]
    assert await first_lines(site, "/v1/broker/events/q", 2, **{"from-beginning": "true"}) == [": connected", ""]


async def test_a_watch_brings_more_than_the_limit_that_goes_along_with_it(sqlite_site: Site) -> None:
    site = sqlite_site
    run = await site.go.call("run", broker=site.url, query=a_query("q", session="s"), text="hi", words=["a"] * 30)
    counts = {"events": len(run["events"]), "messages": len(run["messages"]), "traces": len(run["spanIds"])}
    for store, count in counts.items():
        # Comment, then `id:` and `data:` of each, all of them followed by a blank line.
        lines = await first_lines(site, f"/v1/broker/{store}", 2 + 4 * count, limit="1", cursor="0")
        assert sum(line.startswith("data: ") for line in lines) == count, store
        assert all((line == "") == (number % 2 == 1) for number, line in enumerate(lines))


async def test_every_trace_is_found_by_its_id(sqlite_site: Site) -> None:
    site = sqlite_site
    queries = [a_query(f"q{number}", session="s") for number in range(12)]
    runs = await asyncio.gather(
        *(site.go.call("run", broker=site.url, query=query, text="hi", words=["a"]) for query in queries)
    )
    listed = {trace["traceId"]: trace for trace in (await site.proxied("/v1/broker/traces", limit=1000))["items"]}
    assert set(listed) == {run["traceId"] for run in runs}
    for trace_id, trace in listed.items():
        assert await site.proxied(f"/v1/broker/traces/{trace_id}") == trace
        # The form that the old broker gave out still works; through ark-api only where it has no slash.
        old = base64.b64encode(bytes.fromhex(trace_id)).decode()
        path = f"/{old.replace('/', '%2F').replace('+', '%2B')}"
        response = await site.request("GET", f"/v1/broker/traces{path}")
        assert response.status_code == (400 if "/" in old else 200)
        async with httpx.AsyncClient(verify=False) as client:
            direct = await client.get(f"{site.url}/traces{path}")
        assert (direct.status_code, direct.json()["spans"]) == (200, trace["spans"])


async def test_ids_that_lead_elsewhere_are_refused_before_the_broker_hears_of_them(shared_site: Site) -> None:
    for segment in ("..%2Fhealth", "a%2Fb", "a..b"):
        for path in ("traces", "events", "sessions"):
            response = await shared_site.request("GET", f"/v1/broker/{path}/{segment}")
            assert response.status_code == 400


async def test_text_with_line_breaks_of_every_kind_comes_through(sqlite_site: Site) -> None:
    """A relay of lines may cut at what is no line break in JSON: each frame must be one line to all of them."""
    site = sqlite_site
    query = a_query("q", session="s", conversation="c")
    await site.chat("live", "q")
    for tab in ("messages", "chunks", "events", "traces"):
        await site.open(tab, tab)
    run = await site.go.call("run", broker=site.url, query=query, text=BREAKS, words=[BREAKS, BREAKS])

    live = await site.said("live")
    assert (live["text"], live["chunks"]) == (BREAKS * 2, run["chunks"])
    messages = (await site.shown("messages", len(run["messages"])))["items"]
    assert [item["message"] for item in messages] == run["messages"]
    chunks = (await site.shown("chunks", len(run["chunks"]) + 1))["items"]
    assert chunks == [*run["chunks"], "[DONE]"]
    events = (await site.shown("events", len(run["events"])))["items"]
    assert sorted(event["data"]["message"] for event in events) == sorted(
        event["data"]["message"] for event in run["events"]
    )
    assert any(event["data"].get("input", "") in BREAKS for event in events if "input" in event["data"])
    spans = (await site.shown("traces", len(run["spanIds"])))["items"]
    assert {span["spanId"] for span in spans} == set(run["spanIds"])


async def test_the_purge_buttons_empty_their_tab_and_no_other(site: Site) -> None:
    await site.go.call("run", broker=site.url, query=a_query("q", session="s"), text="hi", words=["hello"])
    left = set(STORES)
    # Sessions first: they could be told again from what else is stored.
    for store in ("sessions", "traces", "messages", "chunks", "events"):
        response = await site.request("DELETE", f"/v1/broker/{store}")
        assert (response.status_code, response.json()["status"]) == (200, "success"), response.text
        left.remove(store)
        counts = {name: len((await site.proxied(f"/v1/broker/{name}", limit=1))["items"]) for name in STORES}
        assert counts == {name: int(name in left) for name in STORES}

    # What comes afterwards is seen again.
    await site.go.call("run", broker=site.url, query=a_query("q2", session="s2"), text="hi", words=["hello"])
    for store in STORES:
        assert len((await site.proxied(f"/v1/broker/{store}", limit=1))["items"]) == 1, store
