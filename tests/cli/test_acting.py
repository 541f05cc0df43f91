"""`send`, `config` and `doctor`, as processes against a real broker."""

from __future__ import annotations

import gzip
import json
import stat
import subprocess
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ark_broker.cli import configuration
from ark_broker.cli.configuration import Config, ConfigError
from ark_broker.cli.connection import connection
from tests.cli.conftest import Feeder
from tests.cli.terminal import on_terminal
from tests.support.otlp import json_span, json_traces, logs, traces
from tests.support.process import PROGRAM, Broker, StartBroker, environment, free_port, run_command

SECRET = "a-secret-of-forty-characters-that-nobody-guesses"


def events_of(feeder: Feeder) -> list[str]:
    """Types of the session's events."""
    found = httpx.get(f"{feeder.url}/v1/sessions/{feeder.session}/events").json()["items"]
    return [each["type"] for each in found]


def test_an_event_is_sent_from_the_command_line_a_file_or_stdin(feeder: Feeder, tmp_path: Path) -> None:
    event = {"type": "deploy.started", "sessionId": feeder.session, "id": uuid4().hex}
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(f"{json.dumps(event)}\n{json.dumps(event | {'id': uuid4().hex})}\n".encode()))

    first = run_command("send", json.dumps(event), "--url", feeder.url)
    lines = run_command("send", file, "--url", feeder.url, "--json")
    piped = subprocess.run(
        [PROGRAM, "send", "-", "--url", feeder.url],
        input=json.dumps([event]),
        env=environment(),
        text=True,
        capture_output=True,
        check=False,
    )

    assert first.stdout.startswith("stored 1, known already 0, head ")
    assert {key: json.loads(lines.stdout)[key] for key in ("stored", "duplicates")} == {"stored": 1, "duplicates": 1}
    assert piped.stdout.startswith("stored 0, known already 1")
    assert events_of(feeder) == ["deploy.started"] * 2


def test_otlp_is_sent_as_it_is(feeder: Feeder, tmp_path: Path) -> None:
    file, log_file, json_file = tmp_path / "spans.pb.gz", tmp_path / "logs.pb", tmp_path / "spans.json"
    attributes = {"session.id": feeder.session}
    span = {"name": "first", "number": 1, "trace_id": uuid4().bytes, "attributes": attributes}
    file.write_bytes(gzip.compress(traces(span).SerializeToString()))
    log_file.write_bytes(logs().SerializeToString())
    named = [{"key": "session.id", "value": {"stringValue": feeder.session}}]
    json_file.write_text(json.dumps(json_traces(json_span(2, name="second", traceId=uuid4().hex, attributes=named))))

    for arguments in ([file], [log_file, "--signal", "logs"], [json_file]):
        done = run_command("send", *arguments, "--url", feeder.url)
        assert (done.returncode, done.stdout) == (0, "sent 1 OTLP request\n"), done.stderr
    assert events_of(feeder) == ["first", "second"]


def test_what_the_broker_refuses_is_exit_code_1(feeder: Feeder) -> None:
    done = run_command("send", '{"sessionId": "s1"}', "--url", feeder.url)

    assert (done.returncode, "type" in done.stderr) == (1, True)


@pytest.fixture
def locked(start_broker: StartBroker, sqlite_url: str) -> Broker:
    """A broker that wants a token."""
    return start_broker(sqlite_url, auth="true", admin_token=SECRET)


def test_the_configuration_names_broker_and_token_and_never_shows_it(locked: Broker, tmp_path: Path) -> None:
    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments], env=environment(), input=stdin, text=True, capture_output=True, check=False
        )

    assert run("config", "set", "url", locked.url).returncode == 0
    refused = run("sessions")
    assert run("config", "set", "token", stdin=f"{SECRET}\n").returncode == 0
    allowed = run("sessions")
    shown = run("config", "show", "--json")
    typed = run("config", "set", "token", SECRET)

    assert (refused.returncode, "ARK_BROKER_TOKEN" in refused.stderr) == (4, True)
    assert (allowed.returncode, allowed.stderr) == (0, "")
    assert json.loads(shown.stdout) == {
        "file": str(tmp_path / "config" / "ark-broker" / "config.toml"),
        "url": locked.url,
        "urlFrom": "file",
        "token": True,
        "tokenFrom": "file",
    }
    assert typed.returncode == 2
    assert SECRET not in shown.stdout + run("config", "show").stdout + typed.stderr
    assert run("sessions", "--url", f"http://localhost:{locked.port}").returncode == 4, "the token is for one broker"


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'token = "{SECRET}"\n')
    file.chmod(0o644)

    done = subprocess.run(
        [PROGRAM, "sessions"],
        env=environment({"config": file}),
        text=True,
        capture_output=True,
        check=False,
    )

    assert (done.returncode, f"chmod 600 {file}" in done.stderr, SECRET in done.stderr) == (1, True, False)


def test_a_saved_configuration_is_read_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ARK_BROKER_CONFIG", str(tmp_path / "new" / "c.toml"))
    wanted = Config('http://host:1/"\\', "tok'en")

    file = configuration.save(wanted)

    assert configuration.load() == wanted
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "tok'en" not in repr(wanted) + repr(connection())
    file.write_text("ur = 1\n")
    with pytest.raises(ConfigError, match="no key of it"):
        configuration.load()
    file.unlink()
    with pytest.raises(ConfigError, match="not there"):
        configuration.load()


def test_the_token_of_the_environment_goes_to_any_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration.save(Config("http://one:1", "of-the-file"))

    assert (connection().url, connection().token) == ("http://one:1", "of-the-file")
    assert connection("http://two:2").token is None
    monkeypatch.setenv("ARK_BROKER_TOKEN", "of-the-environment")
    assert connection("http://two:2/").token == "of-the-environment"
    monkeypatch.setenv("ARK_BROKER_URL", "http://three:3")
    assert connection().url == "http://three:3"


def test_doctor_sees_a_span_end_to_end_and_leaves_nothing(feeder: Feeder) -> None:
    done = run_command("doctor", "--json", "--url", feeder.url)

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(each["check"], each["state"]) for each in told] == [
        (name, "ok") for name in ("reachable", "ready", "token", "span", "clock", "cleaned up", "exporters")
    ]
    assert "seen on a live stream after" in told[3]["told"]
    sessions = httpx.get(f"{feeder.url}/v1/sessions", params={"q": "ark-broker-doctor"}).json()
    assert sessions["items"] == []


def test_doctor_says_what_to_do(feeder: Feeder) -> None:
    away = run_command("doctor", "--url", f"http://127.0.0.1:{free_port()}")
    elsewhere = subprocess.run(
        [PROGRAM, "doctor", "--url", feeder.url],
        env=environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        text=True,
        capture_output=True,
        check=False,
    )

    assert (away.returncode, "do: start it" in away.stdout) == (1, True)
    assert (elsewhere.returncode, f"OTEL_EXPORTER_OTLP_ENDPOINT={feeder.url}" in elsewhere.stdout) == (1, True)


def test_doctor_knows_what_a_token_may(locked: Broker) -> None:
    created = httpx.post(
        f"{locked.url}/v1/tokens",
        json={"name": "exec", "permissions": ["ingest"]},
        headers={"authorization": f"Bearer {SECRET}"},
    )
    without = run_command("doctor", "--url", locked.url)
    limited = run_command("doctor", "--url", locked.url, token=created.json()["token"])
    admin = run_command("doctor", "--url", locked.url, token=SECRET)

    assert without.returncode == 1
    assert "failed  token" in without.stdout
    assert "warning token       exec: ingest" in limited.stdout
    assert "skipped span" in limited.stdout
    assert admin.returncode == 0
    assert SECRET not in admin.stdout


def test_doctor_is_readable_on_a_terminal(feeder: Feeder) -> None:
    with on_terminal("doctor", "--url", feeder.url) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("ok      exporters")
