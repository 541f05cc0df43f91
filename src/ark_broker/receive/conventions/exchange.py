"""The messages of a model call or an agent's run, whoever reported it, as OpenAI chat messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ark_broker.model import Event
from ark_broker.model import vocabulary as v
from ark_broker.model.details import Exchange, Message
from ark_broker.receive.conventions.flattened import unflatten
from ark_broker.receive.conventions.messages import as_messages, system_message
from ark_broker.receive.conventions.stored import Told, arguments, read, structured

#: Where a call keeps what it was given and what it gave, best first. A name that ends in a dot is the beginning of
#: flattened keys.
_GIVEN: Final = (
    "gen_ai.input.messages",
    "llm.input_messages.",
    "langfuse.observation.input",
    "ai.prompt.messages",
    "ai.prompt",
    "gen_ai.prompt.",
    "gen_ai.prompt",
    "messages.input",
    "pydantic_ai.all_messages",
    "all_messages_events",
    "events",
    "traceloop.entity.input",
    "query.input",
    "input.value",
    "input",
)
_GAVE: Final = (
    "gen_ai.output.messages",
    "llm.output_messages.",
    "langfuse.observation.output",
    "ai.response.text",
    "ai.response.object",
    "gen_ai.completion.",
    "gen_ai.completion",
    "messages.output",
    "traceloop.entity.output",
    "query.output",
    "final_result",
    "output.value",
    "output",
)
#: What one event of OpenTelemetry GenAI up to 1.36 tells, by its name: role, and whether the model gave it.
_SINGLE: Final[Mapping[str, tuple[str, bool]]] = {
    "gen_ai.system.message": ("system", False),
    "gen_ai.user.message": ("user", False),
    "gen_ai.assistant.message": ("assistant", False),
    "gen_ai.tool.message": ("tool", False),
    "gen_ai.choice": ("assistant", True),
}
_CALLS: Final = frozenset({v.LLM_REQUEST, v.LLM_MESSAGE, "llm.completed"})
_RUNS: Final = frozenset(
    {
        v.AGENT_COMPLETED,
        v.AGENT_FAILED,
        v.WORKFLOW_COMPLETED,
        v.WORKFLOW_FAILED,
        v.QUERY_STARTED,
        v.QUERY_COMPLETED,
    }
)


def exchange(event: Event) -> Exchange:
    """What the event says was given to a model or agent, and what that gave; empty for any other event."""
    if event.kind == "message":
        told = read(event)
        return Exchange(given=as_messages(None if told is None else dict(told.attributes), role="user"))
    if event.type not in _CALLS and event.type not in _RUNS:
        return Exchange()
    told = read(event)
    return Exchange() if told is None else exchange_of(event, told)


def exchange_of(event: Event, told: Told) -> Exchange:
    """`exchange` of a model call or an agent's run whose body was read already."""
    attributes = told.attributes
    if isinstance(told.name, str) and told.name in _SINGLE and event.kind == "log":
        role, is_answer = _SINGLE[told.name]
        body = told.message if isinstance(told.message, dict) else attributes
        found = as_messages({"event.name": told.name, **body} if not is_answer else body, role=role)
        return Exchange(gave=found) if is_answer else Exchange(given=found)
    given = _first(attributes, _GIVEN, "user")
    system = system_message(attributes.get("gen_ai.system_instructions"))
    if system is not None and not any(message.get("role") == "system" for message in given):
        given = [system, *given]
    gave = _first(attributes, _GAVE, "assistant")
    calls = attributes.get("ai.response.toolCalls")
    if calls is not None and not any("tool_calls" in message for message in gave):
        gave = [*gave, *as_messages(_vercel_calls(calls), role="assistant")]
    return Exchange(given=given, gave=gave)


def _first(attributes: Mapping[str, Any], names: tuple[str, ...], role: str) -> list[Message]:
    for name in names:
        if name.endswith("."):
            if not any(key.startswith(name) for key in attributes):
                continue
            found = as_messages(unflatten(attributes, name[:-1]), role=role)
        else:
            found = as_messages(_unwrapped(attributes.get(name)), role=role)
        # A role alone, which some write where they keep the content elsewhere, says nothing.
        if any(message.get("content") or message.get("tool_calls") for message in found):
            return found
    return []


def _unwrapped(value: object) -> object:
    """Decorators write the arguments of a function; what it was asked is in them."""
    is_wrapped = value[:8] == '{"args":' if isinstance(value, str) else isinstance(value, dict) and "args" in value
    return arguments(value) if is_wrapped else value


def _vercel_calls(calls: object) -> object:
    """`[{"toolCallId", "toolName", "input" | "args"}]` as a message of such parts."""
    found = structured(calls)
    if not isinstance(found, list):
        return found
    parts = [{"type": "tool-call", **call} for call in found if isinstance(call, dict)]
    return [{"role": "assistant", "content": parts}] if parts else []
