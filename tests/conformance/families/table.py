"""What the broker makes of one program's telemetry: canonical field → value, as readers of its API see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.families.model_server import ANSWER, ARGUMENTS, QUESTION, RESULT, TOOL

Json = dict[str, Any]
#: How the API is asked: a path → its JSON.
Get = Callable[[str], Json]

#: Columns of the table, in its order.
FIELDS: Final = (
    "session",
    "query",
    "conversation",
    "agent",
    "model",
    "provider",
    "user",
    "tool",
    "tool input",
    "tool output",
    "tool call id",
    "mcp session",
    "a2a task",
    "tokens in",
    "tokens out",
    "cached",
    "reasoning",
    "cost",
    "finish reason",
    "error",
    "messages in",
    "messages out",
)


@dataclass(frozen=True)
class Expected:
    """What a family's telemetry has in it. Fields that are not named in `missing` must be there."""

    #: Fields that the program's telemetry does not carry, so that nobody could fill them.
    missing: frozenset[str]
    #: Model calls and tool calls that were made.
    model_calls: int = 2
    tool_calls: int = 1
    #: LangChain writes the only argument of a tool without its name.
    tool_input: object = field(default_factory=lambda: ARGUMENTS)


#: Of the scenario itself: nobody fails, and nobody talks MCP or A2A unless that is what is tried.
_NOT_IN_SCENARIO: Final = frozenset({"user", "mcp session", "a2a task", "error"})
_NO_MODEL: Final = frozenset(
    {
        "model",
        "provider",
        "tokens in",
        "tokens out",
        "cached",
        "reasoning",
        "cost",
        "finish reason",
        "messages in",
        "messages out",
    }
)


def expect(*missing: str, **more: Any) -> Expected:
    """All of the scenario but `missing`."""
    return Expected(_NOT_IN_SCENARIO | set(missing), **more)


EXPECTED: Final[dict[str, Expected]] = {
    "agent_framework": expect(),
    "langfuse": expect("conversation", "provider", "tool call id"),
    "langsmith": expect("conversation"),
    "openinference_langchain": expect("conversation", tool_input="Paris"),
    "openinference_openai": expect("conversation", "tool call id"),
    "otel_openai_v2": expect("cached", "reasoning"),
    "otel_openai_v2_latest": expect("cached", "reasoning"),
    "pydantic_ai": expect(),
    "traceloop": expect("conversation", "tool call id", "reasoning"),
    "vercel_ai": expect("conversation", "reasoning"),
    "vercel_ai_legacy": expect("conversation"),
    "mcp": expect(*_NO_MODEL, "conversation", "tool input", "tool output", "tool call id", model_calls=0),
    "a2a": expect(
        *_NO_MODEL,
        *("conversation", "tool", "tool input", "tool output", "tool call id"),
        model_calls=0,
        tool_calls=0,
    ),
}


@dataclass
class Found:
    """One program's row of the table."""

    fields: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def look(get: Get, session: str, served: dict[str, int], expected: Expected) -> Found:
    """Read everything back, and say what is wrong with it."""
    found = Found()
    sessions = get("/v1/sessions")["items"]
    if [item["id"] for item in sessions] != [session]:
        found.problems.append(f"sessions {[item['id'] for item in sessions]} instead of {session!r}")
    if not sessions:
        return found
    # Where it is not the session that was meant, the table still shows what there is.
    known = session if any(item["id"] == session for item in sessions) else sessions[0]["id"]
    view = get(f"/v1/sessions/{known}")
    said = get(f"/v1/sessions/{known}/conversation")["messages"]
    _fill(found, view, said)
    _compare(found, view, said, served, expected)
    return found


def _fill(found: Found, view: Json, said: list[Json]) -> None:
    queries = list(view["queries"].values())
    entries = [entry for query in queries for entry in query["events"]]
    tool = next((entry for entry in entries if entry["type"] == "tool.call"), {})
    models = [entry for entry in entries if entry["type"] == "llm.request"]
    fields: dict[str, object] = {
        "session": view["id"],
        "query": next(iter(view["queries"]), None),
        "conversation": _first(view.get("conversationIds")),
        "agent": _first(view.get("agents")),
        "model": _first(view.get("models")),
        "provider": _first(view.get("providers")),
        "user": _first(view.get("users")),
        "tool": tool.get("tool"),
        "tool input": tool.get("input"),
        "tool output": tool.get("output"),
        "tool call id": tool.get("toolCallId"),
        "mcp session": _first(list(queries[0].get("mcpSessions", {}).values())) if queries else None,
        "a2a task": _first(queries[0].get("taskIds")) if queries else None,
        "tokens in": view["tokens"]["input"],
        "tokens out": view["tokens"]["output"],
        "cached": view["tokens"].get("cached"),
        "reasoning": view["tokens"].get("reasoning"),
        "cost": view.get("cost"),
        "finish reason": next((entry["finishReason"] for entry in models if "finishReason" in entry), None),
        "error": next((query["error"] for query in queries if "error" in query), None),
        "messages in": QUESTION if any(QUESTION in _text(message) for message in said) else None,
        "messages out": ANSWER if said and ANSWER in _text(said[-1]) else None,
    }
    found.fields = {name: value for name, value in fields.items() if value not in (None, "", 0)}


def _compare(found: Found, view: Json, said: list[Json], served: dict[str, int], expected: Expected) -> None:
    fields = found.fields
    for name in FIELDS:
        if name not in expected.missing and name not in fields:
            found.problems.append(f"no {name}")
    exact: dict[str, object] = {
        "agent": "weather-agent",
        "tool": TOOL,
        "tokens in": served["input"],
        "tokens out": served["output"],
        "cached": served["cached"],
        "reasoning": served["reasoning"],
    }
    found.problems += [
        f"{name}: {fields[name]!r} instead of {value!r}"
        for name, value in exact.items()
        if name in fields and fields[name] != value
    ]
    if "tool input" in fields and fields["tool input"] != expected.tool_input:
        found.problems.append(f"tool input: {fields['tool input']!r}")
    if "tool output" in fields and RESULT not in json.dumps(fields["tool output"]):
        found.problems.append(f"tool output: {fields['tool output']!r}")
    for name, count in (("modelCalls", expected.model_calls), ("toolCalls", expected.tool_calls)):
        if view["counts"][name] != count:
            found.problems.append(f"{name}: {view['counts'][name]} instead of {count}")
    phases = view["counts"]["phases"]
    if phases != {"done": 1}:
        found.problems.append(f"phases: {phases}")
    roles = [message["role"] for message in said if message["role"] not in ("system", "developer")]
    if "messages in" not in expected.missing and roles != ["user", "assistant", "tool", "assistant"]:
        found.problems.append(f"roles of the conversation: {roles}")


def _first(values: list[Any] | None) -> Any:
    return values[0] if values else None


def _text(message: Json) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else json.dumps(content)
