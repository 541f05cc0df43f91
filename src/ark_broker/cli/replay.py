"""`ark-broker replay`: what a query streamed, typed out again."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer

from ark_broker.cli.connection import Url, connect, not_empty
from ark_broker.cli.failing import Exit, one_line_failures
from ark_broker.cli.output import Json, write_json


class Speed(StrEnum):
    """How often faster than recorded."""

    ONE = "1"
    TWO = "2"
    TEN = "10"
    MAX = "max"


def replay(
    query: Annotated[str, typer.Argument(metavar="QUERY", callback=not_empty, help="Name or uid of the query.")],
    url: Url = None,
    speed: Annotated[Speed, typer.Option(help="How often faster than recorded; `max` without pauses.")] = Speed.ONE,
    session: Annotated[str | None, typer.Option(help="Which query is meant, where several have the name.")] = None,
    namespace: Annotated[str | None, typer.Option(help="The same by namespace.")] = None,
    text_only: Annotated[bool, typer.Option("--text", help="The model's text alone, without events.")] = False,
    as_json: Json = False,
) -> None:
    """Type out what a query streamed, at the pace it had, with the events between.

    A pause of more than ten seconds is cut to ten.

        ark-broker replay query-001 --speed 10

        ark-broker replay query-001 --text --speed max > answer.txt

    Exit codes: 0 done · 1 failed, the name is ambiguous · 2 wrong option · 3 no such query · 4 not permitted ·
    5 unreachable · 130 Ctrl-C.
    """
    from ark_broker.cli.output import write
    from ark_broker.cli.render.flow import Flow, text_of_chunk
    from ark_broker.cli.render.printable import printable
    from ark_broker.cli.tail import say_pause, write_pieces

    with one_line_failures(interrupted=Exit.INTERRUPTED), connect(url) as client:
        client.health()
        client.on_pause = say_pause
        frames = client.replay(query, session=session, namespace=namespace, speed=speed.value, events=not text_only)
        flow = Flow()
        with closing(frames) as found:
            for frame in found:
                if as_json:
                    write_json(frame)
                elif text_only:
                    write(printable(text_of_chunk(frame), lines=True))
                else:
                    write_pieces(flow.frame(query, frame))
        if text_only and not as_json:
            write("\n")
        write_pieces(flow.finish())
