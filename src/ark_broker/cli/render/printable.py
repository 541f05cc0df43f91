"""Text that somebody else wrote, made safe for a terminal.

What a terminal would obey rather than show is shown as an escape: `\\x1b`, `\\u202e`. That is every control character
(C0, DEL, C1), every format character (bidirectional overrides and isolates, tags, invisible operators), line and
paragraph separators, lone surrogates, private and unassigned code points. Each character is looked at by itself, so a
sequence that comes in pieces is as harmless as a whole one.
"""

from __future__ import annotations

import json
from typing import Any, Final

#: Joiners: format characters that scripts and emoji are written with, and that move nothing.
_JOINERS: Final = "\u200c\u200d"
_TAB: Final = "    "


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with nothing in it that a terminal obeys; on one line, or with `lines` on as many as it has.

    Tabs become spaces, so that columns stay where they are.
    """
    if text.isprintable():
        return text
    if lines:
        text = text.replace("\r\n", "\n")
    return "".join(_shown(character, lines=lines) for character in text)


def json_line(value: Any) -> str:
    """`value` as JSON on one line, where nothing is left that a terminal obeys: the escapes are JSON's own.

    Whoever parses it gets the same value.
    """
    return escape_json(json.dumps(value, ensure_ascii=False))


def escape_json(document: str) -> str:
    """A JSON document without line breaks, with every character that is not printable as a `\\u` escape."""
    if document.isprintable():
        return document
    return "".join(each if each.isprintable() or each in _JOINERS else _json_escape(each) for each in document)


def _shown(character: str, *, lines: bool) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if character == "\t":
        return _TAB if lines else " "
    if character == "\n":
        return "\n" if lines else " "
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
