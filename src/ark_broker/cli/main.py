"""`ark-broker`: its commands, and what its exit codes mean.

Commands import what they work with when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Annotated

import typer

from ark_broker import __version__
from ark_broker.cli.answer import answer
from ark_broker.cli.config import config
from ark_broker.cli.conversation import conversation
from ark_broker.cli.correlate import correlate
from ark_broker.cli.demo import demo
from ark_broker.cli.doctor import doctor
from ark_broker.cli.export import export
from ark_broker.cli.import_ import import_
from ark_broker.cli.questions import questions
from ark_broker.cli.replay import replay
from ark_broker.cli.send import send
from ark_broker.cli.serve import migrate, serve
from ark_broker.cli.session import session
from ark_broker.cli.sessions import sessions
from ark_broker.cli.status import status
from ark_broker.cli.tail import tail
from ark_broker.cli.token import token
from ark_broker.cli.top import top

_ABOUT = """
The one sink, and the one place to look, for what an LLM agent platform emits about a query:
OpenTelemetry spans and logs, completion chunks, events.

Begin with `ark-broker serve`. Then, from other terminals, `ark-broker tail` to watch, `ark-broker demo` for something
to see, and `ark-broker session session-abc` for what happened and what failed. Where it does not work:
`ark-broker doctor`.

Settings come from the environment, `ARK_BROKER_…`; docs/settings.md has them all. Commands that speak to a broker
find it by `--url`, `ARK_BROKER_URL` or `ark-broker config`, and show it the token in `ARK_BROKER_TOKEN` or of
`ark-broker config`. They print JSON with `--json`, and plain columns in a pipe. docs/cli.md has more.

Exit codes: 0 done · 1 failed while running, stderr says why · 2 wrong option or invalid setting · 3 not found ·
4 not permitted · 5 no broker there · 130 Ctrl-C.
"""
_LOOK, _ACT, _RUN = "Look", "Act", "Run"

app = typer.Typer(
    name="ark-broker",
    help=_ABOUT,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)
_COMMANDS: tuple[tuple[str, tuple[Callable[..., None], ...]], ...] = (
    (_LOOK, (sessions, session, tail, replay, conversation, questions, correlate, top, status)),
    (_ACT, (answer, send, export)),
    (_RUN, (serve, migrate, demo, doctor)),
)
for _panel, _commands in _COMMANDS:
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.command(name="import", rich_help_panel=_ACT)(import_)
app.add_typer(token, rich_help_panel=_RUN)
app.add_typer(config, rich_help_panel=_RUN)


@app.command(rich_help_panel=_RUN)
def version() -> None:
    """Print the version."""
    typer.echo(f"ark-broker {__version__} (Python {platform.python_version()})")


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Here for `--version`; the commands do the work."""
