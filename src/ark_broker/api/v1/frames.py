"""Formats of the live streams: how one item of a stream becomes a frame."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from ark_broker.api.encode import event_json
from ark_broker.api.sse import frame
from ark_broker.log.read import SessionChange
from ark_broker.log.tail import Format, Item
from ark_broker.model import Event
from ark_broker.receive.conventions.describe import describe
from ark_broker.sessions.completions import consumer_data
from ark_broker.sessions.view import summary_json


def event_format(types: Sequence[str]) -> Format:
    """Whole events, as `GET …/events` shows them; with `types`, only those."""
    wanted = frozenset(types)

    def encode(item: Item, position: int) -> bytes:
        assert isinstance(item, Event)
        if wanted and item.type not in wanted:
            return b""
        return frame(event_json(item), position=position)

    return Format("event:" + "\n".join(sorted(wanted)), encode)


def session_list_format() -> Format:
    """`{"session": summary}` of a session that changed, `{"session": {"id"}, "gone": true}` of one that went."""

    def encode(item: Item, position: int) -> bytes:
        assert isinstance(item, SessionChange)
        if item.summary is None:
            content: dict[str, object] = {"session": {"id": item.id}, "gone": True}
        else:
            content = {"session": summary_json(item.summary)}
        return frame(orjson.dumps(content), position=position)

    return Format("sessions", encode)


def consumer_format(*, events: bool, session_id: str | None, namespace: str | None) -> Format:
    """OpenAI chunks as they were posted, with the query's other events between them (where `events`)."""

    def encode(item: Item, position: int) -> bytes:
        assert isinstance(item, Event)
        if not belongs(item, session_id, namespace) or not (events or item.kind == "chunk"):
            return b""
        data = consumer_data(item, describe)
        return b"" if data is None else frame(data, position=position)

    return Format(f"consumer:{events}:{session_id!r}:{namespace!r}", encode)


def belongs(event: Event, session_id: str | None, namespace: str | None) -> bool:
    """True for an event of the query meant: its name may have been used in another session as well."""
    return (session_id is None or event.session_id in (None, session_id)) and (
        namespace is None or event.namespace in (None, namespace)
    )
