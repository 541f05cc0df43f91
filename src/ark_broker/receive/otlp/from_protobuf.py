"""protobuf messages → canonical form (see `canonical`)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ark_broker.receive.otlp.canonical import Allowance, Attributes, Json, check_depth, json_double, plain
from ark_broker.receive.otlp.schema import Field, Message

#: Key, what makes the content of it (None: it is canonical as it is), and whether that counts values.
_Step = tuple[str, Callable[..., Any] | None, bool]


def from_protobuf(message: Any, of: Message, allowance: Allowance, into: Attributes | None = None) -> Json:
    """Canonical form of a protobuf message; `into` takes its own attributes as plain values.

    Raises BadInput for values that are nested too deep, TooManyValues.
    """
    plan = _plan(of)
    found: Json = {}
    # Only what is set, in the order of the numbers: most fields of most messages are not.
    for descriptor, content in message.ListFields():
        step = plan.get(descriptor)
        if step is None:
            continue
        key, convert, counts = step
        if convert is None:
            found[key] = content
        elif not counts:
            found[key] = convert(content)
        elif convert is attributes_from_protobuf:
            found[key] = attributes_from_protobuf(content, allowance, 0, into)
        else:
            found[key] = convert(content, allowance)
    return found


@cache
def _plan(of: Message) -> Mapping[Any, _Step]:
    """By protobuf's field descriptor. Worked out once a message type."""
    descriptors = of.protobuf.DESCRIPTOR.fields_by_name
    return {descriptors[field.name]: (field.key, *_converter(field)) for field in of.fields}


def _converter(field: Field) -> tuple[Callable[..., Any] | None, bool]:
    match field.kind, field.of:
        case "id", _:
            return bytes.hex, False
        case "u64", _:
            return str, False
        case "texts", _:
            return list, False
        case "attributes", _:
            return attributes_from_protobuf, True
        case "any", _:
            return any_from_protobuf, True
        case "message", Message() as of:
            return lambda value, allowance: from_protobuf(value, of, allowance), True
        case "messages", Message() as of:
            return lambda values, allowance: _messages(values, of, allowance), True
    return None, False


def _messages(values: Any, of: Message, allowance: Allowance) -> list[Json]:
    allowance.take(len(values))
    return [from_protobuf(value, of, allowance) for value in values]


def attributes_from_protobuf(
    attributes: Any, allowance: Allowance, depth: int = 0, into: Attributes | None = None
) -> list[Json]:
    """Canonical form of repeated KeyValue; `into` takes the plain values by key on the same walk."""
    allowance.take(len(attributes))
    found = []
    for item in attributes:
        key, value = item.key, item.value
        # Nearly all are a text or a number, and asking for those is cheaper than asking which kind it is.
        known: object
        if known := value.string_value:
            entry: Json = {"key": key, "value": {"stringValue": known}}
        elif known := value.int_value:
            entry = {"key": key, "value": {"intValue": str(known)}}
        else:
            content = any_from_protobuf(value, allowance, depth)
            entry = {"key": key, "value": content} if content or item.HasField("value") else {"key": key}
            known = plain(content)
        if into is not None:
            into[key] = known
        if index := item.key_strindex:
            entry["keyStrindex"] = index
        found.append(entry)
    return found


def any_from_protobuf(value: Any, allowance: Allowance, depth: int = 0) -> Json:
    """Canonical form of a protobuf AnyValue."""
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "double_value":
            return {"doubleValue": json_double(value.double_value)}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode("ascii")}
        case "array_value":
            check_depth(depth)
            items = value.array_value.values
            allowance.take(len(items))
            return {"arrayValue": {"values": [any_from_protobuf(item, allowance, depth + 1) for item in items]}}
        case "kvlist_value":
            check_depth(depth)
            return {
                "kvlistValue": {"values": attributes_from_protobuf(value.kvlist_value.values, allowance, depth + 1)}
            }
        case None:
            return {}
    return {"stringValueStrindex": value.string_value_strindex}
