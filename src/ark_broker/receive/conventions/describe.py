"""Content of events, read from their stored bodies when somebody asks: tool arguments, prompts, answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ark_broker.model import Event
from ark_broker.model.details import Details
from ark_broker.model.vocabulary import LLM_MESSAGE, LLM_REQUEST, QUESTION_ANSWERED, QUESTION_ASKED
from ark_broker.receive.conventions import CONTENT_RANKS, pick
from ark_broker.receive.conventions.exchange import exchange_of
from ark_broker.receive.conventions.stored import Told, arguments, read, structured


def describe(event: Event) -> Details:
    """Content of an event, from its stored body."""
    told = read(event)
    if told is None:
        return Details()
    attributes = told.attributes
    content = pick(attributes, CONTENT_RANKS)
    uri = content.get("question_uri")
    name, message = told.name, told.message
    output = structured(content.get("output", attributes.get("output")))
    if event.type == QUESTION_ASKED:
        message = attributes.get("text", message)
        uri = uri or f"ark://questions/{event.question_id}"
    elif event.type == QUESTION_ANSWERED:
        output = attributes.get("answer", output)
    return Details(
        input=arguments(content.get("input", attributes.get("input"))),
        output=output,
        question_uri=uri if isinstance(uri, str) else None,
        message=message if isinstance(message, str) else None,
        finish_reason=_reason(content.get("finish_reason")) or _reason_of_answer(event, told),
        display_name=name if isinstance(name, str) and name != event.type else None,
        duration_ms=_number(content.get("duration_ms")),
        first_token_ms=_first_token(attributes, content),
    )


def _reason(value: object) -> str | None:
    value = structured(value)
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) else None


def _reason_of_answer(event: Event, told: Told) -> str | None:
    """Some families say it in the message alone."""
    if event.type not in (LLM_REQUEST, LLM_MESSAGE):
        return None
    gave = exchange_of(event, told).gave
    return next((str(message["finish_reason"]) for message in gave if "finish_reason" in message), None)


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known and isinstance(value, int | float) else None


def _first_token(attributes: Mapping[str, Any], content: Mapping[str, Any]) -> float | None:
    """Milliseconds from the call to its first token. OpenTelemetry counts seconds, Vercel milliseconds."""
    found = _number(content.get("first_token_ms"))
    if found is None or "ai.response.msToFirstChunk" in attributes:
        return found
    return found * 1_000
