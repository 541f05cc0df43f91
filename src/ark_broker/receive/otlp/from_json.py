"""Any sender's OTLP/JSON → canonical form (see `canonical`), read as leniently as the Collector does.

Snake-case keys are taken where the camelCase key is absent, enum names for numbers, numbers or text for 64-bit
integers, null for absent; unknown fields are ignored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from ark_broker.model.errors import BadInput
from ark_broker.receive.otlp.canonical import Allowance, Attributes, Json, check_depth, json_double, plain
from ark_broker.receive.otlp.schema import EnumNames, Field, Message

_MAX_U32: Final = 2**32 - 1
_MAX_U64: Final = 2**64 - 1
_NOT_FINITE: Final = ("NaN", "Infinity", "-Infinity")
#: A number of JSON, which is how proto3 JSON wants a double in text.
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

_Convert = Callable[[Any, Allowance], Any]


def from_json(value: object, of: Message, allowance: Allowance, into: Attributes | None = None) -> Json:
    """Canonical form of a JSON message; `into` takes its own attributes as plain values.

    Raises BadInput that names the field, TooManyValues.
    """
    if not isinstance(value, dict):
        raise BadInput("must be an object")
    plan = _plan(of)
    if not value.keys() <= plan.keys():
        value = _camel_case(value, of)
    found: Json = {}
    for key, (convert, is_message) in plan.items():
        given = value.get(key)
        if given is None:
            continue
        try:
            if convert is attributes_from_json:
                content = attributes_from_json(given, allowance, 0, into)
            else:
                content = convert(given, allowance)
        except BadInput as error:
            raise within(key, error) from None
        if content or is_message:
            found[key] = content
    return found


def _camel_case(value: Json, of: Message) -> Json:
    """Known fields under their own keys; a snake-case key counts where the camelCase key is absent."""
    return {field.key: value[field.key] if field.key in value else value.get(field.name) for field in of.fields}


def within(place: str, error: BadInput) -> BadInput:
    """`error`, found inside `place`."""
    if error.field is None:
        return BadInput(str(error), place)
    separator = "" if error.field.startswith("[") else "."
    return BadInput(str(error).removeprefix(f"{error.field}: "), f"{place}{separator}{error.field}")


@cache
def _plan(of: Message) -> Mapping[str, tuple[_Convert, bool]]:
    """By key: what makes the value, and whether an empty one counts. Worked out once a message type."""
    return {field.key: (_converter(field), field.kind in ("message", "any")) for field in of.fields}


def _converter(field: Field) -> _Convert:
    match field.kind, field.of:
        case "texts", _:
            return lambda value, _allowance: [_text(item) for item in _list(value)]
        case "u32", _:
            return lambda value, _allowance: _integer(value, 0, _MAX_U32)
        case "u64", _:
            return _u64
        case "enum", EnumNames(numbers):
            return lambda value, _allowance: _enum(value, numbers)
        case "id", _:
            return lambda value, _allowance: _text(value).lower()
        case "any", _:
            return any_from_json
        case "attributes", _:
            return attributes_from_json
        case "message", Message() as of:
            return lambda value, allowance: from_json(value, of, allowance)
        case "messages", Message() as of:
            return lambda value, allowance: _messages(value, of, allowance)
    return lambda value, _allowance: _text(value)


def _messages(value: object, of: Message, allowance: Allowance) -> list[Json]:
    items = _list(value)
    allowance.take(len(items))
    return [from_json(item, of, allowance) for item in _placed(items)]


class _placed:  # noqa: N801 - reads as the function it is
    pass
