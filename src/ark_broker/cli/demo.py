"""`ark-broker demo`: plays a session into a running broker, as an ordinary producer would."""

from __future__ import annotations

import math
from typing import Annotated, Final, NoReturn

import typer

DEFAULT_URL: Final = "http://127.0.0.1:4318"


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
    url: Annotated[
        str, typer.Option(envvar="ARK_BROKER_URL", metavar="URL", help="The broker to play it into.")
    ] = DEFAULT_URL,
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
    ask: Annotated[bool, typer.Option("--ask", help="Really ask, by MCP, and wait for somebody's answer.")] = False,
) -> None:
    """Play a session of three queries into a running broker.

    One query calls a tool and is done, one waits for an approval, one is still streaming. Spans go through
    the OpenTelemetry SDK, completion chunks as NDJSON over one open request for each query. Afterwards it
    prints the commands that look at the session.

    With --ask the second query calls the tool `ask_question` of the broker's MCP server, waits until somebody
    answers (`ark-broker answer`, curl), and completes with the answer.

    Exit code 1: the broker is not there, or refused something.
    """
    from rich.console import Console

    from ark_broker.cli.demo_producer import Producer, ProducerError
    from ark_broker.cli.demo_story import Stage, choose_names, play, play_and_ask

    console = Console(highlight=False)
    try:
        with Producer(url.rstrip("/")) as producer:
            names = choose_names(session, taken=producer.has_session)
            stage = Stage(producer, console, speed)
            if ask:
                from ark_broker.cli.demo_agent import McpAgent

                with McpAgent(producer.url) as agent:
                    play_and_ask(names, stage, agent)
            else:
                play(names, stage)
    except ProducerError as error:
        _fail(str(error))
    console.print(_next_steps(url.rstrip("/"), names.session, names.query(1)), markup=False, soft_wrap=True)


def _next_steps(url: str, session: str, query: str) -> str:
    return f"""
Look at it:
  the session           curl {url}/v1/sessions/{session}
  its events, live      curl -N {url}/v1/sessions/{session}/stream
  as a consumer sees it curl -N {url}/v1/queries/{query}/stream"""


def _fail(message: str) -> NoReturn:
    typer.echo(f"ark-broker: {message}", err=True)
    raise typer.Exit(1)
