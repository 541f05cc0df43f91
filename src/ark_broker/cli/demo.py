"""`ark-broker demo`: plays a session into a running broker, as an ordinary producer would."""

from __future__ import annotations

import math
import sys
from typing import Annotated, NoReturn

import typer

from ark_broker.cli.connection import Url, connection
from ark_broker.connecting import DEFAULT_URL


def _speed(text: str) -> float:
    """How many times faster than a person would like it; infinite for `max`."""
    named = {"human": 1.0, "max": math.inf}
    if text in named:
        return named[text]
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not factor > 0:
        raise typer.BadParameter("must be human, max or a factor such as 2")
    return factor


def demo(
    url: Url = None,
    speed: Annotated[
        float,
        typer.Option(
            parser=_speed, metavar="human|max|FACTOR", help="At a human pace, at once, or FACTOR times human."
        ),
    ] = "human",  # type: ignore[assignment]  # typer parses the default as it parses what is typed
    session: Annotated[
        str | None,
        typer.Option(help="Name of the session.", show_default="session-abc, or a fresh name beside it"),
    ] = None,
    ask: Annotated[
        bool | None,
        typer.Option(
            "--ask/--no-ask",
            help="Really ask, by MCP, and wait for an answer; or only look so.",
            show_default="ask on a terminal",
        ),
    ] = None,
) -> None:
    """Play a session into a running broker, and ask you something.

    One query calls a tool and is done, one asks for an approval, one is still streaming, of one a tool fails. Spans
    go through the OpenTelemetry SDK, completion chunks as NDJSON over one open request for each query.

    The second query calls the tool `ask_question` of the broker's MCP server. The demo waits until somebody answers,
    in the dashboard or with `ark-broker answer`, and the query completes with the answer. Ctrl-C leaves it waiting.

    With --no-ask, and where its output is no terminal, nobody is asked: the question is only told of, the failing query
    is left out, and the demo ends.

    Exit code 1: the broker is not there, or refused something.
    """
    from rich.console import Console

    from ark_broker.cli.configuration import ConfigError
    from ark_broker.cli.demo_producer import Producer, ProducerError
    from ark_broker.cli.demo_story import Stage, choose_names, play, play_and_ask

    console = Console(highlight=False)
    try:
        named = connection(url)
    except ConfigError as error:
        _fail(str(error))
    try:
        with Producer(named.url) as producer:
            names = choose_names(session, taken=producer.has_session)
            stage = Stage(producer, console, speed)
            if sys.stdout.isatty() if ask is None else ask:
                from ark_broker.cli.demo_agent import McpAgent

                with McpAgent(producer.url) as agent:
                    play_and_ask(names, stage, agent)
            else:
                play(names, stage)
    except ProducerError as error:
        _fail(str(error))
    console.print(_next_steps(named.url, names.session, names.query(1)), markup=False, soft_wrap=True)


def _next_steps(url: str, session: str, query: str) -> str:
    there = "" if url == DEFAULT_URL else f" --url {url}"
    return f"""
Look at it:
  in a browser          {url}/ui/sessions/{session}
  as a tree             ark-broker session {session}{there}
  its events, live      ark-broker tail {session}{there}
  what was streamed     ark-broker replay {query}{there}
  the session, as JSON  curl {url}/v1/sessions/{session}"""


def _fail(message: str) -> NoReturn:
    typer.echo(f"ark-broker: {message}", err=True)
    raise typer.Exit(1)
