"""Operators' regular expressions: only what is matched in bounded time, and what tells early that nothing matches.

Accepted is a part of Python's syntax: literals, classes, `.`, `\\d \\w \\s \\b`, anchors, groups, alternatives, and
repeats. A repeat of something that is itself variable is refused, and so are back references and lookarounds. Repeats
without an upper bound may only stand at the very end, where nothing behind them can fail. So the work for each
character of the text is bounded by `MAX_CHOICES`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_PATTERN: Final = 256
#: Ways of matching that may have to be tried at one place of the text.
MAX_CHOICES: Final = 1_000
#: Characters that the bounded part of a pattern may be long.
MAX_WIDTH: Final = 2_000
#: A gate shorter than this lets nearly everything through.
_MIN_GATE: Final = 3
_MAX_COUNT: Final = 12
_COUNT: Final = re.compile(r"\{([0-9]{0,4})(,?)([0-9]{0,4})\}")
_CLASS: Final = re.compile(r"\[(\^?)\]?(?:[^\\\[\]]|\\.)*\]", re.DOTALL)
_SETS: Final = re.compile(r"--|&&|\|\||~~")
#: What JSON may write in another way than as itself; `/` and letters can be escaped too, see `ESCAPED`.
_ESCAPED_BY_JSON: Final = frozenset([*map(chr, range(32)), '"', "\\", "\x7f"])
#: JSON's ways of hiding an ASCII character: `\u0041`, `\/`. Where one is, the text must be read to be judged.
ESCAPED: Final = r"\\u00[2-7]|\\/"


class Refused(Exception):  # noqa: N818 - reads as what it says
    """The expression is not accepted; the text says why."""


@dataclass(frozen=True, slots=True)
class SafePattern:
    """A compiled expression, and a gate: a Rust expression that matches every JSON text which holds a match.

    The gate is None where none can be made: then every text must be looked at.
    """

    regex: re.Pattern[str]
    gate: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    """What is known of a piece of the expression. `gate` covers all of it where `whole`, else a piece of it."""

    least: int
    most: int
    choices: int
    gate: str | None
    whole: bool
    #: Shortest text that the gate matches.
    gated: int
    repeatable: bool = True


_NOTHING: Final = _Part(0, 0, 1, "", True, 0, repeatable=False)


def compile_safely(pattern: str) -> SafePattern:
    """Raises Refused, with the reason."""
    if not 0 < len(pattern) <= MAX_PATTERN:
        raise Refused(f"must have 1 to {MAX_PATTERN} characters")
    ignores_case = pattern.startswith("(?i)")
    text = pattern.removeprefix("(?i)")
    part = _Reader(text).read()
    try:
        regex = re.compile(text, re.ASCII | (re.IGNORECASE if ignores_case else 0))
    except (re.error, OverflowError, RecursionError) as error:
        raise Refused(f"not a regular expression: {error}") from None
    if part.least == 0 or regex.match("") is not None:
        raise Refused("matches the empty text, and so everywhere")
    gate = part.gate if part.gated >= _MIN_GATE else None
    return SafePattern(regex, f"(?i:{gate})" if gate is not None and ignores_case else gate)


class _Reader:
    """Recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> _Part:
        part = self._alternatives()
        if self._at < len(self._text):
            raise Refused(f"unbalanced ')' at position {self._at}")
        if part.choices > MAX_CHOICES:
            raise Refused(f"could match in more than {MAX_CHOICES:,} ways at one place: bound it more")
        if part.most > MAX_WIDTH:
            raise Refused(f"its bounded part may match {part.most} characters (at most {MAX_WIDTH})")
        return part

    def _alternatives(self) -> _Part:
        branches = [self._sequence()]
        while self._text[self._at : self._at + 1] == "|":
            self._at += 1
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        gates = [branch.gate for branch in branches if branch.gate]
        gated = len(gates) == len(branches)
        return _Part(
            min(branch.least for branch in branches),
            max(branch.most for branch in branches),
            sum(branch.choices for branch in branches),
            "(?:" + "|".join(gates) + ")" if gated else None,
            gated and all(branch.whole for branch in branches),
            min(branch.gated for branch in branches) if gated else 0,
        )

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._repeated())
        choices = 1
        for part in parts:
            choices = min(choices * part.choices, MAX_CHOICES + 1)
        gate, gated, whole = _gate_of(parts)
        return _Part(sum(p.least for p in parts), sum(p.most for p in parts), choices, gate, whole, gated)

    def _repeated(self) -> _Part:
        part = self._atom()
        start = self._at
        least, most = self._bounds()
        if self._at == start:
            return part
        suffix = self._text[start : self._at]
        if self._text[self._at : self._at + 1] == "?":
            self._at += 1
        if self._text[self._at : self._at + 1] in ("*", "+", "?", "{"):
            raise Refused(f"nested quantifiers at position {self._at}: one repeat of another")
        if not part.repeatable:
            raise Refused(f"nothing to repeat at position {start}")
        if part.choices > 1 and (least, most) != (0, 1):
            raise Refused(f"nested quantifiers at position {start}: a repeat of what is itself variable")
        is_last = self._at == len(self._text)
        if most is None and not is_last:
            raise Refused(f"'{suffix}' at position {start} has no upper bound: say one, as in {{{least},64}}")
        width = part.most * (least if most is None else most)
        # What ends the expression takes what it can get, and nothing can make it give back.
        choices = 1 if most is None or is_last else most - least + part.choices
        gate = None if part.gate is None or not part.whole else f"(?:{part.gate}){_count_of(least, most)}"
        return _Part(part.least * least, width, choices, gate, gate is not None, part.gated * min(least, _MAX_COUNT))

    def _bounds(self) -> tuple[int, int | None]:
        mark = self._text[self._at : self._at + 1]
        if mark in ("*", "+", "?"):
            self._at += 1
            return (1 if mark == "+" else 0), (1 if mark == "?" else None)
        if mark != "{":
            return 1, 1
        found = _COUNT.match(self._text, self._at)
        if found is None or found[1] + found[3] == "" or (found[1] == "" and found[2] == ""):
            raise Refused(f"'{{' at position {self._at} is not a count: write \\{{ for the character")
        self._at = found.end()
        least = int(found[1] or 0)
        most = least if not found[2] else int(found[3]) if found[3] else None
        if most is not None and most < least:
            raise Refused(f"'{found[0]}' has its bounds the wrong way round")
        return least, most

    def _atom(self) -> _Part:
        mark = self._text[self._at]
        match mark:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case "*" | "+" | "?" | "{":
                raise Refused(f"nothing to repeat at position {self._at}")
        self._at += 1
        match mark:
            case "^" | "$":
                return _NOTHING
            case ".":
                return _Part(1, 1, 1, None, False, 0)
        return _literal(mark)

    def _group(self) -> _Part:
        start = self._at
        if self._text.startswith("(?:", start):
            self._at += 3
        elif self._text.startswith("(?", start):
            mark = self._text[start : start + 4]
            raise Refused(f"'{mark}' at position {start}: lookarounds, names and flags of groups")
        else:
            self._at += 1
        part = self._alternatives()
        if self._text[self._at : self._at + 1] != ")":
            raise Refused(f"the group at position {start} is not closed")
        self._at += 1
        return part

    def _class(self) -> _Part:
        found = _CLASS.match(self._text, self._at)
        if found is None:
            raise Refused(f"the class at position {self._at} is not closed, or holds an unescaped '['")
        if _SETS.search(found[0]):
            raise Refused(f"the class at position {self._at} holds a doubled '-', '&', '|' or '~': escape it")
        self._at = found.end()
        return _members(found[0], is_open=bool(found[1]) or not found[0].isascii())

    def _escape(self) -> _Part:
        mark = self._text[self._at + 1 : self._at + 2]
        place = self._at
        self._at += 2
        match mark:
            case "":
                raise Refused("ends with a backslash")
            case "b":
                return _NOTHING
            case "d" | "w" | "s":
                return _members("\\" + mark, is_open=False)
            case "D" | "W" | "S":
                return _Part(1, 1, 1, None, False, 0)
            case "n" | "r" | "t":
                return _Part(1, 1, 1, None, False, 0)
        if mark.isdigit():
            raise Refused(f"a back reference at position {place}")
        if mark.isalpha():
            raise Refused(f"'\\{mark}' at position {place}: only \\b \\d \\D \\n \\r \\s \\S \\t \\w \\W")
        return _literal(mark)


def _literal(mark: str) -> _Part:
    if mark in _ESCAPED_BY_JSON or not mark.isascii():
        return _Part(1, 1, 1, None, False, 0)
    return _Part(1, 1, 1, _as_rust(mark), True, 1)


def _members(text: str, *, is_open: bool) -> _Part:
    """A class: its gate names the ASCII characters in it, one by one."""
    try:
        regex = re.compile(text, re.ASCII)
    except re.error as error:
        raise Refused(f"not a class: {error}") from None
    members = [mark for mark in map(chr, range(128)) if regex.fullmatch(mark)]
    if is_open or not members or not _ESCAPED_BY_JSON.isdisjoint(members):
        return _Part(1, 1, 1, None, False, 0)
    return _Part(1, 1, 1, "[" + "".join(map(_as_rust, members)) + "]", True, 1)


def _as_rust(mark: str) -> str:
    return mark if mark.isalnum() else f"\\x{ord(mark):02x}"


def _gate_of(parts: list[_Part]) -> tuple[str | None, int, bool]:
    """The gate of a sequence: that of the longest run of its parts which has one. Also its length, and: is it all?"""
    runs: list[tuple[int, str, bool]] = []
    run, gated = "", 0
    for part in parts:
        if part.gate is not None and part.whole:
            run, gated = run + part.gate, gated + part.gated
            continue
        runs.append((gated, run, False))
        if part.gate is not None:
            runs.append((part.gated, part.gate, False))
        run, gated = "", 0
    if not runs:
        return run, gated, True
    runs.append((gated, run, False))
    length, gate, _ = max(runs, key=lambda found: found[0])
    return (gate, length, False) if gate else (None, 0, False)


def _count_of(least: int, most: int | None) -> str:
    """A count for the gate. It lets more through than the expression's own: large counts make large automata."""
    if most == least and least <= _MAX_COUNT:
        return f"{{{least}}}"
    return f"{{{min(least, _MAX_COUNT)},}}"


def literal_gate(text: str) -> str:
    """A gate for a printable ASCII text, in any case."""
    return "(?i:" + "".join(map(_as_rust, text)) + ")"
