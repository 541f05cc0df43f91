"""Records of Ark's own broker → Events: what its files and its PostgreSQL tables hold.

    messages   {"conversationId", "queryId": <query name>, "message": <any JSON>}
    chunks     {"queryId": <query name>, "chunk": <any JSON>, "complete"?: true}
    spans      one span, see `legacy_spans`
    events     an operation event: {"data": {"queryId": <uid>, …}, "reason", …}
    sessions   {"queries": {<query name>: {"phase", "createdAt", …}}}

All but sessions are items: `{"sequenceNumber", "timestamp", "data", "expiresAt"?}`. An item always becomes the same
Event, id included, so that importing twice stores once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, Literal

import msgspec
import orjson

from ark_broker.model import MAX_INT64, Event, event_id
from ark_broker.model.errors import BadInput
from ark_broker.model.vocabulary import IMPORTED
from ark_broker.receive import ark
from ark_broker.receive.chunks import ChunkReader, completion_event
from ark_broker.receive.conventions.parts import MAX_DEPTH, nests_too_deep
from ark_broker.receive.fields import MAX_NAME
from ark_broker.receive.legacy_spans import span_event

Store = Literal["events", "sessions", "messages", "chunks", "spans"]
#: In the order to import them: what names sessions comes before what has to find them.
STORES: Final[tuple[Store, ...]] = ("events", "sessions", "messages", "chunks", "spans")

_MILLISECOND: Final = 1_000_000
_ENDS: Final = {"done": "QueryExecutionComplete", "error": "QueryExecutionError", "canceled": "QueryExecutionCanceled"}
#: A session's query → the session event that tells of it.
_SESSION_FIELDS: Final = {
    "namespace": "queryNamespace",
    "conversationId": "conversationId",
    "agent": "agent",
    "team": "team",
    "tool": "tool",
    "targetType": "targetType",
}


class Record(msgspec.Struct, frozen=True):
    """One item of a store. Times are nanoseconds since the epoch."""

    store: Store
    #: Its sequence number, or where it stands, from 1.
    position: int
    data: Any
    #: When the old broker stored it; 0 where that is not known.
    time: int = 0
    expires_at: int | None = None

    @property
    def identity(self) -> bytes:
        """The same for the same record, wherever it was read from."""
        content = orjson.dumps(self.data, option=orjson.OPT_SORT_KEYS)
        return event_id("import", self.store, self.position, self.time, content)

    @property
    def instant(self) -> int:
        """`time`, moved on within its millisecond: records of one millisecond keep their order."""
        return self.time and min(self.time + self.position % _MILLISECOND, MAX_INT64)


def record_of(store: Store, item: object, place: int) -> Record:
    """The record that an item of a file stands for; `place` is where it stands there. Raises BadInput."""
    if not isinstance(item, dict):
        raise BadInput("an item must be an object")
    if "data" not in item:
        raise BadInput("is required", "data")
    if nests_too_deep(item["data"]):
        raise BadInput(f"nested deeper than {MAX_DEPTH} levels", "data")
    number = item.get("sequenceNumber")
    return Record(
        store=store,
        position=number if isinstance(number, int) and 0 < number <= MAX_INT64 else place,
        data=item["data"],
        time=instant_of(item.get("timestamp"), "timestamp") or 0,
        expires_at=instant_of(item.get("expiresAt"), "expiresAt"),
    )


def instant_of(value: object, field: str) -> int | None:
    """Nanoseconds of a time as JavaScript writes it: ISO 8601 text, or milliseconds. None for none. Raises BadInput."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return _nanoseconds(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_INT64 // _MILLISECOND:
        return int(value * _MILLISECOND) if isinstance(value, float) else value * _MILLISECOND
    try:
        if isinstance(value, str):
            return _nanoseconds(datetime.fromisoformat(value))
    except ValueError:
        pass
    raise BadInput("must be an ISO 8601 time, or milliseconds since the epoch", field)


def event_of(record: Record) -> Event | None:
    """The Event that the record stands for; None for one that says nothing. Raises BadInput that says why."""
    if not isinstance(record.data, dict):
        raise BadInput("must be an object", "data")
    try:
        match record.store:
            case "messages":
                return _message(record, record.data)
            case "chunks":
                return _chunk(record, record.data)
            case "spans":
                return span_event(record.data)
            case "events":
                expires_at = record.expires_at
                return _imported(
                    ark.operation_event(record.data, identity=record.identity, time=record.time, expires_at=expires_at)
                )
            case "sessions":
                event = ark.session_event(record.data, identity=record.identity, time=record.time)
                return event and _imported(event)
    except orjson.JSONEncodeError as error:
        raise BadInput(f"cannot be stored as JSON: {error}", "data") from None


_Reports = list[tuple[int, dict[str, Any]]]


def session_records(
    session_id: str, queries: Mapping[str, Any], reject: Callable[[str, BadInput], None]
) -> Iterator[Record]:
    """What a stored session says of its queries, as session events: that each began, then how each is, by time.

    `queries` maps names to `{"phase", "createdAt", "lastActivity", "completedAt"?, "agent"?, …}`. What is no query goes
    to `reject`, with its name.
    """
    began: _Reports = []
    now: _Reports = []
    for name, query in queries.items():
        try:
            first, last = _reports(session_id, name, query)
        except BadInput as error:
            reject(name, error)
            continue
        began += first
        now += last
    for time, data in (*sorted(began, key=itemgetter(0)), *sorted(now, key=itemgetter(0))):
        yield Record("sessions", 0, data, time)


def _reports(session_id: str, name: str, query: object) -> tuple[_Reports, _Reports]:
    """That a query began, and how it is now, each with its time, as far as there is something to say."""
    if not isinstance(query, dict):
        raise BadInput("must be an object")
    created, active, completed = (
        instant_of(query.get(key), key) or 0 for key in ("createdAt", "lastActivity", "completedAt")
    )
    phase = query.get("phase")
    ends = _ENDS.get(phase) if isinstance(phase, str) else None
    last = (completed if ends else 0) or active or created
    began_earlier = 0 < created < last
    event = {key: query[stored] for stored, key in _SESSION_FIELDS.items() if query.get(stored)}
    event |= {"sessionId": session_id, "queryName": name}
    began = [(created or last, event | {"_reason": "QueryExecutionStart"})] if began_earlier or not ends else []
    if ends is None:
        return began, [(last, event)] if began_earlier else []
    if phase == "error" and query.get("error"):
        event["error"] = query["error"]
    return began, [(last, event | {"_reason": ends})]


def _message(record: Record, data: Mapping[str, Any]) -> Event:
    if "message" not in data:
        raise BadInput("is required", "data.message")
    return ark.message_event(
        _text(data, "conversationId", "conversation_id"),
        _text(data, "queryId", "query_id"),
        data["message"],
        identity=record.identity,
        time=record.instant,
        expires_at=record.expires_at,
    )


def _chunk(record: Record, data: Mapping[str, Any]) -> Event | None:
    query = _text(data, "queryId", "query_id")
    if not query or any(character < " " for character in query):
        raise BadInput("must be a name", "data.queryId")
    identity = record.identity
    if data.get("complete") is True:
        marker = completion_event(query, query, record.instant)
        marker.id = identity
        return marker
    if "chunk" not in data:
        raise BadInput("is required", "data.chunk")
    event = ChunkReader(query, query, "import", lambda: record.instant).read(orjson.dumps(data["chunk"]))
    if event is not None:
        event.id = identity
    return event


def in_session(event: Event, session_id: str) -> Event:
    """A message whose query is known to be that session's. It says so itself, lest it count as arriving just now."""
    event.session_id = session_id
    return _imported(event)


def _imported(event: Event) -> Event:
    """Its time counts as its arrival, where it names its session."""
    if event.session_id is not None:
        event.correlated_by = IMPORTED
    return event


def _text(data: Mapping[str, Any], field: str, otherwise: str) -> str:
    value = data.get(field, data.get(otherwise))
    if not isinstance(value, str):
        raise BadInput("must be a string", f"data.{field}")
    if len(value) > MAX_NAME:
        raise BadInput(f"must have at most {MAX_NAME} characters", f"data.{field}")
    return value


def _nanoseconds(moment: datetime) -> int:
    """A time without a zone is UTC."""
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    found = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
    return min(max(0, found), MAX_INT64)
