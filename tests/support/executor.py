"""A stand-in for an executor: it streams turns of a script, calls tools, and can go on where another one stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

PROMPT = "What is the weather?"


@dataclass(frozen=True)
class Turn:
    """What the model says, and the tools that it calls: id → (tool, arguments)."""

    text: str
    calls: Mapping[str, tuple[str, str]] = field(default_factory=dict)


#: A custom event, or a line of the chunk stream; None completes the stream.
Step = dict[str, Any] | str | None


def result_of(tool: str, arguments: str) -> str:
    """What a tool gives: always the same for the same arguments."""
    return f"{tool} of {arguments}"


@dataclass
class Executor:
    """One run of the script for the query; `name` tells its completions from those of other runs."""

    script: Sequence[Turn]
    name: str
    query: str = "q1"
    session: str = "s1"

    def steps(self, state: Mapping[str, Any] | None = None) -> Iterator[Step]:
        """Everything that it reports, in order. `state` is what `/resume` answered; None begins anew."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": PROMPT}]
        if state is None:
            yield self._event("query.started", input=PROMPT)
        else:
            yield self._event("query.resumed")
            messages = list(state["messages"])
            yield from self._call_tools(messages, state["pendingToolCalls"])
        while (said := sum(message["role"] == "assistant" for message in messages)) < len(self.script):
            turn = self.script[said]
            calls = [
                {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}
                for call_id, (tool, arguments) in turn.calls.items()
            ]
            yield from self._stream(f"{self.name}-{said}", turn.text, calls)
            messages.append({"role": "assistant"})
            yield from self._call_tools(messages, [{**call, "state": "announced"} for call in calls])
        yield self._event("query.completed")
        yield None

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        return {"type": kind, "query": self.query, "sessionId": self.session} | fields

    def _call_tools(self, messages: list[dict[str, Any]], calls: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
        for call in calls:
            tool, arguments = call["function"]["name"], call["function"]["arguments"]
            names = {"tool": tool, "toolCallId": call["id"]}
            if call["state"] == "announced":
                yield self._event("tool.call", **names, input=orjson.loads(arguments))
            yield self._event("tool.result", **names, output=result_of(tool, arguments))
            messages.append({"role": "tool", "tool_call_id": call["id"]})

    @staticmethod
    def _stream(completion: str, text: str, calls: Sequence[dict[str, Any]]) -> Iterator[str]:
        def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return orjson.dumps(
                {"id": completion, "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            ).decode()

        yield chunk({"role": "assistant", "content": ""})
        for begin in range(0, len(text), 4):
            yield chunk({"content": text[begin : begin + 4]})
        for index, call in enumerate(calls):
            function = call["function"]
            yield chunk({"tool_calls": [{"index": index, **call, "function": {**function, "arguments": ""}}]})
            for begin in range(0, len(function["arguments"]), 5):
                piece = {"index": index, "function": {"arguments": function["arguments"][begin : begin + 5]}}
                yield chunk({"tool_calls": [piece]})
        yield chunk({}, "tool_calls" if calls else "stop")


def transcript(script: Sequence[Turn]) -> list[dict[str, Any]]:
    """The conversation of a whole run, as OpenAI messages."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": PROMPT}]
    for turn in script:
        message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
        if turn.calls:
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}
                for call_id, (tool, arguments) in turn.calls.items()
            ]
        messages.append(message)
        messages += [
            {"role": "tool", "tool_call_id": call_id, "content": result_of(*call)}
            for call_id, call in turn.calls.items()
        ]
    return messages
