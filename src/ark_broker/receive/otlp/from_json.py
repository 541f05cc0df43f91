"""Any sender's OTLP/JSON → canonical form (see `canonical`), read as leniently as the Collector does.

Snake-case keys are taken where the camelCase key is absent, enum names for numbers, numbers or text for 64-bit
integers, null for absent; unknown fields are ignored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
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
    return _each(_list(value), lambda item: from_json(item, of, allowance), allowance)


def _each(items: list[object], convert: Callable[[object], Json], allowance: Allowance) -> list[Json]:
    allowance.take(len(items))
    found = []
    for index, item in enumerate(items):
        try:
            found.append(convert(item))
        except BadInput as error:
            raise within(f"[{index}]", error) from None
    return found


def attributes_from_json(
    value: object, allowance: Allowance, depth: int = 0, into: Attributes | None = None
) -> list[Json]:
    """Canonical form of a JSON list of `{"key", "value"}`; `into` takes the plain values by key on the same walk."""
    items = _list(value)
    allowance.take(len(items))
    found = []
    for index, item in enumerate(items):
        try:
            entry = _attribute(item, allowance, depth)
        except BadInput as error:
            raise within(f"[{index}]", error) from None
        found.append(entry)
        if into is not None:
            into[entry["key"]] = plain(entry["value"]) if "value" in entry else None
    return found


def _attribute(item: object, allowance: Allowance, depth: int) -> Json:
    if not isinstance(item, dict):
        raise BadInput('must be an object {"key", "value"}')
    key, value = item.get("key"), item.get("value")
    found: Json = {"key": key if isinstance(key, str) else _text(key or "")}
    if value is not None:
        found["value"] = any_from_json(value, allowance, depth)
    # Only a long item can have an index in it.
    if len(item) > 2 and (index := item.get("keyStrindex") or item.get("key_strindex")):
        found["keyStrindex"] = _integer(index, -(2**31), 2**31 - 1)
    return found


def any_from_json(value: object, allowance: Allowance, depth: int = 0) -> Json:
    """Canonical form of a JSON AnyValue."""
    if not isinstance(value, dict):
        raise BadInput('must be an object such as {"stringValue": "…"}')
    # Nearly every value is one text, and canonical as it is.
    if len(value) == 1 and isinstance(value.get("stringValue"), str):
        return value
    found: Json = {}
    for key, content in value.items():
        reader = _READERS.get(key)
        if reader is None or content is None:
            continue
        if found:
            raise BadInput("has more than one value")
        name, read = reader
        found[name] = read(content, allowance, depth)
    return found


def _array(value: object, allowance: Allowance, depth: int) -> Json:
    items = _values(value, depth)
    return {"values": _each(items, lambda item: any_from_json(item, allowance, depth + 1), allowance)}


def _kvlist(value: object, allowance: Allowance, depth: int) -> Json:
    return {"values": attributes_from_json(_values(value, depth), allowance, depth + 1)}


def _values(value: object, depth: int) -> list[object]:
    check_depth(depth)
    if not isinstance(value, dict):
        raise BadInput('must be an object {"values": […]}')
    values = value.get("values")
    return [] if values is None else _list(values)


def _double(value: object, _allowance: Allowance, _depth: int) -> float | str:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return value
        if not _DECIMAL.fullmatch(value):
            raise BadInput("must be a number, or NaN, Infinity or -Infinity")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput("must be a number")
    number = json_double(float(value))
    if isinstance(number, str):
        raise BadInput("must be a number that fits a double")
    return number


def _bytes(value: object, _allowance: Allowance, _depth: int) -> str:
    text = _text(value).replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("must be base64") from None
    return base64.b64encode(raw).decode("ascii")


def _bool(value: object, _allowance: Allowance, _depth: int) -> bool:
    if not isinstance(value, bool):
        raise BadInput("must be true or false")
    return value


_ReadAny = Callable[[object, Allowance, int], Any]
_KINDS: Final[tuple[tuple[str, str, _ReadAny], ...]] = (
    ("stringValue", "string_value", lambda value, _allowance, _depth: _text(value)),
    ("boolValue", "bool_value", _bool),
    ("intValue", "int_value", lambda value, _allowance, _depth: str(_integer(value, -(2**63), 2**63 - 1))),
    ("doubleValue", "double_value", _double),
    ("arrayValue", "array_value", _array),
    ("kvlistValue", "kvlist_value", _kvlist),
    ("bytesValue", "bytes_value", _bytes),
    (
        "stringValueStrindex",
        "string_value_strindex",
        lambda value, _allowance, _depth: _integer(value, -(2**31), 2**31 - 1),
    ),
)
_READERS: Final[Mapping[str, tuple[str, _ReadAny]]] = {
    name: (key, read) for key, snake, read in _KINDS for name in (key, snake)
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadInput("must be a string")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise BadInput("must be an array")
    return value


def _u64(value: object, _allowance: Allowance) -> str:
    # Text of digits is canonical as it is, where it has no leading zero and is far from the limit.
    if isinstance(value, str) and len(value) == 19 and value.isascii() and value.isdigit() and value[0] != "0":
        return value
    number = _integer(value, 0, _MAX_U64)
    return str(number) if number else ""


def _integer(value: object, least: int, most: int) -> int:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and len(value) <= 20 and (digits := value.removeprefix("-")).isascii():
        number = int(value) if digits.isdigit() else None
    if number is None or not least <= number <= most:
        raise BadInput(f"must be an integer from {least} to {most}")
    return number


def _enum(value: object, numbers: Mapping[str, int]) -> int:
    if isinstance(value, str) and value in numbers:
        return numbers[value]
    return _integer(value, -(2**31), 2**31 - 1)
