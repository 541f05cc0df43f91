"""Which encoding a request has, and its messages read from either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import orjson
from google.protobuf.message import DecodeError, Message

from ark_broker.model import Event
from ark_broker.model.errors import BadInput, UnsupportedMedia

Encoding = Literal["protobuf", "json"]
Signal = Literal["traces", "logs", "metrics"]

_ENCODINGS: Final[dict[str, Encoding]] = {
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/json": "json",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a request came to. `message` says why `rejected` records are missing, or warns; "" for nothing to say."""

    events: list[Event]
    rejected: int = 0
    message: str = ""


def encoding_of(content_type: str | None) -> Encoding:
    """The encoding that the header names; parameters and case do not matter. Raises UnsupportedMedia."""
    found = _ENCODINGS.get((content_type or "").partition(";")[0].strip().lower())
    if found is None:
        raise UnsupportedMedia("supported: application/x-protobuf, application/json", "Content-Type")
    return found


def parse_protobuf(message: Message, body: bytes) -> None:
    """Fill `message` from `body`. Raises BadInput."""
    try:
        message.ParseFromString(body)
    except (DecodeError, RecursionError, ValueError) as error:
        raise BadInput(f"not a protobuf {message.DESCRIPTOR.name}: {str(error)[:200]}", "body") from None


def parse_json(body: bytes) -> object:
    """The JSON value in `body`. Raises BadInput: also for what follows it, and for nesting without end."""
    try:
        return orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        reason = str(error)[:200]
        if "surrogate" in reason:
            # Half a character: no UTF-8 text, and so neither a body of ours nor a protobuf, can hold it.
            reason = f"text with half of a surrogate pair (a lone \\ud800…\\udfff) is not valid Unicode: {reason}"
        raise BadInput(f"not JSON: {reason}", "body") from None
