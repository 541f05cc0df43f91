"""Two teams that share a broker, and send the same kinds of things: some under the same names, on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.api.access.conftest import Locked
from tests.support.api import Api
from tests.support.otlp import PROTOBUF, attribute, logs, span_id
from tests.support.waiting import until

#: Names that both teams use.
SHARED: Final = "common"
SHARED_TRACE: Final = "c0" * 16

_NUMBERS: Final = itertools.count(1)


@dataclass
class Team:
    """One team: `word` is in everything that is its own, and in nothing else."""

    word: str
    namespace: str
    trace: str
    who: Api
    #: Ids of questions that it has asked.
    questions: list[str] = field(default_factory=list)

    def named(self, kind: str) -> str:
        """The name of a thing of the team's own: `alpha-session`."""
        return f"{self.word}-{kind}"

    @property
    def http(self) -> httpx.AsyncClient:
        return self.who.http

    async def send(self, word: str, trace: str, session: str | None) -> None:
        """One of everything, in `<word>-session` and so on."""
        await self.spans(word, trace, session)
        await asyncio.gather(
            self.records(word, session),
            self.custom(word, session),
            self.ark(word, session),
            self.others(word, session),
        )

    async def spans(self, word: str, trace: str, session: str | None) -> None:
        named = {} if session is None else {"session.id": session}
        first = next(_NUMBERS)
        await self.who.spans(
            *(
                {
                    "trace_id": bytes.fromhex(trace),
                    # One span id both teams have; the other is its own.
                    "span_id": span_id(7 if number == 0 else 1_000 + first),
                    "name": f"invoke_agent {self.word}",
                    "attributes": named
                    | {
                        "query.name": f"{word}-query",
                        "gen_ai.operation.name": "invoke_agent",
                        "gen_ai.agent.name": self.named("agent"),
                        "gen_ai.request.model": self.named("model"),
                        "gen_ai.conversation.id": f"{word}-conversation",
                        "gen_ai.input.messages": json.dumps(
                            [{"role": "user", "parts": [{"type": "text", "content": self.named("said")}]}]
                        ),
                    },
                }
                for number in range(2)
            )
        )

    async def records(self, word: str, session: str | None) -> None:
        request = logs({"trace_id": bytes.fromhex(self.trace), "event_name": self.named("logged")})
        (record,) = request.resource_logs[0].scope_logs[0].log_records
        del record.attributes[:]
        record.attributes.append(attribute("session.id", session or f"{word}-session"))
        record.body.string_value = self.named("logged")
        response = await self.http.post("/v1/logs", content=request.SerializeToString(), headers=PROTOBUF)
        assert response.status_code == 200, response.text

    async def custom(self, word: str, session: str | None) -> None:
        where = {"query": f"{word}-query", "agent": self.named("agent")}
        where |= {} if session is None else {"sessionId": session}
        await self.who.events(
            {"type": self.named("note"), "id": f"{word}-event", "note": self.named("noted"), **where},
            {
                "type": "tool.call",
                "tool": self.named("tool"),
                "toolCallId": f"{word}-call",
                "input": self.word,
                **where,
            },
            {
                "type": "tool.failed",
                "tool": self.named("tool"),
                "mcpSessionId": f"{word}-mcp",
                "mcpServer": self.named("server"),
                "error": self.named("error"),
                **where,
            },
        )

    async def ark(self, word: str, session: str | None) -> None:
        chunk = {"choices": [{"index": 0, "delta": {"content": self.named("chunk")}}], "id": f"{word}-completion"}
        await self.who.chunks(f"{word}-query", json.dumps(chunk))
        await self.who.complete(f"{word}-query")
        await self.post(
            "/messages",
            {
                "conversation_id": f"{word}-conversation",
                "query_id": f"{word}-query",
                "messages": [{"role": "user", "content": self.named("message")}],
            },
        )
        data = {"queryId": f"{word}-uid", "queryName": f"{word}-query", "agent": self.named("agent")}
        data |= {} if session is None else {"sessionId": session}
        operation = {"reason": "QueryExecutionStart", "eventType": "Normal", "message": self.named("started")}
        await self.post("/events", operation | {"data": data})
        await self.post(
            "/sessions",
            {
                "sessionId": session or f"{word}-session",
                "queryName": f"{word}-query",
                "conversationId": f"{word}-conversation",
                "agent": self.named("agent"),
                "_reason": "QueryExecutionStart",
            },
        )

    async def others(self, word: str, session: str | None) -> None:
        where = {"query": f"{word}-query"} | ({} if session is None else {"session": session})
        asked = await self.post(
            "/v1/questions", {"text": self.named("question"), "askedBy": self.named("agent"), **where}
        )
        self.questions.append(asked["id"])
        status = {"state": "TASK_STATE_WORKING", "message": {"role": "agent", "parts": [{"text": self.named("task")}]}}
        update = {"taskId": f"{word}-task", "contextId": f"{word}-context", "status": status}
        await self.post("/v1/a2a/events", {"statusUpdate": update}, params=where | {"agent": self.named("agent")})

    async def post(self, path: str, content: dict[str, Any], **request: Any) -> Any:
        """The answer to JSON that must be taken."""
        response = await self.http.post(path, json=content, **request)
        assert response.status_code in (200, 201), (path, response.status_code, response.text)
        return response.json() if response.content else None


@dataclass
class Teams:
    """Both, and the broker."""

    locked: Locked
    alpha: Team
    bravo: Team

    def __iter__(self) -> Any:
        yield self.alpha, self.bravo
        yield self.bravo, self.alpha

    async def fill(self) -> None:
        """Everything once for each: under names of its own, and under the same names as the other."""
        for team in (self.alpha, self.bravo):
            await asyncio.gather(
                team.send(team.word, team.trace, team.named("session")),
                team.send(SHARED, SHARED_TRACE, f"{SHARED}-session"),
                # What names no session: it is found by the query, or the trace.
                team.send(team.named("bare"), team.trace[::-1], None),
            )
        await self.tell(self.alpha, "told")
        await self.tell(self.bravo, "told")

    async def tell(self, team: Team, what: str) -> None:
        """As Ark's controller does: with a token for all, of things in the team's namespace."""
        data = {
            "queryId": team.named(f"{what}-uid"),
            "queryName": team.named(f"{what}-query"),
            "queryNamespace": team.namespace,
            "sessionId": team.named("session"),
            "agent": team.named("agent"),
        }
        operation = {"reason": "QueryExecutionStart", "message": team.named(what), "eventType": "Normal", "data": data}
        response = await self.locked.operator.http.post("/events", json=operation)
        assert response.status_code == 201, response.text
        await self.locked.operator.events(
            {
                "type": team.named(what),
                "namespace": team.namespace,
                "sessionId": f"{SHARED}-session",
                "query": f"{SHARED}-query",
                "note": team.named(what),
            }
        )


async def two_teams(locked: Locked) -> Teams:
    """Both with all permissions but `admin`, each for its namespace."""

    async def team(word: str, trace: str) -> Team:
        who = await locked.person(["ingest", "read", "answer"], [f"team-{word}"])
        return Team(word, f"team-{word}", trace, who)

    return Teams(locked, await team("alpha", "a1" * 16), await team("bravo", "b2" * 16))


class Listener:
    """The bytes of one live stream, as they come."""

    def __init__(self) -> None:
        self.data = b""
        self.status = 0

    async def until(self, text: str) -> None:
        """Wait until it has said that."""

        async def said() -> bool:
            return text.encode() in self.data

        await until(said, what=f"the stream to say {text!r}; it said {self.data[-2000:]!r}")


@asynccontextmanager
async def listening(who: httpx.AsyncClient, path: str, **params: str) -> AsyncIterator[Listener]:
    """The stream is open inside the block."""
    found = Listener()

    async def read() -> None:
        async with who.stream("GET", path, params=params, timeout=60) as response:
            found.status = response.status_code
            async for data in response.aiter_bytes():
                found.data += data

    task = asyncio.create_task(read())

    async def opened() -> bool:
        return bool(found.status) or task.done()

    try:
        await until(opened, what=f"{path} to open")
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
            await task
