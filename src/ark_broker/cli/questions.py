"""`ark-broker questions` and `ark-broker answer`: what waits for a person, and the person's answer."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ark_broker.cli.connection import bearer
from ark_broker.cli.demo import DEFAULT_URL

if TYPE_CHECKING:
    import httpx

_Url = Annotated[str, typer.Option(envvar="ARK_BROKER_URL", metavar="URL", help="The broker.")]


def questions(
    url: _Url = DEFAULT_URL,
    session: Annotated[str | None, typer.Option(help="Only those of this session.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, one a line.")] = False,
) -> None:
    """List the questions that wait for an answer, newest first.

    Exit code 1: the broker is not there.
    """
    params: dict[str, Any] = {"limit": 1000}
    if session is not None:
        params["session"] = session
    if not every:
        params["state"] = "open"
    found = _ask(url, "GET", "/v1/questions", params=params)["items"]
    if as_json:
        for question in found:
            typer.echo(json.dumps(question, ensure_ascii=False))
        return
    if not found:
        typer.echo("nothing waits for an answer" if not every else "no questions")
    for question in found:
        typer.echo(_line(question))


def answer(
    question: Annotated[str, typer.Argument(help="Id of the question, or its ark:// URI.")],
    value: Annotated[str, typer.Argument(help="The answer: JSON, or plain text.")],
    url: _Url = DEFAULT_URL,
    by: Annotated[str | None, typer.Option(help="Who answers.", show_default="the user")] = None,
) -> None:
    """Answer a question. The first answer counts.

    `ark-broker answer 6f1c… yes` answers with the text `yes`; a value that is JSON (`true`, `3`, `{"n": 1}`) is taken
    as that. To answer with such a text, quote it as JSON: `'"3"'`.

    Exit code 1: somebody was faster, the answer is not what was asked for, or the broker is not there.
    """
    name = question.removeprefix("ark://questions/")
    content = {"answer": _value(value), "answeredBy": by or _user()}
    given = _ask(url, "POST", f"/v1/questions/{_quoted(name)}/answer", json=content)
    typer.echo(f"answered: {_line(given)}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "cli"


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _line(question: dict[str, Any]) -> str:
    """One question in one line: what telemetry says may hold anything, so nothing but printable text goes out."""
    parts = [question["id"], question["state"]]
    where = "/".join(question[key] for key in ("session", "query") if key in question)
    parts += [where] if where else []
    text = question.get("text", "")
    if "options" in question:
        text += f" {json.dumps(question['options'], ensure_ascii=False)}"
    if "answer" in question:
        text += f" → {json.dumps(question['answer'], ensure_ascii=False)}"
    parts.append(text)
    return "  ".join("".join(each if each.isprintable() else " " for each in part) for part in parts)


def _ask(url: str, method: str, path: str, **request: Any) -> dict[str, Any]:
    import httpx

    try:
        response = httpx.request(method, url.rstrip("/") + path, timeout=30, headers=bearer(), **request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _fail(f"cannot reach the broker at {url}: {error}")
    if not response.is_success:
        _fail(_reason(response))
    found: dict[str, Any] = response.json()
    return found


def _reason(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        reason = str(error["message"])
    except (ValueError, KeyError, TypeError):
        return f"the broker answered {response.status_code}"
    first = error.get("question")
    return f"{reason}: {_line(first)}" if isinstance(first, dict) else reason


def _fail(message: str) -> NoReturn:
    typer.echo(f"ark-broker: {message}", err=True)
    raise typer.Exit(1)
