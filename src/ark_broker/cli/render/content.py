"""What an event's body says: arguments, results, texts, whoever sent it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def details_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """`input`, `output` and `message` of an event as the API shows it; what is not there is left out."""
    from ark_broker.model import Event
    from ark_broker.receive.conventions.describe import describe

    body = event.get("body")
    if body is None or event.get("kind") == "chunk":
        return {}
    stored = Event(
        id=b"",
        kind=event.get("kind", "event"),
        type=str(event.get("type", "")),
        time=0,
        body=json.dumps(body).encode(),
        question_id=event.get("questionId"),
        tool=event.get("tool"),
    )
    found = describe(stored)
    told = {"input": found.input, "output": found.output, "message": found.message}
    return {key: value for key, value in told.items() if value is not None}
