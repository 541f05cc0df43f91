"""The operator's rules: their file, its limits, and what they are made into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from ark_broker.model.errors import ArkBrokerError
from ark_broker.receive.redaction import bundled
from ark_broker.receive.redaction.assigned import ASSIGNED_GATE, FLAG_END_GATE, QUERY_GATE
from ark_broker.receive.redaction.bundled import ValueRule, finder
from ark_broker.receive.redaction.regexes import Refused, compile_safely, literal_gate
from ark_broker.receive.redaction.structure import STRUCTURAL

MAX_ATTRIBUTES: Final = 500
MAX_PATTERNS: Final = 50
_MAX_NAME: Final = 128
_MAX_REPLACEMENT: Final = 64
_RULE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: JSON writes these as they are, and none of them ends a string.
_PLAIN: Final = re.compile(r"[!#-\[\]-~]+")
_PLAIN_OR_SPACE: Final = re.compile(r"[ !#-\[\]-~]+")


class RedactionInvalid(ArkBrokerError):  # noqa: N818
    """The redaction rules cannot be used. The message has one line, and names the rule."""


class PatternRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Text that matches `regex` anywhere in a value is replaced."""

    name: str
    regex: str


class RedactionRules(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the operator's file says. Without it: the bundled rules."""

    #: Names of attributes and keys, compared whole and in any case; `*` at an end stands for any characters.
    attributes: tuple[str, ...] = ()
    patterns: tuple[PatternRule, ...] = ()
    bundled: bool = True
    #: Names, as in `attributes`, whose values no rule touches.
    keep: tuple[str, ...] = ()
    #: What stands in the place of what was removed; `{rule}` becomes the rule's name.
    replacement: str = "[redacted:{rule}]"


@dataclass(frozen=True, slots=True)
class Names:
    """Names of attributes, in lower case, by how they are compared; each with the name as the operator wrote it."""

    exact: dict[str, str]
    #: (beginning, end, anywhere): one is set. Few: they are tried one by one.
    partial: tuple[tuple[str, str, str, str], ...]

    def match(self, name: str) -> str | None:
        """The rule for `name`, which is in lower case."""
        if name in self.exact:
            return self.exact[name]
        for beginning, end, inside, rule in self.partial:
            if (
                (beginning and name.startswith(beginning))
                or (end and name.endswith(end))
                or (inside and inside in name)
            ):
                return rule
        return None


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """Rules in the form in which they are applied."""

    attributes: Names
    keep: Names
    values: tuple[ValueRule, ...]
    bundled: bool
    replacement: str
    #: Rust expressions, one of which matches every JSON text in which a rule applies that has a gate.
    gates: tuple[str, ...]
    #: Everything that may stand in the place of what was removed.
    replacements: tuple[str, ...]

    @property
    def ungated(self) -> tuple[ValueRule, ...]:
        """Rules that must be tried on every text."""
        return tuple(rule for rule in self.values if rule.gate is None)

    def text_for(self, rule: str) -> str:
        """The replacement text of a rule."""
        return self.replacement.replace("{rule}", rule)


def read_rules(text: bytes) -> RedactionRules:
    """Rules of the operator's file, JSON. Raises RedactionInvalid; `compile_rules` checks what they say."""
    try:
        return msgspec.json.decode(text, type=RedactionRules)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RedactionInvalid(f"not redaction rules: {error}") from None


def check(rules: RedactionRules) -> CompiledRules:
    """Raises RedactionInvalid where a rule is wrong."""
    _limit("attributes", len(rules.attributes), MAX_ATTRIBUTES)
    _limit("keep", len(rules.keep), MAX_ATTRIBUTES)
    _limit("patterns", len(rules.patterns), MAX_PATTERNS)
    attributes = _names(rules.attributes, "attributes")
    for name in attributes.exact:
        if name in STRUCTURAL:
            raise RedactionInvalid(f"attributes: '{attributes.exact[name]}' holds what the broker correlates by")
    if not 0 < len(rules.replacement) <= _MAX_REPLACEMENT or _PLAIN_OR_SPACE.fullmatch(rules.replacement) is None:
        raise RedactionInvalid(
            f"replacement: must have 1 to {_MAX_REPLACEMENT} printable ASCII characters, without '\"' and '\\'"
        )
    own, gates = _own_patterns(rules.patterns)
    values = [*own, *(bundled.value_rules() if rules.bundled else [])]
    gates += [_gate_for_name(name) for name in rules.attributes]
    if rules.bundled:
        gates += [bundled.NAMES_GATE, QUERY_GATE, *(rule.gate for rule in values[len(own) :])]
    compiled = CompiledRules(
        attributes,
        _names(rules.keep, "keep"),
        tuple(values),
        rules.bundled,
        rules.replacement,
        tuple(gate for gate in gates if gate is not None),
        tuple(
            sorted(
                {
                    rules.replacement.replace("{rule}", name)
                    for name in (*(rule.name for rule in values), *rules.attributes, *bundled.RULES)
                }
            )
        ),
    )
    _check_replacement(compiled, rules)
    return compiled


def _limit(field: str, count: int, most: int) -> None:
    if count > most:
        raise RedactionInvalid(f"{field}: {count} are too many (at most {most})")


def _names(given: tuple[str, ...], field: str) -> Names:
    exact: dict[str, str] = {}
    partial = []
    for name in given:
        core = name.lower().removeprefix("*").removesuffix("*")
        if len(name) > _MAX_NAME or _PLAIN.fullmatch(core) is None or "*" in core:
            shown = ascii(name[:_MAX_NAME])
            raise RedactionInvalid(
                f"{field}: {shown} must have 1 to {_MAX_NAME} printable ASCII characters, and '*' only at its ends"
            )
        at_start, at_end = name.startswith("*"), name.endswith("*")
        match at_start, at_end:
            case False, False:
                exact[core] = name
            case True, False:
                partial.append(("", core, "", name))
            case False, True:
                partial.append((core, "", "", name))
            case _:
                partial.append(("", "", core, name))
    return Names(exact, tuple(partial))


def _gate_for_name(name: str) -> str:
    core = name.removeprefix("*").removesuffix("*")
    if name.endswith("*"):
        return literal_gate(core)
    # A name ends its string, also of a JSON text inside a string; or something is assigned to it.
    return f"{literal_gate(core)}(?:{ASSIGNED_GATE}|{FLAG_END_GATE})"


def _own_patterns(patterns: tuple[PatternRule, ...]) -> tuple[list[ValueRule], list[str | None]]:
    rules: list[ValueRule] = []
    for pattern in patterns:
        if _RULE_NAME.fullmatch(pattern.name) is None:
            raise RedactionInvalid(
                f"patterns: the name {pattern.name[:_MAX_NAME]!a} must have 1 to 64 letters, digits, '.', '_', '-'"
            )
        if any(rule.name == pattern.name for rule in rules):
            raise RedactionInvalid(f"patterns: '{pattern.name}' is there twice")
        try:
            safe = compile_safely(pattern.regex)
        except Refused as reason:
            raise RedactionInvalid(f"pattern '{pattern.name}': {reason}") from None
        rules.append(ValueRule(pattern.name, finder(safe.regex), safe.gate))
    return rules, [rule.gate for rule in rules]


def _check_replacement(compiled: CompiledRules, rules: RedactionRules) -> None:
    """What was replaced must not be found again: neither now, nor when the event is sent again."""
    of_values = {rule.name for rule in compiled.values}
    for name in of_values | set(rules.attributes) | set(bundled.RULES):
        text = compiled.text_for(name)
        # A key is replaced where it is a secret by its form.
        named = compiled.attributes.match(text.lower()) or (rules.bundled and bundled.rule_for_name(text))
        if named and name in of_values:
            raise RedactionInvalid(f"replacement: '{text}' reads as a name that rule '{named}' removes")
        for shown in (text, f"://{text}@"):
            for rule in compiled.values:
                if next(rule.find(shown), None) is not None:
                    raise RedactionInvalid(f"pattern '{rule.name}': it matches the replacement '{text}'")
