"""`ark-broker`: its commands, and what its exit codes mean.

Commands import what they work with when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from ark_broker import __version__
from ark_broker.cli.demo import demo
from ark_broker.cli.import_ import import_
from ark_broker.cli.questions import answer, questions
from ark_broker.cli.serve import migrate, serve
from ark_broker.cli.token import token

_ABOUT = """
The one sink, and the one place to look, for what an LLM agent platform emits about a query:
OpenTelemetry spans and logs, completion chunks, events.

Settings come from the environment, `ARK_BROKER_…`; docs/settings.md has them all. Commands that speak to a broker
find it by `ARK_BROKER_URL`, and show it the token in `ARK_BROKER_TOKEN`.

Exit codes: 0 done · 1 failed while running, stderr says why · 2 wrong option or invalid setting.
"""

app = typer.Typer(
    name="ark-broker",
    help=_ABOUT,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)
app.command()(serve)
app.command()(migrate)
app.command()(demo)
app.command(name="import")(import_)
app.command()(questions)
app.command()(answer)
app.add_typer(token)


@app.command()
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
