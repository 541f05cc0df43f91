"""`ark-broker import`: takes over what Ark's own broker has stored, and sessions that this one has exported."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ark_broker.cli.serve import _database_failures_as_one_line, _DatabaseUrl, _DataDir, _fail, _settings

if TYPE_CHECKING:
    from ark_broker.cli.imports.source import Source
    from ark_broker.cli.imports.tally import Tally
    from ark_broker.settings import Settings


class StoreName(StrEnum):
    """What a file holds, where its name does not say it."""

    MESSAGES = "messages"
    CHUNKS = "chunks"
    SPANS = "spans"
    EVENTS = "events"
    SESSIONS = "sessions"


#: The exit code of a program that Ctrl-C ended.
_INTERRUPTED = 130


def import_(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files of the old broker, exported sessions, or a directory of them.", metavar="PATH", exists=True
        ),
    ] = None,
    store: Annotated[
        StoreName | None, typer.Option(help="What the files hold, where their names do not say it.")
    ] = None,
    from_database: Annotated[
        str | None, typer.Option(help="The old broker's database, postgresql://…", metavar="URL")
    ] = None,
    from_schema: Annotated[str, typer.Option(help="Schema of its tables there.", metavar="NAME")] = "public",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, store nothing.")] = False,
    data_dir: _DataDir = None,
    database_url: _DatabaseUrl = None,
) -> None:
    """Take over what Ark's own broker has stored: its files, or its PostgreSQL tables. Or sessions of this one.

    Files go by their names: `messages`, `completionchunks`, `oteltraces`, `events`, `sessions`, each `.json` or
    `.jsonl`. Of a directory all of them are taken; a `.json` beside the `.jsonl` that was made of it is passed over.

        ark-broker import /data

        ark-broker import --dry-run /data/messages.json /data/events.jsonl

        ark-broker import --store chunks /backup/stream-of-tuesday.json

        curl -o s1.jsonl http://other:4318/v1/sessions/s1/export; ark-broker import s1.jsonl

        ark-broker import --from-database postgresql://ark:secret@db/ark --database-url postgresql://broker:secret@db/log

    A file that was exported is known by its first line, whatever its name; its session comes as it was.

    What is in the log already is not stored again, so it may run as often as you like, and go on where it was cut
    short. On SQLite stop the broker first; on PostgreSQL it may run meanwhile.

    A line a store tells what was read, imported, there already, and skipped: expired, torn (the last line of a file
    whose writer died) or invalid; of these the first five are named. They never stop the import.

    Exit code 1: nothing could be read, or some file or table not to its end.
    """
    if not paths and from_database is None:
        raise typer.BadParameter("name files or a directory, or --from-database", param_hint="PATH")
    from ark_broker.cli.imports.tally import Tally

    settings = _settings(data_dir=data_dir, database_url=database_url)
    tally = Tally()
    code = 0
    sources = _file_sources(paths or [], store)
    try:
        with _database_failures_as_one_line(settings):
            asyncio.run(_import(settings, sources, tally, from_database, from_schema, dry_run=dry_run))
    except KeyboardInterrupt:
        code = _INTERRUPTED
    finally:
        _report(tally, dry_run=dry_run)
    if code:
        typer.echo("ark-broker: stopped. What is imported stays; the same command again goes on from here.", err=True)
    elif not tally.succeeded:
        code = 1
    raise typer.Exit(code)


def _file_sources(paths: list[Path], store: StoreName | None) -> list[Source]:
    from ark_broker.cli.imports.files import FileSource, find_files, store_of
    from ark_broker.cli.imports.sessions import SessionFile, find_session_files, is_session_file

    sources: list[Source] = []
    for path in paths:
        if path.is_dir():
            exported = find_session_files(path)
            found, passed_over = find_files(path)
            found = [file for file in found if file not in exported]
            if not found and not exported:
                _fail(f"no file in {path} has one of the old broker's names; name the file, and --store", code=1)
            for old in passed_over:
                typer.echo(f"{old}: passed over for the .jsonl beside it")
            sources += [FileSource(file, known) for file in found if (known := store_of(file))]
            sources += [SessionFile(file) for file in exported]
            continue
        if is_session_file(path):
            sources.append(SessionFile(path))
            continue
        known = store.value if store is not None else store_of(path)
        if known is None:
            raise typer.BadParameter(f"{path}: the name does not tell what it holds; say --store", param_hint="PATH")
        sources.append(FileSource(path, known))
    return sources


async def _import(
    settings: Settings, files: list[Source], tally: Tally, url: str | None, schema: str, *, dry_run: bool
) -> None:
    from ark_broker import app
    from ark_broker.cli.imports.progress import progress
    from ark_broker.cli.imports.run import Sink, count_only, log_of, run
    from ark_broker.cli.imports.source import KINDS
    from ark_broker.logs import configure

    async with AsyncExitStack() as stack:
        tables = await _table_sources(stack, url, schema) if url is not None else []
        sources = sorted([*files, *tables], key=lambda source: KINDS.index(source.store))
        sink: Sink = count_only
        if not dry_run:
            # What the log has to say of its own is in the way of what this command has.
            configure(settings.model_copy(update={"log_level": "error"}))
            sink = log_of(await stack.enter_async_context(app.running(settings)))
        with progress(sources) as progressed:
            await run(sources, sink, tally, progressed)


async def _table_sources(stack: AsyncExitStack, url: str, schema: str) -> list[Source]:
    from asyncpg import InterfaceError, PostgresError

    from ark_broker.cli.imports import database

    label = database.label_of(url)
    try:
        connection = await database.connect(url)
        stack.push_async_callback(connection.close)
        tables: list[Source] = [*await database.find_tables(connection, schema)]
    except (OSError, PostgresError, InterfaceError, ValueError) as error:
        _fail(f"cannot read the old broker's database ({label}): {error or type(error).__name__}", code=1)
    if not tables:
        _fail(f"no table of the old broker is in the schema {schema!r} of {label}: see --from-schema", code=1)
    return tables


def _report(tally: Tally, *, dry_run: bool) -> None:
    from rich.console import Console

    if not tally.stores and not tally.failures:
        return
    console = Console(highlight=False)
    console.print(tally.table(dry_run=dry_run))
    for line in tally.problems():
        console.print(f"  {line}", markup=False, soft_wrap=True)
    for failure in tally.failures:
        typer.echo(f"ark-broker: {failure}", err=True)
