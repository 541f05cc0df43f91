"""Attributes and values: from either encoding to canonical OTLP/JSON, and to what the conventions read in them.

Canonical: 64-bit integers as decimal strings, bytes as padded base64, doubles as numbers (NaN and the infinities as
the strings that proto3 JSON names), one member an AnyValue, `key` before `value`.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

import orjson

from ark_broker.model.errors import BadInput
from ark_broker.receive.conventions import facts_of, hits_of
from ark_broker.receive.conventions.family import Facts, Hit
from ark_broker.receive.otlp import wire

#: The attribute in canonical JSON, and what the conventions take from it.
Attribute = tuple[bytes, tuple[Hit, ...]]

#: Arrays and lists within each other, at most, counted from the attribute's own value.
MAX_DEPTH: Final = 40
#: Values within one attribute's value, at most.
MAX_VALUES: Final = 100_000
#: Attributes of one record, resource or scope, at most.
MAX_ATTRIBUTES: Final = 10_000

#: Attributes above this many bytes are content, which seldom comes twice.
_REMEMBERED_BYTES: Final = 256
_REMEMBERED: Final = 4_096


class RecordRejected(Exception):  # noqa: N818 - reads as what it says
    """This one record cannot be stored; the rest of the request can. `str()` is the reason."""


def facts_in(attributes: Iterable[Attribute]) -> Facts:
    """What the conventions take from these attributes."""
    return facts_of(chain.from_iterable([attribute[1] for attribute in attributes if attribute[1]]))


def attribute(key: str, value: dict[str, Any], scalar: object) -> Attribute:
    """An attribute from its canonical value; `scalar` is the same as a plain value, None for what is none."""
    fragment = orjson.dumps({"key": key, "value": value})
    return fragment, hits_of(key, scalar) if scalar is not None else ()


def finite_or_name(number: float) -> float | str:
    """A double as JSON can hold it."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


class Budget:
    """Counts the values inside one attribute's value. Raises RecordRejected for too many of them."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise RecordRejected(f"an attribute holds more than {MAX_VALUES} values")


def check_depth(depth: int) -> None:
    """Raises BadInput for values nested deeper than MAX_DEPTH."""
    if depth > MAX_DEPTH:
        raise BadInput(f"attribute values are nested deeper than {MAX_DEPTH} levels")


class AttributeReader(dict[bytes, Attribute]):
    """Serialised KeyValue → Attribute, for one request; remembers the short ones, which come again."""

    def __missing__(self, serialised: bytes) -> Attribute:
        found = _read(serialised)
        if len(serialised) <= _REMEMBERED_BYTES and len(self) < _REMEMBERED:
            self[serialised] = found
        return found

    def read(self, serialised: Iterable[bytes]) -> list[Attribute]:
        """The attributes of a record. Raises RecordRejected for more than MAX_ATTRIBUTES."""
        found = list(map(self.__getitem__, serialised))
        if len(found) > MAX_ATTRIBUTES:
            raise RecordRejected(too_many(len(found)))
        return found


def too_many(count: int) -> str:
    """Why a record with so many attributes is rejected."""
    return f"{count} attributes, and {MAX_ATTRIBUTES} are the most"


def _read(serialised: bytes) -> Attribute:
    pair = wire.parse(wire.KeyValue, serialised)
    key: str = pair.key
    value = pair.value
    text: str = value.string_value
    if text and key:  # nearly always
        return attribute(key, {"stringValue": text}, text)
    members: dict[str, Any] = {"key": key}
    if not key and pair.key_strindex:
        members["keyStrindex"] = pair.key_strindex
    scalar: object = None
    if pair.HasField("value"):
        members["value"], scalar = value_of(value, Budget())
    return orjson.dumps(members), hits_of(key, scalar) if scalar is not None else ()


def value_of(value: Any, budget: Budget, depth: int = 1) -> tuple[dict[str, Any], object]:
    """A wire.AnyValue as canonical JSON, and as a plain value where it is a scalar.

    Raises BadInput for what is malformed or too deep, RecordRejected for too many values.
    """
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return {"stringValue": value.string_value}, value.string_value
    if kind == "int_value":
        return {"intValue": str(value.int_value)}, value.int_value
    if kind == "bool_value":
        return {"boolValue": value.bool_value}, value.bool_value
    if kind == "double_value":
        return {"doubleValue": finite_or_name(value.double_value)}, value.double_value
    if kind == "array_value":
        check_depth(depth)
        return {"arrayValue": _array(value.array_value, budget, depth)}, None
    if kind == "kvlist_value":
        check_depth(depth)
        return {"kvlistValue": _kvlist(value.kvlist_value, budget, depth)}, None
    if kind == "bytes_value":
        return {"bytesValue": b64encode(value.bytes_value).decode()}, None
    if kind == "string_value_strindex":
        return {"stringValueStrindex": value.string_value_strindex}, None
    return {}, None


def _array(serialised: bytes, budget: Budget, depth: int) -> dict[str, Any]:
    items = wire.parse(wire.ArrayValue, serialised).values
    if not items:
        return {}
    budget.take(len(items))
    return {"values": [value_of(wire.parse(wire.AnyValue, item), budget, depth + 1)[0] for item in items]}


def _kvlist(serialised: bytes, budget: Budget, depth: int) -> dict[str, Any]:
    items = wire.parse(wire.KeyValueList, serialised).values
    if not items:
        return {}
    budget.take(len(items))
    return {"values": [_pair(wire.parse(wire.KeyValue, item), budget, depth + 1) for item in items]}


def _pair(pair: Any, budget: Budget, depth: int) -> dict[str, Any]:
    members: dict[str, Any] = {"key": pair.key}
    if not pair.key and pair.key_strindex:
        members["keyStrindex"] = pair.key_strindex
    if pair.HasField("value"):
        members["value"] = value_of(pair.value, budget, depth)[0]
    return members
