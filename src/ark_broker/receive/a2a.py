"""A2A: push notifications, and the frames of a stream, of protocol versions 0.3 and 1.0.

    0.3   {"kind": "task" | "message" | "status-update" | "artifact-update", …}
    1.0   {"task": {…}}, {"message": {…}}, {"statusUpdate": {…}} or {"artifactUpdate": {…}} (`StreamResponse`)

either alone or as the `result` of a JSON-RPC response; also one of these objects bare, as `GetTask` answers. Which one
it is shows in its shape, for no frame names its version. https://a2a-protocol.org/v0.3.0/specification/,
https://a2a-protocol.org/latest/specification/.

Delivery is at least once and nothing has an id of its own, so the content is the identity: an update is the same
whether it was pushed or streamed, wrapped or bare, and however often. A task is part of a query, or was started by one:
its state says nothing of the query's phase.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal

import orjson

from ark_broker.model import MAX_INT64, Event, Kind, event_id
from ark_broker.model import vocabulary as v
from ark_broker.model.errors import BadInput
from ark_broker.receive import conventions
from ark_broker.receive.context import context_of
from ark_broker.receive.conventions.a2a import task_state
from ark_broker.receive.conventions.family import Told
from ark_broker.receive.conventions.messages import as_messages, text_of
from ark_broker.receive.custom import told_event
from ark_broker.receive.fields import MAX_NAME, as_name, as_text

#: A JSON-RPC error where a frame should be: the stream, or the call, has failed.
A2A_ERROR: Final = "a2a.error"

_Sort = Literal["task", "message", "status-update", "artifact-update"]
_Json = dict[str, Any]
#: `kind` of 0.3.
_KINDS: Final[Mapping[str, _Sort]] = {
    "task": "task",
    "message": "message",
    "status-update": "status-update",
    "artifact-update": "artifact-update",
}
#: Members of 1.0's StreamResponse.
_MEMBERS: Final[Mapping[str, _Sort]] = {
    "task": "task",
    "message": "message",
    "statusUpdate": "status-update",
    "artifactUpdate": "artifact-update",
}
#: What a bare object of 1.0 is known by.
_BARE: Final[tuple[tuple[_Sort, frozenset[str]], ...]] = (
    ("status-update", frozenset({"taskId", "status"})),
    ("artifact-update", frozenset({"taskId", "artifact"})),
    ("task", frozenset({"id", "status"})),
    ("message", frozenset({"messageId", "parts"})),
)
#: States in which the task did not do what it was asked.
_FAILED: Final = frozenset({"failed", "rejected"})
#: 0.3 spells it so in its protobuf binding alone.
_SPELLINGS: Final = {"cancelled": "canceled"}
_CONTEXT: Final = ("traceparent", "baggage")


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where events belong that do not say so themselves."""

    session_id: str | None = None
    query: str | None = None
    namespace: str | None = None
    agent: str | None = None

    def apply(self, event: Event) -> None:
        """Fill what the event does not say itself."""
        event.session_id = event.session_id or self.session_id
        event.query = event.query or self.query
        event.namespace = event.namespace or self.namespace
        event.agent = event.agent or self.agent


@dataclass(slots=True)
class Stream:
    """Turns the frames of one request into Events, in their order; `settle` is to be called behind the last one."""

    #: Events of each task, as their frames came.
    _tasks: dict[str, list[Event]] = field(default_factory=dict)
    #: How often each piece of an artifact came: a piece may be equal to an earlier one, and is another piece.
    _pieces: dict[bytes, int] = field(default_factory=dict)

    def events(self, value: object) -> list[Event]:
        """Events of one frame: one, but for a message that holds results of tools beside what it says.

        Raises BadInput that names the field.
        """
        if not isinstance(value, dict):
            raise BadInput("must be a JSON object", "body")
        update, place = _unwrapped(value)
        if update is None:
            return [self._failure(value)]
        sort, told, path = _recognised(update, place)
        match sort:
            case "task":
                return [self._state(value, told, path, "id")]
            case "status-update":
                return [self._state(value, told, path, "taskId")]
            case "artifact-update":
                return [self._artifact(value, told, path)]
            case "message":
                return self._messages(value, told, path)

    def _state(self, frame: _Json, told: _Json, path: str, id_field: str) -> Event:
        task_id = _name(told, id_field, path, required=True)
        context_id = _name(told, "contextId", path)
        status = _object(told, "status", path)
        state = _state(_name(status, "state", f"{path}status."))
        stamp = status.get("timestamp")
        stamp = stamp if isinstance(stamp, str) else ""
        said = status.get("message")
        message = said if isinstance(said, dict) else {}
        text = text_of(_chat(message))
        shown = {"message": text} if text else {}
        event = told_event(
            {"type": v.TASK_UPDATED, "kind": "task", "time": stamp},
            event_id("a2a state", task_id, state or "", stamp, _content(told)),
            orjson.dumps(shown | frame),
        )
        event.task_id, event.task_state, event.conversation_id = task_id, state, context_id
        # Where it needs input, it stands for a question.
        event.question_id = as_name(f"task:{task_id}")
        if state in _FAILED:
            event.status, event.error = "error", as_text(text or state)
        self._place(event, task_id)
        return _attributed(event, message, told)

    def _artifact(self, frame: _Json, told: _Json, path: str) -> Event:
        task_id = _name(told, "taskId", path, required=True)
        context_id = _name(told, "contextId", path)
        artifact = _object(told, "artifact", path, required=True)
        artifact_id = _name(artifact, "artifactId", f"{path}artifact.") or ""
        appends, is_last = told.get("append") is True, told.get("lastChunk") is True
        parts = ("a2a artifact", task_id, artifact_id, appends, is_last, _content(told))
        identity = event_id(*parts)
        if appends:
            number = self._pieces.get(identity, 0)
            self._pieces[identity] = number + 1
            identity = event_id(*parts, number)
        output = _shown_parts(artifact.get("parts"))
        shown = {} if output is None else {"output": output}
        event = _event(v.ARTIFACT_UPDATED, "task", identity, shown | frame)
        event.task_id, event.conversation_id = task_id, context_id
        self._place(event, task_id)
        return _attributed(event, artifact, told)

    def _messages(self, frame: _Json, told: _Json, path: str) -> list[Event]:
        message_id = _name(told, "messageId", path)
        task_id = _name(told, "taskId", path)
        context_id = _name(told, "contextId", path)
        # Without an id two equal messages may be two messages.
        key = _content(told) if message_id else uuid.uuid4().bytes
        found = []
        # One that says nothing at all is a message, too.
        for number, message in enumerate(_chat(told or {"role": "agent"})):
            identity = event_id("a2a message", message_id or "", key, number)
            event = _event(v.MESSAGE_ADDED, "message", identity, {"message": message, "a2a": frame})
            event.task_id, event.conversation_id = task_id, context_id
            self._place(event, task_id or "")
            found.append(_attributed(event, {}, told))
        return found

    def _failure(self, frame: _Json) -> Event:
        error = frame["error"]
        event = _event(A2A_ERROR, "event", uuid.uuid4().bytes, frame)
        reason = error.get("message") if isinstance(error, dict) else error
        event.status, event.error = "error", as_text(reason or error)
        self._place(event, "")
        return event

    def _place(self, event: Event, task_id: str) -> None:
        self._tasks.setdefault(task_id, []).append(event)

    def settle(self, now: int) -> None:
        """Give each event its place in time.

        Artifacts, messages and many a first state have no time, and states that follow each other may have the same.
        A frame stands a nanosecond behind the one before it then, or before the first of its task that has a time.
        Where none has, it is `now`, the time of arrival in nanoseconds; 0 leaves it to the writer's clock.
        """
        for events in self._tasks.values():
            ahead = next((number for number, event in enumerate(events) if event.time), None)
            given = now if ahead is None else max(0, events[ahead].time - ahead - 1)
            if ahead is None and not now:
                continue
            named = 0
            for event in events:
                time = event.time
                if time in (0, named):
                    event.time = min(given + 1, MAX_INT64)
                named, given = time or named, event.time


def _unwrapped(frame: _Json) -> tuple[_Json | None, str]:
    """What a JSON-RPC response holds, and where it stands: the frame itself where it is none; None for an error."""
    if "jsonrpc" not in frame:
        return frame, ""
    if frame.get("error") is not None and frame.get("result") is None:
        return None, "error"
    return _object(frame, "result", "", required=True), "result."


def _recognised(update: _Json, place: str) -> tuple[_Sort, _Json, str]:
    """What it is, the object itself, and where that stands. Raises BadInput for what is no A2A object."""
    kind = update.get("kind")
    if isinstance(kind, str) and kind in _KINDS:
        return _KINDS[kind], update, place
    members = [member for member in _MEMBERS if update.get(member) is not None]
    if len(members) == 1:
        (member,) = members
        return _MEMBERS[member], _object(update, member, place, required=True), f"{place}{member}."
    if not members:
        for sort, needed in _BARE:
            if needed <= update.keys():
                return sort, update, place
    raise BadInput(
        "must be an A2A object: one with a known `kind` (0.3), or exactly one of task, message, statusUpdate, "
        "artifactUpdate (1.0)",
        place.rstrip(".") or "body",
    )


def _state(given: object) -> str | None:
    state = task_state(given)
    # In lower case a text may be longer.
    return None if state is None else as_name(_SPELLINGS.get(state, state))


def _event(type_: str, kind: Kind, identity: bytes, body: _Json) -> Event:
    """An event that has no time of its own."""
    return Event(id=identity, kind=kind, type=type_, time=0, body=orjson.dumps(body))


def _attributed(event: Event, inner: _Json, outer: _Json) -> Event:
    """Fill in what `metadata` says, of the update rather than of what is in it: `ark.…`, and W3C context."""
    metadata: _Json = {}
    for holder in (inner, outer):
        found = holder.get("metadata")
        if isinstance(found, dict):
            metadata |= found
    told = {key: item for key, item in metadata.items() if key.startswith("ark.")}
    if told:
        context_id = event.conversation_id
        conventions.fill(event, Told(event.type, told, is_span=False), {})
        event.conversation_id = context_id or event.conversation_id
    context_of({key: metadata[key] for key in _CONTEXT if key in metadata}).apply(event)
    return event


def _chat(message: _Json) -> list[dict[str, object]]:
    """OpenAI chat messages of an A2A message. One that names no role is the agent's."""
    if not message:
        return []
    role = message.get("role")
    # 0.3 calls them `content` in its protobuf binding alone.
    parts = message.get("parts", message.get("content"))
    role = role if isinstance(role, str) and role else "agent"
    return as_messages({"role": role, "parts": parts if isinstance(parts, list) else []}, role="assistant")


def _shown_parts(parts: object) -> object | None:
    """What a view shows of an artifact: its text, else its data; files stay in the body. None for nothing."""
    if not isinstance(parts, list):
        return None
    text = text_of(as_messages({"role": "agent", "parts": parts}, role="assistant"))
    if text:
        return text
    data = [part["data"] for part in parts if isinstance(part, dict) and part.get("data") is not None]
    return (data[0] if len(data) == 1 else data) or None


def _content(told: _Json) -> bytes:
    """A hash of the update that does not depend on the order of its members."""
    return blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def _object(value: _Json, member: str, path: str, *, required: bool = False) -> _Json:
    """An object; an empty one where it is missing, as protobuf leaves out what is empty. Raises BadInput."""
    found = value.get(member)
    if found is None and not required:
        return {}
    if not isinstance(found, dict):
        raise BadInput("must be an object", f"{path}{member}")
    return found


def _name(value: _Json, member: str, path: str, *, required: bool = False) -> Any:
    """A name or id; None where there is none, unless it is required. Raises BadInput that names the field."""
    found = value.get(member)
    place = f"{path}{member}"
    if found is None or found == "":
        if required:
            raise BadInput("is required", place)
        return None
    if not isinstance(found, str):
        raise BadInput("must be a string", place)
    if len(found) > MAX_NAME:
        raise BadInput(f"must have at most {MAX_NAME} characters", place)
    if "\x00" in found:
        raise BadInput("must not have NUL characters", place)
    return found
