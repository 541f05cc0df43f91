"""`GET /v1/traces/{traceId}`: the tree, also where the spans do not make one."""

from __future__ import annotations

from typing import Any

from tests.support.api import Api
from tests.support.events import NOON
from tests.support.otlp import TRACE, span_id


def names(nodes: list[dict[str, Any]]) -> list[Any]:
    """Names with what lies under them: `["root", ["child", …], …]`."""
    found: list[Any] = []
    for node in nodes:
        found.append(node["event"]["type"])
        if "children" in node:
            found.append(names(node["children"]))
    return found


async def tree(api: Api) -> list[Any]:
    return names((await api.get(f"/v1/traces/{TRACE}"))["roots"])


def spans(*edges: tuple[int, int]) -> list[dict[str, Any]]:
    """Spans (number, parent) named `n<number>`, in that order in time."""
    return [
        {
            "number": number,
            "name": f"n{number}",
            "parent_span_id": span_id(parent) if parent else b"",
            "start_time_unix_nano": NOON + at,
        }
        for at, (number, parent) in enumerate(edges)
    ]


async def test_children_stand_under_their_parent_by_start(each_api: Api) -> None:
    await each_api.spans(*spans((1, 0), (3, 1), (2, 1), (4, 3)))

    found = await each_api.get(f"/v1/traces/{TRACE}")

    assert names(found["roots"]) == ["n1", ["n3", ["n4"], "n2"]]
    assert found["traceId"] == TRACE
    assert found["sessions"] == ["s1"]
    assert found["queries"] == ["q1"]
    assert found["events"] == 4
    assert found["roots"][0]["event"]["body"]["span"]["name"] == "n1"


async def test_the_id_may_be_upper_case(api: Api) -> None:
    await api.spans(*spans((1, 0)))

    assert (await api.get(f"/v1/traces/{TRACE.upper()}"))["traceId"] == TRACE


async def test_a_child_before_its_parent_finds_it(api: Api) -> None:
    await api.spans(*spans((2, 1)))
    assert await tree(api) == ["n2"]

    await api.spans(*spans((1, 0)))

    assert await tree(api) == ["n1", ["n2"]]


async def test_orphans_and_circles_are_shown_each_once(api: Api) -> None:
    await api.spans(*spans((1, 0), (2, 9), (3, 3), (4, 5), (5, 6), (6, 4), (7, 6)))

    found = await tree(api)

    flat = str(found)
    assert sorted(name for name in (f"n{n}" for n in range(1, 8)) if flat.count(f"'{name}'") == 1) == [
        "n1",
        "n2",
        "n3",
        "n4",
        "n5",
        "n6",
        "n7",
    ]
    assert found[:3] == ["n1", "n2", "n3"]


async def test_one_span_under_several_names_is_shown_under_each(api: Api) -> None:
    parent = {"parent_span_id": span_id(1)}
    await api.spans(
        {"number": 1, "name": "query.started"},
        {"number": 2, "name": "tool.call", **parent},
        {"number": 2, "name": "tool.result", "end_time_unix_nano": NOON + 5, **parent},
        {"number": 3, "name": "below", "parent_span_id": span_id(2)},
    )

    assert await tree(api) == ["query.started", ["tool.call", ["below"], "tool.result"]]


async def test_other_events_hang_under_the_span_they_name(api: Api) -> None:
    await api.spans(*spans((1, 0), (2, 1)))
    await api.events(
        {"type": "note", "traceId": TRACE, "spanId": span_id(2).hex()}, {"type": "loose", "traceId": TRACE}
    )

    assert await tree(api) == ["n1", ["n2", ["note"]], "loose"]


async def test_a_chain_of_thousands_of_spans_is_answered(api: Api) -> None:
    await api.spans(*spans(*((n, n - 1) for n in range(1, 3001))))

    found = await api.get(f"/v1/traces/{TRACE}")

    assert found["events"] == 3000
    assert "truncated" not in found


async def test_an_unknown_trace_is_not_found_and_no_trace_id_is_refused(api: Api) -> None:
    assert (await api.error(f"/v1/traces/{TRACE}", 404))["code"] == "NOT_FOUND"
    for wrong in ("xyz", TRACE + "00", TRACE[:-1], "%00", "x" * 10_000, TRACE[:-1] + "%0A", "١" * 32):
        assert (await api.error(f"/v1/traces/{wrong}", 400))["field"] == "trace_id"
