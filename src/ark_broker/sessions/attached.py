"""A query as an OpenAI client sees it: chunks with all that the API promises of them, and the whole completion.

What a producer left out of a chunk is filled in: `id`, `object`, `created`, `model`, and in each choice `index`,
`delta` and `finish_reason`. What it put in stays, also what OpenAI does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from ark_broker.model import Event
from ark_broker.model.vocabulary import LLM_ERROR, QUERY_RESUMED, QUERY_STARTED
from ark_broker.sessions.completions import is_end
from ark_broker.sessions.summary import QuerySummary
from ark_broker.sessions.turns import Turns

#: A query is asked for as this, and its name or uid.
MODEL_PREFIX: Final = "query/"
_SECOND: Final = 1_000_000_000
_CHUNK: Final = "chat.completion.chunk"


def model_of(query: str) -> str:
    """The name of the model that stands for a query."""
    return MODEL_PREFIX + query


def openai_chunk(event: Event) -> dict[str, Any] | None:
    """The chunk in OpenAI's shape; None for an event that is none: no chunk, an error, something of Ark's own."""
    if event.kind != "chunk" or event.type == LLM_ERROR or is_end(event):
        return None
    try:
        found = orjson.loads(event.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or not (
        isinstance(found.get("choices"), list) or isinstance(found.get("usage"), dict)
    ):
        return None
    choices = found.get("choices") or []
    return {
        **_envelope(event.query or "", event.time),
        **{key: value for key, value in found.items() if value is not None},
        "object": _CHUNK,
        "choices": [_choice(choice, index) for index, choice in enumerate(choices) if isinstance(choice, dict)],
    }


def _choice(choice: Mapping[str, Any], index: int) -> dict[str, Any]:
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = choice.get("message") if isinstance(choice.get("message"), dict) else {}
    return {"index": index, "finish_reason": None, **choice, "delta": delta}


def own_chunk(query: str, time: int, delta: Mapping[str, object] | None, **more: object) -> dict[str, object]:
    """A chunk of the broker's own; without a `delta` it has no choice. `time` in nanoseconds."""
    finish = more.pop("finish_reason", None)
    choices = [] if delta is None else [{"index": 0, "delta": dict(delta), "finish_reason": finish}]
    return {**_envelope(query, time), "choices": choices, **more}


def _envelope(query: str, time: int) -> dict[str, object]:
    return {"id": f"chatcmpl-{query}", "object": _CHUNK, "created": time // _SECOND, "model": model_of(query)}


def finish_reason_of(event: Event) -> str | None:
    """Why the model finished, as the chunk says; None while it has not."""
    chunk = openai_chunk(event) or {}
    reasons = [choice["finish_reason"] for choice in chunk.get("choices", ()) if choice["finish_reason"]]
    return str(reasons[0]) if reasons else None


class Attached:
    """The completion that a query's events make up. Takes them in the order of the log, each once."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._turns = Turns()
        self._finish: str | None = None
        self.summary = QuerySummary(session_id="", name=query)

    def add(self, event: Event) -> None:
        """Take one event of the query."""
        # A report that the query began may come late, and breaks no message in two here: it breaks none in the stream.
        if event.type not in (QUERY_STARTED, QUERY_RESUMED):
            self._turns.add(event)
        self.summary.add(event)
        if event.kind == "chunk" and b"finish_reason" in event.body:
            self._finish = finish_reason_of(event) or self._finish

    @property
    def message(self) -> dict[str, Any] | None:
        """What the model streamed last: earlier messages asked for tools, which have been called since."""
        whole = self._turns.whole
        last = self._turns.broken or (whole[-1] if whole else None)
        return None if last is None else dict(last.message)

    @property
    def usage(self) -> dict[str, int]:
        """Tokens of the whole query."""
        used = self.summary.usage
        return {
            "prompt_tokens": used.input,
            "completion_tokens": used.output,
            "total_tokens": used.input + used.output,
        }

    def completion(self, text: str | None) -> dict[str, object]:
        """The `chat.completion`; `text` is what it says where nothing was streamed."""
        message = self.message or {"role": "assistant", "content": text or ""}
        finish = "tool_calls" if message.get("tool_calls") else self._finish
        if finish == "tool_calls" and not message.get("tool_calls"):
            finish = None
        return {
            **_envelope(self._query, self.summary.started_at or 0),
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {"refusal": None, **message},
                    "finish_reason": finish or "stop",
                    "logprobs": None,
                }
            ],
            "usage": self.usage,
        }
