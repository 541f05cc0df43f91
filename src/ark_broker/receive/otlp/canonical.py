"""OTLP messages as canonical JSON values, whatever encoding they came in.

Canonical: lowerCamelCase keys in the order of the schema, fields with their default value left out, ids in lower-case
hex, 64-bit integers as decimal text, enums as integers, bytes in base64, doubles as numbers (`"NaN"`, `"Infinity"`,
`"-Infinity"` as text). It is valid OTLP/JSON, and the same data always gives the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from ark_broker.model.errors import BadInput
from ark_broker.receive.otlp.schema import EnumNames, Field, Message

#: Levels of arrays and maps in one value, at most. protobuf itself stops a little later.
MAX_DEPTH: Final = 40
MAX_ATTRIBUTES: Final = 10_000

Json = dict[str, Any]
Attributes = dict[str, Any]

_MAX_U32: Final = 2**32 - 1
_MAX_U64: Final = 2**64 - 1


# -- values of attributes: canonical form, and the plain value behind it -------------------------------------------


def plain(value: Json) -> object:
    """The Python value of a canonical AnyValue: str, bool, int, float, list, dict, or None for an empty one."""
    for kind, content in value.items():
        match kind:
            case "intValue":
                return int(content)
            case "doubleValue":
                return float(content)
            case "arrayValue":
                return [plain(item) for item in content["values"]]
            case "kvlistValue":
                return {item["key"]: plain(item.get("value", {})) for item in content["values"]}
            case _:
                return content
    return None


def plain_attributes(attributes: list[Json]) -> Attributes:
    """Attributes by key, as plain values."""
    return {item["key"]: plain(item.get("value", {})) for item in attributes}


def _double(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


# -- from protobuf --------------------------------------------------------------------------------------------------


def any_from_protobuf(value: Any, depth: int = 0) -> Json:
    """Canonical form of a protobuf AnyValue. Raises BadInput for one that is nested too deep."""
    text = value.string_value
    if text:
        return {"stringValue": text}
    kind = value.WhichOneof("value")
    match kind:
        case None:
            return {}
        case "string_value":
            return {"stringValue": ""}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "double_value":
            return {"doubleValue": _double(value.double_value)}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode("ascii")}
        case "array_value":
            check_depth(depth)
            return {"arrayValue": {"values": [any_from_protobuf(item, depth + 1) for item in value.array_value.values]}}
        case "kvlist_value":
            check_depth(depth)
            return {"kvlistValue": {"values": attributes_from_protobuf(value.kvlist_value.values, depth + 1)}}
        case _:
            return {"stringValueStrindex": value.string_value_strindex}


def check_depth(depth: int) -> None:
    """Raise BadInput where an array or map at `depth` lies too deep."""
    if depth >= MAX_DEPTH:
        raise BadInput(f"values nested deeper than {MAX_DEPTH} levels", "attributes")


def attributes_from_protobuf(attributes: Any, depth: int = 0, into: Attributes | None = None) -> list[Json]:
    """Canonical form of repeated KeyValue; `into` takes the plain values by key on the same walk."""
    found = []
    for item in attributes:
        key = item.key
        # Most values are text, and asking for it is cheaper than asking which kind it is.
        text = item.value.string_value
        if text and key:
            found.append({"key": key, "value": {"stringValue": text}})
            if into is not None:
                into[key] = text
            continue
        entry: Json = {"key": key}
        value = any_from_protobuf(item.value, depth)
        if value or item.HasField("value"):
            entry["value"] = value
        if item.key_strindex:
            entry["keyStrindex"] = item.key_strindex
        found.append(entry)
        if into is not None:
            into[key] = plain(value)
    return found


def from_protobuf(message: Any, schema: Message, into: Attributes | None = None) -> Json:
    """Canonical form of a protobuf message; `into` takes its own attributes as plain values."""
    found: Json = {}
    for name, key, convert, is_message in schema_plan(schema):
        value = getattr(message, name)
        if is_message:
            if message.HasField(name):
                found[key] = convert(value)
        elif into is not None and key == "attributes":
            if value:
                found[key] = attributes_from_protobuf(value, 0, into)
        elif value:
            found[key] = convert(value)
    return found


_Plan = tuple[tuple[str, str, Callable[[Any], Any], bool], ...]


@cache
def schema_plan(schema: Message) -> _Plan:
    """How to read each field of the message from protobuf; worked out once a message type."""
    return tuple(
        (field.name, field.key, _protobuf_converter(field), field.kind in ("message", "any")) for field in schema.fields
    )


def _protobuf_converter(field: Field) -> Callable[[Any], Any]:
    match field.kind, field.of:
        case "id", _:
            return bytes.hex
        case "u64", _:
            return str
        case "attributes", _:
            return attributes_from_protobuf
        case "any", _:
            return any_from_protobuf
        case "texts", _:
            return list
        case "message", Message() as of:
            return lambda value: from_protobuf(value, of)
        case "messages", Message() as of:
            return lambda values: [from_protobuf(value, of) for value in values]
    return lambda value: value


# -- from JSON ------------------------------------------------------------------------------------------------------


def from_json(value: object, schema: Message) -> Json:
    """Canonical form of a JSON message, read as leniently as the Collector does.

    Snake-case keys are taken where the camelCase key is absent, enum names for numbers, numbers or text for 64-bit
    integers, null for absent; unknown fields are ignored. Raises BadInput that names the field.
    """
    if not isinstance(value, dict):
        raise BadInput("must be an object")
    found: Json = {}
    for field in schema.fields:
        given = value.get(field.key)
        if given is None and field.key not in value:
            given = value.get(field.name)
        if given is None:
            continue
        try:
            content = _json_field(given, field)
        except BadInput as error:
            raise within(field.key, error) from None
        if content or field.kind in ("message", "any"):
            found[field.key] = content
    return found


def within(place: str, error: BadInput) -> BadInput:
    """`error`, found inside `place`."""
    if error.field is None:
        return BadInput(str(error), place)
    separator = "" if error.field.startswith("[") else "."
    return BadInput(str(error).removeprefix(f"{error.field}: "), f"{place}{separator}{error.field}")


def _json_field(value: object, field: Field) -> Any:
    match field.kind, field.of:
        case "text", _:
            return _text(value)
        case "texts", _:
            return [_text(item) for item in _list(value)]
        case "u32", _:
            return _integer(value, 0, _MAX_U32)
        case "u64", _:
            number = _integer(value, 0, _MAX_U64)
            return str(number) if number else ""
        case "enum", EnumNames(numbers):
            return _enum(value, numbers)
        case "id", _:
            return _text(value).lower()
        case "any", _:
            return any_from_json(value)
        case "attributes", _:
            return attributes_from_json(value)
        case "message", Message() as of:
            return from_json(value, of)
        case "messages", Message() as of:
            return _each(value, lambda item: from_json(item, of))
    raise AssertionError(field)


def _each(value: object, convert: Callable[[object], Json]) -> list[Json]:
    found = []
    for index, item in enumerate(_list(value)):
        try:
            found.append(convert(item))
        except BadInput as error:
            raise within(f"[{index}]", error) from None
    return found


def attributes_from_json(value: object, depth: int = 0) -> list[Json]:
    """Canonical form of a JSON list of `{"key", "value"}`."""
    return _each(value, lambda item: _attribute_from_json(item, depth))


def _attribute_from_json(item: object, depth: int) -> Json:
    if not isinstance(item, dict):
        raise BadInput('must be an object {"key", "value"}')
    found: Json = {"key": _text(item.get("key") or "")}
    value = item.get("value")
    if value is not None:
        found["value"] = any_from_json(value, depth)
    index = item.get("keyStrindex")
    if index:
        found["keyStrindex"] = _integer(index, 0, 2**31 - 1)
    return found


def any_from_json(value: object, depth: int = 0) -> Json:
    """Canonical form of a JSON AnyValue."""
    if not isinstance(value, dict):
        raise BadInput('must be an object such as {"stringValue": "…"}')
    found: Json = {}
    for key, content in value.items():
        convert = _ANY_FROM_JSON.get(key)
        if convert is None or content is None:
            continue
        if found:
            raise BadInput("has more than one value")
        name, read = convert
        found[name] = read(content, depth)
    return found


def _array_from_json(value: object, depth: int) -> Json:
    check_depth(depth)
    if not isinstance(value, dict):
        raise BadInput('must be an object {"values": […]}')
    return {"values": _each(value.get("values") or [], lambda item: any_from_json(item, depth + 1))}


def _kvlist_from_json(value: object, depth: int) -> Json:
    check_depth(depth)
    if not isinstance(value, dict):
        raise BadInput('must be an object {"values": […]}')
    return {"values": attributes_from_json(value.get("values") or [], depth + 1)}


def _double_from_json(value: object, _depth: int) -> float | str:
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadInput("must be a number")
    try:
        return _double(float(value))
    except (ValueError, OverflowError):
        raise BadInput("must be a number") from None


def _bytes_from_json(value: object, _depth: int) -> str:
    text = _text(value).replace("-", "+").replace("_", "/")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("must be base64") from None
    return base64.b64encode(raw).decode("ascii")


def _bool_from_json(value: object, _depth: int) -> bool:
    if not isinstance(value, bool):
        raise BadInput("must be true or false")
    return value


_READERS: Final[tuple[tuple[str, str, Callable[[object, int], Any]], ...]] = (
    ("stringValue", "string_value", lambda value, _depth: _text(value)),
    ("boolValue", "bool_value", _bool_from_json),
    ("intValue", "int_value", lambda value, _depth: str(_integer(value, -(2**63), 2**63 - 1))),
    ("doubleValue", "double_value", _double_from_json),
    ("arrayValue", "array_value", _array_from_json),
    ("kvlistValue", "kvlist_value", _kvlist_from_json),
    ("bytesValue", "bytes_value", _bytes_from_json),
    ("stringValueStrindex", "string_value_strindex", lambda value, _depth: _integer(value, -(2**31), 2**31 - 1)),
)
_ANY_FROM_JSON: Final[Mapping[str, tuple[str, Callable[[object, int], Any]]]] = {
    name: (key, read) for key, snake, read in _READERS for name in (key, snake)
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadInput("must be a string")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise BadInput("must be an array")
    return value


def _integer(value: object, least: int, most: int) -> int:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and len(value) <= 20 and value.removeprefix("-").isascii():
        number = int(value) if value.removeprefix("-").isdigit() else None
    if number is None or not least <= number <= most:
        raise BadInput(f"must be an integer from {least} to {most}")
    return number


def _enum(value: object, numbers: Mapping[str, int]) -> int:
    if isinstance(value, str) and value in numbers:
        return numbers[value]
    return _integer(value, -(2**31), 2**31 - 1)
