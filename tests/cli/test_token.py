"""`ark-broker token`: what it makes and takes back in the database is what a broker heeds."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from ark_broker.cli.token import token as token_commands
from ark_broker.log.writer import Writer
from ark_broker.model.errors import LogUnavailable
from tests.support.process import StartBroker, run_command
from tests.support.stored import query
from tests.support.waiting import wait_until


@pytest.fixture
def migrated_url(database_url: str) -> str:
    """A database of either kind with the schema in it: one of PostgreSQL is not migrated by the way."""
    assert run_command("migrate", database_url=database_url).returncode == 0
    return database_url


def run(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("token", *arguments, database_url=url)


def ok(url: str, *arguments: str) -> str:
    result = run(url, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def listed(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ok(url, "list", "--json"))
    return found


def test_a_token_is_printed_once_and_listed_without_its_secret(migrated_url: str) -> None:
    options = ["-p", "ingest", "-p", "read", "-n", "team-a", "--namespace", "team-b"]
    limits = ["--expires", "90d", "--requests", "6000", "--bytes", "1000000"]
    token = ok(migrated_url, "create", "executors of team-a", *options, *limits)
    prefix, identity, secret = token.split("_")
    assert (prefix, len(identity), len(secret)) == ("arkb", 22, 43)
    (found,) = listed(migrated_url)
    assert found.pop("expiresAt") > found.pop("createdAt")
    assert found == {
        "id": identity,
        "name": "executors of team-a",
        "permissions": ["ingest", "read"],
        "namespaces": ["team-a", "team-b"],
        "requestsPerMinute": 6000,
        "bytesPerMinute": 1_000_000,
    }
    text = ok(migrated_url, "list")
    for part in (identity, "executors of team-a", "ingest,read", "team-a,team-b", "until ", "never used"):
        assert part in text
    assert secret not in text + str(found)


async def test_only_a_hash_is_kept(migrated_url: str) -> None:
    token = ok(migrated_url, "create", "x", "-p", "read")
    rows = await query(migrated_url, "SELECT content FROM tokens")
    assert len(rows) == 1
    assert token.split("_")[2].encode() not in bytes(rows[0][0])


def test_what_was_made_without_a_broker_opens_one(start_broker: StartBroker, migrated_url: str) -> None:
    token = ok(migrated_url, "create", "ops", "--permission", "admin")
    broker = start_broker(migrated_url, auth=True)

    def ask(text: str) -> int:
        return httpx.get(f"{broker.url}/v1/tokens", headers={"authorization": f"Bearer {text}"}).status_code

    assert ask(token) == 200
    assert ask(token[:-1]) == 401
    # A running broker heeds what changes within ten seconds, and tells when the token was used.
    second = ok(migrated_url, "rotate", token, "--grace", "1h")
    assert second.split("_")[1] == token.split("_")[1]
    wait_until(lambda: ask(second) == 200, what="the new secret to be known")
    assert ask(token) == 200
    wait_until(lambda: "lastUsedAt" in listed(migrated_url)[0], what="the use to be noted")
    assert "revoked: " in ok(migrated_url, "revoke", token.split("_")[1])
    wait_until(lambda: ask(second) == 401, what="the token to be refused")
    assert ask(token) == 401
    assert "revoked" in ok(migrated_url, "list")
    for text in (token, second):
        assert text.split("_")[2] not in broker.logs
    assert broker.terminate() == 0


async def audited(url: str) -> list[dict[str, Any]]:
    """Bodies of the audit events in the log, oldest first."""
    rows = await query(url, "SELECT body FROM events WHERE type = 'audit.request' ORDER BY seq")
    return [json.loads(bytes(row[0])) for row in rows]


async def test_what_is_made_rotated_and_revoked_is_noted_in_the_log(migrated_url: str) -> None:
    token = ok(migrated_url, "create", "ops", "-p", "admin")
    identity = token.split("_")[1]
    rotated = ok(migrated_url, "rotate", token)
    ok(migrated_url, "revoke", identity)
    notes = await audited(migrated_url)
    assert [(note["method"], note["path"]) for note in notes] == [
        ("POST", "/v1/tokens"),
        ("POST", f"/v1/tokens/{identity}/rotate"),
        ("DELETE", f"/v1/tokens/{identity}"),
    ]
    assert {(note["by"], note["via"], note["target"]) for note in notes} == {(getpass.getuser(), "cli", identity)}
    for text in (token, rotated):
        assert text.split("_")[2] not in str(notes)


async def test_what_was_only_looked_at_or_was_refused_is_not_noted(sqlite_url: str) -> None:
    ok(sqlite_url, "list")
    assert run(sqlite_url, "revoke", "none").returncode == 1
    assert run(sqlite_url, "create", "x", "-p", "root").returncode == 2
    assert await audited(sqlite_url) == []


def test_a_token_that_was_revoked_gets_no_new_secret(sqlite_url: str) -> None:
    identity = ok(sqlite_url, "create", "x", "-p", "read").split("_")[1]
    ok(sqlite_url, "revoke", identity)
    result = run(sqlite_url, "rotate", identity)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "ark-broker: the token was revoked: make a new one\n"


def test_an_audit_event_that_cannot_be_stored_keeps_no_token_from_being_printed(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made: without its text nobody could use it."""

    async def full(_writer: Writer, _events: object) -> None:
        raise LogUnavailable("the database did not commit")

    monkeypatch.setattr(Writer, "append", full)
    monkeypatch.setenv("ARK_BROKER_DATABASE_URL", sqlite_url)
    result = CliRunner().invoke(token_commands, ["create", "x", "-p", "read"])
    assert result.exit_code == 0
    assert result.stdout.startswith("arkb_")
    assert result.stderr == (
        "ark-broker: it was done, but its audit event was not stored: the database did not commit\n"
    )


def test_a_running_broker_shows_what_the_command_noted(start_broker: StartBroker, migrated_url: str) -> None:
    broker = start_broker(migrated_url)
    ok(migrated_url, "create", "ops", "-p", "admin")

    def noted() -> list[dict[str, Any]]:
        found = httpx.get(f"{broker.url}/v1/events", params={"type": "audit.request"}).json()["items"]
        return [each["body"] for each in found]

    wait_until(lambda: [note["via"] for note in noted()] == ["cli"], what="the audit event to be shown")
    # Both write into one log.
    assert httpx.post(f"{broker.url}/v1/events", json={"type": "note"}).status_code == 200
    ok(migrated_url, "create", "more", "-p", "read")
    assert httpx.post(f"{broker.url}/v1/events", json={"type": "note"}).status_code == 200
    events = httpx.get(f"{broker.url}/v1/events").json()["items"]
    assert sorted(event["seq"] for event in events) == [1, 2, 3, 4]


def test_as_json(sqlite_url: str) -> None:
    made = json.loads(ok(sqlite_url, "create", "x", "-p", "read", "--json"))
    rotated = json.loads(ok(sqlite_url, "rotate", made["token"], "--json"))
    assert set(made) == set(rotated) == {"token"}
    assert made != rotated


def test_a_token_for_everything_has_neither_namespaces_nor_an_end(sqlite_url: str) -> None:
    ok(sqlite_url, "create", "x", "-p", "admin")
    (found,) = listed(sqlite_url)
    assert found["namespaces"] is None
    assert "expiresAt" not in found
    assert "all namespaces" in ok(sqlite_url, "list")


@pytest.mark.parametrize("grace", ["0s", "0", "soon", "1w", "-1h"])
def test_a_grace_is_an_age(sqlite_url: str, grace: str) -> None:
    token = ok(sqlite_url, "create", "x", "-p", "read")
    result = run(sqlite_url, "rotate", token, f"--grace={grace}")
    # None at all is a grace, too.
    assert result.returncode == (0 if grace == "0s" else 2), result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "x"],
        ["create", "x", "-p", "root"],
        ["create", "", "-p", "read"],
        ["create", "x" * 300, "-p", "read"],
        ["create", "ticket of x", "-p", "read"],
        ["create", "x", "-p", "read", "-n", "*"],
        ["create", "x", "-p", "read", "-n", "a b"],
        ["create", "x", "-p", "read", "-n", ""],
        ["create", "x", "-p", "read", "--expires", "tomorrow"],
        ["create", "x", "-p", "read", "--expires", "99999d"],
        ["create", "x", "-p", "read", "--requests", "0"],
        ["create", "x", "-p", "read", "--bytes", "-1"],
        ["create", "a\nb", "-p", "read"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_exit_code_2_and_makes_nothing(sqlite_url: str, arguments: list[str]) -> None:
    result = run(sqlite_url, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    assert listed(sqlite_url) == []


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_token_that_is_not_there_is_exit_code_1(sqlite_url: str, command: str) -> None:
    for name in ("none", "arkb_none_x", "arkb_" + "0" * 22 + "_" + "0" * 43):
        result = run(sqlite_url, command, name)
        assert result.returncode == 1
        assert result.stderr.startswith("ark-broker: no token ")
        assert "0" * 43 not in result.stderr


def test_no_database_is_one_line_and_exit_code_1() -> None:
    result = run("postgresql://nobody:a-password@127.0.0.1:1/none", "list")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("ark-broker: cannot reach the database")
    assert "a-password" not in line


def test_a_database_without_the_schema_is_one_line_and_exit_code_1(postgres_url: str) -> None:
    result = run(postgres_url, "list")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1


def test_a_wrong_setting_is_exit_code_2(sqlite_url: str) -> None:
    result = run_command("token", "list", database_url=sqlite_url, port="none")
    assert result.returncode == 2
    assert "ARK_BROKER_PORT" in result.stderr


def test_help_says_what_exit_codes_mean() -> None:
    result = run_command("token", "--help")
    assert result.returncode == 0
    assert "Exit code 1" in result.stdout


def test_what_is_printed_is_the_token_alone(sqlite_url: str) -> None:
    """`TOKEN=$(ark-broker token create …)`"""
    result = run(sqlite_url, "create", "x", "-p", "read")
    assert result.stdout.count(os.linesep) == 1
    assert result.stdout.startswith("arkb_")
    assert result.stderr == ""
