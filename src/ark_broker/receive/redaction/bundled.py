"""The bundled rules: names of attributes that hold secrets, and values that are secrets by their form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ark_broker.receive.redaction.assigned import ASSIGNED_GATE, FLAG_END_GATE, FLAG_GATE
from ark_broker.receive.redaction.cards import GATE as CARD_GATE
from ark_broker.receive.redaction.cards import cards_in

#: Where a rule applies in a text, as (start, end), in order and without overlap.
Finder = Callable[[str], Iterator[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class ValueRule:
    """A form of secret. `gate` is a Rust expression that matches every JSON text with one in it; None for no gate."""

    name: str
    find: Finder
    gate: str | None


#: Rule → last words of a name. Between words may stand one separator, or a capital letter.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "authorization": ("authorization",),
    "cookie": ("cookie", "cookies"),
    "password": ("pass word", "pass words", "pg pass word", "passwd", "pwd", "pass phrase", "pass code"),
    "secret": ("secret", "client secret", "secret value", "secret text"),
    "api-key": ("api key", "api keys", "subscription key", "account key", "access key", "secret key", "master key"),
    "private-key": ("private key", "ssh key", "signing key", "encryption key", "private key pem"),
    "token": tuple(
        f"{kind} token"
        for kind in (
            *("access", "refresh", "auth", "id", "bearer", "security", "session", "api", "csrf", "xsrf", "jwt"),
            *(
                "oauth",
                "notification",
                "webhook",
                "bot",
                "deploy",
                "vault",
                "github",
                "gitlab",
                "slack",
                "hf",
                "secret",
            ),
        )
    ),
    "credentials": ("credential", "credentials"),
}
#: Names of the rules for names, those of a query's parameters too.
RULES: Final = (*_NAMES, "signature")
_SEPARATOR: Final = r"[_.\- /:]?"
#: Behind a name: `password_2`.
_AFTER: Final = r"[0-9_.\- ]{0,8}"
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _words(name: str) -> str:
    return name.replace(" ", _SEPARATOR)


_NAMED: Final = re.compile(
    "(?:^|[^A-Za-z0-9])(?:"
    + "|".join(
        f"(?P<{rule.replace('-', '_')}>{'|'.join(_words(name) for name in names)})" for rule, names in _NAMES.items()
    )
    + f"){_AFTER}$",
    re.IGNORECASE | re.ASCII,
)
_ANY_NAME: Final = f"(?i:{'|'.join(_words(name) for names in _NAMES.values() for name in names)}){_AFTER}"
#: A name that matches ends a string of the JSON text, or of one inside it; in free text something is assigned to it.
NAMES_GATE: Final = f"{_ANY_NAME}{ASSIGNED_GATE}|{FLAG_GATE}{_ANY_NAME}{FLAG_END_GATE}"
#: Longer names are not looked at: no program has them, and the time for one must be bounded.
MAX_NAME: Final = 512


def rule_for_name(name: str) -> str | None:
    """The bundled rule for an attribute or a key of that name: its last words decide."""
    if len(name) > MAX_NAME:
        return None
    found = _NAMED.search(_CAPITAL.sub("_", name))
    return None if found is None or found.lastgroup is None else found.lastgroup.replace("_", "-")


def finder(regex: re.Pattern[str]) -> Finder:
    """Where `regex` matches."""

    def find(text: str) -> Iterator[tuple[int, int]]:
        for found in regex.finditer(text):
            yield found.span()

    return find


# Name, expression, gate. What is behind a prefix is repeated without a bound at the end only, or starts where nothing
# of its kind stands before it: no text takes longer than its length. Order: the more special first.
_FORMS: Final = (
    (
        "private-key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----(?:(?!-----END)[\s\S])*"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----)?",
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY",
    ),
    (
        "jwt",
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}",
        r"eyJ[A-Za-z0-9_\-]{8}[A-Za-z0-9_\-]*\.[A-Za-z0-9_\-]*\.",
    ),
    (
        "authorization",
        r"(?i)\bauthorization[\"']?[ \t\r\n]{0,4}[:=][ \t\r\n]{0,4}[\"']?"
        r"(?:basic|bearer|token|digest|negotiate|apikey) {1,4}[^\s\"',;]{4,}",
        r"(?i:authorization)(?:[^A-Za-z]|\\[nrt]|\\u00[0-9A-Fa-f]{2})+(?i:basic|bearer|token|digest|negotiate|apikey) ",
    ),
    (
        "bearer-token",
        r"(?i)\bbearer {1,4}(?=[a-z._~+/=-]{0,64}[0-9]|[a-z0-9._~+/=-]{24})[a-z0-9._~+/=-]{8,}",
        r"(?i:bearer) +[A-Za-z0-9._~+/=\-]{8}",
    ),
    ("aws-access-key-id", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", r"A[KS]IA[A-Z0-9]{16}"),
    ("github-token", r"\bgh[pousr]_[A-Za-z0-9_]{30,}", r"gh[pousr]_[A-Za-z0-9_]{30}"),
    ("github-token", r"\bgithub_pat_[A-Za-z0-9_]{22,}", r"github_pat_[A-Za-z0-9_]{22}"),
    (
        "gitlab-token",
        r"\bgl(?:pat|ptt|rt|cbt|dt|oas|soat|ft|imt|agent)-[A-Za-z0-9_.-]{20,}",
        r"gl[a-z]{2,5}-[A-Za-z0-9_.\-]{20}",
    ),
    ("slack-token", r"\bx(?:ox[abeoprs]|app)-[A-Za-z0-9-]{10,}", r"x(?:ox[abeoprs]|app)-[A-Za-z0-9\-]{10}"),
    (
        "slack-webhook",
        r"\bhooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9_/-]{20,}",
        r"hooks\.slack\.com/[a-z]+/[A-Za-z0-9_/\-]{20}",
    ),
    ("anthropic-key", r"\bsk-ant-[A-Za-z0-9_-]{20,}", r"sk-ant-[A-Za-z0-9_\-]{20}"),
    ("langfuse-key", r"\b[ps]k-lf-[A-Za-z0-9-]{20,}", r"[ps]k-lf-[A-Za-z0-9\-]{20}"),
    ("openai-key", r"\bsk-(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{20,}", r"sk-[A-Za-z0-9_\-]{20}"),
    ("google-api-key", r"\bAIza[A-Za-z0-9_-]{35}", r"AIza[A-Za-z0-9_\-]{35}"),
    ("stripe-key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}", r"[rs]k_(?:live|test)_[A-Za-z0-9]{16}"),
    ("stripe-key", r"\bwhsec_[A-Za-z0-9+/=]{24,}", r"whsec_[A-Za-z0-9+/=]{24}"),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{36}", r"npm_[A-Za-z0-9]{36}"),
    ("hugging-face-token", r"\bhf_[A-Za-z0-9]{30,}", r"hf_[A-Za-z0-9]{30}"),
    (
        "url-password",
        r"(?<=://)[^\s/?#@:\"'<>\[\]]{0,256}:[^\s/?#\"'<>]{1,256}(?=@)",
        r"://[^\s/?#@:\"'<>]*:[^\s/?#\"'<>]*@",
    ),
)


def value_rules() -> list[ValueRule]:
    """Every bundled form, in the order in which they apply."""
    forms = [ValueRule(name, finder(re.compile(regex, re.ASCII)), gate) for name, regex, gate in _FORMS]
    return [*forms, ValueRule("card", cards_in, CARD_GATE)]
