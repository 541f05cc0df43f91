"""What the demo plays: one session of queries.

query-001   done       asks a web search, answers, 1.2 s
query-002   waiting    asks a person to approve a deployment
query-003   running    is still streaming
query-004   error      its tool fails; played where somebody is really asked
"""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from opentelemetry.util.types import AttributeValue
from rich.console import Console

from ark_broker.cli.demo_producer import Producer, SpanIds

SESSION: Final = "session-abc"
MODEL: Final = "gpt-4"

#: Seconds, at a human pace.
_STEP: Final = 0.7
_TOKEN: Final = 0.06

WEATHER: Final = (
    "Let me have a look at what it is like outside in New York City right now. I will search the web for the "
    "current conditions there, and then tell you the temperature, whether it is sunny, and if you should "
    "take an umbrella with you when you leave the house today."
)
DEPLOY: Final = (
    "All tests have passed and the release is ready to go. Before I deploy it to production, I need "
    "somebody's approval for it."
)
APPROVAL: Final = "Approve production deploy?"
APPROVED: Final = "Approved! The release is on its way to production."
REFUSED: Final = "Understood: the release stays where it is, and nothing was deployed."
REPORT: Final = (
    "Here is the summary of this week so far. The team closed fourteen tickets, two of them urgent, and the "
    "error rate of the checkout service fell by a third after Tuesday's release. What remains open is"
)
FORECAST_FAILED: Final = "504 Gateway Timeout: forecast.example.com did not answer within 10 s"


@dataclass(frozen=True)
class Names:
    """What everything is called; the suffix keeps one performance apart from the next."""

    session: str
    suffix: str = ""

    def query(self, number: int) -> str:
        return f"query-{number:03}{self.suffix}"

    def stream(self, number: int) -> str:
        return f"stream-{number:03}{self.suffix}"

    @property
    def mcp_session(self) -> str:
        return f"mcp-xyz{self.suffix}"

    @property
    def question(self) -> str:
        return f"q-123{self.suffix}"


def choose_names(session: str | None, taken: Callable[[str], bool]) -> Names:
    """Names for a performance. `taken` tells whether a session exists already.

    Nobody's second demo is to pile into the first: a name that is taken gets a suffix, unless it was asked
    for, and then only the queries get one.
    """
    fresh = f"-{secrets.token_hex(2)}"
    if session is not None:
        return Names(session, fresh if taken(session) else f"-{session}")
    return Names(SESSION + fresh, fresh) if taken(SESSION) else Names(SESSION)


@dataclass(frozen=True)
class Asked:
    """A question that waits."""

    id: str
    uri: str


class Agent(Protocol):
    """Whoever asks, by MCP."""

    def ask(self, text: str, options: Sequence[str], traceparent: str) -> Asked:
        """Ask, within the trace; returns as soon as it is asked."""

    def answer_to(self, asked: Asked) -> object:
        """Wait for the answer."""


@dataclass(frozen=True)
class Stage:
    """Where it is played: into which broker, seen where, and how fast."""

    producer: Producer
    console: Console
    speed: float

    def pause(self, seconds: float) -> None:
        if math.isfinite(self.speed):
            time.sleep(seconds / self.speed)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def span(
        self,
        line: str,
        name: str,
        ids: SpanIds,
        attributes: dict[str, AttributeValue],
        start: int | None = None,
        error: str | None = None,
    ) -> None:
        """Export a span, then show `line`: what is on the screen is in the broker."""
        self.producer.span(name, ids, attributes, start=start, error=error)
        self.say(f"  {line}")
        self.pause(_STEP)

    def stream(self, query: str, text: str, *, finish: str | None = "stop") -> None:
        """Stream `text` word by word, showing each as it goes out. No `finish`: the model is not done yet."""
        self.console.print("  [dim]chunks[/dim]  ", end="")
        self.producer.stream(query, self._shown(chunks_of(query, text, finish)))
        self.say(f" ({len(tokens_of(text))} tokens)")

    def _shown(self, chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for chunk in chunks:
            yield chunk
            self.console.print(chunk["choices"][0]["delta"].get("content", ""), end="", markup=False, soft_wrap=True)
            self.pause(_TOKEN)


def tokens_of(text: str) -> list[str]:
    """The text as a model would stream it, roughly: word by word, the space in front."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def chunks_of(query: str, text: str, finish: str | None) -> Iterator[dict[str, Any]]:
    """OpenAI `chat.completion.chunk` objects, one for each token, and one that tells why it stopped."""

    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{query}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }

    for token in tokens_of(text):
        yield chunk({"content": token})
    if finish is not None:
        yield chunk({}, finish)


def play(names: Names, stage: Stage) -> None:
    """All three queries, one after the other."""
    stage.say(f"session {names.session}")
    _weather(names, stage)
    _deployment(names, stage)
    _report(names, stage)


def play_and_ask(names: Names, stage: Stage, agent: Agent) -> None:
    """The same, but somebody is really asked: the second query goes on with the answer. And a fourth one fails."""
    stage.say(f"session {names.session}")
    _weather(names, stage)
    root, tool = _up_to_the_call(names, stage)
    asked = agent.ask(APPROVAL, ["yes", "no"], f"00-{root.trace_id:032x}-{tool.span_id:016x}-01")
    stage.say(f"  query.waiting {asked.uri}")
    stage.producer.task(names.session, names.query(2), f"task-xyz{names.suffix}", "submitted")
    stage.say("  a2a         task-xyz (submitted)")
    _report(names, stage)
    _forecast(names, stage)
    stage.say(f"\n{names.query(2)} waits for an answer. In a browser:\n")
    stage.say(f"  {stage.producer.url}/ui/inbox\n")
    stage.say("Or from another terminal:\n")
    stage.say(f"  ark-broker answer {asked.id} yes --url {stage.producer.url}")
    stage.say(
        f"  curl {stage.producer.url}/v1/questions/{asked.id}/answer "
        """-H 'content-type: application/json' -d '{"answer": "yes"}'\n"""
    )
    answer = agent.answer_to(asked)
    _finish(names, stage, root, tool, answer)


def _begin(names: Names, stage: Stage, number: int, question: str) -> SpanIds:
    query, root = names.query(number), SpanIds.root()
    stage.say(f"\n{query}: {question}")
    attributes: dict[str, AttributeValue] = {
        "query.name": query,
        "session.id": names.session,
        "stream.id": names.stream(number),
        "query.input": question,
        "gen_ai.agent.name": "assistant",
    }
    stage.span("query.started", "query.started", root, attributes)
    return root


def _weather(names: Names, stage: Stage) -> None:
    query, question = names.query(1), "What is the weather like in New York?"
    root = _begin(names, stage, 1, question)
    asked = time.time_ns()
    stage.stream(query, WEATHER, finish="tool_calls")
    stage.span("llm.request", "llm.request", root.child(), _llm_request(question, WEATHER, "tool_calls"), start=asked)

    tool = root.child()
    mcp: dict[str, AttributeValue] = {
        "tool.name": "web_search",
        "mcp.server.name": "ark-broker",
        "mcp.session.id": names.mcp_session,
    }
    called = time.time_ns()
    for line, name, content in (
        ('tool.call   web_search("weather NYC")', "tool.call", {"tool.input": "weather NYC"}),
        # The same span again, under another name, now that it has a result.
        ('tool.result "72F sunny"', "tool.result", {"tool.output": "72F sunny"}),
    ):
        stage.span(line, name, tool, {**mcp, **content}, start=called)
    stage.span("query.completed (1.2 s)", "query.completed", root, {"duration.ms": 1200})
    stage.producer.complete(query)


def _llm_request(question: str, answer: str, finish: str) -> dict[str, AttributeValue]:
    """The OpenTelemetry GenAI conventions for one call of a model."""

    def message(role: str, text: str, **more: str) -> str:
        return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}], **more}])

    return {
        "model": MODEL,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": (finish,),
        "gen_ai.usage.input_tokens": 118,
        "gen_ai.usage.output_tokens": len(tokens_of(answer)),
        "gen_ai.agent.name": "assistant",
        "gen_ai.input.messages": message("user", question),
        "gen_ai.output.messages": message("assistant", answer, finish_reason=finish),
    }


def _deployment(names: Names, stage: Stage) -> None:
    root, _ = _up_to_the_call(names, stage)
    uri = f"ark://questions/{names.question}"
    stage.span(f"query.waiting {uri}", "query.waiting", root, {"question.uri": uri})


def _up_to_the_call(names: Names, stage: Stage) -> tuple[SpanIds, SpanIds]:
    query = names.query(2)
    root = _begin(names, stage, 2, "Deploy the release.")
    stage.stream(query, DEPLOY, finish="tool_calls")
    tool = root.child()
    stage.span(f'tool.call   ask_question("{APPROVAL}")', "tool.call", tool, _ask_question(names))
    return root, tool


def _ask_question(names: Names) -> dict[str, AttributeValue]:
    return {
        "tool.name": "ask_question",
        "tool.input": APPROVAL,
        "mcp.server.name": "ark-broker",
        "mcp.session.id": names.mcp_session,
    }


def _finish(names: Names, stage: Stage, root: SpanIds, tool: SpanIds, answer: object) -> None:
    query = names.query(2)
    said = answer if isinstance(answer, str) else json.dumps(answer)
    stage.say(f"{query}: the answer is {said!r}")
    stage.span(f"tool.result {said!r}", "tool.result", tool, {**_ask_question(names), "tool.output": said})
    stage.stream(query, APPROVED if answer == "yes" else REFUSED)
    stage.span("query.completed", "query.completed", root, {})
    stage.producer.complete(query)


def _report(names: Names, stage: Stage) -> None:
    _begin(names, stage, 3, "How is the week going?")
    stage.stream(names.query(3), REPORT, finish=None)


def _forecast(names: Names, stage: Stage) -> None:
    root = _begin(names, stage, 4, "And what will it be like tomorrow?")
    tool = root.child()
    call: dict[str, AttributeValue] = {"tool.name": "get_forecast", "tool.input": "NYC, tomorrow"}
    called = time.time_ns()
    stage.span('tool.call   get_forecast("NYC, tomorrow")', "tool.call", tool, call, start=called)
    stage.span(f"tool.failed {FORECAST_FAILED}", "tool.failed", tool, call, start=called, error=FORECAST_FAILED)
    stage.span("query.failed", "query.failed", root, {}, error="get_forecast failed")
