"""A form on the terminal, made from what a question wants: a choice, or one field after the other of its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from ark_broker.cli.answer import value_of
from ark_broker.cli.output import write_line
from ark_broker.cli.render.printable import printable
from ark_broker.cli.render.values import plain, quoted
from ark_broker.cli.strict_json import finite

_YES = ("y", "yes", "true")
_NO = ("n", "no", "false")
Prompt = Callable[[str], str]


def ask_for(question: Mapping[str, Any], prompt: Prompt | None = None) -> Any:
    """Show the question, and ask until the answer can be one. `prompt` reads one line.

    Raises KeyboardInterrupt where the person leaves.
    """
    asking = prompt or _prompt
    write_line(printable(str(question.get("text") or question["id"]), lines=True))
    if question.get("context"):
        write_line(printable(str(question["context"]), lines=True))
    if question.get("options"):
        return _choice("answer", question["options"], asking)
    schema = question.get("schema")
    return _value("answer", schema if isinstance(schema, Mapping) else {}, asking)


def _value(name: str, schema: Mapping[str, Any], prompt: Prompt) -> Any:
    """A value that the schema describes. What a form cannot express is asked for as JSON; the broker checks it."""
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return _choice(name, schema["enum"], prompt)
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    properties = schema.get("properties")
    if kind == "object" and isinstance(properties, Mapping):
        return _object(name, schema, properties, prompt)
    if kind == "boolean":
        return _until(f"{name} (yes/no)", _boolean, prompt)
    if kind == "integer":
        return _until(f"{name} (a whole number)", int, prompt)
    if kind == "number":
        return _until(f"{name} (a number)", finite, prompt)
    if kind == "string":
        return prompt(name)
    if kind is None:
        return value_of(prompt(name))
    return _until(f"{name} (JSON: {plain(kind)})", _json, prompt)


def _object(name: str, schema: Mapping[str, Any], properties: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    found: dict[str, Any] = {}
    for key, part in properties.items():
        below = part if isinstance(part, Mapping) else {}
        label = printable(str(below.get("title") or key))
        if below.get("description"):
            write_line(f"  {plain(below['description'], most=None)}")
        if key in needed:
            found[key] = _value(label, below, prompt)
            continue
        answer = _optional(label, below, prompt)
        if answer is not None:
            found[key] = answer[0]
    return found


def _optional(label: str, schema: Mapping[str, Any], prompt: Prompt) -> tuple[Any] | None:
    """The value in a tuple; None where the person leaves it out."""

    def first(text: str) -> str:
        typed = prompt(f"{text}, empty to leave it out")
        if not typed:
            raise _LeftOutError
        return typed

    try:
        return (_value(label, schema, first),)
    except _LeftOutError:
        return None


class _LeftOutError(Exception):
    """Nothing was typed for a field that is not required."""


def _choice(name: str, options: Sequence[Any], prompt: Prompt) -> Any:
    for number, option in enumerate(options, 1):
        write_line(f"  {number}) {plain(option)}")
    shown = {plain(option): option for option in reversed(options)}

    def pick(text: str) -> Any:
        if text in shown:
            return shown[text]
        if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= len(options):
            return options[int(text) - 1]
        raise ValueError(text)

    return _until(f"{name} (1-{len(options)})", pick, prompt)


def _until(label: str, parse: Callable[[str], Any], prompt: Prompt) -> Any:
    while True:
        typed = prompt(label)
        try:
            return parse(typed.strip())
        except ValueError:
            write_line(f"  {quoted(typed)} cannot be the answer")


def _boolean(text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError(text)


def _json(text: str) -> Any:
    found = value_of(text)
    if isinstance(found, str) and found == text:
        raise ValueError(text)
    return found


def _prompt(label: str) -> str:
    try:
        text: str = typer.prompt(label, default="", show_default=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    return text
