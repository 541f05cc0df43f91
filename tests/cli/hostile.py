"""Texts that try to command a terminal, or to look like something they are not."""

from __future__ import annotations

from typing import Final

HOSTILE: Final = {
    "clear screen": "\x1b[2J\x1b[Hgone",
    "colour": "\x1b[31mred\x1b[0m",
    "title, OSC 0": "\x1b]0;owned\x07",
    "hyperlink, OSC 8": "\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\",
    "clipboard, OSC 52": "\x1b]52;c;cm0gLXJmIH4K\x07",
    "device status report": "\x1b[6n",
    "application program command": "\x1b_payload\x1b\\",
    "DCS": '\x1bP$q"p\x1b\\',
    "C1 CSI": "\x9b31mred",
    "C1 OSC": "\x9d52;c;cm0=\x9c",
    "carriage return": "done\rfake",
    "crlf": "done\r\n+-- fake (done)",
    "backspace": "safe\b\b\b\bevil",
    "vertical tab, form feed": "a\x0bb\x0cc",
    "bell, null, delete": "\x07\x00\x7f",
    "shift out": "\x0eqqq\x0f",
    "bidi override": "user\u202egnp.exe",
    "bidi isolate": "\u2066admin\u2069",
    "directional marks": "\u200e\u200f\u061c",
    "line and paragraph separator": "a\u2028b\u2029c",
    "lone surrogates": "a\ud800b\udfff",
    "tag characters": "\U000e0041\U000e0042",
    "invisible operators, BOM": "\u2060\u2061\ufeff",
    "interlinear annotation": "\ufff9a\ufffab\ufffb",
    "private use": "\ue000\U000f0000",
    "next line": "a\x85b",
    "sequence in pieces": "\x1b",
    "rich markup": "[bold red]ERROR[/bold red] [link=http://evil.example]x[/link] [/]",
    "rich emoji": ":skull: :warning:",
}
