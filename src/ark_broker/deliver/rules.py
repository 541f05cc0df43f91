"""Rules of webhooks: which events are told to whom. They come from the settings, or by the API.

    {"name": "oncall", "url": "https://hooks.example.com/ark", "secret": "whsec_…",
     "when": {"types": ["query.failed", "tool.*"], "namespaces": ["prod"], "agents": []}}
    {"name": "waiting", "url": "https://hooks.slack.com/services/…", "format": "slack",
     "when": {"types": ["question.asked"], "olderThanSeconds": 600}}

`question.asked` stands for every question, through whichever door it came: approvals and A2A tasks that need input too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
import orjson

from ark_broker.deliver.guard import Policy, Refused, check_url
from ark_broker.deliver.webhook_format import generate_secret, parse_secret
from ark_broker.model import Event
from ark_broker.model.errors import ArkBrokerError, BadInput
from ark_broker.model.vocabulary import APPROVAL_REQUEST, QUESTION_ASKED, TASK_UPDATED
from ark_broker.sessions.questions import sort_of

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_GLOB: Final = re.compile(r"[^\x00-\x20\x7f]{1,128}")
#: What msgspec says of a field that is not there, or should not be.
_NAMED: Final = re.compile(r"Object (missing required|contains unknown) field `([^`]*)`")
_MAX_LIST: Final = 100
#: Two while one replaces the other, and one to spare.
_MAX_SECRETS: Final = 3
#: Names of webhooks begin so among those of all cursors.
WEBHOOK_PREFIX: Final = "webhook:"
#: Types of the events that may ask a question.
_ASKING: Final = (QUESTION_ASKED, APPROVAL_REQUEST, TASK_UPDATED)

Json = dict[str, Any]


class RulesInvalid(ArkBrokerError, ValueError):  # noqa: N818 - reads as what it says
    """The setting cannot be used. One line that names the rule and the field, and shows no secret."""


class When(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which events a rule is about. Empty namespaces or agents: all; an event that names none belongs to none."""

    #: Names of event types; `*` stands for any text.
    types: tuple[str, ...]
    namespaces: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    #: For questions: those that are still open so long after they were asked. Looked at once.
    older_than_seconds: Annotated[float, msgspec.Meta(gt=0, le=30 * 86_400)] | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One webhook. Its secrets, and what stands in its `url` behind the host, are never shown."""

    name: str
    url: str
    when: When
    #: `whsec_…`, each of which signs every request.
    secrets: tuple[str, ...] = ()
    format: Literal["standard", "slack"] = "standard"
    #: Where a new rule begins: with the oldest event of the log, or with what comes.
    from_: Literal["now", "start"] = msgspec.field(default="now", name="from")

    @property
    def cursor(self) -> str:
        """Name of its cursor."""
        return self.cursor_of(self.name)

    @staticmethod
    def cursor_of(name: str) -> str:
        """Name of the cursor of the rule of that name."""
        return WEBHOOK_PREFIX + name

    @property
    def origin(self) -> str:
        """Where it is, without path and query: those of Slack are as good as a password."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def keys(self) -> list[bytes]:
        """What its secrets stand for."""
        return [parse_secret(secret) for secret in self.secrets]

    def __repr__(self) -> str:
        return f"Rule({self.name!r}, {self.origin!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Tracebacks with local variables in them go by this one.
        return [("name", self.name), ("origin", self.origin)]


class Matcher:
    """Tells which events a rule is about."""

    def __init__(self, when: When) -> None:
        self._namespaces, self._agents = when.namespaces, when.agents
        self._literal = frozenset(when.types)
        self._globs = [tuple(glob.split("*")) for glob in when.types if "*" in glob]
        self._questions = self._has(QUESTION_ASKED)
        self._only_questions = when.older_than_seconds is not None

    @property
    def types(self) -> tuple[str, ...]:
        """Types that it cannot do without; empty where there is no such list."""
        if self._globs:
            return ()
        return tuple(sorted(self._literal.union(_ASKING if self._questions else ())))

    def __call__(self, event: Event) -> bool:
        if self._namespaces and event.namespace not in self._namespaces:
            return False
        if self._agents and event.agent not in self._agents:
            return False
        if self._questions and sort_of(event) == "asked":
            return True
        return not self._only_questions and self._has(event.type)

    def _has(self, name: str) -> bool:
        return name in self._literal or any(_fits(name, glob) for glob in self._globs)


def _fits(name: str, parts: Sequence[str]) -> bool:
    """True where the name has the parts in this order, the first at its beginning and the last at its end.

    Not a regular expression: several `.*` take their time with a name that is made for it.
    """
    first, *middle, last = parts
    at, end = len(first), len(name) - len(last)
    if at > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def decode_rule(body: bytes, policy: Policy) -> tuple[Rule, str | None]:
    """The rule in a JSON document. One that is to be signed and has no secret gets one, which is returned as well.

    Raises BadInput with the field that is wrong, and Refused for a URL that the policy is against.
    """
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None
    if not isinstance(given, dict):
        raise BadInput("must be an object", "body")
    generated = None
    if not given.keys() & {"secret", "secrets"} and given.get("format", "standard") == "standard":
        generated = given["secret"] = generate_secret()
    return _rule(given, policy), generated


def parse_rules(text: str, policy: Policy) -> tuple[Rule, ...]:
    """The rules that the setting names. Raises RulesInvalid."""
    if not text.strip():
        return ()
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RulesInvalid(f"must be a JSON list of objects: {error.msg}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RulesInvalid("must be a JSON list of objects")
    found: dict[str, Rule] = {}
    for number, entry in enumerate(entries, 1):
        try:
            rule = _rule(entry, policy)
        except (BadInput, Refused) as error:
            raise RulesInvalid(f"webhook {number}: {error}") from None
        if rule.name in found:
            raise RulesInvalid(f"webhook {number}: another one is named {rule.name!r} too")
        found[rule.name] = rule
    return tuple(found.values())


def policy_of(deliver_to: str, *, private: bool) -> Policy:
    """Where webhooks may go: `deliver_to` has hosts and networks, separated by commas. Raises RulesInvalid."""
    hosts = tuple(entry for part in deliver_to.split(",") if (entry := part.strip()))
    try:
        return Policy(allow_http=private, allow_private=private, allowed_hosts=hosts)
    except ValueError as error:
        raise RulesInvalid(str(error)) from None


def rule_json(rule: Rule) -> Json:
    """As the API shows it: without secrets, and of the URL only where it leads."""
    when = {key: value for key, value in msgspec.to_builtins(rule.when).items() if value not in (None, [], ())}
    when |= {key: sorted(when[key]) for key in ("namespaces", "agents") if key in when}
    return {"name": rule.name, "url": f"{rule.origin}/…", "when": when, "format": rule.format, "from": rule.from_}


def _rule(given: Mapping[str, Any], policy: Policy) -> Rule:
    fields = dict(given)
    if "secret" in fields:
        if "secrets" in fields:
            raise BadInput("give this or secrets, not both", "secret")
        if not isinstance(fields["secret"], str):
            raise BadInput("must be a text", "secret")
        fields["secrets"] = [fields.pop("secret")]
    try:
        rule = msgspec.convert(fields, Rule)
    except msgspec.ValidationError as error:
        raise _bad_field(str(error)) from None
    _check(rule)
    check_url(rule.url, policy)
    return rule


def _bad_field(message: str) -> BadInput:
    """msgspec says `… - at `$.when.types[0]``; an unknown or missing field it names in the sentence."""
    what, _, where = message.partition(" - at `$")
    path = [where.rstrip("`").lstrip(".")]
    if (named := _NAMED.match(what)) is not None:
        # It may be a field of theirs, with whatever is in its name.
        path.append(ascii(named[2])[1:-1])
        what = "is missing" if named[1].startswith("missing") else "is not known here"
    return BadInput(what, ".".join(part for part in path if part)[:100] or None)


def _check(rule: Rule) -> None:
    if not _NAME.fullmatch(rule.name):
        raise BadInput("must be 1 to 64 letters, digits, or any of _ -", "name")
    if len(rule.secrets) > _MAX_SECRETS:
        raise BadInput(f"must be at most {_MAX_SECRETS}", "secrets")
    if rule.format == "standard" and not rule.secrets:
        raise BadInput("is missing: requests are signed with it", "secret")
    # Raises BadInput for one that is none.
    _ = rule.keys
    when = rule.when
    for field, names in (("types", when.types), ("namespaces", when.namespaces), ("agents", when.agents)):
        if len(names) > _MAX_LIST:
            raise BadInput(f"must have at most {_MAX_LIST} entries", f"when.{field}")
    if not when.types:
        raise BadInput("must name at least one type of event", "when.types")
    for glob in when.types:
        if not _GLOB.fullmatch(glob):
            raise BadInput("must be names of 1 to 128 characters, without white space", "when.types")
    if when.older_than_seconds is not None and set(when.types) != {QUESTION_ASKED}:
        raise BadInput(f'goes with "types": ["{QUESTION_ASKED}"] alone', "when.olderThanSeconds")
