"""`ark-broker answer`: a person's answer."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ark_broker.cli import strict_json
from ark_broker.cli.connection import Url, connect, not_empty
from ark_broker.cli.failing import fail, one_line_failures, reason_of
from ark_broker.cli.output import Json, on_terminal, write_json, write_line
from ark_broker.cli.render.printable import printable
from ark_broker.cli.render.summaries import question_text

if TYPE_CHECKING:
    from ark_broker.client import Client


def answer(
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", callback=not_empty, help="Id of the question, or its ark:// URI.")
    ],
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="JSON, or plain text. Left out on a terminal: a form.")
    ] = None,
    url: Url = None,
    by: Annotated[str | None, typer.Option(help="Who answers.", show_default="the user")] = None,
    as_json: Json = False,
) -> None:
    """Answer a question. The first answer counts.

    `ark-broker answer 6f1c… yes` answers with the text `yes`; a value that is JSON (`true`, `3`, `{"n": 1}`) is taken
    as that. To answer with such a text, quote it as JSON: `'"3"'`.

    On a terminal, without a value, it shows the question and asks for the answer: a choice of the options, or one
    field after the other of what the schema wants.

        ark-broker answer 6f1c0e6c yes

        ark-broker answer 6f1c0e6c '{"approved": true, "comment": "go"}'

    Exit codes: 0 done · 1 failed: somebody was faster, or the answer is not what was asked for · 2 wrong option ·
    3 no such question · 4 not permitted · 5 unreachable · 130 Ctrl-C.
    """
    name = question.removeprefix("ark://questions/")
    if value is None and not (sys.stdin.isatty() and on_terminal()):
        raise typer.BadParameter("say the answer; the form needs a terminal", param_hint="VALUE")
    if not name:
        raise typer.BadParameter("say which question", param_hint="QUESTION")
    with one_line_failures(), connect(url) as client:
        content = _asked_for(client, name) if value is None else value_of(value)
        given = _answer(client, name, content, by or _user())
        if as_json:
            write_json(given)
        else:
            write_line(f"answered: {printable(given['id'])}  {question_text(given)}")


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return strict_json.loads(text)
    except ValueError:
        return text


def _asked_for(client: Client, name: str) -> Any:
    """The answer of a person who is asked for it."""
    from ark_broker.cli.form import ask_for

    found = client.question(name)
    if found["state"] != "open":
        fail(f"the question is {found['state']}: {question_text(found)}")
    if found.get("answerable") is False:
        fail(f"the question is answered where it was asked ({found.get('source', 'elsewhere')})")
    return ask_for(found)


def _answer(client: Client, name: str, content: Any, by: str) -> Mapping[str, Any]:
    from ark_broker.client import Refused

    try:
        return client.answer(name, content, by=by)
    except Refused as error:
        first = error.details.get("question")
        if error.status == 409 and isinstance(first, Mapping):
            fail(f"{reason_of(error)}: {question_text(first)}")
        raise


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "cli"
