"""`ark-broker import`: the old broker's files and tables end in the log, once."""

import base64
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner, Result

from ark_broker.cli.imports import files, run
from ark_broker.cli.imports.files import FileSource
from ark_broker.cli.imports.source import Skipped, SourceBroken
from ark_broker.cli.main import app
from ark_broker.receive.legacy import Record, Store
from tests.support.process import PROGRAM, StartBroker, environment, run_command
from tests.support.stored import assert_intact, query
from tests.support.waiting import wait_until

DAY = "2026-07-23T10:00:"
#: Long after any test is run, and long before.
LATER, EARLIER = 4_000_000_000_000, 1_600_000_000_000


def at(milliseconds: int) -> str:
    return f"{DAY}{milliseconds // 1000:02}.{milliseconds % 1000:03}Z"


def items(*data: object, **more: object) -> list[dict[str, Any]]:
    return [
        {"sequenceNumber": number, "timestamp": at(number), "data": each, **more} for number, each in enumerate(data, 1)
    ]


def operation(reason: str, name: str = "q1", session: str = "s1", **more: str) -> dict[str, Any]:
    return {
        "data": {"queryId": f"uid-{name}", "queryName": name, "sessionId": session, "conversationId": "c1", **more},
        "reason": reason,
    }


def span(number: int, *, protobuf: bool = True) -> dict[str, Any]:
    def name(size: int) -> str:
        raw = bytes([number]) * size
        return base64.b64encode(raw).decode() if protobuf else raw.hex()

    return {
        "traceId": name(16),
        "spanId": name(8),
        "parentSpanId": "",
        "name": "query.q1",
        "kind": "SPAN_KIND_INTERNAL" if protobuf else 1,
        "startTimeUnixNano": "1784800800000000000",
        "endTimeUnixNano": "1784800801000000000",
        "attributes": [{"key": "ark.session.id", "value": {"stringValue": "s1"}}],
        "status": {"message": "", "code": "STATUS_CODE_OK" if protobuf else 1},
        "resource": {"service.name": "ark-controller"},
    }


EVENTS = items(
    operation("QueryExecutionStart"), operation("LLMCallStart"), operation("QueryExecutionComplete", agent="weather")
)
MESSAGES = items(
    *({"conversationId": "c1", "queryId": "q1", "message": {"role": "user", "content": f"hi {n}"}} for n in range(3))
)
CHUNKS = items(
    *(
        {"queryId": "q1", "chunk": {"choices": [{"delta": {"content": f"w{n} "}}], "temperature": 0.1}}
        for n in range(3)
    ),
    {"queryId": "q1", "chunk": "[DONE]", "complete": True},
)
SPANS = items(span(1), span(2, protobuf=False))
SESSIONS = {
    "s1": {
        "sessionId": "s1",
        "queries": {"q1": {"phase": "done", "createdAt": at(1), "completedAt": at(3), "lastActivity": at(3)}},
    },
    "s2": {
        "sessionId": "s2",
        "queries": {
            "old": {
                "phase": "error",
                "error": "boom",
                "conversationId": "c2",
                "agent": "poet",
                "createdAt": at(1000),
                "completedAt": at(9000),
                "lastActivity": at(9000),
            }
        },
    },
}


def write_document(path: Path, found: list[dict[str, Any]]) -> Path:
    """As the oldest generation writes it: one document, rewritten whole."""
    path.write_text(json.dumps({"items": found, "nextSequence": len(found) + 1}, indent=2))
    return path


def write_lines(path: Path, found: list[dict[str, Any]], torn: str = "") -> Path:
    """As the newer one does: an item a line, behind a header."""
    lines = [{"nextSequence": len(found) + 1}, *found]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines) + torn)
    return path


def write_all(directory: Path, generation: str) -> Path:
    directory.mkdir()
    write, suffix = (write_document, ".json") if generation == "a" else (write_lines, ".jsonl")
    stores = {"events": EVENTS, "messages": MESSAGES, "completionchunks": CHUNKS, "oteltraces": SPANS}
    for name, found in stores.items():
        write(directory / f"{name}{suffix}", found)
    (directory / "sessions.json").write_text(json.dumps({"sessions": SESSIONS}))
    return directory


def import_into(database_url: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if database_url.startswith("postgres"):
        assert run_command("migrate", database_url=database_url).returncode == 0
    return run_command("import", *arguments, database_url=database_url)


def check_only(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["import", "--dry-run", *map(str, arguments)])


def table_of(output: str) -> dict[str, list[int]]:
    """Read, imported, already there, skipped: of each store that the report has a line of."""
    rows = [line.split() for line in output.splitlines()]
    stores = ("events", "sessions", "messages", "chunks", "spans")
    return {row[0]: [int(cell.replace(",", "")) for cell in row[1:5]] for row in rows if row and row[0] in stores}


async def read_file(path: Path, store: Store) -> list[Record | Skipped]:
    return [item async for item in FileSource(path, store).items()]


@pytest.mark.parametrize("generation", ["a", "b"])
async def test_everything_of_the_old_broker_is_there_once_however_often_it_is_imported(
    database_url: str, start_broker: StartBroker, tmp_path: Path, generation: str
) -> None:
    old = write_all(tmp_path / "old", generation)

    first, second = import_into(database_url, old), import_into(database_url, old)

    assert first.returncode == 0, first.stderr
    assert table_of(first.stdout) == {
        "events": [3, 3, 0, 0],
        # What the events told of q1 already, and two reports of the query whose events are gone.
        "sessions": [4, 2, 2, 0],
        "messages": [3, 3, 0, 0],
        "chunks": [4, 4, 0, 0],
        "spans": [2, 2, 0, 0],
    }
    assert {store: row[1:] for store, row in table_of(second.stdout).items()} == {
        "events": [0, 3, 0],
        "sessions": [0, 4, 0],
        "messages": [0, 3, 0],
        "chunks": [0, 4, 0],
        "spans": [0, 2, 0],
    }
    await assert_intact(database_url)
    assert_readable(start_broker(database_url).url)


def assert_readable(url: str) -> None:
    """The routes of Ark show what was in the files."""
    events = httpx.get(f"{url}/events").json()["items"]
    assert events == [item["data"] for item in EVENTS]
    messages = httpx.get(f"{url}/messages", params={"conversation_id": "c1"}).json()["items"]
    assert [(item["message"], item["timestamp"]) for item in messages] == [
        (item["data"]["message"], item["timestamp"]) for item in MESSAGES
    ]
    chunks = httpx.get(f"{url}/stream").json()["items"]
    assert [item["data"] for item in chunks] == [item["data"] for item in CHUNKS]
    replay = httpx.get(f"{url}/stream/q1", params={"from-beginning": "true"}).text
    assert replay.rstrip().endswith("data: [DONE]")
    for number in (1, 2):
        found = httpx.get(f"{url}/traces/{bytes([number] * 16).hex()}").json()
        [shown] = found["spans"]
        assert (shown["kind"], shown["resource"]) == ("SPAN_KIND_INTERNAL", {"service.name": "ark-controller"})
    sessions = httpx.get(f"{url}/sessions").json()["sessions"]
    first, second = sessions["s1"], sessions["s2"]
    assert (first["status"], first["queries"]["q1"]["phase"], first["queries"]["q1"]["agent"]) == (
        "idle",
        "done",
        "weather",
    )
    # The messages came with the import; when they were sent is what counts.
    assert first["lastActivity"] == at(3)
    old = second["queries"]["old"]
    assert (second["status"], old["phase"], old["error"], old["agent"]) == ("error", "error", "boom", "poet")
    assert (old["createdAt"], old["completedAt"], second["lastActivity"]) == (at(1000), at(9000), at(9000))
    assert second["conversations"][0]["duration"] == "8s"


def test_a_dry_run_stores_nothing_and_says_what_it_would_do(tmp_path: Path) -> None:
    old, data = write_all(tmp_path / "old", "a"), tmp_path / "data"

    result = run_command("import", "--dry-run", old, data_dir=data)

    assert result.returncode == 0, result.stderr
    assert table_of(result.stdout)["messages"] == [3, 3, 0, 0]
    assert "would import" in result.stdout
    assert not data.exists()


def test_invalid_records_are_counted_and_the_first_five_named(tmp_path: Path) -> None:
    bad = [{"conversationId": "c", "queryId": 1, "message": n} for n in range(7)]
    path = write_document(tmp_path / "messages.json", [*MESSAGES, *items(*bad)])

    result = check_only(path)

    assert result.exit_code == 0
    assert table_of(result.output)["messages"] == [10, 3, 0, 7]
    assert "7 invalid" in result.output
    assert result.output.count("data.queryId: must be a string") == 5
    assert "messages, number 1: data.queryId" in result.output


def test_a_torn_last_line_is_skipped_and_a_broken_one_in_the_middle_too(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "messages.jsonl", MESSAGES, torn='{"sequenceNumber":4,"timest')
    path.write_text(path.read_text().replace('"data"', "", 1))

    result = check_only(path)

    assert result.exit_code == 0
    assert table_of(result.output)["messages"] == [4, 2, 0, 2]
    assert "1 invalid, 1 torn" in result.output
    assert "messages, line 2: not JSON" in result.output
    assert "messages, line 5: the file ends in it" in result.output


def test_what_has_expired_is_skipped(tmp_path: Path) -> None:
    found = [*items(MESSAGES[0]["data"], expiresAt=EARLIER), *items(MESSAGES[1]["data"], expiresAt=LATER)]

    result = check_only(write_lines(tmp_path / "messages.jsonl", found))

    assert table_of(result.output)["messages"] == [2, 1, 0, 1]
    assert "1 expired" in result.output


@pytest.mark.parametrize("cut", [0.5, 0.99])
def test_a_document_that_breaks_off_gives_what_came_before_and_says_where(tmp_path: Path, cut: float) -> None:
    path = write_document(tmp_path / "messages.json", MESSAGES)
    whole = path.read_text()
    path.write_text(whole[: int(len(whole) * cut)])
    chunks = write_document(tmp_path / "completionchunks.json", CHUNKS)

    result = check_only(path, chunks)

    read = {0.5: 1, 0.99: 3}[cut]
    assert result.exit_code == 1
    assert table_of(result.output)["messages"] == [read, read, 0, 0]
    assert table_of(result.output)["chunks"] == [4, 4, 0, 0]
    assert f"{path}: broken at its end, byte {path.stat().st_size:,}, after item {read}: " in result.stderr


def test_a_document_that_is_broken_in_the_middle_says_between_which_bytes(tmp_path: Path) -> None:
    found = items(*({"conversationId": "c", "queryId": "q", "message": "x" * 1000} for _ in range(400)))
    path = write_document(tmp_path / "messages.json", found)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + b"\x00" + whole[middle:])

    result = check_only(path)

    assert result.exit_code == 1
    begin, end = (
        int(number.replace(",", ""))
        for number in result.stderr.partition("between bytes ")[2].partition(", after")[0].split(" and ")
    )
    assert begin <= middle < end <= begin + 64 * 1024
    assert 190 <= table_of(result.output)["messages"][0] <= 200


async def test_a_line_of_many_megabytes_is_read(tmp_path: Path) -> None:
    large = {"queryId": "q1", "chunk": {"ark": {"completedQuery": "x" * 20_000_000}}}
    path = write_lines(tmp_path / "completionchunks.jsonl", items(large, CHUNKS[0]["data"]))

    first, second = await read_file(path, "chunks")

    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert first.data == large


async def test_a_line_beyond_all_bounds_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ITEM", 100_000)
    large = {"queryId": "q1", "chunk": "x" * 1_000_000}
    path = write_lines(tmp_path / "completionchunks.jsonl", items(large, CHUNKS[0]["data"]))

    skipped, record = await read_file(path, "chunks")

    assert skipped == Skipped("line 2", "invalid", "longer than 100,000 bytes")
    assert isinstance(record, Record)


async def test_a_text_that_never_ends_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ITEM", 100_000)
    path = tmp_path / "messages.json"
    path.write_text('{"items":[{"data":"' + "x" * 1_000_000)

    with pytest.raises(SourceBroken, match="larger than 100,000 bytes"):
        await read_file(path, "messages")


async def test_numbers_of_a_document_are_those_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    numbers = "[1, 1.5, 0.1, 1e21, 100000000000000000000, -0.0, 9007199254740993]"
    path.write_text('{"nextSequence": 2, "items": [{"data": ' + numbers + "}]}")

    [record] = await read_file(path, "messages")

    assert isinstance(record, Record)
    assert record.data == [1, 1.5, 0.1, 1e21, 1e20, 0.0, 9007199254740993]
    assert [type(number) for number in record.data] == [int, float, float, float, float, float, int]


@pytest.mark.parametrize("generation", ["a", "b"])
async def test_both_generations_give_the_same_records(tmp_path: Path, generation: str) -> None:
    old = write_all(tmp_path / "old", generation)
    suffix = "json" if generation == "a" else "jsonl"

    found = await read_file(old / f"messages.{suffix}", "messages")

    assert [item.data for item in found if isinstance(item, Record)] == [item["data"] for item in MESSAGES]
    assert [item.position for item in found if isinstance(item, Record)] == [1, 2, 3]


@pytest.mark.parametrize("content", ["", "\n", '{"items":[],"nextSequence":1}', '{"nextSequence":1}\n', "{}"])
def test_an_empty_store_is_no_mistake(tmp_path: Path, content: str) -> None:
    path = tmp_path / "messages.json"
    path.write_text(content)

    result = check_only(path)

    assert (result.exit_code, table_of(result.output)) == (0, {"messages": [0, 0, 0, 0]})


def test_a_file_that_is_none_of_the_old_brokers_is_exit_code_1(tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    path.write_text("dear diary\nit rained\n")

    result = check_only(path)

    assert result.exit_code == 1
    assert table_of(result.output)["messages"] == [2, 0, 0, 2]


def test_the_newer_file_of_a_store_counts(tmp_path: Path) -> None:
    write_document(tmp_path / "messages.json", MESSAGES)
    write_lines(tmp_path / "messages.jsonl", MESSAGES[:1])
    (tmp_path / "notes.txt").write_text("not ours")

    result = check_only(tmp_path)

    assert table_of(result.output) == {"messages": [1, 1, 0, 0]}
    assert f"{tmp_path / 'messages.json'}: passed over" in result.output


def test_a_file_of_another_name_is_told_by_its_store(tmp_path: Path) -> None:
    path = write_document(tmp_path / "tuesday.json", CHUNKS)

    assert table_of(check_only("--store", "chunks", path).output) == {"chunks": [4, 4, 0, 0]}
    refused = check_only(path)
    assert refused.exit_code == 2
    assert "--store" in refused.stderr


def test_a_directory_without_any_of_the_files_is_exit_code_1(tmp_path: Path) -> None:
    result = check_only(tmp_path)

    assert result.exit_code == 1
    assert "--store" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["/no/such/file.json"], ["--store", "recipes", "."]])
def test_nothing_to_import_is_a_usage_error(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["import", *arguments]).exit_code == 2


def test_help_has_examples() -> None:
    output = CliRunner().invoke(app, ["import", "--help"]).output

    assert "ark-broker import /data" in output
    assert "--from-database" in output


OLD_TABLES = """
CREATE SCHEMA ark;
SET search_path = ark;
CREATE SEQUENCE messages_seq;
CREATE SEQUENCE events_seq;
CREATE TABLE messages (
  sequence_number bigint PRIMARY KEY DEFAULT nextval('messages_seq'), conversation_id text, query_id text,
  message jsonb, created_at timestamptz, expires_at timestamptz);
CREATE TABLE events (
  sequence_number bigint PRIMARY KEY DEFAULT nextval('events_seq'), query_id text, session_id text, reason text,
  event jsonb, created_at timestamptz, expires_at timestamptz);
CREATE TABLE sessions (
  session_id text PRIMARY KEY, name text, status text, created_at timestamptz, last_activity timestamptz,
  expires_at timestamptz);
CREATE TABLE session_queries (
  session_id text, query_id text, namespace text, conversation_id text, agent text, team text, tool text,
  target_type text, phase text, error text, created_at timestamptz, completed_at timestamptz,
  last_activity timestamptz, last_applied_event_sequence bigint, PRIMARY KEY (session_id, query_id));
"""


async def make_old_database(url: str) -> None:
    """The tables of the old broker, in a schema of their own, with one message that has expired."""
    old = await asyncpg.connect(url)
    try:
        await old.execute(OLD_TABLES)
        for found in MESSAGES:
            data = found["data"]
            await old.execute(
                "INSERT INTO messages (conversation_id, query_id, message, created_at, expires_at) "
                "VALUES ($1, $2, $3, $4::text::timestamptz, now() + interval '1 day')",
                data["conversationId"],
                data["queryId"],
                json.dumps(data["message"]),
                found["timestamp"],
            )
        await old.execute("INSERT INTO messages SELECT 99, 'c1', 'q1', '{}', now(), now() - interval '1 day'")
        for found in EVENTS:
            await old.execute(
                "INSERT INTO events (query_id, event, created_at, expires_at) "
                "VALUES ($1, $2, $3::text::timestamptz, now() + interval '1 day')",
                found["data"]["data"]["queryId"],
                json.dumps(found["data"]),
                found["timestamp"],
            )
        await old.execute(
            f"""INSERT INTO sessions VALUES ('s2', 's2', 'error', '{at(1000)}', '{at(9000)}', now() + interval '1 day'),
                   ('gone', 'gone', 'idle', now(), now(), now() - interval '1 day');
            INSERT INTO session_queries VALUES
              ('s2', 'old', 'n', 'c2', 'poet', NULL, NULL, 'agent', 'error', 'boom', '{at(1000)}', '{at(9000)}',
               '{at(9000)}', 1),
              ('gone', 'gone', 'n', NULL, NULL, NULL, NULL, 'agent', 'done', NULL, '{at(1)}', '{at(2)}', '{at(2)}',
               1)"""
        )
    finally:
        await old.close()


async def test_the_old_tables_are_read_once_and_what_has_expired_is_skipped(
    postgres_url: str, start_broker: StartBroker
) -> None:
    await make_old_database(postgres_url)
    arguments = ("--from-database", postgres_url, "--from-schema", "ark")

    first = import_into(postgres_url, *arguments)
    second = import_into(postgres_url, *arguments)

    assert first.returncode == 0, first.stderr
    assert table_of(first.stdout) == {"events": [3, 3, 0, 0], "sessions": [4, 2, 0, 2], "messages": [4, 3, 0, 1]}
    assert table_of(second.stdout) == {"events": [3, 0, 3, 0], "sessions": [4, 0, 2, 2], "messages": [4, 0, 3, 1]}
    assert_old_tables_readable(start_broker(postgres_url).url)
    [(expiring,)] = await query(
        postgres_url, "SELECT count(*) FROM events WHERE expires_at IS NOT NULL AND kind IN ('message', 'event')"
    )
    assert expiring == 6


def assert_old_tables_readable(url: str) -> None:
    messages = httpx.get(f"{url}/messages").json()["items"]
    assert [(item["message"], item["timestamp"]) for item in messages] == [
        (item["data"]["message"], item["timestamp"]) for item in MESSAGES
    ]
    sessions = httpx.get(f"{url}/sessions").json()["sessions"]
    assert {name: session["status"] for name, session in sessions.items()} == {"s1": "idle", "s2": "error"}
    assert sessions["s2"]["queries"]["old"]["createdAt"] == at(1000)


def test_a_database_without_the_old_tables_is_exit_code_1(postgres_url: str) -> None:
    # This broker's own tables, one of which is called `events` too, are not taken for the old ones.
    assert run_command("migrate", database_url=postgres_url).returncode == 0

    result = run_command("import", "--dry-run", "--from-database", postgres_url)

    assert result.returncode == 1
    assert "no table of the old broker" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("url", ["postgresql://ark:secret@127.0.0.1:1/ark", "mysql://ark:secret@127.0.0.1/ark"])
def test_a_database_that_is_not_there_is_one_line_without_the_password(url: str) -> None:
    result = run_command("import", "--dry-run", "--from-database", url)

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "127.0.0.1/ark" in result.stderr
    assert "secret" not in result.stderr


def interrupted(path: Path, sqlite_url: str) -> tuple[subprocess.Popen[str], str, str]:
    """An import of the file, ended by Ctrl-C once it has stored something, and what it said."""
    process = subprocess.Popen(
        [PROGRAM, "import", path],
        env=environment({"database_url": sqlite_url}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = Path(sqlite_url.removeprefix("sqlite:///") + "-wal")
    # Events, and not only the tables that were made before.
    wait_until(lambda: log.exists() and log.stat().st_size > 1_000_000, what="the import to store something")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    return process, output, errors


async def test_ctrl_c_leaves_what_was_committed_and_again_goes_on(sqlite_url: str, tmp_path: Path) -> None:
    count = 40 * run.BATCH_EVENTS
    found = items(*({"conversationId": "c", "queryId": "q", "message": number} for number in range(count)))
    for number, item in enumerate(found):
        item["timestamp"] = at(number % 60_000)
    path = write_lines(tmp_path / "messages.jsonl", found)
    process, output, errors = interrupted(path, sqlite_url)

    assert process.returncode == 130, errors
    assert "the same command again goes on from here" in errors
    [(stored,)] = await query(sqlite_url, "SELECT count(*) FROM events")
    _, imported, *_ = table_of(output)["messages"]
    assert 0 < imported <= stored < count
    again = run_command("import", path, database_url=sqlite_url)
    assert table_of(again.stdout)["messages"] == [count, count - stored, stored, 0]
    await assert_intact(sqlite_url)
