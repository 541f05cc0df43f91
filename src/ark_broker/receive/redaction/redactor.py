"""What applies the rules to events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

from ark_broker.model import Event
from ark_broker.receive.fields import as_name, as_text
from ark_broker.receive.redaction import bundled
from ark_broker.receive.redaction.regexes import ESCAPED
from ark_broker.receive.redaction.rules import CompiledRules, RedactionInvalid, RedactionRules, check
from ark_broker.receive.redaction.structure import STRUCTURAL
from ark_broker.receive.redaction.walk import Decision, Walk

#: Names that are remembered: they come from telemetry, and so may be endless.
_MAX_KNOWN: Final = 4_000
#: Columns that hold what a producer wrote. The others are ids, by which the broker correlates.
_COLUMNS: Final = ("error", "user_id", "agent", "model", "provider", "tool", "mcp_server", "phase")


class Redactor:
    """Applies compiled rules to events, in place. For one thread: it counts."""

    def __init__(self, rules: CompiledRules) -> None:
        """Raises RedactionInvalid where the rules are too many, taken together."""
        self._rules = rules
        self._gate = _gate(rules.gates)
        self._ungated = bool(rules.ungated)
        self._counts: Counter[str] = Counter()
        self._known: dict[str, Decision] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How often each rule replaced something so far."""
        return dict(self._counts)

    def redact(self, event: Event) -> int:
        """Replace in `event` what the rules remove; how many values, or parts of values, that were."""
        in_body = self._may_apply_to(event.body)
        if not in_body and not self._may_apply_beside(event):
            return 0
        walk = Walk(self._rules, self._decide, self._gate)
        if in_body:
            event.body = walk.body(event.body)
        _redact_columns(event, walk)
        self._counts.update(walk.counts)
        return walk.counts.total()

    def redact_body(self, body: bytes) -> bytes:
        """A JSON text without what the rules remove; the same bytes where no rule applies."""
        if not self._may_apply_to(body):
            return body
        walk = Walk(self._rules, self._decide, self._gate)
        found = walk.body(body)
        self._counts.update(walk.counts)
        return found

    def _may_apply_beside(self, event: Event) -> bool:
        """The other columns are filled from the body; these may come from the request's headers, or be composed."""
        return (event.error is not None and self._gate(event.error)) or (
            event.user_id is not None and self._gate(event.user_id)
        )

    def may_apply(self, event: Event) -> bool:
        """False where one look at the body's bytes tells that no rule applies in it: it is not even parsed."""
        return self._may_apply_to(event.body)

    def _may_apply_to(self, body: bytes) -> bool:
        if self._ungated:
            return True
        try:
            return self._gate(body.decode())
        except UnicodeDecodeError:
            return self._gate(body.decode(errors="replace"))

    def _decide(self, name: str) -> Decision:
        found = self._known.get(name)
        if found is None:
            found = self._decision(name)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            if len(name) <= bundled.MAX_NAME:
                self._known[name] = found
        return found

    def _decision(self, name: str) -> Decision:
        lowered = name.lower()
        if self._rules.keep.match(lowered) is not None:
            return Decision(None, keep=True)
        if lowered in STRUCTURAL:
            return Decision(None, structural=True)
        rule = self._rules.attributes.match(lowered)
        if rule is None and self._rules.bundled:
            rule = bundled.rule_for_name(name)
        return Decision(rule, is_looked_at=self._ungated or self._gate(name))


def compile_rules(specification: RedactionRules) -> Redactor:
    """What applies these rules. Raises RedactionInvalid, which names the rule that is wrong."""
    return Redactor(check(specification))


def _redact_columns(event: Event, walk: Walk) -> None:
    for column in _COLUMNS:
        value = getattr(event, column)
        if value is None:
            continue
        found = walk.removed.get(value) or walk.text(value)
        if found != value:
            setattr(event, column, as_text(found) if column == "error" else as_name(found))


def _gate(gates: tuple[str, ...]) -> Callable[[str], bool]:
    """False for a JSON text in which no rule applies that has a gate, in one pass.

    The expressions run in pydantic's engine, which is Rust's: its time is linear, and small.
    """
    if not gates:
        return lambda _: False
    try:
        schema = core_schema.str_schema(pattern="|".join([*gates, ESCAPED]), regex_engine="rust-regex")
        return SchemaValidator(schema).isinstance_python
    except SchemaError:
        raise RedactionInvalid("the rules are too large, taken together: make them fewer or simpler") from None
