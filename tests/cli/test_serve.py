import json
import socket
from pathlib import Path

import httpx
import pytest

from ark_broker.cli.serve import announce, base_url
from ark_broker.settings import load_settings
from tests.support.postgres import execute, with_database
from tests.support.process import Broker, StartBroker, free_port, run_command


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4318"),
        ("0.0.0.0", "http://127.0.0.1:4318"),
        ("::", "http://[::1]:4318"),
        ("::1", "http://[::1]:4318"),
        ("broker.example", "http://broker.example:4318"),
    ],
)
def test_the_url_is_one_that_a_program_on_this_machine_can_use(host: str, url: str) -> None:
    assert base_url(load_settings({"host": host, "auth": True})) == url


def test_the_announcement_says_what_to_do_next() -> None:
    text = announce(load_settings({"port": 5000}))

    assert "http://127.0.0.1:5000" in text
    assert "ark-broker demo --url http://127.0.0.1:5000" in text
    assert "ark-broker tail --url http://127.0.0.1:5000" in text
    assert "http://127.0.0.1:5000/\n" in text
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:5000" in text
    assert "ark-broker.db" in text


def test_the_announcement_does_not_tell_the_password() -> None:
    text = announce(load_settings({"database_url": "postgresql://me:hush@db/ark"}))

    assert "hush" not in text
    assert "db/ark" in text


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_an_invalid_setting_stops_the_start_with_one_line(command: str) -> None:
    result = run_command(command, port=99999)

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "ark-broker: ARK_BROKER_PORT: Input should be less than or equal to 65535 (got '99999')"
    ]


def test_an_option_comes_before_its_variable(tmp_path: Path) -> None:
    result = run_command("serve", "--port", "0", port=4318, data_dir=tmp_path)

    assert result.returncode == 2
    assert "--port" in result.stderr


def test_several_workers_on_sqlite_are_refused(tmp_path: Path) -> None:
    result = run_command("serve", "--workers", "2", data_dir=tmp_path)

    assert result.returncode == 2
    assert "PostgreSQL" in result.stderr


def test_a_variable_that_is_no_setting_is_named(tmp_path: Path) -> None:
    result = run_command("migrate", data_dir=tmp_path, prot=1)

    assert result.returncode == 0
    assert "ARK_BROKER_PROT is not a setting" in result.stderr


def test_migrate_may_be_run_again(database_url: str) -> None:
    first = run_command("migrate", database_url=database_url)
    second = run_command("migrate", database_url=database_url)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout != second.stdout
    assert len(first.stdout.splitlines()) == len(second.stdout.splitlines()) == 1


def test_serve_on_an_empty_postgres_says_which_command_to_run(postgres_url: str) -> None:
    result = run_command("serve", database_url=postgres_url, port=free_port())

    assert result.returncode == 1
    assert "ark-broker migrate" in result.stderr


def test_a_database_that_is_away_is_one_line_without_the_password() -> None:
    url = f"postgresql://me:hush@127.0.0.1:{free_port()}/ark"

    for command in ("serve", "migrate"):
        result = run_command(command, database_url=url, log_format="json")

        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1
        assert "127.0.0.1" in result.stderr
        assert "hush" not in result.stderr


def test_a_database_that_does_not_exist_is_one_line(postgres_url: str) -> None:
    for command in ("serve", "migrate"):
        result = run_command(command, database_url=with_database(postgres_url, "nowhere"), log_format="json")

        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert "nowhere" in result.stderr


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for command in ("serve", "migrate"):
        result = run_command(command, data_dir=tmp_path / "file" / "data", log_format="json")

        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1, result.stderr


def test_a_port_in_use_is_exit_code_1_and_named(sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_command("serve", database_url=sqlite_url, port=port, log_format="json")

    assert result.returncode == 1
    assert str(port) in result.stderr


def test_a_broker_stops_with_exit_code_0_when_told_to(broker: Broker) -> None:
    assert broker.terminate() == 0


def test_a_broker_starts_again_on_the_data_it_left(broker: Broker) -> None:
    broker.terminate()

    broker.start()

    assert httpx.get(f"{broker.url}/v1/events", timeout=60).json()["items"] == []


def test_log_lines_are_json_when_asked_for(broker: Broker) -> None:
    broker.terminate()

    lines = [json.loads(line) for line in broker.logs.splitlines()]

    assert lines
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)


def test_workers_share_one_port(start_broker: StartBroker, postgres_url: str) -> None:
    broker = start_broker(postgres_url, workers=2)

    assert httpx.get(f"{broker.url}/readyz").status_code == 200
    assert broker.terminate() == 0


def test_serve_refuses_a_database_that_is_newer_than_itself(postgres_url: str) -> None:
    migrated = run_command("migrate", database_url=postgres_url)
    assert migrated.returncode == 0, migrated.stderr
    execute(postgres_url, "UPDATE alembic_version SET version_num = '9999'")

    result = run_command("serve", database_url=postgres_url, port=free_port())

    assert result.returncode == 1
    assert "newer" in result.stderr
