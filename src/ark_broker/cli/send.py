"""`ark-broker send`: an event, or a file of events or OTLP."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ark_broker.cli.connection import Url, connect
from ark_broker.cli.failing import fail, one_line_failures
from ark_broker.cli.output import Json, write_json, write_line


class Signal(StrEnum):
    """What an OTLP file in protobuf holds."""

    TRACES = "traces"
    LOGS = "logs"


def send(
    what: Annotated[
        str, typer.Argument(metavar="EVENT|FILE|-", help="JSON of an event or several, a file, or - for stdin.")
    ] = "-",
    url: Url = None,
    signal: Annotated[
        Signal | None, typer.Option(help="What OTLP in protobuf holds; JSON says it itself.", show_default="traces")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send events, or OTLP that somebody kept in a file.

    Events are one JSON object, an array, or one a line. OTLP is an export request in protobuf, or in JSON, one or one
    a line. Either may be compressed with gzip. Returns once they are committed.

        ark-broker send '{"type": "deploy.started", "sessionId": "session-abc"}'

        ark-broker send events.jsonl.gz

        ark-broker send --signal logs request.pb

    Sent again, OTLP and events that have an `id` are stored once; events without one are new ones each time.

    Exit codes: 0 done · 1 failed, or refused · 2 wrong option, or nothing that can be sent · 4 not permitted ·
    5 unreachable.
    """
    from ark_broker.cli.payload import PayloadError, read_payload

    try:
        payload = read_payload(_content(what), signal.value if signal else None)
    except PayloadError as error:
        raise typer.BadParameter(str(error), param_hint="EVENT|FILE") from None
    with one_line_failures(), connect(url) as client:
        for body, content_type, kind in payload.requests:
            client.send_otlp(body, content_type=content_type, signal=kind)
        stored = client.send(*payload.events) if payload.events else None
        if as_json:
            write_json(stored if stored is not None else {"requests": len(payload.requests)})
        elif stored is not None:
            write_line(f"stored {stored['stored']}, known already {stored['duplicates']}, head {stored['head']}")
        else:
            write_line(f"sent {len(payload.requests)} OTLP request{'' if len(payload.requests) == 1 else 's'}")


def _content(what: str) -> bytes:
    if what == "-":
        return sys.stdin.buffer.read()
    if what.lstrip().startswith(("{", "[")):
        return what.encode()
    try:
        return Path(what).read_bytes()
    except OSError as error:
        fail(f"cannot read {what}: {error.strerror or error}", 2)
