"""An executor on Ark's Python SDK (langchain, claude-agent-sdk, …): every chunk is a POST of its own.

What the broker answers changes nothing for the query: 200 and 202 are success, anything else is noted and passed over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.e2e.ark.remote import run_program, serve

#: Connecting takes at most five seconds; reading as long as it takes.
_STREAM_TIMEOUT: Final = httpx.Timeout(None, connect=5.0)
_CALL_TIMEOUT: Final = 10.0


@dataclass
class Answer:
    """One query's answer, as the executor sends it."""

    broker: str
    query: str
    agent: str
    conversation: str
    session: str
    chunks: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def stream_chunk(self, text: str, finish_reason: str | None = None) -> None:
        """One piece of the answer."""
        await self._post_chunk(
            {
                "id": self.query,
                "object": "chat.completion.chunk",
                "created": 1_763_673_255,
                "model": f"agent/{self.agent}",
                "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
                ],
                # The SDK has the conversation here, and the query's name.
                "ark": {"query": self.query, "session": self.conversation, "agent": self.agent},
            }
        )

    async def finish(self, text: str, user: str, ttl: int | None) -> list[dict[str, Any]]:
        """Messages, the final chunk, the completion; returns the messages."""
        if not self.chunks:
            await self.stream_chunk(text, "stop")
        messages = [{"role": "user", "content": user}, {"role": "assistant", "content": text}]
        if self.conversation:
            body: dict[str, Any] = {
                "conversation_id": self.conversation,
                "query_id": self.query,
                "messages": messages,
            }
            if ttl is not None:
                body["ttl_seconds"] = ttl
            await self._post("/messages", body)
        status = {
            "phase": "done",
            "conversationId": self.conversation,
            "response": {"content": text, "phase": "done", "raw": json.dumps(messages)},
            "tokenUsage": {"promptTokens": 3, "completionTokens": 4, "totalTokens": 7},
        }
        await self._post_chunk(
            {
                "id": "chatcmpl-final",
                "object": "chat.completion.chunk",
                "created": 1_763_673_256,
                "model": f"agent/{self.agent}",
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                "ark": {
                    "query": self.query,
                    "session": self.conversation,
                    "agent": self.agent,
                    "completedQuery": {"metadata": {"name": self.query}, "status": status},
                },
            }
        )
        await self._post(f"/stream/{self.query}/complete", {})
        return messages if self.conversation else []

    async def _post_chunk(self, chunk: dict[str, Any]) -> None:
        line = json.dumps(chunk) + "\n"
        headers = {"Content-Type": "application/x-ndjson"}
        await self._send(f"/stream/{self.query}", line, headers, _STREAM_TIMEOUT)
        self.chunks.append(chunk)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json"}
        await self._send(path, json.dumps(body), headers, httpx.Timeout(_CALL_TIMEOUT))

    async def _send(self, path: str, content: str, headers: dict[str, str], timeout: httpx.Timeout) -> None:  # noqa: ASYNC109
        try:
            async with httpx.AsyncClient(timeout=timeout, verify=False) as client:
                response = await client.post(f"{self.broker}{path}", content=content, headers=headers)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        if response.status_code not in (200, 202):
            self.failures.append(f"{path}: {response.status_code} {response.text[:500]}")


async def run(
    broker: str,
    query: str,
    user: str,
    words: list[str],
    agent: str = "sdk-agent",
    conversation: str = "",
    session: str = "",
    ttl: int | None = None,
    streams: bool = True,
    fails: bool = False,
) -> dict[str, Any]:
    """One query. An agent that fails after its words leaves nothing: no error chunk, no completion."""
    answer = Answer(broker, query, agent, conversation, session)
    messages: list[dict[str, Any]] = []
    for word in words if streams else []:
        await answer.stream_chunk(word)
    if not fails:
        messages = await answer.finish("".join(words), user, ttl)
    return {"chunks": answer.chunks, "messages": messages, "failures": answer.failures}


async def main() -> None:
    await serve({"run": run})


if __name__ == "__main__":
    run_program(main)
