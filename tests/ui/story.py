"""A day of several agents' work, as a team would see it: what the pages are judged by, and the docs' pictures show.

It is made of ordinary OTLP spans and events with times of their own, all in the past; the demo plays beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, Final

import httpx

from tests.support.otlp import PROTOBUF, span_id, trace_id, traces
from tests.support.process import Broker

SECOND: Final = 1_000_000_000
HOUR: Final = 3_600 * SECOND
#: The session, and its query, that a timeline is shown of.
RELEASE: Final = "release-2.14"
ROLLOUT: Final = "rollout-review"


@dataclass(frozen=True)
class Job:
    """What an agent does again and again."""

    session: str
    namespace: str
    agent: str
    provider: str
    model: str
    question: str
    tool: str
    argument: str
    result: str
    answer: str
    #: How often it is done in a day, and how often it fails.
    times: int
    fails: int = 0
    error: str = ""


JOBS: Final = (
    Job(
        session="support",
        namespace="prod",
        agent="support-agent",
        provider="openai",
        model="gpt-4o",
        question="My invoice of March shows the wrong address. Can you correct it?",
        tool="find_invoice",
        argument="2026-03",
        result="INV-20391, address of 2024",
        answer="I have put your current address on **INV-20391** and sent it to you again.",
        times=19,
        fails=2,
        error="429 Too Many Requests: billing.example.com",
    ),
    Job(
        session="research",
        namespace="prod",
        agent="researcher",
        provider="anthropic",
        model="claude-sonnet-4-5",
        question="Which vector databases support hybrid search, and how do they rank?",
        tool="search_papers",
        argument="hybrid search ranking",
        result="12 papers",
        answer="Most combine BM25 and vectors by *reciprocal rank fusion*; the differences are in the weights.",
        times=12,
    ),
    Job(
        session="nightly-report",
        namespace="staging",
        agent="reporter",
        provider="google",
        model="gemini-2.5-flash",
        question="Write the report of last night.",
        tool="query_warehouse",
        argument="SELECT day, errors FROM runs",
        result="31 rows",
        answer="Errors fell by a third. One job took twice as long as usual: `export-eu`.",
        times=9,
        fails=1,
        error="the statement was canceled after 30 s",
    ),
    Job(
        session="code-review",
        namespace="prod",
        agent="reviewer",
        provider="openai",
        model="gpt-4o-mini",
        question="Review the change that adds retries to the payment client.",
        tool="read_diff",
        argument="payments#482",
        result="+118 −36",
        answer="The retry has no upper limit. Everything else is fine.",
        times=15,
        fails=1,
        error="context_length_exceeded",
    ),
)


@dataclass
class Trace:
    """The spans of a query, as they are added; times are nanoseconds."""

    session: str
    query: str
    namespace: str
    number: int
    spans: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, start: int, end: int, attributes: dict[str, Any], parent: int = 0, error: str = "") -> int:
        """Returns the span's number in the trace, for those below it."""
        number = len(self.spans) + 1
        own = self.number * 1_000
        span = {
            "trace_id": trace_id(self.number),
            "span_id": span_id(own + number),
            "name": name,
            "start_time_unix_nano": start,
            "end_time_unix_nano": end,
            "attributes": {
                "session.id": self.session,
                "query.name": self.query,
                "query.namespace": self.namespace,
                **attributes,
            },
        }
        if parent:
            span["parent_span_id"] = span_id(own + parent)
        if error:
            span["status"] = {"code": 2, "message": error}
        self.spans.append(span)
        return number


def tell(broker: Broker) -> None:
    """Send the day to the broker."""
    random = Random(14)
    now = time.time_ns()
    numbers = count(1)
    told = [trace for job in JOBS for trace in _day(job, random, now, numbers)]
    told.append(_rollout(now, next(numbers)))
    spans = [span for trace in told for span in trace.spans]
    with httpx.Client(base_url=broker.url, timeout=60) as http:
        content = traces(*spans).SerializeToString()
        http.post("/v1/traces", content=content, headers=PROTOBUF).raise_for_status()
        http.post("/v1/events", json=_approval(now)).raise_for_status()
        for question in _questions():
            http.post("/v1/questions", json=question).raise_for_status()


def _day(job: Job, random: Random, now: int, numbers: Iterator[int]) -> Iterator[Trace]:
    """A job's queries in the last day: sessions of up to three, minutes apart."""
    sessions = -(-job.times // 3)
    hours = sorted((random.uniform(0.1, 22) for _ in range(sessions)), reverse=True)
    for number in range(job.times):
        start = now - int(hours[number // 3] * HOUR) + int(number % 3 * random.uniform(40, 100) * SECOND)
        trace = Trace(
            f"{job.session}-{4_700 + number // 3}", f"{job.session}-{number + 1:03}", job.namespace, next(numbers)
        )
        _turn(trace, job, start, random, error=job.error if job.times - number <= job.fails else "")
        yield trace


def _turn(trace: Trace, job: Job, start: int, random: Random, error: str) -> None:
    def seconds(least: float, most: float) -> int:
        return int(random.uniform(least, most) * SECOND)

    first = start + seconds(0.05, 0.2)
    called = first + seconds(0.8, 2.5)
    found = called + seconds(0.3, 4)
    end = found if error else found + seconds(1.5, 7)
    agent = {"gen_ai.agent.name": job.agent}
    root = trace.add(
        f"invoke_agent {job.agent}", start, end, {**agent, "gen_ai.operation.name": "invoke_agent"}, error=error
    )
    trace.add(f"chat {job.model}", first, called, _chat(job, random, job.question, "I look it up."), root)
    trace.add(
        f"execute_tool {job.tool}",
        called,
        found,
        {
            **agent,
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": job.tool,
            "gen_ai.tool.call.arguments": job.argument,
            **({} if error else {"gen_ai.tool.call.result": job.result}),
        },
        root,
        error,
    )
    if not error:
        trace.add(f"chat {job.model}", found, end, _chat(job, random, job.question, job.answer), root)


def _chat(job: Job, random: Random, question: str, answer: str) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": job.provider,
        "gen_ai.request.model": job.model,
        "gen_ai.agent.name": job.agent,
        "gen_ai.usage.input_tokens": random.randint(400, 3_800),
        "gen_ai.usage.output_tokens": random.randint(60, 900),
        "gen_ai.input.messages": _message("user", question),
        "gen_ai.output.messages": _message("assistant", answer),
    }


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


#: The rollout's spans: name, from and to in seconds, its parent's place, attributes.
_ROLLOUT: Final[tuple[tuple[str, float, float, int, dict[str, Any]], ...]] = (
    ("invoke_agent release-manager", 0, 24.6, 0, {"gen_ai.agent.name": "release-manager"}),
    ("chat claude-sonnet-4-5", 0.1, 2.9, 1, {"tokens": (2_140, 212)}),
    ("execute_tool list_changes", 3.0, 3.7, 1, {"tool": ("list_changes", "v2.13..v2.14", "41 commits, 3 migrations")}),
    ("execute_tool error_rates", 3.0, 5.4, 1, {"tool": ("error_rates", "checkout, 24 h", "0.08 %, falling")}),
    ("invoke_agent reviewer", 5.5, 12.8, 1, {"gen_ai.agent.name": "reviewer"}),
    ("chat gpt-4o", 5.6, 8.9, 5, {"tokens": (6_320, 388)}),
    ("execute_tool read_diff", 9.0, 9.6, 5, {"tool": ("read_diff", "migrations/0042.sql", "ALTER TABLE orders …")}),
    ("chat gpt-4o", 9.7, 12.7, 5, {"tokens": (7_015, 341)}),
    ("chat claude-sonnet-4-5", 12.9, 15.2, 1, {"tokens": (3_480, 164)}),
    ("execute_tool deploy", 20.4, 22.3, 1, {"tool": ("deploy", "v2.14, 10 %", "2 of 20 pods")}),
    ("chat claude-sonnet-4-5", 22.4, 24.5, 1, {"tokens": (3_720, 121)}),
)


def _began(now: int) -> int:
    return now - 8 * 60 * SECOND


def _rollout(now: int, number: int) -> Trace:
    """Agents that work together, in several steps, and wait for a person."""
    trace = Trace(RELEASE, ROLLOUT, "prod", number)
    start = _began(now)
    for name, begin, end, parent, about in _ROLLOUT:
        attributes: dict[str, Any] = {"gen_ai.operation.name": name.split()[0], **about}
        if (tokens := attributes.pop("tokens", None)) is not None:
            model = name.split()[1]
            attributes |= {
                "gen_ai.provider.name": "openai" if model.startswith("gpt") else "anthropic",
                "gen_ai.request.model": model,
                "gen_ai.usage.input_tokens": tokens[0],
                "gen_ai.usage.output_tokens": tokens[1],
            }
        if (tool := attributes.pop("tool", None)) is not None:
            keys = ("gen_ai.tool.name", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result")
            attributes |= dict(zip(keys, tool, strict=True))
        trace.add(name, start + int(begin * SECOND), start + int(end * SECOND), attributes, parent)
    return trace


def _approval(now: int) -> list[dict[str, Any]]:
    """The rollout waits between its review and the deployment."""
    start = _began(now)
    where = {"sessionId": RELEASE, "query": ROLLOUT, "namespace": "prod", "questionId": "rollout-10-percent"}
    asked = {"type": "query.waiting", "message": "Begin with 10 % of the pods?", "time": start + 15_300_000_000}
    answered = {"type": "query.resumed", "message": "yes", "time": start + 20_300_000_000}
    ended = {"type": "query.completed", "output": "v2.14 runs on 2 of 20 pods.", "time": start + 24_600_000_000}
    return [{**where, **asked}, {**where, **answered}, {**where, **ended}]


def _questions() -> list[dict[str, Any]]:
    """What waits for people beside the demo's own question."""
    refund = {
        "type": "object",
        "properties": {
            "amount": {"type": "number", "title": "Amount in €", "minimum": 0, "maximum": 250},
            "reason": {"type": "string", "title": "Reason", "enum": ["damaged", "late", "goodwill"]},
            "note": {"type": "string", "title": "Note to the customer"},
        },
        "required": ["amount", "reason"],
    }
    return [
        {
            "session": "support-4706",
            "query": "refund-4711",
            "text": "How much may I refund to customer 4711?",
            "context": "The parcel came 9 days late. The order was €129.90; nothing has been refunded so far.",
            "askedBy": "support-agent",
            "schema": refund,
            "timeoutSeconds": 3_600,
        },
        {
            "session": "research-4703",
            "query": "sources-hybrid-search",
            "text": "Which sources may be cited?",
            "askedBy": "researcher",
            "options": ["papers only", "papers and blogs", "anything"],
        },
    ]
