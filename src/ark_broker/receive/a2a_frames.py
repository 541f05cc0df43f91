"""Bodies that carry A2A frames: one JSON object, an array, NDJSON, or server-sent events as an agent streams them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from ark_broker.model import Event
from ark_broker.model.errors import BadInput, TooLarge, UnsupportedMedia
from ark_broker.receive.a2a import Defaults, Stream
from ark_broker.receive.context import NONE, context_of
from ark_broker.receive.conventions.parts import MAX_DEPTH, nests_too_deep
from ark_broker.receive.custom import MAX_EVENTS

_JSON: Final = frozenset({"application/json", "application/a2a+json"})
_LINES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_SSE: Final = "text/event-stream"
#: A frame, and its place in the body: empty for the body itself.
_Frame = tuple[Any, str]


def decode_notification(
    body: bytes, content_type: str | None, headers: Mapping[str, str], defaults: Defaults, *, now: int = 0
) -> list[Event]:
    """Events of a push notification: one JSON object.

    What it does not say itself is taken from `defaults`, then from the request's `traceparent` and `baggage`. `now` is
    the time of arrival in nanoseconds. Raises BadInput that names the field, UnsupportedMedia.
    """
    if _media(content_type) not in _JSON:
        raise UnsupportedMedia("supported: application/json, application/a2a+json", "Content-Type")
    return _events(iter([(_parse(body), "")]), headers, defaults, now)


def decode_frames(
    body: bytes, content_type: str | None, headers: Mapping[str, str], defaults: Defaults, *, now: int = 0
) -> list[Event]:
    """Events of the frames of one or more streams, all or nothing; else as `decode_notification`.

    Raises BadInput that says where, TooLarge, UnsupportedMedia.
    """
    media = _media(content_type)
    if media in _JSON:
        frames = _listed(_parse(body))
    elif media in _LINES:
        frames = _lines(body)
    elif media == _SSE:
        frames = _server_sent(body)
    else:
        supported = "application/json, application/a2a+json, application/x-ndjson, text/event-stream"
        raise UnsupportedMedia(f"supported: {supported}", "Content-Type")
    return _events(frames, headers, defaults, now)


def _events(frames: Iterator[_Frame], headers: Mapping[str, str], defaults: Defaults, now: int) -> list[Event]:
    stream = Stream()
    events: list[Event] = []
    for value, place in frames:
        if len(events) >= MAX_EVENTS:
            raise TooLarge(f"more than {MAX_EVENTS} events in one request: send smaller batches", "body")
        try:
            events += stream.events(value)
        except BadInput as error:
            raise _placed(error, place) from None
    stream.settle(now)
    context = context_of(headers)
    for event in events:
        defaults.apply(event)
        if context != NONE:
            context.apply(event)
    return events


def _listed(value: Any) -> Iterator[_Frame]:
    if not isinstance(value, list):
        yield value, ""
        return
    for index, item in enumerate(value):
        yield item, f"[{index}]"


def _lines(body: bytes) -> Iterator[_Frame]:
    for number, line in enumerate(body.split(b"\n"), 1):
        if line.strip():
            yield _parse_at(line, f"line {number}"), f"line {number}"


def _server_sent(body: bytes) -> Iterator[_Frame]:
    """The `data` of each event (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    The last one counts without the blank line after it, too: a request has an end, which a stream may lack.
    """
    lines = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    data: list[bytes] = []
    began = 0
    for number, line in enumerate([*lines, b""], 1):
        if not line:
            text = b"\n".join(data)
            if text.strip():
                yield _parse_at(text, f"line {began}"), f"line {began}"
            data = []
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            began = began if data else number
            data.append(value.removeprefix(b" "))


def _parse_at(text: bytes, place: str) -> Any:
    try:
        return _parse(text)
    except BadInput as error:
        raise _placed(error, place) from None


def _placed(error: BadInput, place: str) -> BadInput:
    """The error with the place of its frame, which stands before the field's."""
    if not place:
        return error
    if not place.startswith("["):
        return BadInput(str(error), place)
    within = "" if error.field in (None, "body") else f".{error.field}"
    return BadInput(str(error).removeprefix(f"{error.field}: "), place + within)


def _parse(text: bytes) -> Any:
    try:
        value = orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None
    # What is stored has to be written again, and readers have limits too. Few come near: counting brackets tells.
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and nests_too_deep(value):
        raise BadInput(f"nested deeper than {MAX_DEPTH} levels", "body")
    return value


def _media(content_type: str | None) -> str:
    return (content_type or "application/json").partition(";")[0].strip().lower()
