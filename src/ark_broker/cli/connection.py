"""Which broker a command speaks to, and the token it shows.

The broker's URL: `--url`, else `ARK_BROKER_URL`, else `url` of the configuration file, else this machine's port 4318.
The token: `ARK_BROKER_TOKEN`, else `token` of the configuration file, which is only shown to the broker that the file
names. There is no option for it: what is typed is seen by everybody on the machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ark_broker.connecting import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE, is_token, without_login

if TYPE_CHECKING:
    from ark_broker.client import Client

#: The option of every command that speaks to a broker.
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="The broker.", show_default=f"ARK_BROKER_URL, the config file, {DEFAULT_URL}"
    ),
]


def not_empty(name: str | None) -> str | None:
    """Callback of arguments that are names: an empty one is no name, and would be another address."""
    if name == "":
        raise typer.BadParameter("it cannot be empty")
    return name


@dataclass(frozen=True, slots=True)
class Connection:
    """A broker, without a slash at the end, and the token for it. The token is never part of what is shown."""

    url: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Connection({without_login(self.url)!r})"


def connection(url: str | None = None) -> Connection:
    """The connection for this command line, environment and configuration file.

    Raises ConfigError where the file, or the token, cannot be used.
    """
    from ark_broker.cli.configuration import ConfigError, load

    config = load()
    named = (url or os.environ.get(URL_VARIABLE, "").strip() or config.url or DEFAULT_URL).rstrip("/")
    if not named.startswith(("http://", "https://")):
        raise typer.BadParameter(
            f"{without_login(named)!r} is no URL: it begins with http:// or https://", param_hint="--url"
        )
    if not _has_address(named):
        raise typer.BadParameter(f"{without_login(named)!r} names no host, or no port", param_hint="--url")
    token = os.environ.get(TOKEN_VARIABLE, "").strip() or None
    if token is None and named == (config.url or DEFAULT_URL).rstrip("/"):
        token = config.token
    if token is not None and not is_token(token):
        raise ConfigError(
            f"the token has a character that is in none: look at {TOKEN_VARIABLE}, or the configuration file"
        )
    if token is not None and without_login(named) != named:
        raise ConfigError("there is a token, and a user name in the URL: only one of them can be sent")
    return Connection(named, token)


def _has_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def bearer(url: str | None = None) -> dict[str, str]:
    """The header that shows the token for the broker at `url`; none where there is no token."""
    token = connection(url).token
    return {"authorization": f"Bearer {token}"} if token else {}


def connect(url: str | None = None, *, timeout: float = 30.0) -> Client:
    """A client of that broker; use it in a `with`. `timeout` is seconds for one request."""
    return client_of(connection(url), timeout=timeout)


def client_of(found: Connection, *, timeout: float = 30.0, retry_seconds: float = 10.0) -> Client:
    """A client of the broker that the connection names."""
    from ark_broker.client import Client

    return Client(found.url, token=found.token, timeout=timeout, retry_seconds=retry_seconds)
