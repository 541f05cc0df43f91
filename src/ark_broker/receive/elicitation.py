"""Input that an MCP server wants before it goes on with a call, as a host relays it: questions for a person.

Since 2026-07-28 a result may say `{"resultType": "input_required", "inputRequests": {key: {"method":
"elicitation/create", "params": {"message", "requestedSchema"}}}, "requestState"?}`; the host asks its user, and sends
the call again with `inputResponses` by the same keys, and the same `requestState`.
https://modelcontextprotocol.io/specification/2026-07-28/client/elicitation
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ark_broker.model.vocabulary import QUESTION_ANSWERED, QUESTION_ASKED
from ark_broker.receive.fields import name

#: Where a relayed message may have what it is about.
_PLACES: Final = (("data",), ("result",), ("params",), ("data", "result"), ("data", "params"))
#: Requests of one result that are looked at.
_MOST: Final = 50


def questions_in(value: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What the event asks or answers: for each request its fields, and its body. Empty for any other event."""
    for place in (value, *_inner(value)):
        asked, answered = place.get("inputRequests"), place.get("inputResponses")
        if place.get("resultType") == "input_required" and isinstance(asked, dict):
            return [
                _told(value, place, key, QUESTION_ASKED, _question(request))
                for key, request in list(asked.items())[:_MOST]
                if isinstance(request, dict)
            ]
        if isinstance(answered, dict) and answered:
            return [
                _told(value, place, key, QUESTION_ANSWERED, _answer(response))
                for key, response in list(answered.items())[:_MOST]
            ]
    return []


def _inner(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for path in _PLACES:
        found: object = value
        for step in path:
            found = found.get(step) if isinstance(found, dict) else None
        if isinstance(found, dict):
            yield found


def _told(
    value: Mapping[str, Any], place: Mapping[str, Any], key: str, kind: str, said: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    # What the first call and its repetition have in common; the repetition has another JSON-RPC id.
    state = place.get("requestState") or value.get("toolCallId") or value.get("traceId") or ""
    call = hashlib.sha256(str(state).encode()).hexdigest()[:24]
    fields = {**value, "type": kind, "questionId": name(f"{call}:{key}")}
    return fields, {**value, **said, "source": "elicitation"}


def _question(request: Mapping[str, Any]) -> dict[str, Any]:
    params = request.get("params")
    told: Mapping[str, Any] = params if isinstance(params, dict) else {}
    found = {
        "text": told.get("message") or request.get("method"),
        "schema": told.get("requestedSchema"),
        "context": told.get("url"),
    }
    return {key: item for key, item in found.items() if item is not None}


def _answer(response: object) -> dict[str, Any]:
    if not isinstance(response, dict):
        return {"answer": response}
    return {"answer": response.get("content", response.get("action"))}
