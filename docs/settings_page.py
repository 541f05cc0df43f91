"""Writes docs/settings.md from the settings class; with `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import annotated_types
from pydantic.fields import FieldInfo

from ark_broker.settings import Settings, choices, format_size, takes_size, variable

PAGE = Path(__file__).with_name("settings.md")

_TOP = """\
<!-- Written by `make docs` from src/ark_broker/settings.py; edit that. -->

# Settings

The broker reads its settings from the environment, and only from there. `make run` hands the environment
through; `ark-broker serve` has options for the five most used, which come before the variables.

A value that is not allowed stops the start with one line that names the variable, and exit code 2. A variable
that starts with `ARK_BROKER_` and is not in this table is named in a warning at start. An empty variable
counts as not set. Sizes are bytes, or `64MiB`, `1GB`; times are seconds unless the name says otherwise.

| Variable | Default | Allowed | Meaning |
| --- | --- | --- | --- |
"""

_BOTTOM = """
Read by other programs:

| Variable | By | Meaning |
| --- | --- | --- |
| `ARK_BROKER_URL` | `ark-broker demo` | The broker to play the demo into. |
| `ARK_BROKER_TEST_POSTGRES_URL` | the tests | An existing PostgreSQL server to make the test databases on, \
instead of one that the test run starts. Its user must be allowed to create databases. |
"""


def page() -> str:
    """The whole page."""
    rows = (
        f"| `{variable(name)}` | {_default(name, field)} | {_allowed(name, field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )
    return _TOP + "".join(rows) + _BOTTOM


def _default(name: str, field: FieldInfo) -> str:
    if not field.default and field.default != 0:
        return ""
    return f"`{_number(name, field.default)}`"


def _allowed(name: str, field: FieldInfo) -> str:
    words = choices(name)
    if words:
        return ", ".join(f"`{word}`" for word in words)
    low = next((limit.ge for limit in field.metadata if isinstance(limit, annotated_types.Ge)), None)
    high = next((limit.le for limit in field.metadata if isinstance(limit, annotated_types.Le)), None)
    return "" if low is None or high is None else f"{_number(name, low)} – {_number(name, high)}"


def _number(name: str, value: Any) -> str:
    return format_size(value) if takes_size(name) else str(value)


def main(arguments: list[str]) -> int:
    """Exit code: 1 where `--check` found the page out of date."""
    wanted = page()
    if arguments == ["--check"]:
        if PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        sys.stderr.write("docs/settings.md is out of date: run `make docs`\n")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
