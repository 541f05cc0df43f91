"""A session as a file: `GET /v1/sessions/{id}/export`, and `ark-broker import` of it into another broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.cli.imports.sessions import SessionFile
from ark_broker.cli.imports.source import Skipped, SourceBroken
from ark_broker.model import MAX_INT64, Event
from ark_broker.model.event import KINDS
from ark_broker.receive.otlp import decode_traces, rebuild_spans
from ark_broker.receive.session_file import MARK, NotALine, event_line, header_line, read_event, read_header
from tests.support.api import Api, serve
from tests.support.events import NOON
from tests.support.executor import Executor, Turn
from tests.support.otlp import TRACE
from tests.support.postgres import create_database, drop_database
from tests.support.process import StartBroker, run_command
from tests.support.stored import assert_intact
from tests.support.stored import query as sql
from tests.support.waiting import until

STORY = [
    Turn("Let me look.", {"c1": ("search", '{"q":"NYC"}'), "c2": ("clock", "{}")}),
    Turn("It is 22 degrees — “warm”. \u2028 \\n"),
]


async def a_session(api: Api) -> None:
    """Session s1: events, chunks, spans, a question, and spans that were adopted; and another one besides."""
    for step in Executor(STORY, "run").steps():
        if step is None:
            await api.complete("q1")
        elif isinstance(step, str):
            await api.chunks("q1", step, f' {{"n": 1.50,  "of":{len(step)}}}')
        else:
            await api.http.post("/v1/events", json=step)
    named = {"session.id": "s1", "query.name": "q1", "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    tokens = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 3}
    below = {"parent_span_id": bytes(7) + b"\x01"}
    await api.spans({"number": 2, "attributes": {}, **below}, {"number": 3, "attributes": {"a": 1.5}, **below})
    await api.spans({"number": 4, "attributes": named | tokens, **below}, {"attributes": named, "name": "query.q1"})
    for number in range(2):
        await api.events(
            {"type": "question.asked", "sessionId": "s1", "query": "q1", "questionId": f"a{number}", "text": "?"},
            {"type": "step", "sessionId": "s2", "query": "q2"},
        )
    await api.events({"type": "question.answered", "sessionId": "s1", "questionId": "a0", "answer": {"x": [1]}})


async def lines_of(api: Api, session: str = "s1", **params: str) -> list[bytes]:
    response = await api.http.get(f"/v1/sessions/{session}/export", params=params)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.content.endswith(b"\n") or not response.content
    return response.content.splitlines(keepends=True) if params else response.content.split(b"\n")[:-1]


def seen(view: Any) -> Any:
    """What a view says of the session: all but where, in which log, it and its entries are."""
    if isinstance(view, list):
        return [seen(each) for each in view]
    if isinstance(view, dict):
        return {key: seen(value) for key, value in view.items() if key not in ("seq", "log")}
    return view


async def test_a_session_is_a_header_and_an_event_a_line(each_api: Api) -> None:
    await a_session(each_api)
    items = (await each_api.get("/v1/sessions/s1/events", limit=1000))["items"]

    response = await each_api.http.get("/v1/sessions/s1/export")

    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''s1.jsonl"
    header, *lines = [json.loads(line) for line in response.text.split("\n")[:-1]]
    log = (await each_api.get("/v1/events"))["log"]
    assert header == {
        "format": "ark-broker-session",
        "version": 1,
        "session": "s1",
        "log": log,
        "events": len(items),
    }
    assert [line["id"] for line in lines] == [item["id"] for item in items]
    for line, item in zip(lines, items, strict=True):
        assert line["body"] == item["body"]
        assert line["time"] // 10**9 * 10**9 <= line["time"] < MAX_INT64
        same = line.keys() - {"time", "duration", "body", "correlatedBy"}
        assert {key: line[key] for key in same} == {key: item[key] for key in same}
        assert item.keys() - line.keys() <= {"seq", "sessionSeq", "querySeq", "recordedAt", "correlatedBy"}
    assert {line.get("correlatedBy") for line in lines} == {None, "trace", "query"}
    assert all(line["sessionId"] == "s1" for line in lines)


@pytest.fixture(params=["sqlite", "postgresql"])
def other_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A second database, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/other.db"
        return
    server: str = request.getfixturevalue("postgres_server_url")
    url = create_database(server)
    yield url
    drop_database(server, url)


async def test_a_session_moves_to_another_broker_unchanged(database_url: str, other_url: str, tmp_path: Path) -> None:
    paths = ["/v1/sessions/s1", "/v1/sessions/s1/conversation", "/v1/queries/q1"]
    async with serve(database_url) as api:
        await a_session(api)
        before = [seen(await api.get(path)) for path in paths]
        exported, spans = await lines_of(api), await lines_of(api, format="otlp")
        file = tmp_path / "anything.txt"
        file.write_bytes((await api.http.get("/v1/sessions/s1/export")).content)

    async with serve(other_url) as other:
        # It holds something of its own, so that positions differ.
        await other.events(*({"type": "step", "sessionId": "own", "query": "mine"} for _ in range(5)))
    first, again = await import_file(other_url, file), await import_file(other_url, file)

    count = len(exported) - 1
    assert (first, again) == ([count, count, 0, 0], [count, 0, count, 0])
    async with serve(other_url) as other:
        assert [seen(await other.get(path)) for path in paths] == before
        header, *lines = await lines_of(other)
        assert lines == exported[1:]
        assert json.loads(header) | {"log": ""} == json.loads(exported[0]) | {"log": ""}
        assert await lines_of(other, format="otlp") == spans
    await assert_intact(other_url)


async def import_file(database_url: str, *files: Path) -> list[int]:
    """Read, imported, already there, skipped."""
    result = await asyncio.to_thread(run_command, "import", *files, database_url=database_url)
    assert result.returncode == 0, result.stderr
    [row] = [line.split() for line in result.stdout.splitlines() if line.startswith("session ")]
    return [int(cell.replace(",", "")) for cell in row[1:5]]


async def test_packed_or_not_it_is_the_same_file(database_url: str) -> None:
    async with serve(database_url, pack_after_seconds=3600) as api:
        await a_session(api)
        before = await lines_of(api)
    async with serve(database_url, pack_after_seconds=0.05) as api:

        async def is_packed() -> bool:
            return (await sql(database_url, "SELECT coalesce(sum(events), 0) FROM packs"))[0][0] > 10

        await until(is_packed)
        assert await lines_of(api) == before


async def test_a_long_session_is_exported_whole(each_api: Api) -> None:
    """More than several pages; the filtered feed of spans looks at no more than so many rows a page."""
    await each_api.events({"type": "query.started", "sessionId": "s1", "query": "q1"})
    for begin in range(0, 12_000, 4_000):
        await each_api.chunks("q1", *(f'{{"n":{number}}}' for number in range(begin, begin + 4_000)))
    await each_api.spans({"attributes": {"session.id": "s1", "query.name": "q1"}})

    header, *lines = await lines_of(each_api)
    [spans] = await lines_of(each_api, format="otlp")

    assert json.loads(header)["events"] == len(lines) == 12_002
    assert [json.loads(line)["body"]["n"] for line in lines[1:-1]] == list(range(12_000))
    assert json.loads(spans)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == "step"


async def test_the_spans_are_otlp_that_any_receiver_takes(each_api: Api) -> None:
    await a_session(each_api)
    events = (await each_api.get("/v1/sessions/s1/events", limit=1000))["items"]
    bodies = [json.dumps(item["body"]).encode() for item in events if item["kind"] == "span"]

    lines = await lines_of(each_api, format="otlp")

    decoded = [event for line in lines for event in decode_traces(line, "json").events]
    assert rebuild_spans(event.body for event in decoded) == rebuild_spans(bodies)
    assert [event.trace_id for event in decoded] == [TRACE] * 4
    response = await each_api.http.post("/v1/traces", content=lines[0], headers={"Content-Type": "application/json"})
    assert response.json() == {}


async def test_a_session_without_spans_has_no_requests(each_api: Api) -> None:
    await each_api.events({"type": "step", "sessionId": "s1"})

    assert await lines_of(each_api, format="otlp") == []


async def test_what_the_broker_wrote_about_its_own_log_is_not_exported(each_api: Api) -> None:
    await each_api.events({"type": "step", "sessionId": "s1", "query": "q1"})
    response = await each_api.http.post("/v1/links", json={"session": "s1", "taskId": "t1"})
    assert response.status_code == 201, response.text

    header, *lines = await lines_of(each_api)

    assert (json.loads(header)["events"], len(lines)) == (1, 1)


async def test_a_session_that_was_deleted_and_began_anew_has_only_the_new_events(each_api: Api) -> None:
    for note in ("old", "new"):
        await each_api.events({"type": "step", "sessionId": "s1", "note": note})
        if note == "old":
            await each_api.http.delete("/v1/sessions/s1")
            await each_api.error("/v1/sessions/s1/export", 404)

    header, *lines = await lines_of(each_api)

    assert json.loads(header)["events"] == 1
    assert [json.loads(line)["body"]["note"] for line in lines] == ["new"]


async def test_a_wrong_name_or_format_is_refused(api: Api) -> None:
    await api.events({"type": "step", "sessionId": "a/b ü"})

    await api.error("/v1/sessions/nothing/export", 404)
    assert (await api.error("/v1/sessions/s1/export", 400, params={"format": "xml"}))["field"] == "format"
    response = await api.http.get("/v1/sessions/a%2Fb%20%C3%BC/export")
    assert response.headers["content-disposition"].endswith("''a%2Fb%20%C3%BC.jsonl")


# -- the file


_NAMES = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20))
_COUNTS = st.one_of(st.none(), st.integers(0, MAX_INT64))
_OURS = {"seq", "session_seq", "query_seq", "recorded_at", "correlated_by", "confined"}
_HEX = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(st.characters(codec="utf-8"))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=10,
)


@st.composite
def stored_events(draw: st.DrawFn) -> Event:
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(Event):
        name = field.name
        if name in _OURS or field.required:
            continue
        if name in _HEX:
            fields[name] = draw(st.one_of(st.none(), st.binary(min_size=_HEX[name], max_size=_HEX[name])))
            fields[name] = fields[name] and fields[name].hex()
        elif name == "cost":
            fields[name] = draw(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)))
        elif "int" in str(field.type):
            fields[name] = draw(_COUNTS)
        else:
            fields[name] = draw(_NAMES)
    body = json.dumps(draw(_JSON), ensure_ascii=draw(st.booleans()), indent=None).encode("utf-8", "surrogatepass")
    given_fields: dict[str, Any] = fields | {
        "id": draw(st.binary(min_size=16, max_size=16)),
        "kind": draw(st.sampled_from(KINDS)),
        "type": draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)),
        "time": draw(st.integers(0, MAX_INT64)),
        "session_id": "s1",
        "body": body,
    }
    return Event(**given_fields)


@given(
    event=stored_events(), rule=st.sampled_from(["explicit", "baggage", "operator", "import", "trace", "conversation"])
)
def test_an_event_comes_back_from_its_line_as_it_was(event: Event, rule: str) -> None:
    event.correlated_by = rule
    event.seq = event.session_seq = event.query_seq = event.recorded_at = 7

    line = event_line(event)
    back = read_event(line, "s1")

    assert line.count(b"\n") == 1
    assert event_line(back) == line
    assert back.correlated_by == (rule if rule in ("trace", "conversation") else "import")
    for name in Event.__struct_fields__:
        if name not in _OURS:
            assert getattr(back, name) == getattr(event, name), name


def write(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def line(number: int, session: str = "s1", **fields: Any) -> bytes:
    given_fields: dict[str, Any] = {"time": NOON, "body": b"{}", "session_id": session} | fields
    return event_line(Event(id=number.to_bytes(16, "big"), kind="event", type="step", **given_fields))


async def read(path: Path) -> list[Event | Skipped]:
    return [item async for item in SessionFile(path).items()]


async def test_several_sessions_may_follow_each_other(tmp_path: Path) -> None:
    path = write(
        tmp_path / "two.jsonl", header_line("s1", "l", 2), line(1), line(2), header_line("s2", "l", 1), line(3, "s2")
    )

    found = [item for item in await read(path) if isinstance(item, Event)]

    assert [event.session_id for event in found] == ["s1", "s1", "s2"]


@pytest.mark.parametrize("end", [b"", line(2)[:-30], header_line("s2", "l", 0)], ids=["short", "torn", "next"])
async def test_a_file_that_was_cut_off_gives_what_it_has_and_says_so(tmp_path: Path, end: bytes) -> None:
    path = write(tmp_path / "cut.jsonl", header_line("s1", "l", 2), line(1), end)
    items = SessionFile(path).items()
    found = [await anext(items) for _ in range(2 if end.startswith(b'{"id"') else 1)]

    with pytest.raises(SourceBroken, match="'s1' ends after 1 of 2 events"):
        await anext(items)

    assert isinstance(found[0], Event)
    assert [item.why for item in found if isinstance(item, Skipped)] == (["torn"] if end.startswith(b'{"id"') else [])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{}\n", "missing required field"),
        (b"[1]\n", "Expected `object`"),
        (line(2, "s2"), "'s2'"),
        (line(2).replace(b'"kind":"event"', b'"kind":"thing"'), "Invalid enum value"),
        (line(2).replace(b'"id":"', b'"id":"x'), "regex"),
        (line(2).replace(b"{}}", b"{x}}"), "malformed"),
        (line(2).replace(b"{}}", b'"\xff"}'), "utf-8"),
        (line(2).replace(b'"body"', b'"more":1,"body"'), "unknown field"),
        (line(2, query="q" * 300), "256"),
    ],
)
async def test_a_line_that_is_no_event_is_skipped_with_its_reason(tmp_path: Path, bad: bytes, reason: str) -> None:
    path = write(tmp_path / "bad.jsonl", header_line("s1", "l", 3), line(1), bad, line(3))

    first, skipped, last = await read(path)

    assert isinstance(first, Event)
    assert isinstance(last, Event)
    assert isinstance(skipped, Skipped)
    assert (skipped.place, skipped.why) == ("line 3", "invalid")
    assert reason in skipped.reason


@pytest.mark.parametrize(
    "header", [MARK + b',"version":2,"session":"s","log":"l","events":0}\n', MARK + b"}\n", MARK + b"\n"]
)
async def test_a_file_of_another_version_is_not_read(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(SourceBroken, match=r"^line 1: "):
        await read(write(tmp_path / "v2.jsonl", header))


def test_another_format_is_named() -> None:
    with pytest.raises(NotALine, match="the format is 'x'"):
        read_header(b'{"format":"x","version":1,"session":"s","log":"l","events":0}')


async def test_what_has_expired_is_skipped_and_the_rest_of_a_directory_is_taken(
    tmp_path: Path, start_broker: StartBroker
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    write(folder / "b.jsonl", header_line("s1", "l", 2), line(1, expires_at=1), line(2, expires_at=MAX_INT64))
    # Its name is one of the old broker's; what it begins with goes before that.
    write(folder / "events.jsonl", header_line("s2", "l", 1), line(3, "s2"))
    (folder / "note.txt").write_text("not one of them")
    url = f"sqlite:///{tmp_path}/broker.db"

    assert await import_file(url, folder) == [3, 2, 0, 1]

    broker = start_broker(url)
    async with httpx.AsyncClient(base_url=broker.url, timeout=60) as http:
        sessions = (await http.get("/v1/sessions")).json()["items"]
    assert {found["id"]: found["counts"]["events"] for found in sessions} == {"s1": 1, "s2": 1}
