"""Small things that several resources share: names in paths, JSON answers."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ark_broker.model.errors import BadInput

MAX_NAME: Final = 256


def json_response(content: object, status_code: int = 200) -> Response:
    """`content` as compact JSON."""
    return Response(orjson.dumps(content), status_code=status_code, media_type="application/json")


def raw_segments(request: Request) -> list[str]:
    """The path's segments, each decoded on its own: `%2F` is a slash in a name, not a separator."""
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    path = bytes(raw).partition(b"?")[0].decode("ascii", "replace")
    try:
        return [unquote(segment, errors="strict") for segment in path.strip("/").split("/")]
    except UnicodeDecodeError:
        raise BadInput("the path is not UTF-8", "path") from None


def checked_name(name: str, field: str) -> str:
    """A name as the log can hold it. Raises BadInput."""
    if not name or len(name) > MAX_NAME:
        raise BadInput(f"must have 1 to {MAX_NAME} characters", field)
    if "\x00" in name or not name.isprintable():
        raise BadInput("must not have control characters", field)
    return name
