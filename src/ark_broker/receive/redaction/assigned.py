"""Secrets that a text assigns to a name: `API_KEY=…`, `password: …`, `--password …`, `?token=…`, lines of headers.

What is assigned with `=` counts, unless it can be seen that it is none: empty, a reference, a type, a call. A colon
also stands in sentences: behind it the value has to look like one.

Every expression here is bounded, or goes over what is then left behind: the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

#: The rule for a name, None for no rule; told whether the name is that of a query's parameter.
RuleOf = Callable[[str, bool], str | None]

#: Bundled rules for parameters of a query whose names tell nothing elsewhere.
_QUERY_NAMES: Final = {
    "token": "token",
    "auth": "token",
    "jwt": "token",
    "sig": "signature",
    "signature": "signature",
    "hmac": "signature",
}
_QUERY_ENDS: Final = ("-signature", "_signature", "-sig", "_sig")
#: Matches every JSON text with such a parameter in it, as Rust expression.
QUERY_GATE: Final = rf"(?:[?&#;](?i:{'|'.join(_QUERY_NAMES)})|[\-_](?i:sig|signature))="
#: What stands behind a name to which something is assigned, or which is a member's.
ASSIGNED_GATE: Final = r"(?:\\*[\"'`]|(?:[ \t]|\\+t)*[=:])"
#: A name's first characters, where a value may follow it without a sign.
FLAG_GATE: Final = r"--[A-Za-z0-9_.\-]*"
#: What then stands behind it.
FLAG_END_GATE: Final = r"(?:[ \t]|\\+t)"

_NAME: Final = re.compile(
    r"""(?<![A-Za-z0-9_.\-])(?:(?<=\\)[nrt])?+
    (?:
      (?P<flag>--[A-Za-z0-9][A-Za-z0-9_.\-]{0,126}+)[ \t]{1,8}+(?=[^\s\-=:|&;<>])
    | (?P<name>[A-Za-z0-9_.\-]{1,128}+)
      (?P<quoted>\\{0,4}["'`]\]?)?
      [ \t]{0,8}(?P<sign>:=|=>|=(?![=>~])|:(?![:=]))(?P<space>[ \t]{0,8}+)
    )""",
    re.VERBOSE,
)
_QUOTE: Final = re.compile(r"\\{0,4}[\"'`]")
_END: Final = r"(?=\.?(?:[\s\"'`,;&)\]}|<>\\]|$))"
_AT_END: Final = re.compile(_END)
#: Signs that end a value only where something follows that is no part of it.
_SIGN: Final = r"[&;,)\]}|<>]"
_FOLLOWS: Final = r"(?:[\s\"'`&;,)\]}|<>\\]|$|[A-Za-z_][A-Za-z0-9_.\-]{0,63}+[=:]|/?[a-z]{1,10}>|/[a-z]|amp;)"
_PIECE: Final = rf"(?:[^\s\"'`&;,)\]}}|<>\\]|(?!{_SIGN}{_FOLLOWS}){_SIGN}|\\(?![nrt\"'`\\]))"
_RUN: Final = re.compile(rf"{_PIECE}*+")
#: Names of one text that are looked behind.
MOST_NAMES: Final = 2_000
#: As far as a value is looked at to judge it.
_JUDGED: Final = 200
_SHORT_RUN: Final = re.compile(rf"{_PIECE}{{0,{_JUDGED}}}+")
_QUERY_RUN: Final = re.compile(r"[^\s\"'`&#<>\\)\]}|]*+")
#: What is in quotes ends with its line, where the closing one is missing. By the quote that opened it.
_LINE: Final = re.compile(r"[^\r\n]*+")
_WITHIN: Final = {quote: re.compile(rf"(?:\\[^\r\n]|[^\\\r\n{quote}])*+") for quote in ("'", '"', "`")}
_SCHEME: Final = re.compile(
    r"(?:basic|bearer|digest|negotiate|ntlm|token|api-?key|hmac|hawk|oauth|signature|aws4-hmac-sha256)[ \t]{1,4}",
    re.IGNORECASE,
)
_COOKIE: Final = re.compile(r"[^\s=;\"'`]{1,128}+=")

#: Values that hide nothing.
_WORDS: Final = (
    *("none", "null", "nil", "true", "false", "undefined", "yes", "no", "ok", "on", "off", "empty", "unset", "set"),
    *("str", "string", "bytes", "int", "integer", "float", "number", "bool", "boolean", "any", "object", "unknown"),
    *("never", "void", "optional", "required", "missing", "invalid", "expired", "enabled", "disabled", "secretstr"),
    *("secretbytes", "hidden", "masked", "redacted", "self", "cls"),
)
_NOTHING: Final = re.compile(
    rf"(?:{'|'.join(_WORDS)}){_END}"
    rf"|\$[A-Za-z_][A-Za-z0-9_]{{0,64}}{_END}|\$[({{]|\{{\{{|%[A-Za-z_]{{1,64}}%|%\([a-z]"
    rf"|<[^<>\r\n\"']{{1,64}}>|[\w\-]{{0,12}}(?:\.\.\.|\u2026)|[*\u2022]{{3}}|x{{3,64}}{_END}",
    re.IGNORECASE,
)
#: A call, an index, a type with parameters; a variable; a container.
_CODE: Final = re.compile(
    r"[A-Za-z_][A-Za-z0-9_.]{0,80}[\[(][^()\[\]\r\n]{0,80}[)\]](?=[\s,;)\]}.\[(|?\"'`]|$)"
    r"|(?:self|cls|this|os|process|settings|config|cfg|env|environ|args|opts|options|ctx|context|request|req|secrets"
    rf"|var|vars|local|data|props|state|params|import)(?:\.[A-Za-z_][A-Za-z0-9_]{{0,64}}){{1,6}}{_END}"
    r"|[\[{]"
)
#: What follows is assigned to the next name: this one was given nothing.
_NEXT: Final = re.compile(r"(?<=[ \t])[A-Za-z_][A-Za-z0-9_]{0,64}+=(?!=)")
_DIRECTORY: Final = re.compile(r"[~/]|[A-Za-z]:[\\/]")
#: Names that are words of English: a colon behind one may be that of a sentence.
_ENGLISH: Final = frozenset(
    {
        *("authorization", "cookie", "cookies", "credential", "credentials"),
        *("passcode", "passphrase", "password", "passwords", "secret"),
    }
)
_BEGINS: Final = re.compile(r"(?:^|[\n\r\"'`({\[,;|]|\\[nrt])[ \t>*+<#-]{0,16}\Z")
_ENDS: Final = re.compile(r"[ \t]{0,8}(?:$|[\r\n\"'`,;)\]}|<>\\])")
_PLAIN_WORD: Final = re.compile(r"[A-Za-z]?[a-z']*[.!?:]?")
_MIXED: Final = re.compile(r"(?=.{6})(?!\w{1,16}://)(?=[^0-9]{0,199}[0-9])(?=[^A-Za-z]{0,199}[A-Za-z])")
_QUERY_SIGNS: Final = frozenset("?&#")
_QUOTES: Final = frozenset("'\"`")


class Found(NamedTuple):
    """Where a value stands in the text, and the rule that removes it."""

    start: int
    end: int
    rule: str


def query_rule(name: str) -> str | None:
    """The bundled rule for a parameter of a query, besides those for every name."""
    lowered = name.lower()
    return _QUERY_NAMES.get(lowered) or ("signature" if lowered.endswith(_QUERY_ENDS) else None)


def assigned(text: str, rule_of: RuleOf, replacements: tuple[str, ...]) -> Iterator[Found]:
    """Secret values, in order and without overlap. A value that is one of the `replacements` is none any more.

    Behind `MOST_NAMES` secret names the rest of the text counts as one value: each takes time, and who writes so many
    into one text has a reason.
    """
    at = names = 0
    while (found := _NAME.search(text, at)) is not None:
        at = found.end()
        flag, name, quoted, sign, space = found.groups()
        begin = found.start(1 if name is None else 2)
        before = text[begin - 1 : begin] if begin else ""
        in_query = sign == "=" and (before in _QUERY_SIGNS or (before == ";" and text.endswith("&amp;", 0, begin)))
        rule = rule_of(flag or name, in_query)
        if rule is None:
            continue
        names += 1
        if names > MOST_NAMES:
            yield Found(at, len(text), rule)
            return
        place = _Place(text, flag or name, begin, at, sign, bool(space), quoted is not None, in_query)
        value = place.value(rule)
        if value is not None and text.startswith(replacements, value[0]):
            value = place.behind(value[0], replacements)
        if value is not None and value[0] < value[1]:
            yield Found(*value, rule)
            at = value[1]


@dataclass(slots=True)
class _Place:
    """A name in the text, and what is assigned to it."""

    _text: str
    name: str
    _start: int
    #: Where the value begins, with its quote.
    _at: int
    #: `=`, `:` or another; None behind the name of a flag.
    _sign: str | None
    _is_spaced: bool
    #: Whether the name is in quotes, as that of a member is.
    _is_quoted: bool
    _in_query: bool

    @property
    def _before(self) -> str:
        return self._text[self._start - 1 : self._start] if self._start else ""

    @property
    def _opening(self) -> str:
        """The quote that the name follows at once: it holds the value as well."""
        return self._before if self._before in _QUOTES else ""

    def value(self, rule: str) -> tuple[int, int] | None:
        """Where the value begins and ends; None where there is none to hide."""
        quote = _QUOTE.match(self._text, self._at)
        start = self._at if quote is None else quote.end()
        if quote is not None and quote[0] == self._opening and not self._is_quoted:
            return None
        if self._is_nothing(start, is_bare=quote is None):
            return None
        if quote is not None:
            return (start, _closing(self._text, start, quote[0])) if self._is_meant(start, rule, bare=False) else None
        if self._in_query:
            return start, self._end_of_run(start)
        if (line := self._line(start, rule)) is not None:
            return start, line
        return (start, self._end_of_run(start)) if self._is_meant(start, rule, bare=True) else None

    def behind(self, start: int, replacements: tuple[str, ...]) -> tuple[int, int] | None:
        """A value that begins with what was put in its place before: all of it, None where no more is there."""
        end = start + max(len(each) for each in replacements if self._text.startswith(each, start))
        quote = _QUOTE.match(self._text, self._at)
        rest = self._end_of_run(end) if quote is None else _closing(self._text, end, quote[0])
        return (start, rest) if rest > end else None

    def _end_of_run(self, start: int) -> int:
        found = (_QUERY_RUN if self._in_query else _RUN).match(self._text, start)
        assert found is not None  # both match the empty text
        return found.end()

    def _is_nothing(self, start: int, *, is_bare: bool) -> bool:
        text = self._text
        if _NOTHING.match(text, start) is not None or (self._sign == "=" and _NEXT.match(text, start) is not None):
            return True
        last = self.name.rpartition(".")[2].rpartition("-")[2]
        if last in ("PWD", "pwd") and _DIRECTORY.match(text, start) is not None:
            return True
        # `API_KEY=x(y)` is how an environment is told, and no code.
        if not is_bare or self._in_query or (self._sign == "=" and not self._is_spaced and self.name.isupper()):
            return False
        is_itself = text.startswith(last, start) and _AT_END.match(text, start + len(last)) is not None
        return is_itself or _CODE.match(text, start) is not None

    def _line(self, start: int, rule: str) -> int | None:
        """The end of a header's value that has several words; None where it is none."""
        text = self._text
        scheme = _SCHEME.match(text, start) if rule == "authorization" else None
        if scheme is not None and self._sign != ":":
            return self._end_of_run(scheme.end())
        is_header = scheme is not None or (rule == "cookie" and _COOKIE.match(text, start) is not None)
        if not is_header or self._sign != ":" or self._is_quoted or not self._begins():
            return None
        if self._opening:
            return _closing(text, start, self._opening)
        found = _LINE.match(text, start)
        return None if found is None else found.end()

    def _begins(self) -> bool:
        """Whether the name stands where a line, or a member, begins."""
        return self._start == 0 or _BEGINS.search(self._text[max(0, self._start - 20) : self._start]) is not None

    def _is_meant(self, start: int, rule: str, *, bare: bool) -> bool:
        """Whether the value is one, and no sentence goes on."""
        text = self._text
        if self._sign not in (":", None):
            return True
        if not bare and self._sign is None:
            return True
        if self._sign == ":" and not self._is_spaced and self._before in ("/", ":", "@"):
            return False
        found = _SHORT_RUN.match(text, start)
        run = "" if found is None else found[0]
        if self._sign is None:
            return len(run) >= 8 or _PLAIN_WORD.fullmatch(run) is None
        is_english = self.name.lower() in _ENGLISH and not self._is_quoted
        if is_english and rule == "password" and _MIXED.match(run) is not None:
            return True
        if is_english and not self._begins():
            return False
        is_whole = not bare or len(run) >= _JUDGED or _ENDS.match(text, start + len(run)) is not None
        return is_whole or (not is_english and _PLAIN_WORD.fullmatch(run) is None)


def _closing(text: str, start: int, quote: str) -> int:
    """Where what began behind `quote` ends: before the closing one, or with its line."""
    if len(quote) == 1:
        found = _WITHIN[quote].match(text, start)
        assert found is not None  # it matches the empty text
        return found.end()
    # The quotes are escaped themselves: the text is a piece of JSON.
    line = _LINE.match(text, start)
    assert line is not None
    closing = text.find(quote, start, line.end())
    return line.end() if closing < 0 else closing
