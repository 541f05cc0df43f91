"""What Ark's controllers and executors post beside spans and chunks: messages, operation events, session events.

    POST /messages   {"conversation_id", "query_id": <query name>, "messages": [<OpenAI message>, …], "ttl_seconds"?}
    POST /events     {"reason", "eventType", "message", "timestamp", "data": {"queryId": <uid>, …}, "ttl_seconds"?}
    POST /sessions   {"sessionId", "queryName", "conversationId", "agent", …, "_reason"}

Nothing is told apart by its content: what is posted twice is stored twice, unless the sender names the attempt
(`Idempotency-Key`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import orjson

from ark_broker.model import MAX_INT64, Event, event_id
from ark_broker.model import vocabulary as v
from ark_broker.model.errors import BadInput, TooLarge
from ark_broker.receive import operations
from ark_broker.receive.conventions.parts import MAX_DEPTH, nests_too_deep
from ark_broker.receive.custom import told_event
from ark_broker.receive.fields import MAX_NAME, name

_T = TypeVar("_T")
#: Messages in one request, at most.
MAX_MESSAGES: Final = 10_000
_SECOND: Final = 1_000_000_000
#: A hundred years: what lives longer has no end.
_LONGEST_TTL: Final = 100 * 365 * 86_400
_RAW: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
#: JSON has line breaks between values only; a frame of a stream is one line.
_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def decode_messages(body: bytes, *, now: int, attempt: str | None = None) -> list[Event]:
    """One event a message, in their order; an empty `messages` gives one that only tells of the conversation.

    `now` is the time of arrival, in nanoseconds. Raises BadInput that names the field, TooLarge.
    """
    value = _object(body)
    issues = _Issues()
    conversation_id = issues.collect(lambda: _text(value, "conversation_id", least=0))
    query_id = issues.collect(lambda: _text(value, "query_id", least=0))
    issues.collect(lambda: _list(value, "messages"))
    expires_at = issues.collect(lambda: _expiry(value, now))
    issues.settle()
    assert conversation_id is not None
    assert query_id is not None
    raw = _RAW_LIST.decode(_RAW.decode(body)["messages"])
    if len(raw) > MAX_MESSAGES:
        raise TooLarge(f"more than {MAX_MESSAGES} messages in one request", "messages")
    attempt = attempt or uuid.uuid4().hex
    if not raw:
        named = conversation_id and query_id
        return [_mention(conversation_id, query_id, event_id("mention", attempt), now)] if named else []
    return [
        _message(conversation_id, query_id, bytes(item), event_id("message", attempt, index), now + index, expires_at)
        for index, item in enumerate(raw)
    ]


def message_event(
    conversation_id: str,
    query_id: str,
    message: object,
    *,
    identity: bytes,
    time: int,
    expires_at: int | None = None,
) -> Event:
    """A stored message (any JSON value) of the query of that name; `time` and `expires_at` in nanoseconds."""
    return _message(conversation_id, query_id, orjson.dumps(message), identity, time, expires_at)


def message_of(event: Event) -> msgspec.Raw:
    """The message in a `message` event, as it was posted. Of one posted as a custom event, what stands there."""
    try:
        return _RAW.decode(event.body).get("message") or msgspec.Raw(event.body)
    except msgspec.DecodeError:
        return msgspec.Raw(event.body or b"null")


def is_mention(event: Event) -> bool:
    """True for an event that only says which conversation a query belongs to."""
    return event.type == v.CONVERSATION_NAMED


def _message(
    conversation_id: str, query_id: str, message: bytes, identity: bytes, at: int, expires_at: int | None
) -> Event:
    return Event(
        id=identity,
        kind="message",
        type=v.MESSAGE_ADDED,
        time=at,
        body=b'{"message":' + message.translate(_ONE_LINE) + b"}",
        query=name(query_id),
        conversation_id=name(conversation_id),
        expires_at=expires_at,
    )


def _mention(conversation_id: str, query_id: str, identity: bytes, at: int) -> Event:
    return Event(
        id=identity,
        kind="event",
        type=v.CONVERSATION_NAMED,
        time=at,
        body=b"{}",
        query=name(query_id),
        conversation_id=name(conversation_id),
    )


def decode_operation(body: bytes, *, now: int, attempt: str | None = None) -> Event:
    """The event of a `POST /events`. Its body is what was posted without `ttl_seconds`, `data` first.

    Raises BadInput that names the field.
    """
    value = _object(body)
    issues = _Issues()
    data = issues.collect(lambda: _data(value))
    if data is not None:
        issues.collect(lambda: _text(data, "queryId", "data."))
        for field in ("queryName", "sessionId"):
            if isinstance(data.get(field), str):
                issues.collect(partial(_text, data, field, "data.", least=0))
    expires_at = issues.collect(lambda: _expiry(value, now))
    issues.settle()
    parts = _RAW.decode(body)
    parts.pop("ttl_seconds", None)
    ordered = {"data": parts.pop("data"), **parts}
    content = msgspec.json.encode(ordered).translate(_ONE_LINE)
    identity = event_id("operation", attempt) if attempt else uuid.uuid4().bytes
    return _operation(value, content, identity, 0, expires_at)


def operation_event(value: dict[str, Any], *, identity: bytes, time: int, expires_at: int | None = None) -> Event:
    """A stored operation event. `time` is when it was stored, in nanoseconds: it counts where the event has none.

    Raises BadInput where it names no query.
    """
    _text(_data(value), "queryId", "data.")
    return _operation(value, orjson.dumps(value), identity, time, expires_at)


def _operation(value: dict[str, Any], body: bytes, identity: bytes, at: int, expires_at: int | None) -> Event:
    reason = value.get("reason")
    fields = operations.fields_of({**value, "reason": reason if isinstance(reason, str) else ""})
    event = told_event(fields, identity, body, at=at)
    event.expires_at = expires_at
    return event


def decode_session_event(body: bytes, *, attempt: str | None = None) -> Event | None:
    """The event of a `POST /sessions`; None for one that names no query, which changes nothing.

    Raises BadInput that names the field.
    """
    value = _object(body)
    _text(value, "sessionId")
    identity = event_id("session event", attempt) if attempt else uuid.uuid4().bytes
    return session_event(value, identity=identity, time=0)


def session_event(value: dict[str, Any], *, identity: bytes, time: int) -> Event | None:
    """A flat session event; `time` in nanoseconds, 0 for when it is stored. None for one that names no query.

    Raises BadInput for a session or query whose name cannot be one.
    """
    _text(value, "sessionId")
    if not isinstance(value.get("queryName"), str) or not value["queryName"]:
        return None
    _text(value, "queryName")
    reason = value.get("_reason")
    data = {key: item for key, item in value.items() if key not in ("timestamp", "queryId")}
    data["queryNamespace"] = value.get("queryNamespace") or value.get("namespace")
    fields = operations.fields_of({"reason": reason if isinstance(reason, str) else "", "data": data})
    if not reason:
        fields["type"] = v.SESSION_REPORTED
    return told_event(fields, identity, orjson.dumps(value), at=time)


class _Issues:
    """What is wrong with a body: all of it is said at once, as Ark's broker does."""

    def __init__(self) -> None:
        self._found: list[BadInput] = []

    def collect(self, read: Callable[[], _T]) -> _T | None:
        """What `read` returns; None where it finds something wrong."""
        try:
            return read()
        except BadInput as error:
            self._found.append(error)
            return None

    def settle(self) -> None:
        """Raise BadInput, which names the first field, where anything was wrong."""
        if self._found:
            together = BadInput("; ".join(map(str, self._found)))
            together.field = self._found[0].field
            raise together


def _data(value: Mapping[str, Any]) -> dict[str, Any]:
    data = value.get("data")
    if not isinstance(data, dict):
        raise BadInput(f"Invalid input: expected object, received {_kind_of(value, 'data')}", "data")
    return data


def _list(value: Mapping[str, Any], field: str) -> None:
    if not isinstance(value.get(field), list):
        raise BadInput(f"Invalid input: expected array, received {_kind_of(value, field)}", field)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None
    if not isinstance(value, dict):
        raise BadInput(f"Invalid input: expected object, received {_js_type(value)}", "body")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and nests_too_deep(value):
        raise BadInput(f"nested deeper than {MAX_DEPTH} levels", "body")
    return value


def _text(value: Mapping[str, Any], field: str, prefix: str = "", *, least: int = 1) -> str:
    found = value.get(field)
    path = prefix + field
    if not isinstance(found, str):
        raise BadInput(f"Invalid input: expected string, received {_kind_of(value, field)}", path)
    if len(found) < least:
        raise BadInput(f"Too small: expected string to have >={least} characters", path)
    if len(found) > MAX_NAME:
        raise BadInput(f"Too big: expected string to have <={MAX_NAME} characters", path)
    if "\x00" in found:
        raise BadInput("must not have NUL characters", path)
    return found


def _expiry(value: Mapping[str, Any], now: int) -> int | None:
    """When what comes with `ttl_seconds` expires, in nanoseconds. Numbers in text count, as they always did."""
    if "ttl_seconds" not in value:
        return None
    given = value["ttl_seconds"]
    try:
        seconds = float(0 if given is None else given or 0)
    except (TypeError, ValueError):
        raise BadInput("Invalid input: expected number, received NaN", "ttl_seconds") from None
    if seconds != seconds or seconds in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN is not itself
        raise BadInput("Invalid input: expected number, received NaN", "ttl_seconds")
    if not seconds.is_integer():
        raise BadInput("Invalid input: expected int, received number", "ttl_seconds")
    if seconds <= 0:
        raise BadInput("Too small: expected number to be >0", "ttl_seconds")
    return min(now + int(min(seconds, _LONGEST_TTL)) * _SECOND, MAX_INT64)


def _kind_of(value: Mapping[str, Any], field: str) -> str:
    return _js_type(value[field]) if field in value else "undefined"


def _js_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"
