"""One walk through an event's JSON: names and values looked at, and replaced in place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from ark_broker.receive.redaction.assigned import assigned, query_rule
from ark_broker.receive.redaction.bundled import ValueRule
from ark_broker.receive.redaction.document import Number, Unreadable, read, write
from ark_broker.receive.redaction.rules import CompiledRules

#: Rule by which a body is replaced whole that may hold a secret, and cannot be read to find it.
UNREADABLE: Final = "unreadable"
#: JSON in strings: messages that are JSON, in them the arguments of tools, which are JSON, and in those once more.
_MAX_EMBEDDED: Final = 3
#: What is replaced may have stood so close to something else that only now it is seen.
_ROUNDS: Final = 8
_ANY_VALUE: Final = frozenset(
    ("stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue")
)
_NUMBERS: Final = frozenset(("intValue", "doubleValue"))
#: `"name": "value` in text that is no JSON document: a preview that was cut, a dictionary as Python shows it.
_MEMBER: Final = re.compile(
    r"""(?P<key>["'])(?P<name>[A-Za-z0-9_.\- ]{1,128})(?P=key)\s{0,8}:\s{0,8}"""
    r"""(?P<quote>["'])(?P<value>(?:\\.|(?!(?P=quote))[^\\])+)""",
    re.DOTALL,
)


class Decision(NamedTuple):
    """What the name of an attribute or key means for its value."""

    #: The rule that removes it.
    rule: str | None
    #: It is left as it is, with all that is in it.
    keep: bool = False
    #: It is left as it is where it is one value.
    structural: bool = False
    #: The name itself may be a secret by its form.
    is_looked_at: bool = False


class Walk:
    """Redacts the parts of one event. `counts` has the replacements by rule, `removed` whole values by their text."""

    def __init__(
        self, rules: CompiledRules, decide: Callable[[str], Decision], may_apply: Callable[[str], bool]
    ) -> None:
        self._rules = rules
        self._decide = decide
        self._may_apply = may_apply
        self._ungated = rules.ungated
        self.counts: Counter[str] = Counter()
        self.removed: dict[str, str] = {}

    def body(self, body: bytes) -> bytes:
        """The body, redacted; the same object where nothing is to be done."""
        try:
            found = self._document(body, 0)
        except Unreadable:
            return orjson.dumps(self._replaced_by(UNREADABLE))
        return body if found is None else found

    def text(self, text: str, embedded: int = 0) -> str:
        """A text, redacted. Where it is a JSON document, names count in it."""
        if not self._may_apply(text) and not self._ungated:
            return text
        if embedded < _MAX_EMBEDDED and text.lstrip()[:1] in ("{", "[", '"'):
            try:
                found = self._document(text.encode(), embedded + 1)
            except Unreadable:
                pass
            else:
                return text if found is None else found.decode()
        return self._plain(text)

    # -- documents --------------------------------------------------------------------------------------------------

    def _document(self, text: bytes, embedded: int) -> bytes | None:
        """The document, written again; None where nothing was replaced. Raises Unreadable."""
        document, hidden = read(text)
        before = self.counts.total()
        holder = [document]
        self._walk([holder, *hidden], embedded)
        return None if self.counts.total() == before else write(holder[0])

    def _walk(self, roots: list[Any], embedded: int) -> None:
        stack: list[tuple[Any, bool]] = [(root, False) for root in roots]
        # No recursion: a document may be nested deeper than Python's stack.
        while stack:
            container, is_schema = stack.pop()
            if isinstance(container, list):
                for place, value in enumerate(container):
                    if isinstance(value, list) and self._is_header(value):
                        continue
                    if isinstance(value, dict | list):
                        stack.append((value, False))
                    elif (found := self._scalar(value, embedded)) is not value:
                        container[place] = found
            else:
                self._object(container, is_schema, embedded, stack)

    def _object(self, members: dict[str, Any], is_schema: bool, embedded: int, stack: list[tuple[Any, bool]]) -> None:
        if any(self._decide(key).is_looked_at for key in members):
            self._keys(members)
        is_done = self._pair(members)
        for key, value in list(members.items()):
            if is_done and key in ("value", "values"):
                continue
            is_container = isinstance(value, dict | list)
            decision = self._decide(key)
            if decision.keep or (decision.structural and not is_container):
                continue
            # A JSON Schema's `properties` say what a password looks like.
            is_described = is_schema and isinstance(value, dict)
            if decision.rule is not None and not is_described and self._remove(members, key, decision.rule):
                continue
            if is_container:
                stack.append((value, key == "properties"))
            elif (found := self._scalar(value, embedded)) is not value:
                _put(members, key, found)

    def _pair(self, members: dict[str, Any]) -> bool:
        """An attribute of OTLP, a header, a variable: `{"key" or "name", "value" or "values"}`.

        True where the value is done.
        """
        said_by = "key" if "key" in members else "name"
        name = members.get(said_by)
        held_by = "value" if "value" in members else "values"
        if not isinstance(name, str) or held_by not in members:
            return False
        decision = self._decide(name)
        if decision.is_looked_at:
            members[said_by] = name = self._key(name)
            decision = self._decide(name)
        if decision.keep:
            return True
        value = members[held_by]
        if decision.structural:
            return not isinstance(value, list) and (not isinstance(value, dict) or _is_any_value(value))
        return decision.rule is not None and self._remove(members, held_by, decision.rule)

    def _is_header(self, pair: list[Any]) -> bool:
        """A header as programs list them, `[name, value]` in a list of such. True where the value is done."""
        if len(pair) != 2 or not isinstance(pair[0], str):
            return False
        decision = self._decide(pair[0])
        if decision.keep:
            return True
        if decision.structural:
            return not isinstance(pair[1], dict | list)
        if decision.rule is None:
            return False
        members = {"value": pair[1]}
        is_done = self._remove(members, "value", decision.rule)
        pair[1] = members["value"]
        return is_done

    def _remove(self, members: dict[str, Any], key: str, rule: str) -> bool:
        """Replace the whole value, unless there is none to hide. True where nothing is left to be looked at."""
        value = members[key]
        shape = next(iter(value)) if isinstance(value, dict) and _is_any_value(value) else None
        content = value if shape is None else value[shape]
        if content is None or isinstance(content, bool) or content in ("", [], {}):
            return False
        text = self._rules.text_for(rule)
        if content == text:
            return True
        if isinstance(content, str | int):
            self.removed[str(content)] = text
        members[key] = text if shape is None else {"stringValue": text}
        self.counts[rule] += 1
        return True

    def _keys(self, members: dict[str, Any]) -> None:
        """A secret may also be a key."""
        pairs = [(key if self._decide(key).keep else self._key(key), value) for key, value in members.items()]
        members.clear()
        members.update(pairs)

    # -- values -----------------------------------------------------------------------------------------------------

    def _scalar(self, value: Any, embedded: int) -> Any:
        if isinstance(value, str):
            return self.text(value, embedded)
        if value is None or isinstance(value, bool):
            return value
        shown = value.text if isinstance(value, Number) else repr(value)
        shown = shown.removesuffix(".0")
        for rule in self._rules_for(shown):
            if (0, len(shown)) in rule.find(shown):
                return self._replaced_by(rule.name)
        return value

    def _plain(self, text: str) -> str:
        for _ in range(_ROUNDS):
            before = self.counts.total()
            text = self._values(self._named(text) if self._may_apply(text) else text)
            if self.counts.total() == before:
                break
        return text

    def _named(self, text: str) -> str:
        """The text without the values of members and variables whose names are secret."""
        text = _MEMBER.sub(self._member, text)
        pieces, at = [], 0
        for start, end, rule in assigned(text, self._rule_in_text, self._rules.replacements):
            pieces += [text[at:start], self._replaced_by(rule)]
            at = end
        return "".join([*pieces, text[at:]]) if pieces else text

    def _rule_in_text(self, name: str, in_query: bool) -> str | None:
        decision = self._decide(name)
        if decision.keep or decision.structural or decision.rule is not None:
            return decision.rule
        return query_rule(name) if in_query and self._rules.bundled else None

    def _key(self, key: str) -> str:
        for _ in range(_ROUNDS):
            before = key
            key = self._values(key)
            if key == before:
                break
        return key

    def _values(self, text: str) -> str:
        for rule in self._rules_for(text):
            text = self._without(text, rule.name, list(rule.find(text)))
        return text

    def _rules_for(self, text: str) -> tuple[ValueRule, ...]:
        return self._rules.values if self._may_apply(text) else self._ungated

    def _member(self, found: re.Match[str]) -> str:
        rule = self._decide(found["name"]).rule
        if rule is None or found["value"] == self._rules.text_for(rule):
            return found[0]
        return found[0][: found.start("value") - found.start()] + self._replaced_by(rule)

    def _without(self, text: str, rule: str, spans: list[tuple[int, int]]) -> str:
        if not spans:
            return text
        pieces = []
        at = 0
        for start, end in spans:
            pieces += [text[at:start], self._replaced_by(rule)]
            at = end
        return "".join([*pieces, text[at:]])

    def _replaced_by(self, rule: str) -> str:
        self.counts[rule] += 1
        return self._rules.text_for(rule)


def _is_any_value(value: dict[str, Any]) -> bool:
    """An AnyValue of OTLP: one member says what it is."""
    return len(value) == 1 and not _ANY_VALUE.isdisjoint(value)


def _put(members: dict[str, Any], key: str, value: Any) -> None:
    if key in _NUMBERS and len(members) == 1:
        # OTLP's numbers cannot hold text.
        del members[key]
        key = "stringValue"
    members[key] = value
