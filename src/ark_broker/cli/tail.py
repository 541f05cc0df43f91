"""`ark-broker tail`: what happens, as it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ark_broker.cli.ages import point_in_time
from ark_broker.cli.connection import Url, connect, not_empty
from ark_broker.cli.failing import Exit, one_line_failures, say
from ark_broker.cli.output import STYLES, Json, on_terminal, write, write_json

if TYPE_CHECKING:
    from ark_broker.cli.render.flow import Flow, Piece
    from ark_broker.client import BrokerError, Client


def tail(
    session: Annotated[
        str | None,
        typer.Argument(metavar="[SESSION]", callback=not_empty, help="Only this session.", show_default="everything"),
    ] = None,
    url: Url = None,
    query: Annotated[str | None, typer.Option("--query", help="Only this query, until it is over.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything; also without SESSION and --query.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="start|now|AGE|TIME",
            help="From where: `start`, `now`, 10m ago, a time in RFC 3339.",
            show_default="start of a session or query; now for everything",
        ),
    ] = None,
    after: Annotated[int | None, typer.Option(min=0, help="From behind this position (`seq`).")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type; may be given several times.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="End after so many events.")] = None,
    as_json: Json = False,
) -> None:
    """Follow a session, a query, or everything, live. Text of models is joined as it streams.

    It takes the stream up again by itself where the connection or the broker went away: every event is shown once.
    What it lost (events that were removed meanwhile, another log), and when it tries again, it says on stderr.
    Ctrl-C ends it, with exit code 0. What is not there yet is waited for.

        ark-broker tail

        ark-broker tail session-abc --since 10m

        ark-broker tail --query query-001

        ark-broker tail --all --type tool.failed --json | jq .tool

    Exit codes: 0 done · 1 failed · 2 wrong option · 4 not permitted · 5 unreachable when
    it began.
    """
    if sum((session is not None, query is not None and session is None, every)) > 1 or (every and query is not None):
        raise typer.BadParameter("name a session, --query or --all, and no two of them", param_hint="--all")
    if since is not None and after is not None:
        raise typer.BadParameter("give --since or --after, not both", param_hint="--after")
    if query is not None and types:
        raise typer.BadParameter("a query's stream is not filtered", param_hint="--type")
    moment = since if since in (None, "start", "now") else point_in_time(since, "--since")
    with one_line_failures(interrupted=Exit.DONE), connect(url) as client:
        client.health()
        client.on_pause = say_pause
        origin: dict[str, Any] = {"start": moment} if moment is None or isinstance(moment, str) else {}
        if not origin:
            from ark_broker.cli.positions import position_at

            origin = {"after": position_at(client, moment)}  # type: ignore[arg-type]
        if after is not None:
            origin = {"after": after}
        if query is not None:
            _say_if_unknown(lambda: client.query(query, session=session))
            _show_query(client, query, session, origin, limit, as_json=as_json)
        else:
            if session is not None:
                _say_if_unknown(lambda: next(client.events(session, limit=1), None))
            _show_events(client, session, types or [], origin, limit, as_json=as_json)


def _show_events(
    client: Client,
    session: str | None,
    types: list[str],
    origin: Mapping[str, Any],
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    from contextlib import closing

    from ark_broker.cli.render.flow import Flow

    flow = Flow(with_session=session is None)
    with closing(client.tail(session, types=types, on_gap=_say_gap, **origin)) as found:
        for event in islice(found, limit):
            if as_json:
                write_json(event)
            else:
                write_pieces(flow.event(event))
    _finish(flow)


def _show_query(
    client: Client,
    query: str,
    session: str | None,
    origin: Mapping[str, Any],
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    from contextlib import closing

    from ark_broker.cli.render.flow import Flow

    flow = Flow(with_session=False)
    with closing(client.tail_query(query, session=session, **origin)) as found:
        for frame in islice(found, limit):
            if as_json:
                write_json(frame)
            else:
                write_pieces(flow.frame(query, frame))
    _finish(flow)


def write_pieces(pieces: Iterator[Piece]) -> None:
    """Pieces of text on stdout, in their colours where somebody looks."""
    if not on_terminal():
        write("".join(piece.text for piece in pieces))
        return
    from ark_broker.cli.output import coloured

    write("".join(coloured(piece.text, STYLES[piece.mood]) for piece in pieces))


def _finish(flow: Flow) -> None:
    write_pieces(flow.finish())


def _say_if_unknown(look: Callable[[], object]) -> None:
    """The stream of a session or query that nobody has heard of waits for it."""
    from ark_broker.client import Refused

    try:
        look()
    except Refused as error:
        if error.status != 404:
            raise
        say(f"{error.message} yet: waiting for it")


def say_pause(seconds: float, error: BrokerError | None) -> None:
    reason = f"{error}; " if error is not None else "the stream ended; "
    say(f"{reason}taking it up again in {seconds:.1f} s")


def _say_gap(hello: Mapping[str, Any]) -> None:
    reasons = {
        "other-log": "this is another log: the broker has a new database",
        "future": "the log is shorter than before: its database was replaced by an older one",
        "retention": "events were removed before they could be read",
        "deleted": "the session was deleted",
    }
    reason = str(hello.get("reason", ""))
    say(f"events may be missing: {reasons.get(reason, reason or 'the broker does not say why')}")
