"""What an upstream's answer to a request with spans means.

The table is in `otlp_send`. Langfuse, Phoenix and the Collector are read as they write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

import orjson
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ark_broker.deliver.upstreams import Upstream

#: Characters of a reason, at most.
MAX_REASON: Final = 300
#: Longest `Retry-After` that is believed, in seconds.
MAX_RETRY_AFTER: Final = 3600.0
#: Pause in seconds where somebody has to mend something first.
LONG_PAUSE: Final = 60.0
#: What OTLP/HTTP is written in here.
PROTOBUF: Final = "application/x-protobuf"

#: Objects around the sentence in an error: `{"error": {"message": "…"}}` has two.
_LEVELS: Final = 3
#: What OTLP says may be sent again, and what says the same in HTTP.
_RETRY: Final = frozenset({408, 425, 429, 502, 503, 504})
#: It, or a proxy before it, did not wait for the end.
_TOO_SLOW: Final = frozenset({408, 504})
_TOO_MANY: Final = 429
_MENDED_BY_PEOPLE: Final = frozenset({401, 402, 403, 404, 405, 407, 415, 507})
#: Shorter values of headers are no secrets, and may be part of any sentence.
_SECRET_LENGTH: Final = 8

#: `failed`: it got the request and broke over it, which says nothing of whose fault that is.
Verdict = Literal["taken", "split", "later", "failed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream answered, judged."""

    verdict: Verdict
    reason: str = ""
    rejected: int = 0
    retry_after: float = 0.0
    #: It took too long: fewer spans may be quicker.
    slow: bool = False
    #: It is well, and wants less of it.
    busy: bool = False


def judge(
    upstream: Upstream,
    status: int,
    headers: Mapping[str, str],
    content: bytes | None,
    spans: int,
    *,
    now: datetime | None = None,
) -> Answer:
    """What an answer to a request with so many spans means. `content` is None where it cannot be read.

    `headers` have to be found in any spelling of their names, as those of httpx are. `now` is for `Retry-After`.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if 200 <= status < 300:
        rejected, message = _taken(media, content or b"")
        return Answer("taken", line(message, upstream), min(max(rejected, 0), spans))
    reason = line(f"HTTP {status}: {_why(status, media, content or b'')}".rstrip(": "), upstream)
    pause = parse_retry_after(headers.get("retry-after", ""), now or datetime.now(UTC))
    if status in _MENDED_BY_PEOPLE or status < 400:
        return Answer("later", reason, retry_after=max(pause, LONG_PAUSE))
    if status in _RETRY:
        return Answer("later", reason, retry_after=pause, slow=status in _TOO_SLOW, busy=status == _TOO_MANY)
    if status >= 500:
        return Answer("failed", reason, retry_after=pause)
    return Answer("split", reason)


def parse_retry_after(value: str, now: datetime) -> float:
    """`Retry-After`, in seconds or as an HTTP date, as seconds from `now`: 0 to an hour, 0 where it says nothing."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        # More digits than this are more than an hour, and int() takes only so many.
        return min(float(value[:20]), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _taken(media: str, content: bytes) -> tuple[int, str]:
    """How many spans of a taken request were rejected, and what it says.

    What cannot be read is no failure: Langfuse answers JSON of its own to protobuf.
    """
    if media == PROTOBUF:
        partial = _decoded(ExportTraceServiceResponse, content).partial_success
        return partial.rejected_spans, partial.error_message
    if media == "application/json":
        return _partial_success(_json(content))
    if media == "text/html":
        return 0, "it answered with a web page: is this the address of an OTLP receiver?"
    return 0, ""


def _decoded(of: type[Any], content: bytes) -> Any:
    """The message in `content`, or an empty one."""
    try:
        return of.FromString(content)
    except DecodeError:
        return of()


def _partial_success(value: object) -> tuple[int, str]:
    partial = value.get("partialSuccess") if isinstance(value, dict) else None
    if not isinstance(partial, dict):
        return 0, ""
    rejected, message = partial.get("rejectedSpans", 0), partial.get("errorMessage", "")
    try:
        count = int(rejected)
    except (TypeError, ValueError, OverflowError):
        count = 0
    return count, message if isinstance(message, str) else ""


def _why(status: int, media: str, content: bytes) -> str:
    """What the upstream says about its status; "" where it does not in words."""
    if status < 400:
        return "it sends elsewhere, and redirects are not followed"
    if media == PROTOBUF:
        return str(_decoded(Status, content).message)
    if media.endswith("json"):
        return _said(content)
    if media in ("", "text/plain"):
        return content.decode("utf-8", "replace")
    return ""


def _json(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _said(content: bytes) -> str:
    """The sentence in a JSON error, whatever it is called there: `message`, `error`, `detail`; or all of it."""
    value = _json(content)
    for _ in range(_LEVELS):
        if isinstance(value, dict):
            value = next((found for key in ("message", "error", "detail") if (found := value.get(key))), None)
    return value if isinstance(value, str) else content.decode("utf-8", "replace")


def line(text: str, upstream: Upstream) -> str:
    """`text` as one printable line of `MAX_REASON` characters at most, without what the upstream's headers hold.

    An upstream may repeat what it was sent.
    """
    for value in upstream.headers.values():
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) >= _SECRET_LENGTH:
                text = text.replace(secret, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_REASON]).split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"
