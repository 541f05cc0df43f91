"""What is stored, read back as the dashboard's Broker page reads it: page after page until there are no more."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from bench.ark.plan import Plan, chunk_key, event_key, message_key

_PAGE = 1_000


@dataclass
class Stored:
    """How many items there are of one sort, and how many are different."""

    what: str
    total: int
    distinct: int


class Client:
    """GET over one kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path: str) -> tuple[int, Any]:
        """(status, value) of the answer."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.status, orjson.loads(response.read())

    def items(self, path: str) -> Iterator[Any]:
        """All items of a list. Raises AssertionError where a page is refused or its cursor does not advance."""
        cursor = 0
        while True:
            status, page = self.get(f"{path}?limit={_PAGE}&cursor={cursor}")
            assert status == 200, f"{path}: {status} {page}"
            yield from page["items"]
            if not page["hasMore"]:
                return
            assert page["nextCursor"] > cursor, f"{path}: the cursor stays at {cursor}"
            cursor = page["nextCursor"]


def read_back(plan: Plan, port: int) -> list[Stored]:
    """Events, messages, lines, completions, and queries that are done in their sessions."""
    client = Client(port)
    completions: list[str] = []

    def line_key(item: Any) -> str | None:
        data = item["data"]
        if data.get("complete"):
            completions.append(data["queryId"])
            return None
        return chunk_key(data["chunk"])

    found = [
        _count(client, "events", "/events", event_key),
        _count(client, "messages", "/messages", message_key),
        _count(client, "lines", "/stream", line_key),
    ]
    found.append(Stored("completions", len(completions), len(set(completions))))
    found.append(_sessions(client, plan))
    return found


def _count(client: Client, what: str, path: str, key: Callable[[Any], str | None]) -> Stored:
    total, keys = 0, set()
    for item in client.items(path):
        if (found := key(item)) is not None:
            total += 1
            keys.add(found)
    return Stored(what, total, len(keys))


def _sessions(client: Client, plan: Plan) -> Stored:
    total, done = 0, 0
    for name in plan.sessions:
        status, session = client.get(f"/sessions/{name}")
        assert status == 200, f"/sessions/{name}: {status} {session}"
        total += len(session["queries"])
        done += sum(query["phase"] == "done" for query in session["queries"].values())
    return Stored("sessions", total, done)
