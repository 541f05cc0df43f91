"""The form for an answer."""

from __future__ import annotations

from typing import Any

import pytest

from ark_broker.cli.form import ask_for


def typed(question: dict[str, Any], *lines: str) -> Any:
    """The answer of somebody who types these lines, all of them."""
    left = list(lines)
    answer = ask_for({"id": "q1", "text": "Deploy?"} | question, lambda _label: left.pop(0))
    assert left == []
    return answer


def test_a_choice_is_made_by_number_or_by_text() -> None:
    options = {"options": ["yes", "no", 3, {"n": 1}]}

    assert typed(options, "no") == "no"
    assert typed(options, "1") == "yes"
    assert typed(options, "3") == 3
    assert typed(options, "4") == {"n": 1}
    assert typed(options, "maybe", "0", "9", "²", "2") == "no"


@pytest.mark.parametrize(
    ("schema", "lines", "answer"),
    [
        ({"type": "boolean"}, ["perhaps", "Y"], True),
        ({"type": "boolean"}, ["no"], False),
        ({"type": "integer"}, ["3.5", "3"], 3),
        ({"type": "number"}, ["nan", "inf", "1e999", "3.5"], 3.5),
        ({"type": "string"}, ["3"], "3"),
        ({"enum": ["a", "b"]}, ["2"], "b"),
        ({"const": 7}, [], 7),
        ({"type": "array"}, ["x", "[1]"], [1]),
        ({"type": ["string", "null"]}, ["null"], None),
        ({}, ["3"], 3),
        ({}, ["go"], "go"),
    ],
)
def test_a_value_is_what_the_schema_wants(schema: dict[str, Any], lines: list[str], answer: Any) -> None:
    assert typed({"schema": schema}, *lines) == answer


def test_an_object_is_asked_for_field_by_field_and_optional_ones_may_be_left_out() -> None:
    schema = {
        "type": "object",
        "required": ["approved"],
        "properties": {
            "approved": {"type": "boolean", "title": "Approve?"},
            "comment": {"type": "string", "description": "For the log."},
            "count": {"type": "integer"},
        },
    }

    assert typed({"schema": schema}, "yes", "", "3") == {"approved": True, "count": 3}
    assert typed({"schema": schema}, "no", "not now", "") == {"approved": False, "comment": "not now"}


def test_hostile_text_is_only_shown(capsys: pytest.CaptureFixture[str]) -> None:
    typed({"text": "\x1b[2Jgone", "context": "a\nb\x9b31m", "options": ["\x1b]52;c;x\x07"]}, "1")

    shown = capsys.readouterr().out
    assert all(each.isprintable() or each == "\n" for each in shown)
