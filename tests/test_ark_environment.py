"""Environment variables of Ark's own broker: what they mean here, and that the operator is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from ark_broker.ark_environment import old_variables, translate
from ark_broker.settings import SettingsError, load_settings, old_variable_warnings, unknown_variables
from tests.support.process import run_command

EVERYTHING = {
    "HOST": "127.0.0.2",
    "PORT": "8080",
    "LOG_LEVEL": "warn",
    "DATABASE_URL": "postgres://broker@db/ark?sslmode=require",
    "MESSAGE_BACKEND": "postgres",
    "DATABASE_POOL_MAX": "7",
    "STREAM_IDLE_TIMEOUT_MS": "1500",
    "SHUTDOWN_DRAIN_TIMEOUT_MS": "20000",
    "MESSAGE_VISIBILITY_TTL_SECONDS": "2592000",
    "CHUNK_TTL_SECONDS": "60",
    "REDIS_STREAM_TTL_SECONDS": "3600",
}


@pytest.fixture
def old_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EVERYTHING.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("old_environment")
def test_what_has_a_meaning_is_understood() -> None:
    settings = load_settings()

    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.2", 8080, "warning")
    assert settings.sqlalchemy_url == "postgresql+asyncpg://broker@db/ark?ssl=require"
    assert (settings.database_pool_size, settings.stream_idle_seconds, settings.shutdown_seconds) == (7, 1.5, 20)
    assert settings.retention == {"message": 2592000, "chunk": 60}


@pytest.mark.usefixtures("old_environment")
def test_the_new_variable_and_the_option_go_before_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARK_BROKER_RETENTION", "span=1d")
    monkeypatch.setenv("ARK_BROKER_HOST", "0.0.0.0")
    monkeypatch.setenv("ARK_BROKER_ALLOW_OPEN", "true")

    settings = load_settings({"port": 9000})

    assert (settings.host, settings.port, settings.retention) == ("0.0.0.0", 9000, {"span": 86400})
    warned = "\n".join(old_variable_warnings({"port": 9000}))
    assert not any(f"{name} is" in warned for name in ("PORT", "HOST", "CHUNK_TTL_SECONDS"))


def test_a_database_of_some_other_program_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somebody/elses")

    assert load_settings().sqlite_path is not None
    assert old_variable_warnings() == []


@pytest.mark.parametrize("name", old_variables())
def test_every_old_variable_is_answered_with_what_to_do(name: str) -> None:
    environment = {name: "60", "EVENT_BACKEND": "postgres"}
    if name == "LOG_LEVEL":
        environment[name] = "info"

    warnings = translate(environment, lambda _field: False).warnings

    assert any(warning.startswith(f"{name} ") for warning in warnings)


@pytest.mark.parametrize("name", old_variables())
def test_every_old_variable_is_in_the_table_of_the_page_on_ark(name: str) -> None:
    page = Path(__file__).parents[1] / "docs" / "ark.md"

    assert f"`{name}`" in page.read_text()


@pytest.mark.parametrize(
    ("name", "value"),
    [("LOG_LEVEL", "loud"), ("STREAM_IDLE_TIMEOUT_MS", "5m"), ("PORT", "eighty"), ("CHUNK_TTL_SECONDS", "-1")],
)
def test_a_value_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=value):
        load_settings()


def test_the_operator_is_warned_with_the_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_IDLE_TIMEOUT_MS", "1000")

    done = run_command("migrate", "--data-dir", str(tmp_path))

    assert done.returncode == 0
    assert "STREAM_IDLE_TIMEOUT_MS is understood as ARK_BROKER_STREAM_IDLE_SECONDS" in done.stderr


def test_what_kubernetes_sets_beside_a_service_of_that_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {
        "ARK_BROKER_PORT": "tcp://10.0.0.7:80",
        "ARK_BROKER_SERVICE_HOST": "10.0.0.7",
        "ARK_BROKER_SERVICE_PORT_HTTP": "80",
        "ARK_BROKER_PORT_80_TCP_ADDR": "10.0.0.7",
    }
    for name, value in links.items():
        monkeypatch.setenv(name, value)

    assert load_settings().port == 4318
    assert unknown_variables(links) == []
    monkeypatch.setenv("PORT", "8080")
    assert load_settings().port == 8080
