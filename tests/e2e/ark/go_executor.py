"""Ark's controller and its executor in Go: whole queries, from their first event to what is left when they are deleted.

One process runs many queries at once. Every command names its broker, as each namespace has its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.e2e.ark.go_clients import ChunkWriter, Emitter, Finalizer, Memory, Query, now
from tests.e2e.ark.go_spans import QuerySpans, Spans
from tests.e2e.ark.remote import run_program, serve

_MODEL = "gpt-4o"
_TOOL = "get_weather"
_ARGUMENTS = '{"city": "Zürich"}'
_TOOL_RESULT = "72F sunny"


def content_chunk(query: Query, **delta: Any) -> dict[str, Any]:
    """An OpenAI chunk, as it is when Go writes it: members without a value are there too."""
    return {
        "id": f"chatcmpl-{query.uid}",
        "object": "chat.completion.chunk",
        "created": 1_763_673_255,
        "model": _MODEL,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "", **delta}, "finish_reason": ""}],
        "ark": {**query.ark(), "model": _MODEL},
    }


def final_chunk(query: Query, messages: Sequence[dict[str, Any]], padding: int) -> dict[str, Any]:
    """The last chunk carries the whole Query; `padding` characters of its answer make it large."""
    answer = str(messages[-1]["content"]) + "x" * padding
    status = {
        "phase": "done",
        "conversationId": query.conversation,
        "tokenUsage": {"promptTokens": 11, "completionTokens": 7, "totalTokens": 18},
        "response": {
            "target": {"type": "agent", "name": query.agent},
            "content": answer,
            "raw": json.dumps(messages),
            "phase": "done",
        },
    }
    resource = {"metadata": {"name": query.name, "uid": query.uid, "namespace": query.namespace}, "status": status}
    return {
        "id": "chatcmpl-final",
        "object": "chat.completion.chunk",
        "created": 1_763_673_256,
        "model": query.name,
        "choices": [{"index": 0, "delta": {"role": "", "content": ""}, "finish_reason": "stop"}],
        "ark": {**query.ark(), "completedQuery": resource},
    }


def tool_chunks(query: Query, call_id: str) -> list[dict[str, Any]]:
    """A tool call in three pieces, as models stream them."""
    half = len(_ARGUMENTS) // 2
    pieces: list[dict[str, Any]] = [
        {"index": 0, "id": call_id, "type": "function", "function": {"name": _TOOL, "arguments": ""}},
        {"index": 0, "function": {"arguments": _ARGUMENTS[:half]}},
        {"index": 0, "function": {"arguments": _ARGUMENTS[half:]}},
    ]
    return [content_chunk(query, tool_calls=[piece]) for piece in pieces]


@dataclass
class Run:
    """One query under way, and what was sent for it."""

    query: Query
    text: str
    emitter: Emitter
    memory: Memory
    writer: ChunkWriter
    spans: QuerySpans
    messages: list[dict[str, Any]] = field(default_factory=list)
    history: list[Any] = field(default_factory=list)

    def emit(self, operation: str, stage: str, message: str = "", **data: str) -> None:
        self.emitter.emit(self.query, operation + stage, message, **data)

    async def step(self, operation: str, work: Callable[[], Awaitable[None]], **data: str) -> None:
        """An operation: its start, the work, its end."""
        self.emit(operation, "Start", **data)
        await work()
        self.emit(operation, "Complete", **data)

    async def say(self, words: Sequence[str]) -> None:
        """The model answers, word by word."""
        with self.spans.model_call(_MODEL, self.text, "".join(words)):
            for word in words:
                await self.writer.write(content_chunk(self.query, content=word))

    async def call_tool(self) -> None:
        """The model asks for a tool, and gets its answer."""
        call_id = f"call-{self.query.uid}"
        with self.spans.tool_call(_TOOL, call_id, _ARGUMENTS, _TOOL_RESULT):
            for chunk in tool_chunks(self.query, call_id):
                await self.writer.write(chunk)
        function = {"name": _TOOL, "arguments": _ARGUMENTS}
        call = {"id": call_id, "type": "function", "function": function}
        self.messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": _TOOL_RESULT})

    async def remember(self) -> None:
        """Store the messages; a conversation is made where none is known."""
        await self.memory.add(self.query, self.messages)

    async def recall(self) -> None:
        """What was said in the conversation so far."""
        if not self.query.conversation:
            self.query.conversation = await self.memory.create_conversation()
        self.history = await self.memory.history(self.query.conversation)


class Executor:
    """The commands of the program."""

    def __init__(self) -> None:
        self._spans: dict[str, Spans] = {}

    async def run(
        self, broker: str, query: dict[str, Any], text: str, words: list[str], tool: bool = False, padding: int = 0
    ) -> dict[str, Any]:
        """A query that goes well, to its end."""
        run = self._begin(broker, query, text)
        run.emit("QueryExecution", "Start", f"query {run.query.name} started")
        with run.spans.root(text):
            await run.step("MemoryGetMessages", run.recall)
            run.emit("AgentExecution", "Start", agent=run.query.agent)
            with run.spans.agent():
                if tool:
                    await run.step(
                        "ToolCall", run.call_tool, toolName=_TOOL, toolType="function", parameters=_ARGUMENTS
                    )
                await run.step("LLMCall", lambda: run.say(words), model=_MODEL, modelType="openai")
            run.emit("AgentExecution", "Complete", agent=run.query.agent)
            run.messages.append({"role": "assistant", "content": "".join(words)})
            await run.step("MemoryAddMessages", run.remember, messages=str(len(run.messages)))
        await run.writer.write(final_chunk(run.query, run.messages, padding))
        return await self._end(broker, run, "Complete", input=text[:48])

    async def pause(self, broker: str, query: dict[str, Any], text: str, words: list[str], task: str) -> dict[str, Any]:
        """The first half of a query that needs an approval: some words, the request, and the stream is complete."""
        run = self._begin(broker, query, text)
        run.emit("QueryExecution", "Start")
        with run.spans.root(text):
            await run.step("MemoryGetMessages", run.recall)
            run.emit("AgentExecution", "Start", agent=run.query.agent)
            await run.step("LLMCall", lambda: run.say(words), model=_MODEL)
            call = {"id": f"call-{task}", "type": "function", "function": {"name": _TOOL, "arguments": _ARGUMENTS}}
            request = {
                "type": "tool_approval_request",
                "taskId": task,
                "toolCalls": [call],
                "timeout": "1h0m0s",
                "onTimeout": "reject",
                "agentName": run.query.agent,
            }
            await run.writer.write(request)
            run.emit("AgentExecution", "Complete", agent=run.query.agent)
        return await self._end(broker, run, None)

    async def resume(
        self, broker: str, query: dict[str, Any], text: str, words: list[str], task: str
    ) -> dict[str, Any]:
        """The second half: the decision, the tool, the rest of the answer, on the same stream."""
        run = self._begin(broker, query, text)
        answer = {"type": "tool_approval_response", "taskId": task, "action": "approved", "timestamp": now()}
        with run.spans.root(text):
            await run.writer.write(answer)
            run.emit("AgentExecution", "Start", agent=run.query.agent)
            await run.step("ToolCall", run.call_tool, toolName=_TOOL)
            await run.step("LLMCall", lambda: run.say(words), model=_MODEL)
            run.emit("AgentExecution", "Complete", agent=run.query.agent)
            run.messages.append({"role": "assistant", "content": "".join(words)})
            await run.remember()
        await run.writer.write(final_chunk(run.query, run.messages, 0))
        return await self._end(broker, run, "Complete")

    async def fail(self, broker: str, query: dict[str, Any], text: str, words: list[str], error: str) -> dict[str, Any]:
        """A query whose model fails: an error chunk, an assistant message that says so, and the error's events."""
        run = self._begin(broker, query, text)
        run.emit("QueryExecution", "Start")
        with run.spans.root(text):
            await run.step("MemoryGetMessages", run.recall)
            run.emit("AgentExecution", "Start", agent=run.query.agent)
            await run.say(words)
            run.emit("LLMCall", "Error", error, model=_MODEL, error=error)
            run.emit("AgentExecution", "Error", error, agent=run.query.agent, error=error)
            details = {"message": error, "type": "server_error", "code": "execution_failed"}
            await run.writer.write({"error": details, "ark": run.query.ark()})
            run.messages.append({"role": "assistant", "content": f"Error: {error}"})
            await run.remember()
        return await self._end(broker, run, "Error", error=error)

    async def controller(self, broker: str, query: dict[str, Any], stage: str, error: str = "") -> list[dict[str, Any]]:
        """Only the controller's own event: another executor does the work."""
        found = Query(**query)
        emitter = Emitter(broker)
        told = {"error": error} if error else {}
        target = {} if stage == "Start" else {"targetType": "agent", "agent": found.agent}
        emitter.emit(found, f"QueryExecution{stage}", **told, **target)
        await emitter.close()
        return self._accepted(emitter)

    async def burst(self, broker: str, query: dict[str, Any], count: int) -> dict[str, Any]:
        """More events at once than may be on their way."""
        emitter = Emitter(broker)
        found = Query(**query)
        for number in range(count):
            emitter.emit(found, "TeamTurnStart", str(number))
        await emitter.close()
        return {"accepted": emitter.accepted, "dropped": emitter.dropped, "failures": emitter.failures}

    async def remember(self, broker: str, query: dict[str, Any], messages: list[dict[str, Any]]) -> None:
        """Store messages in one call."""
        await Memory(broker).add(Query(**query), messages)

    async def history(self, broker: str, conversation: str, limit: int = 100) -> list[Any]:
        """A conversation as today's executor reads it."""
        return await Memory(broker).history(conversation, limit)

    async def first_page(self, broker: str, conversation: str) -> list[Any]:
        """A conversation as 0.1.67 reads it."""
        return await Memory(broker).first_page(conversation)

    async def finalize(self, broker: str, query: dict[str, Any]) -> dict[str, str]:
        """What happens when the Query is deleted."""
        return await Finalizer(broker).run(Query(**query))

    def _begin(self, broker: str, query: dict[str, Any], text: str) -> Run:
        if broker not in self._spans:
            self._spans[broker] = Spans(broker)
        found = Query(**query)
        run = Run(
            found,
            text,
            Emitter(broker),
            Memory(broker, {"X-Tenant": "e2e"}),
            ChunkWriter(broker, found.name),
            QuerySpans(self._spans[broker].tracer, found),
        )
        run.messages.append({"role": "user", "content": text})
        return run

    async def _end(self, broker: str, run: Run, stage: str | None, **data: str) -> dict[str, Any]:
        """Complete the stream, tell the controller's end (`stage`), and see everything off."""
        answers = await run.writer.complete()
        if stage is not None:
            run.emit("QueryExecution", stage, targetType="agent", agent=run.query.agent, **data)
        await run.emitter.close()
        await asyncio.to_thread(self._spans[broker].flush)
        return {
            "query": asdict(run.query),
            "events": self._accepted(run.emitter),
            "messages": run.messages,
            "history": run.history,
            "chunks": run.writer.written,
            "traceId": run.spans.trace_id,
            "spanIds": run.spans.span_ids,
            **answers,
        }

    @staticmethod
    def _accepted(emitter: Emitter) -> list[dict[str, Any]]:
        """The events sent, all of which must have been accepted."""
        if emitter.failures or emitter.dropped:
            raise RuntimeError(f"{emitter.dropped} events dropped, failed: {emitter.failures}")
        # A query with `spec.ttl` says it beside the event; it is no part of what is stored.
        return [{name: value for name, value in event.items() if name != "ttl_seconds"} for event in emitter.accepted]

    async def close(self) -> None:
        """Export what is left."""
        for spans in self._spans.values():
            await asyncio.to_thread(spans.close)


async def main() -> None:
    executor = Executor()
    names = ("run", "pause", "resume", "fail", "controller", "burst", "remember", "history", "first_page", "finalize")
    await serve({name: getattr(executor, name) for name in names})
    await executor.close()


if __name__ == "__main__":
    run_program(main)
