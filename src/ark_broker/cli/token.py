"""`ark-broker token`: tokens, made and taken back in the database itself, before any broker runs."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from ark_broker.access.grants import Grant
    from ark_broker.api.kept_tokens import KeptTokens
    from ark_broker.log.database import Database
    from ark_broker.model import Event
    from ark_broker.settings import Settings

token = typer.Typer(
    name="token",
    help="""Make, list, rotate and revoke tokens, for a broker with ARK_BROKER_AUTH=true.

    Works on the database that the settings name (ARK_BROKER_DATABASE_URL, ARK_BROKER_DATA_DIR); no broker need run.
    A running one heeds a change within ten seconds. What is changed leaves an audit event in the log.

    Exit code 1: no database, no such token. Exit code 2: a wrong option.
    """,
    no_args_is_help=True,
)

_Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
_Id = Annotated[str, typer.Argument(help="Id of the token, or the token itself.")]
_Found = TypeVar("_Found")
#: Bytes of events that may wait to be stored: there is one.
_QUEUE = 2**20
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@token.command()
def create(
    name: Annotated[str, typer.Argument(help="Who it is for, as people and the audit log know them.")],
    permission: Annotated[
        list[str], typer.Option("--permission", "-p", help="ingest, read, answer or admin; several times for several.")
    ],
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="Only this namespace; several times for several.")
    ] = None,
    expires: Annotated[str | None, typer.Option(metavar="AGE", help="Good for so long: 90d, 12h.")] = None,
    requests: Annotated[int | None, typer.Option(min=1, help="Most requests a minute.")] = None,
    max_bytes: Annotated[int | None, typer.Option("--bytes", min=1, help="Most bytes a minute.")] = None,
    as_json: _Json = False,
) -> None:
    """Make a token and print it: it is shown this once."""
    import msgspec

    from ark_broker.api.v1.access import NewToken, stored_token
    from ark_broker.model.errors import BadInput

    wanted: dict[str, Any] = {
        "name": name,
        "permissions": permission,
        "namespaces": namespace or None,
        "expiresInSeconds": None if expires is None else _seconds(expires, "--expires"),
        "requestsPerMinute": requests,
        "bytesPerMinute": max_bytes,
    }
    try:
        stored = stored_token(msgspec.convert(wanted, type=NewToken))
    except (BadInput, msgspec.ValidationError) as error:
        raise typer.BadParameter(str(error)) from None

    async def make(tokens: KeptTokens) -> tuple[str, str]:
        made = await tokens.create(stored)
        return made, _id_of(made)

    text = _changing("POST", "/v1/tokens", make)
    typer.echo(json.dumps({"token": text}) if as_json else text)


@token.command(name="list")
def list_(as_json: _Json = False) -> None:
    """List the tokens, newest first. Nothing of their secrets is known."""
    from ark_broker.api.kept_tokens import token_json

    found = [token_json(each) for each in _with_tokens(lambda tokens: tokens.every())]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for each in found:
        state = "revoked" if "revokedAt" in each else f"until {each['expiresAt']}" if "expiresAt" in each else "good"
        where = "all namespaces" if each["namespaces"] is None else ",".join(each["namespaces"])  # type: ignore[arg-type]
        rights = ",".join(each["permissions"])  # type: ignore[arg-type]
        used = each.get("lastUsedAt", "never used")
        typer.echo(f"{each['id']}  {each['name']}  {rights}  {where}  {state}  {used}")


@token.command()
def rotate(
    token_id: _Id,
    grace: Annotated[str, typer.Option(metavar="AGE", help="So long the old secret is still good.")] = "1h",
    as_json: _Json = False,
) -> None:
    """Give a token a new secret and print it."""
    seconds = _seconds(grace, "--grace", may_be_none=True)
    name = _id_of(token_id)

    async def renew(tokens: KeptTokens) -> tuple[str, str]:
        return await tokens.rotate(name, seconds), name

    text = _changing("POST", f"/v1/tokens/{name}/rotate", renew)
    typer.echo(json.dumps({"token": text}) if as_json else text)


@token.command()
def revoke(token_id: _Id) -> None:
    """Make a token good for nothing."""
    name = _id_of(token_id)

    async def end(tokens: KeptTokens) -> tuple[str, str]:
        revoked = await tokens.revoke(name)
        return f"revoked: {revoked.id}  {revoked.name}", revoked.id

    typer.echo(_changing("DELETE", f"/v1/tokens/{name}", end))


def _id_of(text: str) -> str:
    return text.split("_")[1] if text.startswith("arkb_") and text.count("_") == 2 else text


def _seconds(text: str, option: str, *, may_be_none: bool = False) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if match is None or (float(match[1]) == 0 and not may_be_none):
        raise typer.BadParameter("must be an age such as 90d, 12h, 30m", param_hint=option)
    return float(match[1]) * _UNITS[match[2]]


def _changing(method: str, path: str, work: Callable[[KeptTokens], Awaitable[tuple[str, str]]]) -> str:
    """Do what returns a text and the id of the token it was done to. It leaves the audit event of such a request."""
    from ark_broker.api.audit import audit_event
    from ark_broker.doors import redactor_from

    async def noted(tokens: KeptTokens, settings: Settings, database: Database) -> str:
        redactor = redactor_from(settings)
        text, token_id = await work(tokens)
        event = audit_event(_who(), {"method": method, "path": path, "target": token_id})
        if redactor is not None:
            redactor.redact(event)
        await _note(database, event, apart=settings.auth)
        return text

    return _with_database(noted)


def _with_tokens(work: Callable[[KeptTokens], Awaitable[_Found]]) -> _Found:
    return _with_database(lambda tokens, _settings, _database: work(tokens))


async def _note(database: Database, event: Event, *, apart: bool) -> None:
    """Write it into the log. Where that fails it is said: what was done is done, and its token is to be printed."""
    from ark_broker.log.writer import Writer
    from ark_broker.model.errors import ArkBrokerError

    writer = Writer(database, lambda _commit: None, queue_bytes=_QUEUE, apart=apart)
    writer.start()
    try:
        await writer.append([event])
    except ArkBrokerError as error:
        typer.echo(f"ark-broker: it was done, but its audit event was not stored: {error}", err=True)
    finally:
        await writer.close()


def _who() -> Grant:
    from ark_broker.access.grants import Grant

    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # in a container, a user may be no more than a number
        name = f"uid {os.getuid()}"
    return Grant(name=name, permissions=frozenset(), namespaces=None, via="cli")


def _with_database(work: Callable[[KeptTokens, Settings, Database], Awaitable[_Found]]) -> _Found:
    from ark_broker.api.gate import Gate
    from ark_broker.app import open_from
    from ark_broker.log import schema
    from ark_broker.log.database import is_unavailable
    from ark_broker.log.tokens import TokenStore
    from ark_broker.model.errors import ArkBrokerError
    from ark_broker.settings import SettingsError, load_settings

    async def run() -> _Found:
        settings = load_settings()
        database = open_from(settings)
        try:
            if settings.sqlite_path is not None:
                await schema.migrate(database)
            else:
                await schema.check(database)
            return await work(Gate(TokenStore(database), enabled=True).tokens, settings, database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except SettingsError as error:
        typer.echo(f"ark-broker: {error}", err=True)
        raise typer.Exit(2) from None
    except ArkBrokerError as error:
        _fail(str(error))
    except Exception as error:
        if not is_unavailable(error):
            raise
        _fail(f"cannot reach the database: {error}")


def _fail(message: str) -> NoReturn:
    typer.echo(f"ark-broker: {message}", err=True)
    raise typer.Exit(1)
