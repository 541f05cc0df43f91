"""The broker's routes as requests, see docs/api.md. Every function is pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from ark_broker.client.steps import Call

_JSON: Final = {"content-type": "application/json"}


def path(*names: str) -> str:
    """A path of these segments; what is in a name stays in it."""
    return "/" + "/".join(_segment(name) for name in names)


def _segment(name: str) -> str:
    if not name:
        raise ValueError("a name in a path cannot be empty")
    # A segment of dots means a place in the path, to everybody on the way.
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def parameters(**values: object) -> dict[str, str | list[str]]:
    """Query parameters: absent values left out, a trailing underscore taken away, several values of one name a list.

    Raises TypeError for what has no form in a URL.
    """
    found: dict[str, str | list[str]] = {}
    for name, value in values.items():
        if value is None:
            continue
        key = name.rstrip("_")
        if isinstance(value, bool):
            found[key] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            found[key] = str(value)
        elif isinstance(value, datetime):
            found[key] = value.isoformat()
        elif isinstance(value, Sequence | AbstractSet):
            if texts := [str(each) for each in value]:
                found[key] = texts
        else:
            raise TypeError(f"{key} cannot be {type(value).__name__}")
    return found


def get(*names: str, **values: object) -> Call:
    """`GET /v1/<names>?<values>`"""
    return Call("GET", path("v1", *names), parameters(**values))


def post(*names: str, content: object, headers: Mapping[str, str] | None = None) -> Call:
    """`POST /v1/<names>` with a JSON body. Raises ValueError for what is no JSON (NaN)."""
    return Call("POST", path("v1", *names), headers={**_JSON, **(headers or {})}, body=encode(content))


def delete(*names: str) -> Call:
    """`DELETE /v1/<names>`"""
    return Call("DELETE", path("v1", *names))


def encode(content: object) -> bytes:
    """The value as JSON on one line, in ASCII. Raises ValueError, TypeError for what JSON cannot say."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def attempt() -> dict[str, str]:
    """The header that makes a request be done once, however often it is sent."""
    return {"idempotency-key": uuid.uuid4().hex}


def camel(name: str) -> str:
    """`mcp_session_id` → `mcpSessionId`"""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def question(given: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `POST /v1/questions`: what was given, in camelCase."""
    body = {camel(name): value for name, value in given.items() if value is not None}
    if given.get("on_deadline") == "default":
        # Null is an answer as good as any other.
        body["default"] = given.get("default")
    return body


def identified(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The events, each with an id: sent again they are stored once."""
    return [dict(event) if event.get("id") else {**event, "id": uuid.uuid4().hex} for event in events]
