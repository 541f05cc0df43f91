"""`printable` and JSON for terminals."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.cli.render.printable import escape_json, json_line, printable
from tests.cli.hostile import HOSTILE

_JOINERS = "\u200c\u200d"


def is_safe(text: str) -> bool:
    """Whether a terminal would only show it: no control, format, separator, surrogate or unassigned character."""
    return all(
        each == " " or each in _JOINERS or unicodedata.category(each)[0] not in ("C", "Z") or each == "\n"
        for each in text
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_hostile_is_left(text: str) -> None:
    assert is_safe(printable(text))
    assert "\n" not in printable(text)
    assert is_safe(printable(text, lines=True))
    assert is_safe(json_line({text: text}))


def test_what_was_there_is_shown_as_an_escape() -> None:
    assert printable("\x1b[2J\u202e\x9b\x7f\U000e0041\ud800") == r"\x1b[2J\u202e\x9b\x7f\U000e0041\ud800"


def test_people_s_writing_stays_as_it_is() -> None:
    for text in ("Grüße", "日本語", "עברית", "न्\u200dय", "👩\u200d👩\u200d👧", "e\u0301", "→ ✓"):
        assert printable(text) == text


def test_line_breaks_and_tabs_stay_only_where_several_lines_are_wanted() -> None:
    assert printable("a\nb\tc\r\nd") == "a b c\\x0d d"
    assert printable("a\nb\tc\r\nd\re", lines=True) == "a\nb    c\nd\\x0de"


@given(st.text(st.characters()))
def test_any_text_is_safe_and_json_stays_the_same_value(text: str) -> None:
    assert is_safe(printable(text))
    assert is_safe(printable(text, lines=True))
    assert is_safe(json_line(text))
    assert json.loads(json_line(text)) == text
    assert is_safe(escape_json(json.dumps(text, ensure_ascii=False)))
