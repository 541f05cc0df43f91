"""Small things that several resources share: names in paths, JSON answers."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import unquote

import orjson
from pydantic import AfterValidator, StringConstraints
from starlette.responses import Response

from ark_broker.model.errors import BadInput

MAX_NAME: Final = 256


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not have NUL characters")
    return text


def _without_controls(text: str) -> str:
    if any(character < " " for character in text):
        raise ValueError("must not have control characters")
    return text


#: Free text to search for. What the log searches in is separated by control characters.
SearchText = Annotated[str, AfterValidator(_without_controls)]
#: Text of a query parameter. PostgreSQL takes no NUL, not even to compare with.
Text = Annotated[str, AfterValidator(_without_nul)]
#: A name in a query parameter.
NameText = Annotated[Text, StringConstraints(max_length=MAX_NAME)]


def json_response(content: object, status_code: int = 200) -> Response:
    """`content` as compact JSON."""
    return Response(orjson.dumps(content), status_code=status_code, media_type="application/json")


def routable(raw_path: bytes) -> str:
    """The path as the router is to see it: decoded, but for a slash (and the percent sign) inside a segment.

    `path_name` decodes what is left. Raises BadInput where it is not UTF-8.
    """
    raw = raw_path.partition(b"?")[0].decode("ascii", "replace")
    try:
        segments = [unquote(segment, errors="strict") for segment in raw.split("/")]
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8", "path") from None
    return "/".join(segment.replace("%", "%25").replace("/", "%2F") for segment in segments)


def path_name(segment: str, field: str) -> str:
    """The name to look up, in a segment of a `routable` path. Raises BadInput for one that the log cannot hold."""
    name = unquote(segment)
    if not name or len(name) > MAX_NAME:
        raise BadInput(f"must have 1 to {MAX_NAME} characters", field)
    if "\x00" in name:
        raise BadInput("must not have NUL characters", field)
    return name


def checked_name(name: str, field: str) -> str:
    """A name that a new thing may be given. Raises BadInput."""
    if not name or len(name) > MAX_NAME:
        raise BadInput(f"must have 1 to {MAX_NAME} characters", field)
    if "\x00" in name or not name.isprintable():
        raise BadInput("must not have control characters", field)
    return name
