import inspect
from pathlib import Path

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker import settings as module
from ark_broker.settings import (
    Settings,
    SettingsError,
    format_size,
    load_settings,
    parse_size,
    unknown_variables,
    variable,
)


@pytest.fixture
def setenv(monkeypatch: pytest.MonkeyPatch):
    def set_(**fields: str) -> None:
        for field, value in fields.items():
            monkeypatch.setenv(variable(field), value)

    return set_


def complaint(**overrides: object) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings(overrides)
    text = str(raised.value)
    assert "\n" not in text
    return text


def test_defaults_are_a_sqlite_broker_on_the_otlp_port() -> None:
    settings = load_settings()

    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 4318, 1)
    assert settings.sqlite_path == Path.cwd() / "ark-broker-data" / "ark-broker.db"


def test_each_field_is_read_from_its_variable(setenv) -> None:
    setenv(port="5000", data_dir="/var/lib/broker", log_level="DEBUG", heartbeat_seconds="0.5")

    settings = load_settings()

    assert (settings.port, settings.log_level, settings.heartbeat_seconds) == (5000, "debug", 0.5)
    assert settings.sqlalchemy_url == "sqlite+aiosqlite:////var/lib/broker/ark-broker.db"


def test_an_empty_variable_counts_as_not_set(setenv) -> None:
    setenv(port="", database_url="")

    assert load_settings().port == 4318


def test_an_override_comes_before_the_environment_and_none_is_no_override(setenv) -> None:
    setenv(port="5000", host="0.0.0.0", allow_open="true")

    settings = load_settings({"port": 6000, "host": None})

    assert (settings.port, settings.host) == (6000, "0.0.0.0")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("port", "99999", "less than or equal to 65535"),
        ("port", "0", "greater than or equal to 1"),
        ("port", "http", "valid integer"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("sqlite_synchronous", "OFF", "'FULL' or 'NORMAL'"),
        ("max_body_bytes", "1 TB", "a size such as 64MiB"),
        ("max_body_bytes", "-1", "a size such as 64MiB"),
        ("queue_bytes", "12", "greater than or equal to 1024"),
        ("ack_timeout_seconds", "nan", "less than or equal to 300"),
        ("shutdown_seconds", "inf", "less than or equal to 600"),
        ("retention", "30", "ages such as 30d"),
        ("retention", "soon=30d", "'span', 'chunk'"),
        ("retention", "0d", "greater than 0"),
        ("workers", "2", "needs PostgreSQL"),
    ],
)
def test_an_invalid_value_is_one_line_that_names_the_variable_and_the_value(setenv, field, value, reason) -> None:
    setenv(**{field: value})

    text = complaint()

    assert text.startswith(f"{variable(field)}: ")
    assert reason in text
    assert text.endswith(f"(got '{value}')")


def test_an_invalid_override_is_named_as_the_option_it_came_from() -> None:
    assert complaint(port=99999) == "--port: Input should be less than or equal to 65535 (got 99999)"


def test_all_invalid_values_are_named_at_once(setenv) -> None:
    setenv(port="x", log_level="y")

    assert variable("port") in complaint()
    assert variable("log_level") in complaint()


def test_a_value_of_many_lines_stays_on_one_and_is_cut(setenv) -> None:
    setenv(port="1\n2" * 1000)

    assert len(complaint()) < 250


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        ("postgres://me@db/ark", "postgresql+asyncpg://me@db/ark"),
        ("postgresql://me:p%40ss@db:5433/ark", "postgresql+asyncpg://me:p%40ss@db:5433/ark"),
        ("postgresql+asyncpg://db/ark", "postgresql+asyncpg://db/ark"),
        ("postgresql://db/ark?sslmode=require", "postgresql+asyncpg://db/ark?ssl=require"),
        ("sqlite:////data/x.db", "sqlite+aiosqlite:////data/x.db"),
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite:///x.db"),
    ],
)
def test_a_database_url_gets_the_async_driver(given_url: str, url: str) -> None:
    assert load_settings({"database_url": given_url}).sqlalchemy_url == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:hush@h/d", "not mysql://"),
        ("hush", "Input should be postgresql://"),
        ("postgresql://u:hush@h:port/d", "Input should be postgresql://"),
        ("postgresql://u:hush@h/d?channel_binding=require", "The parameter channel_binding is not supported"),
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        ("sqlite://hush/x.db", "SQLite needs a file"),
    ],
)
def test_an_unusable_database_url_is_refused_without_being_repeated(setenv, url: str, reason: str) -> None:
    setenv(database_url=url)

    text = complaint()

    assert reason in text
    assert "hush" not in text


def test_parameters_allowed_in_a_postgres_url_are_ones_that_the_driver_takes() -> None:
    assert inspect.signature(asyncpg.connect).parameters.keys() >= module._POSTGRES_PARAMETERS


def test_the_password_is_never_shown() -> None:
    settings = load_settings({"database_url": "postgresql://me:hush@db/ark"})

    assert "hush" not in f"{settings!r} {settings} {settings.database_label}"
    assert "hush" in settings.sqlalchemy_url


def test_several_workers_are_fine_on_postgres() -> None:
    assert load_settings({"workers": 4, "database_url": "postgresql://db/ark"}).workers == 4


def test_retention_by_kind_overrides_retention_of_everything(setenv) -> None:
    setenv(retention="30d, chunk=12h")

    retention = load_settings().retention

    assert retention["chunk"] == 12 * 3600
    assert retention["span"] == 30 * 86400


def test_nothing_is_deleted_by_default() -> None:
    assert load_settings().retention == {}


def test_a_misspelt_variable_is_noticed_and_other_programs_variables_are_not() -> None:
    names = ["ARK_BROKER_PROT", "ARK_BROKER_PORT", "ARK_BROKER_URL", "ARK_BROKER_TEST_POSTGRES_URL", "PATH"]

    assert unknown_variables(dict.fromkeys(names, "")) == ["ARK_BROKER_PROT"]


@given(st.integers(0, 2**60))
def test_a_size_reads_back_as_it_is_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_on_this_machine_nobody_has_to_say_who_they_are(host: str) -> None:
    assert not load_settings({"host": host}).is_exposed


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "broker.example"])
def test_another_address_is_listened_on_with_authentication_or_on_purpose(host: str) -> None:
    assert "ARK_BROKER_AUTH=true" in complaint(host=host)
    assert not load_settings({"host": host, "auth": True}).is_exposed
    assert load_settings({"host": host, "allow_open": True}).is_exposed


def test_everything_of_a_sort_may_be_removed_only_while_nobody_has_to_say_who_they_are() -> None:
    assert load_settings().purge_allowed
    assert not load_settings({"auth": True}).purge_allowed
    assert load_settings({"auth": True, "allow_purge": True}).purge_allowed


def test_a_secret_that_is_refused_is_not_shown() -> None:
    assert "too-short" not in complaint(admin_token="too-short")
