"""`GET /v1/queries/{query}`: by name or uid, and which one where there are several."""

from __future__ import annotations

from typing import Any

from tests.support.api import Api


def started(session: str, query: str = "weather", **fields: Any) -> dict[str, Any]:
    return {"type": "query.started", "sessionId": session, "query": query} | fields


async def test_a_query_is_found_by_name_and_by_uid(each_api: Api) -> None:
    await each_api.events(
        started("s1", queryUid="uid-1", namespace="a"),
        started("s1", type="query.completed"),
        started("s1", query="other"),
    )

    by_name = await each_api.get("/v1/queries/weather")
    by_uid = await each_api.get("/v1/queries/uid-1")

    assert by_name == by_uid
    assert by_name["name"] == "weather"
    assert by_name["session"] == "s1"
    assert by_name["uid"] == "uid-1"
    assert by_name["namespace"] == "a"
    assert by_name["phase"] == "done"
    assert by_name["seq"] == 3
    assert by_name["log"]
    assert by_name["duration"] == 1000
    assert by_name["counts"] == {"events": 2, "chunks": 0, "toolCalls": 0, "modelCalls": 0}
    assert [event["type"] for event in by_name["events"]] == ["query.started", "query.completed"]


async def test_an_ambiguous_name_is_a_conflict_that_lists_the_candidates(each_api: Api) -> None:
    api = each_api
    await api.events(
        started("s1", namespace="a", queryUid="uid-1"),
        started("s2", namespace="b", queryUid="uid-2", type="query.failed"),
        started("s3", namespace="b"),
    )

    error = await api.error("/v1/queries/weather", 409)

    assert error["code"] == "CONFLICT"
    assert error["candidates"] == [
        {"session": "s1", "namespace": "a", "name": "weather", "uid": "uid-1"},
        {"session": "s2", "namespace": "b", "name": "weather", "uid": "uid-2"},
        {"session": "s3", "namespace": "b", "name": "weather", "uid": None},
    ]
    assert (await api.get("/v1/queries/weather", namespace="a"))["session"] == "s1"
    assert (await api.get("/v1/queries/weather", session="s3"))["session"] == "s3"
    assert (await api.get("/v1/queries/uid-2"))["phase"] == "error"
    assert len((await api.error("/v1/queries/weather", 409, params={"namespace": "b"}))["candidates"]) == 2
    await api.error("/v1/queries/weather/stream", 409)


async def test_events_of_a_namesake_in_another_session_are_not_shown(each_api: Api) -> None:
    await each_api.events(started("s1"), started("s2"), started("s2", type="query.failed"))

    mine = await each_api.get("/v1/queries/weather", session="s1")

    assert mine["phase"] == "running"
    assert [event["type"] for event in mine["events"]] == ["query.started"]


async def test_a_uid_goes_before_a_name(each_api: Api) -> None:
    await each_api.events(started("s1", query="a", queryUid="b"), started("s1", query="b"))

    assert (await each_api.get("/v1/queries/b"))["name"] == "a"


async def test_an_unknown_query_is_not_found(each_api: Api) -> None:
    await each_api.events(started("s1", namespace="a"))

    for path in ("/v1/queries/nothing", "/v1/queries/weather?namespace=z", "/v1/queries/weather?session=z"):
        assert (await each_api.error(path, 404))["code"] == "NOT_FOUND"


async def test_a_query_that_only_has_chunks_is_shown_before_its_session_is_known(each_api: Api) -> None:
    await each_api.chunks("early", '{"choices":[{"delta":{"content":"Hi"}}]}')

    found = await each_api.get("/v1/queries/early")

    assert found["name"] == "early"
    assert found["phase"] == "running"
    assert [event["type"] for event in found["events"]] == ["stream"]


async def test_a_name_with_a_slash_is_one_name(each_api: Api) -> None:
    await each_api.events(started("s1", query="team/a%2Fb"))

    assert (await each_api.get("/v1/queries/team%2Fa%252Fb"))["name"] == "team/a%2Fb"
    await each_api.error("/v1/queries/team/a", 404)


async def test_a_wrong_parameter_is_named(each_api: Api) -> None:
    for parameter, value in [("namespace", "x" * 257), ("namespace", "\0"), ("session", "x" * 257), ("session", "\0")]:
        error = await each_api.error("/v1/queries/weather", 400, params={parameter: value})
        assert error["field"] == parameter
    for name in ("x" * 257, "x" * 10_000, "a%00b"):
        assert (await each_api.error(f"/v1/queries/{name}", 400))["field"] == "query"
    assert (await each_api.error("/v1/queries/weather/stream", 400, params={"events": "maybe"}))["field"] == "events"


async def test_deleting_the_session_takes_its_queries_with_it(each_api: Api) -> None:
    await each_api.events(started("s1", queryUid="uid-1"))

    await each_api.http.delete("/v1/sessions/s1")

    await each_api.error("/v1/queries/weather", 404)
    await each_api.error("/v1/queries/uid-1", 404)
