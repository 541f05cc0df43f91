"""What can go wrong between a client and its broker.

BrokerError
├── Unreachable   nobody answered, or the answer broke off
├── Refused       the broker answered, and says no
└── GapError      a stream that was taken up again may have missed something
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ark_broker.client.types import StreamHello


class BrokerError(Exception):
    """Base of every error that a client raises on purpose. `str(error)` is fit for a person's eyes."""


class Unreachable(BrokerError):  # noqa: N818 - reads as what it says
    """No answer: the broker is not there, or went away in the middle."""


class Refused(BrokerError):  # noqa: N818
    """The broker's answer is an error.

    `code`, `field` and `request_id` are as docs/api.md describes them, where the answer had them. `details` is the
    whole `error` object: a conflict has `candidates` or `question` in it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{message} ({status})")
        self.status = status
        self.message = message
        self.code = code
        self.field = field
        self.request_id = request_id
        #: Seconds, where the answer said when to come back.
        self.retry_after = retry_after
        self.details: Mapping[str, Any] = details or {}

    @property
    def may_pass_later(self) -> bool:
        """True where the same request is right to repeat: the broker is overloaded, starting, or short of something."""
        return self.status in (408, 425, 429) or self.status >= 500


class GapError(BrokerError):
    """The broker says that this reader may have missed events; `hello` has the reason."""

    def __init__(self, hello: StreamHello) -> None:
        super().__init__(f"events may be missing: {hello.get('reason', 'the broker does not say why')}")
        self.hello = hello


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """The error that an answer stands for, whoever wrote it: a proxy's has no JSON."""
    details = _error_in(body)
    message = details.get("message")
    request_id = details.get("requestId") or headers.get("x-request-id")
    return Refused(
        status,
        message if isinstance(message, str) else f"the broker answered {status}",
        code=_text(details.get("code")),
        field=_text(details.get("field")),
        request_id=_text(request_id),
        retry_after=_seconds(headers.get("retry-after")),
        details=details,
    )


def _error_in(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    error = content.get("error") if isinstance(content, dict) else None
    if isinstance(error, dict):
        return error
    # Routes that Ark's programs use answer `{"error": "…"}`.
    return {"message": error} if isinstance(error, str) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(value: str | None) -> float | None:
    """`Retry-After` in seconds. The other form, a date, is not the broker's."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
