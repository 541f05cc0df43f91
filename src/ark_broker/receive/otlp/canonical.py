"""OTLP messages as canonical JSON values, whatever encoding they came in.

Canonical: lowerCamelCase keys in the order of the fields' numbers, fields with their default value left out, ids in
lower-case hex, 64-bit integers as decimal text, enums as integers, bytes in base64, doubles as numbers (`"NaN"`,
`"Infinity"`, `"-Infinity"` as text). It is valid OTLP/JSON, and the same data always gives the same bytes.

`from_protobuf` and `from_json` make it; what both of them and the reader of stored bodies need is here.
"""

from __future__ import annotations

import math
from typing import Any, Final

from ark_broker.model.errors import BadInput

#: Levels of arrays and maps in one value, at most. protobuf itself stops a little later.
MAX_DEPTH: Final = 40
#: Values in one record, at most: attributes, items of arrays and maps, events, links. An array of empty values costs
#: its sender two bytes an item and the reader hundreds. A call that embeds sixty texts (1,536 numbers each) fits.
MAX_VALUES: Final = 100_000

Json = dict[str, Any]
Attributes = dict[str, Any]


class TooManyValues(Exception):  # noqa: N818 - never leaves the package: the record is rejected, or the request
    """A record has more than `MAX_VALUES` values."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_VALUES} attributes, events, links and items of arrays")


class Allowance:
    """How many values a record may still have."""

    __slots__ = ("_left",)

    def __init__(self, values: int = MAX_VALUES) -> None:
        self._left = values

    def take(self, values: int) -> None:
        """Count so many, before anything is made of them. Raises TooManyValues."""
        self._left -= values
        if self._left < 0:
            raise TooManyValues


def check_depth(depth: int) -> None:
    """Raise BadInput where an array or map at `depth` lies too deep."""
    if depth >= MAX_DEPTH:
        raise BadInput(f"values nested deeper than {MAX_DEPTH} levels", "attributes")


def plain(value: Json) -> object:
    """The Python value of a canonical AnyValue: str, bool, int, float, list, dict, or None for an empty one."""
    for kind, content in value.items():
        match kind:
            case "stringValue":
                return content
            case "intValue":
                return int(content)
            case "doubleValue":
                return float(content)
            case "arrayValue":
                return [plain(item) for item in content["values"]]
            case "kvlistValue":
                return plain_attributes(content["values"])
            case _:
                return content
    return None


def plain_attributes(attributes: list[Json]) -> Attributes:
    """Attributes by key, as plain values."""
    return {item["key"]: plain(item.get("value", {})) for item in attributes}


def json_double(number: float) -> float | str:
    """A double as proto3 JSON has it."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
