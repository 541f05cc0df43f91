"""What both clients can do, as programs (see `steps`)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ark_broker.client import calls
from ark_broker.client.backoff import BackOff, asked_delay, may_pass_later, persistently
from ark_broker.client.errors import BrokerError, Refused
from ark_broker.client.steps import Answer, Call, Emit, Open, Pause, Program, Read, request
from ark_broker.client.types import Question, Stored

#: Items on a page, at most.
_PAGE: Final = 1_000
#: Events in one `POST /v1/events`: the broker takes ten thousand, and smaller requests wait for less room.
_BATCH: Final = 1_000
#: Seconds of one long poll.
_POLL: Final = 60.0
_EXPORT_SILENCE: Final = 120.0

#: Fields that answers need to have.
_PAGED: Final = ("items",)
_POSITIONED: Final = ("items", "next", "more")
_ASKED: Final = ("id", "state")

Clock = Callable[[], float]


def fetch(call: Call, needs: Sequence[str] = ()) -> Program[Any]:
    """The answer's JSON, which has all the fields that it `needs`."""
    return decode((yield from request(call)), needs)


def fetch_persistently(call: Call, retry_seconds: float) -> Program[Any]:
    """The answer's JSON, of a request that may be repeated."""
    return decode((yield from persistently(call, retry_seconds)))


def store(call: Call, retry_seconds: float) -> Program[None]:
    """Send what may be repeated, and have nothing to say of the answer."""
    yield from persistently(call, retry_seconds)


def fetch_text(call: Call) -> Program[str]:
    """The answer as text."""
    answer = yield from request(call)
    return answer.body.decode(errors="replace")


def fetch_status(call: Call) -> Program[dict[str, str]]:
    """The answer's text, as `{"status": …}`."""
    return {"status": (yield from fetch_text(call)).strip()}


def decode(answer: Answer, needs: Sequence[str] = ()) -> Any:
    """The answer's JSON. Raises Refused for what no broker answers: no object, or one without a field it `needs`."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(answer.status, "the answer is not JSON: is this a broker?")
    if absent := [name for name in needs if name not in found]:
        raise Refused(answer.status, f"the answer has no {', '.join(absent)}: is this a broker?")
    return found


def cursor_pages(call: Call, limit: int | None) -> Program[None]:
    """Emit the items of a list that goes on with `nextCursor`; `limit` of them at most."""
    cursor: str | None = None
    left = limit
    while left is None or left > 0:
        page = yield from fetch(_with(call, limit=_size(left), cursor=cursor), _PAGED)
        items = page["items"]
        yield Emit(items)
        left = None if left is None else left - len(items)
        cursor = page.get("nextCursor")
        if cursor is None:
            return


def event_pages(call: Call, after: int, limit: int | None) -> Program[None]:
    """Emit stored events that go on with `next`; `limit` of them at most."""
    left = limit
    while left is None or left > 0:
        page = yield from fetch(_with(call, limit=_size(left), after=after), _POSITIONED)
        items = page["items"]
        yield Emit(items)
        left = None if left is None else left - len(items)
        after = page["next"]
        if not page["more"]:
            return


def _size(left: int | None) -> int:
    return _PAGE if left is None else min(_PAGE, left)


def _with(call: Call, **values: object) -> Call:
    return Call(call.method, call.path, {**call.parameters, **calls.parameters(**values)}, call.headers)


def send(events: Sequence[Mapping[str, Any]], retry_seconds: float) -> Program[Stored]:
    """Store the events, each once."""
    identified = calls.identified(events)
    total: Stored = {"stored": 0, "duplicates": 0, "head": 0}
    for start in range(0, len(identified), _BATCH):
        call = calls.post("events", content=identified[start : start + _BATCH])
        told = decode((yield from persistently(call, retry_seconds)), tuple(total))
        total["stored"] += told["stored"]
        total["duplicates"] += told["duplicates"]
        total["head"] = told["head"]
    return total


def ask(
    given: Mapping[str, Any], wait: float | None, retry_seconds: float, clock: Clock = time.monotonic
) -> Program[Question]:
    """Ask, and wait until the question is over, or for `wait` seconds."""
    deadline = None if wait is None else clock() + wait
    call = calls.post("questions", content=calls.question(given), headers=calls.attempt())
    asked: Question = decode((yield from persistently(call, retry_seconds)), _ASKED)
    if asked["state"] != "open" or wait == 0:
        return asked
    return (yield from await_answer(asked, deadline, clock))


def await_answer(asked: Question, deadline: float | None, clock: Clock = time.monotonic) -> Program[Question]:
    """The question once it is over, or as it is at the deadline; a broker that is away is waited for."""
    back_off = BackOff()
    while asked["state"] == "open":
        left = _POLL if deadline is None else min(_POLL, deadline - clock())
        if left <= 0:
            break
        call = calls.get("questions", asked["id"], wait=left)
        try:
            asked = yield from fetch(Call(call.method, call.path, call.parameters, patience=left), _ASKED)
            back_off.succeeded()
        except BrokerError as error:
            if not may_pass_later(error):
                raise
            delay = back_off.next(asked_delay(error))
            yield Pause(delay if deadline is None else max(0.0, min(delay, deadline - clock())), error)
    return asked


def download(call: Call) -> Program[None]:
    """Emit the answer's bytes as they come. Raises Unreachable where it breaks off."""
    yield Open(call, silence=_EXPORT_SILENCE)
    while data := (yield Read()):
        yield Emit([data])
