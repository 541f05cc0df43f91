"""What a producer may send, as the lines of a stream."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from ark_broker.client.calls import encode


class HasJson(Protocol):
    """A Pydantic model, as the SDK of OpenAI gives its chunks."""

    def model_dump_json(self) -> str:
        """The chunk as JSON."""


class HasDict(Protocol):
    """Anything that can say itself as a mapping."""

    def to_dict(self) -> Mapping[str, Any]:
        """The chunk as a mapping."""


#: Text, or a whole chunk.
Sendable: TypeAlias = str | Mapping[str, Any] | HasJson | HasDict


class ChunkFormat:
    """Makes lines of what a producer sends: text becomes an OpenAI chunk, a chunk stays what it is."""

    def __init__(self, model: str | None, session: str | None, agent: str | None) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._model = model or ""
        #: What Ark's executors say beside a chunk: the broker reads where it belongs from there.
        self._ark = {key: value for key, value in (("session", session), ("agent", agent)) if value is not None}
        self._has_text = False

    def line(self, chunk: Sendable) -> bytes:
        """The line of one chunk. Raises TypeError, ValueError for what is none."""
        if isinstance(chunk, str):
            self._has_text = True
            return self._text({"content": chunk}, None)
        return self._marked(_mapping(chunk))

    def error(self, error: BaseException) -> bytes:
        """The chunk that says why there will be no more."""
        kind = type(error).__name__
        return self._marked({"error": {"message": str(error) or kind, "type": kind}})

    def finish(self) -> bytes | None:
        """The chunk that ends a text; None where the producer has made its chunks itself."""
        return self._text({}, "stop") if self._has_text else None

    def _text(self, delta: Mapping[str, str], finish_reason: str | None) -> bytes:
        return self._marked(
            {
                "id": self._id,
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": self._model,
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
            }
        )

    def _marked(self, chunk: Mapping[str, Any]) -> bytes:
        return encode({**chunk, "ark": self._ark} if self._ark and "ark" not in chunk else chunk)


def _mapping(chunk: Mapping[str, Any] | HasJson | HasDict) -> Mapping[str, Any]:
    if isinstance(chunk, Mapping):
        return chunk
    if hasattr(chunk, "model_dump_json"):
        found = json.loads(chunk.model_dump_json())
    elif hasattr(chunk, "to_dict"):
        found = chunk.to_dict()
    else:
        raise TypeError(f"a chunk is text, a mapping or a model, not {type(chunk).__name__}")
    if not isinstance(found, Mapping):
        raise TypeError("a chunk is a JSON object")
    return found
