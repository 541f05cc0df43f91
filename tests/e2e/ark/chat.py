"""How the dashboard's chat and `ark chat` read an answer: OpenAI chunks out of `chunks?watch=true&query-id=…`."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

from tests.e2e.ark.event_source import connect


class Chat:
    """One query's answer, as far as it has come."""

    def __init__(self, base: str, query: str, memory: str = "default") -> None:
        self._url = f"{base}/v1/broker/chunks"
        self._params = {"watch": "true", "query-id": query, "memory": memory}
        self.chunks: list[Any] = []
        self.done_markers = 0
        #: Whether it was greeted, and whether the stream is over.
        self.connected = False
        self.ended = False

    async def run(self) -> None:
        """Read until the stream ends. A frame is what stands between blank lines; only `data:` counts."""
        async with aclosing(connect(self._url, self._params)) as pieces:
            async for parser, messages in pieces:
                self.connected = self.connected or bool(parser.comments)
                for message in messages:
                    if message.data == "[DONE]":
                        self.done_markers += 1
                    else:
                        self.chunks.append(json.loads(message.data))
        self.ended = self.connected = True

    def shown(self) -> dict[str, Any]:
        """What the user sees; the words, tool calls and messages as the page puts them together."""
        completed = [chunk["ark"]["completedQuery"] for chunk in self.chunks if "completedQuery" in _ark(chunk)]
        text = "".join(delta.get("content") or "" for delta in self._deltas())
        if not text and completed:
            text = completed[-1]["status"]["response"]["content"]
        return {
            "text": text,
            "bubbles": self._bubbles(),
            "toolCalls": self._tool_calls(),
            "approvals": [chunk for chunk in self.chunks if _type(chunk) == "tool_approval_request"],
            "answers": [chunk for chunk in self.chunks if _type(chunk) == "tool_approval_response"],
            "systemMessages": [_ark(chunk)["systemMessage"] for chunk in self.chunks if "systemMessage" in _ark(chunk)],
            "errors": [chunk["error"] for chunk in self.chunks if isinstance(chunk, dict) and "error" in chunk],
            "completed": completed,
            "chunks": self.chunks,
            "doneMarkers": self.done_markers,
            "ended": self.ended,
        }

    def _deltas(self) -> list[dict[str, Any]]:
        return [choice["delta"] for chunk in self.chunks for choice in _choices(chunk)[:1]]

    def _bubbles(self) -> list[str]:
        """The agent of each bubble: a new one where another agent speaks."""
        speakers: list[str] = []
        for chunk in self.chunks:
            agent = _ark(chunk).get("agent")
            if agent and _choices(chunk) and speakers[-1:] != [agent]:
                speakers.append(agent)
        return speakers

    def _tool_calls(self) -> list[dict[str, Any]]:
        """Put together by id where there is one, else by index: `arguments` come in pieces."""
        calls: list[dict[str, Any]] = []
        for delta in self._deltas():
            for piece in delta.get("tool_calls") or []:
                function = piece.get("function") or {}
                if piece.get("id"):
                    calls.append({"id": piece["id"], "name": function.get("name", ""), "arguments": ""})
                calls[-1]["arguments"] += function.get("arguments") or ""
        return calls


def _ark(chunk: Any) -> dict[str, Any]:
    found = chunk.get("ark") if isinstance(chunk, dict) else None
    return found if isinstance(found, dict) else {}


def _type(chunk: Any) -> object:
    return chunk.get("type") if isinstance(chunk, dict) else None


def _choices(chunk: Any) -> list[dict[str, Any]]:
    found = chunk.get("choices") if isinstance(chunk, dict) else None
    return found if isinstance(found, list) else []
