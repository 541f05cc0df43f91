"""`ark-broker serve` and `ark-broker migrate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ark_broker import __version__
from ark_broker.connecting import DEFAULT_URL
from ark_broker.model.errors import ArkBrokerError

if TYPE_CHECKING:
    from ark_broker.settings import Settings

_DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="postgresql://… or sqlite:///path.", metavar="URL", show_default="SQLite in the data directory"),
]
_DataDir = Annotated[
    Path | None, typer.Option(help="Directory of the SQLite database.", show_default="./ark-broker-data")
]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="4318")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the port (PostgreSQL).", show_default="1")
    ] = None,
    data_dir: _DataDir = None,
    database_url: _DatabaseUrl = None,
) -> None:
    """Run the broker.

    An option comes before its variable: `--port` before `ARK_BROKER_PORT`. On SQLite the database is made and
    migrated at start. On PostgreSQL run `ark-broker migrate` first: serve refuses an
    outdated schema.

    SIGTERM or Ctrl-C stops it: what was received is committed, readers are told to come back, exit code 0.
    """
    settings = _settings(host=host, port=port, workers=workers, data_dir=data_dir, database_url=database_url)
    if settings.log_format != "json":
        typer.echo(announce(settings))
    from ark_broker import app

    with _database_failures_as_one_line(settings):
        code = app.run(settings)
    raise typer.Exit(code)


def migrate(data_dir: _DataDir = None, database_url: _DatabaseUrl = None) -> None:
    """Bring the database's schema up to date.

    Safe to run twice, or from several places at once. A migration that fails leaves the schema as it was.
    """
    settings = _settings(data_dir=data_dir, database_url=database_url)
    from ark_broker import app

    with _database_failures_as_one_line(settings):
        typer.echo(app.migrate(settings))


def announce(settings: Settings) -> str:
    """What to do with the broker that is about to start."""
    url = base_url(settings)
    return f"""\
Ark Broker {__version__} on {url} · {settings.database_label}

  dashboard             {url}/
  see something move    {_program()} demo{_url_option(url)}
  watch it              {_program()} tail{_url_option(url)}
  send OpenTelemetry    {_otel_hint(settings, url)}
  API                   {url}/docs
"""


def base_url(settings: Settings) -> str:
    """Where a program on this machine reaches the broker."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{settings.port}"


def _program() -> str:
    """How this program is called here: after `make run` it is not on the PATH."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "ark-broker" and which("ark-broker") is None else "ark-broker"


def _url_option(url: str) -> str:
    return "" if url == DEFAULT_URL else f" --url {url}"


def _otel_hint(settings: Settings, url: str) -> str:
    variable = f"OTEL_EXPORTER_OTLP_ENDPOINT={url} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    if settings.port == 4318:
        return f"nothing to set for OTLP/HTTP on this machine; elsewhere {variable}"
    return variable


def _settings(**overrides: object) -> Settings:
    from ark_broker.settings import SettingsError, load_settings, old_variable_warnings, unknown_variables

    try:
        settings = load_settings(overrides)
    except SettingsError as error:
        _fail(str(error), code=2)
    for name in unknown_variables():
        typer.echo(f"ark-broker: warning: {name} is not a setting (docs/settings.md lists them)", err=True)
    for warning in old_variable_warnings(overrides):
        typer.echo(f"ark-broker: warning: {warning} (docs/ark.md)", err=True)
    return settings


@contextmanager
def _database_failures_as_one_line(settings: Settings) -> Iterator[None]:
    from asyncpg import InterfaceError, PostgresError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ArkBrokerError as error:
        _fail(str(error), code=1)
    except (OSError, SQLAlchemyError, PostgresError, InterfaceError) as error:
        # SQLAlchemy adds the statement and a link on further lines.
        reason = str(error).partition("\n")[0] or type(error).__name__
        _fail(f"cannot use the database ({settings.database_label}): {reason}", code=1)


def _fail(message: str, *, code: int) -> NoReturn:
    typer.echo(f"ark-broker: {message}", err=True)
    raise typer.Exit(code)
