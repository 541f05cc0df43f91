"""`ark-broker config`: which broker the commands speak to, and the token for it."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from ark_broker.cli.failing import fail
from ark_broker.cli.output import Json, write_json, write_line
from ark_broker.cli.render.printable import printable
from ark_broker.connecting import TOKEN_VARIABLE, URL_VARIABLE, without_login

config = typer.Typer(
    name="config",
    help="""Say once which broker the commands speak to, and with which token.

    The file is $XDG_CONFIG_HOME/ark-broker/config.toml, or what ARK_BROKER_CONFIG names, readable by you alone.
    ARK_BROKER_URL and ARK_BROKER_TOKEN come before it, --url before them. The token is shown to the broker of the
    file only.

    Exit codes: 0 done · 1 the file cannot be used · 2 wrong option.
    """,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class Key(StrEnum):
    """What the file may say."""

    URL = "url"
    TOKEN = "token"  # noqa: S105 - the name of a key


@config.command(name="set")
def set_(
    key: Annotated[Key, typer.Argument(help="url or token.")],
    value: Annotated[str | None, typer.Argument(help="The URL. A token is never an argument.")] = None,
) -> None:
    """Set the URL or the token. The token is asked for, or read from stdin.

    ark-broker config set url https://broker.example.com

    ark-broker config set token < token.txt
    """
    from ark_broker.cli.configuration import ConfigError, load, save

    if key is Key.TOKEN and value is not None:
        raise typer.BadParameter("a token that is typed is seen by others: leave it out, and be asked for it")
    text = value if value is not None else _read(key)
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise typer.BadParameter(f"this is no {key.value}", param_hint="VALUE")
    if key is Key.URL and not text.startswith(("http://", "https://")):
        raise typer.BadParameter("a URL begins with http:// or https://", param_hint="VALUE")
    try:
        found = load()
        if key is Key.URL:
            if found.token is not None and found.url != text:
                typer.echo("ark-broker: the token was for another broker, and is forgotten", err=True)
                found = replace(found, token=None)
            file = save(replace(found, url=text))
        else:
            file = save(replace(found, token=text))
    except ConfigError as error:
        fail(str(error))
    write_line(f"{key.value} is set in {printable(str(file))}")


@config.command()
def unset(key: Annotated[Key, typer.Argument(help="url or token.")]) -> None:
    """Take the URL or the token out of the file."""
    from ark_broker.cli.configuration import ConfigError, load, save

    try:
        found = load()
        file = save(replace(found, url=None) if key is Key.URL else replace(found, token=None))
    except ConfigError as error:
        fail(str(error))
    write_line(f"{key.value} is no longer in {printable(str(file))}")


@config.command()
def show(as_json: Json = False) -> None:
    """Show which broker is spoken to, and whether there is a token; never the token."""
    import os

    from ark_broker.cli.configuration import ConfigError, load, path
    from ark_broker.cli.connection import connection

    try:
        found = load()
        used = connection()
    except ConfigError as error:
        fail(str(error))
    told = {
        "file": str(path()),
        "url": without_login(used.url),
        "urlFrom": URL_VARIABLE if os.environ.get(URL_VARIABLE, "").strip() else "file" if found.url else "default",
        "token": used.token is not None,
        "tokenFrom": TOKEN_VARIABLE if os.environ.get(TOKEN_VARIABLE, "").strip() else "file" if used.token else None,
    }
    if as_json:
        write_json(told)
        return
    write_line(f"file\t{printable(str(told['file']))}")
    write_line(f"url\t{printable(without_login(used.url))}\t({told['urlFrom']})")
    write_line(f"token\t{'set' if used.token else 'none'}" + (f"\t({told['tokenFrom']})" if used.token else ""))


def _read(key: Key) -> str:
    """From the person, or from a pipe."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    try:
        text: str = typer.prompt(key.value, hide_input=key is Key.TOKEN)
    except typer.Abort:
        _leave()
    return text.strip()


def _leave() -> NoReturn:
    raise typer.Exit(130)
