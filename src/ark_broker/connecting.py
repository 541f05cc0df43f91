"""What the client and the commands agree on about the broker's address and token; imports nothing that takes time."""

from __future__ import annotations

import re
from typing import Final

URL_VARIABLE: Final = "ARK_BROKER_URL"
TOKEN_VARIABLE: Final = "ARK_BROKER_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_URL: Final = "http://127.0.0.1:4318"


def is_token(text: str) -> bool:
    """True for what can stand in an `Authorization` header as a bearer token."""
    return text.isascii() and text.isprintable() and " " not in text


def without_login(url: str) -> str:
    """The URL as it may be shown: without the user name and password that can stand before the host."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url, count=1)
