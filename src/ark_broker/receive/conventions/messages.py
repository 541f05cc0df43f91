"""Messages of language models, in one shape: that of OpenAI's chat API, whatever family wrote them.

Read are: OpenTelemetry GenAI messages, system instructions and the older event bodies, OpenAI requests, responses and
choices, prompts of the Vercel AI SDK, messages and generations of LangChain, Anthropic, Gemini and A2A messages, and
any of these as JSON text. What is none of them becomes one message that holds it as text: nothing is refused. Data of
an application may use the same words, so an object that is not wholly understood must say that it holds messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ark_broker.receive.conventions.compose import chat, finished, from_parts
from ark_broker.receive.conventions.flattened import unflatten
from ark_broker.receive.conventions.parts import (
    Message,
    call_id_of,
    content_of,
    decode,
    first_text,
    is_part,
    json_text,
    kind_of,
    nests_too_deep,
    text_part,
    texts_of,
)

__all__ = ["Message", "as_messages", "role_of", "system_message", "text_of", "unflatten"]

#: Objects and lists that may be wrapped around messages.
_MAX_WRAPPERS: Final = 16

_ROLES: Final[Mapping[str, str]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "agent": "assistant",
    "function": "tool",
}
#: LangChain's types of messages, as `type` and in the names of its classes.
_LANGCHAIN: Final = frozenset({"human", "ai", "tool", "system", "function", "developer", "chat"})
#: Members that make an object with a role a message.
_SUBSTANCE: Final = frozenset({"content", "parts", "tool_calls", "function_call", "refusal", "audio"})
#: Members of a message that nothing is lost with.
_HEADER: Final = frozenset({"role", "name", "id", "index", "finish_reason", "type", "event.name"})
#: Members of the body of an event of OpenTelemetry GenAI up to 1.36; its name says the role.
_BODY: Final = frozenset(
    {"content", "tool_calls", "id", "tool_call_id", "name", "index", "finish_reason", "event.name", "gen_ai.system"}
)
_PARTS: Final = frozenset({"parts", "kind", "messageId", "artifactId", "contextId", "taskId", "name", "metadata"})
_CHOICE: Final = frozenset({"index", "finish_reason", "finishReason", "generation_info", "logprobs"})
#: Lists of what a model answered.
_ANSWERS: Final = ("choices", "generations", "candidates")
#: Members that hold messages, in the order they are looked for.
_WRAPPERS: Final = ("messages", "prompt", "prompts", "contents", "input", "inputs", "output", "outputs")
#: An object of these alone is a prompt, even where that is a bare text.
_PROMPT: Final = frozenset({"prompt", "prompts", "messages", "system", "tools"})
_SYSTEM: Final = ("system", "system_instruction", "systemInstruction", "instructions")


def as_messages(value: object, *, role: str) -> list[Message]:
    """OpenAI chat messages from what a family wrote as messages.

    `value` is any plain JSON value, or JSON text of one; `role` is that of what names none: `user` for input,
    `assistant` for output. Each message has `role` and `content` (text, a list of parts, or None), and where it was
    given `name`, `tool_calls` (whose `arguments` are JSON text), `tool_call_id`, `reasoning` and `finish_reason`.
    Never raises.
    """
    role = role_of(role)
    decoded = decode(value) if isinstance(value, str) else value
    # Not so the text "{}": that is what a model may answer.
    if decoded in (None, "", []) or value == {}:
        return []
    found = None if nests_too_deep(decoded) else _read(decoded, role, 0, bare=True)
    if found is None:
        return [{"role": role, "content": value if isinstance(value, str) else json_text(value)}]
    return found


def system_message(value: object) -> Message | None:
    """One message of role `system` from `gen_ai.system_instructions`: a list of parts, a text, or messages.

    None where there is nothing in it.
    """
    return next(iter(_as_system(as_messages(value, role="system"))), None)


def text_of(messages: Iterable[Mapping[str, object]]) -> str:
    """The texts of the messages' contents, joined by newlines; reasoning and tool calls are no content."""
    texts: list[str] = []
    for message in messages:
        content = message.get("content")
        texts += texts_of(content if isinstance(content, list) else [content])
    return "\n".join(texts)


def role_of(name: str) -> str:
    """OpenAI's name of a role: of LangChain's, Gemini's and A2A's. Other roles stay as they are."""
    return _ROLES.get(name.strip().lower().removeprefix("role_"), name)


def _read(value: object, role: str, depth: int, *, bare: bool) -> list[Message] | None:
    """None for what holds no messages. `bare`: whether a text, a part or a body is one, though nothing says so."""
    if depth > _MAX_WRAPPERS:
        return None
    if isinstance(value, list):
        return _read_list(value, role, depth, bare=bare)
    if isinstance(value, dict):
        return _read_object(value, role, depth, bare=bare)
    if not isinstance(value, str):
        return None
    decoded = decode(value)
    found = _read(decoded, role, depth + 1, bare=bare) if isinstance(decoded, dict | list) else None
    if found is None and bare:
        return [{"role": role, "content": decoded if isinstance(decoded, str) else value}]
    return found


def _read_list(items: list[object], role: str, depth: int, *, bare: bool) -> list[Message] | None:
    """Messages, and the parts between them, of which those that follow each other make up one message."""
    if items and all(isinstance(item, str) for item in items):
        each = [_read(item, role, depth + 1, bare=bare) for item in items]
        return [message for found in each for message in found or ()] if any(each) else None
    messages: list[Message] = []
    parts: list[object] = []
    recognised = False
    for item in items:
        if isinstance(item, dict) and _is_bare_part(item):
            recognised = recognised or bare
            parts.append(item)
        elif (found := _read(item, role, depth + 1, bare=bare and not isinstance(item, str))) is not None:
            recognised = True
            messages += from_parts(parts, role) + found
            parts = []
        elif item is not None:
            has_kind = isinstance(item, dict) and kind_of(item)
            parts.append(item if has_kind or isinstance(item, str) else json_text(item))
    return messages + from_parts(parts, role) if recognised else None


def _read_object(value: Message, role: str, depth: int, *, bare: bool) -> list[Message] | None:
    if _is_bare_part(value):
        return from_parts([value], role) if bare else None
    for read in _READERS:
        if (found := read(value, role, depth)) is not None:
            return found
    return _body(value, role) if bare else None


def _is_bare_part(value: Message) -> bool:
    return "role" not in value and is_part(value)


def _serialised(value: Message, role: str, depth: int) -> list[Message] | None:
    """LangChain's serialised objects: `{"lc", "type": "constructor", "id": [..., class name], "kwargs"}`."""
    path, arguments = value.get("id"), value.get("kwargs")
    if "lc" not in value or not isinstance(path, list) or not isinstance(arguments, dict):
        return None
    name = path[-1] if path else None
    if isinstance(name, str) and (found := _langchain_role(name, arguments, role)):
        return chat(arguments, found)
    return _read(arguments, role, depth + 1, bare=False)


def _typed(value: Message, role: str, _depth: int) -> list[Message] | None:
    """LangChain's messages as dictionaries: `{"type": "human", "content"}`, or `{"type", "data": {"content"}}`."""
    kind, data = value.get("type"), value.get("data")
    message = data if isinstance(data, dict) else value
    if not isinstance(kind, str) or "content" not in message:
        return None
    found = _langchain_role(kind, message, role)
    return chat(message, found) if found else None


def _langchain_role(name: str, message: Message, role: str) -> str:
    """Empty where `name` is not that of a type of messages."""
    kind = name.lower().removesuffix("chunk").removesuffix("message")
    if kind not in _LANGCHAIN:
        return ""
    if kind == "chat":
        return _own_role(message) or role
    return role_of(kind)


def _own_role(message: Message) -> str:
    if own := first_text(message, ("role",)):
        return role_of(own)
    # The name of an event says it, where a list of events is all there is: gen_ai.user.message.
    event = first_text(message, ("event.name",))
    return role_of(event[7:-8]) if event.startswith("gen_ai.") and event.endswith(".message") else ""


def _with_role(value: Message, _role: str, _depth: int) -> list[Message] | None:
    role = _own_role(value)
    if not role:
        return None
    if not _SUBSTANCE.isdisjoint(value):
        return chat(value, role)
    if role not in _ROLES.values():
        return None
    if text := first_text(value, ("text", "message")):
        return chat({**value, "content": text}, role)
    return chat(value, role) if value.keys() <= _HEADER else None


def _choice(value: Message, role: str, depth: int) -> list[Message] | None:
    """`{"index", "message", "finish_reason"}`, LangChain's generations, Gemini's candidates, old completions."""
    is_answer = not _CHOICE.isdisjoint(value)
    role = "assistant" if is_answer else role
    inner = value.get("message", value.get("delta"))
    content, text = value.get("content"), value.get("text")
    found: list[Message] | None = None
    if isinstance(inner, dict | str):
        found = _read(inner, role, depth + 1, bare=is_answer)
    elif isinstance(content, dict) and isinstance(content.get("parts"), list):
        found = chat(content, _own_role(content) or role)
    elif isinstance(text, str) and is_answer:
        found = [{"role": role, "content": text}]
    return None if found is None else finished(found, value)


def _answers(value: Message, _role: str, depth: int) -> list[Message] | None:
    answers = next((found for name in _ANSWERS if isinstance(found := value.get(name), list)), None)
    if answers is None:
        return None
    flat = [inner for item in answers for inner in (item if isinstance(item, list) else [item])]
    each = [_read(item, "assistant", depth + 1, bare=False) for item in flat]
    return [message for found in each for message in found or ()] if any(each) else None


def _wrapped(value: Message, role: str, depth: int) -> list[Message] | None:
    """Objects around messages, and around a text where they are a prompt and nothing else."""
    bare = value.keys() <= _PROMPT or "model" in value
    system = next((value[name] for name in _SYSTEM if name in value), None)
    for name in _WRAPPERS:
        inner = value.get(name)
        found = [] if inner == [] and bare else _read(inner, role, depth + 1, bare=bare)
        if found is not None:
            return _instructions(system, depth) + found
    return _instructions(system, depth) if value.keys() == {"system"} else None


def _instructions(system: object, depth: int) -> list[Message]:
    if not system:
        return []
    found = _read(system, "system", depth + 1, bare=True)
    return _as_system([{"role": "system", "content": json_text(system)}] if found is None else found)


def _as_system(messages: list[Message]) -> list[Message]:
    """One message of role `system` with the contents of all; none where they are empty."""
    parts: list[Message] = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            parts += content
        elif isinstance(content, str) and content:
            parts.append(text_part(content))
    return [{"role": "system", "content": content_of(parts)}] if parts else []


def _body(value: Message, role: str) -> list[Message] | None:
    """Bodies of the older GenAI events, and parts of which nobody said whose they are."""
    parts = value.get("parts")
    if isinstance(parts, list) and value.keys() <= _PARTS:
        known = any(isinstance(part, dict) and (kind_of(part) or is_part(part)) for part in parts)
        return chat(value, role) if known else None
    if not value.keys() <= _BODY or _SUBSTANCE.isdisjoint(value) or not isinstance(value.get("id", ""), str):
        return None
    if value.get("tool_calls"):
        return chat(value, "assistant")
    return chat(value, "tool" if call_id_of(value) else role)


_READERS: Final[tuple[Callable[[Message, str, int], list[Message] | None], ...]] = (
    _serialised,
    _typed,
    _with_role,
    _choice,
    _answers,
    _wrapped,
)
