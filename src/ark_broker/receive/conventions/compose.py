"""Puts an OpenAI chat message together, from an object that is known to be a message, or from parts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Final

from ark_broker.receive.conventions.parts import (
    Message,
    Piece,
    call_id_of,
    content_of,
    decode,
    first_text,
    is_native,
    is_part,
    json_text,
    outcome_text,
    read_part,
    reasoning_text,
    text_part,
    tool_call,
)

_FINISH: Final = ("finish_reason", "finishReason", "stop_reason")
#: Where LangChain keeps what its messages have no member for.
_BESIDE: Final = ("additional_kwargs", "response_metadata", "generation_info")
_REASONING: Final = ("reasoning", "reasoning_content", "thinking")
#: Parts of a message that OpenAI has as members beside its content.
_BESIDE_CONTENT: Final = ("refusal", "audio")


def chat(source: Message, role: str) -> list[Message]:
    """One message, and those of role `tool` for the results among its parts."""
    parts, content = source.get("parts"), source.get("content")
    messages = _content(parts if isinstance(parts, list) and parts else content, role)
    calls, reasoning = _calls(source), _reasoning(source)
    extra: list[Message] = [{"type": kind, kind: source[kind]} for kind in _BESIDE_CONTENT if source.get(kind)]
    own = next((message for message in reversed(messages) if message["role"] == role), None)
    if own is None and (calls or reasoning or extra or not messages):
        own = {"role": role, "content": None}
        messages.append(own)
    if own is not None:
        _complete(own, source, calls, reasoning)
        if extra:
            content = own["content"]
            said = content if isinstance(content, list) else [text_part(content)] if isinstance(content, str) else []
            own["content"] = [part for part in said if part != text_part("")] + extra
    return finished(messages, source)


def _complete(message: Message, source: Message, calls: list[Message], reasoning: str) -> None:
    """Add what stands beside the content. What its parts said already is not said again."""
    if calls:
        known = message.get("tool_calls")
        message["tool_calls"] = _once(calls + (known if isinstance(known, list) else []))
    if reasoning:
        message.setdefault("reasoning", reasoning)
    if name := first_text(source, ("name",)):
        message.setdefault("name", name)
    if message["role"] == "tool" and (call_id := call_id_of(source)):
        message.setdefault("tool_call_id", call_id)


def _content(content: object, role: str) -> list[Message]:
    if content is None or isinstance(content, str):
        return [{"role": role, "content": content}]
    if isinstance(content, list) and content and all(is_native(part) for part in content):
        return [{"role": role, "content": content}]
    if role == "tool" and not isinstance(content, list):
        return [{"role": role, "content": outcome_text(content)}]
    return _split(_as_parts(content), role)


def _as_parts(content: object) -> list[object]:
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        parts = content.get("parts")
        return parts if isinstance(parts, list) else [content if is_part(content) else json_text(content)]
    return [] if content is None else [content]


def from_parts(parts: list[object], role: str) -> list[Message]:
    """Messages of parts that no message is around; `role` is that of a text. Only a model calls tools."""
    messages = _split(parts, role)
    for message in messages:
        if message["role"] == "user" and ("tool_calls" in message or "reasoning" in message):
            message["role"] = "assistant"
    return messages


def _split(parts: list[object], role: str) -> list[Message]:
    """Messages of the parts, in their order: the result of a tool is a message of its own."""
    messages: list[Message] = []
    for is_result, run in groupby(map(read_part, parts), key=lambda piece: piece.result is not None):
        pieces = list(run)
        if is_result:
            messages += [piece.result for piece in pieces if piece.result is not None]
        elif message := _joined(pieces, role):
            messages.append(message)
    return messages


def _joined(pieces: list[Piece], role: str) -> Message | None:
    """One message; None where the pieces hold nothing, as reasoning that was not disclosed."""
    content = content_of([piece.part for piece in pieces if piece.part is not None])
    calls = [piece.call for piece in pieces if piece.call is not None]
    reasoning = "\n".join(piece.reasoning for piece in pieces if piece.reasoning)
    message: Message = {"role": role, "content": content}
    if calls:
        message["tool_calls"] = _once(calls)
    if reasoning:
        message["reasoning"] = reasoning
    return message if len(message) > 2 or content is not None else None


def _once(calls: list[Message]) -> list[Message]:
    """Each call once: LangChain has Anthropic's both as parts and beside the content."""
    seen: set[object] = set()
    kept: list[Message] = []
    for call in calls:
        if call["id"] not in seen:
            kept.append(call)
        seen.update({call["id"]} - {""})
    return kept


def _calls(source: Mapping[str, object]) -> list[Message]:
    for holder in (source, source.get("additional_kwargs")):
        if not isinstance(holder, dict):
            continue
        found: list[object] = []
        for name in ("tool_calls", "toolCalls", "invalid_tool_calls", "function_call"):
            value = holder.get(name)
            value = decode(value) if isinstance(value, str) else value
            found += value if isinstance(value, list) else [value]
        if calls := [tool_call(call) for call in found if isinstance(call, dict)]:
            return calls
    return []


def _reasoning(source: Mapping[str, object]) -> str:
    beside = source.get("additional_kwargs")
    holders = (source, beside if isinstance(beside, dict) else {})
    return next((text for each in holders for name in _REASONING if (text := reasoning_text(each.get(name)))), "")


def finished(messages: list[Message], source: Mapping[str, object]) -> list[Message]:
    """The messages, of which the last that is no tool's has the reason that `source` gives for its end."""
    holders = [source, *(inner for name in _BESIDE if isinstance(inner := source.get(name), dict))]
    reason = next((text for holder in holders if (text := first_text(holder, _FINISH))), "")
    last = next((message for message in reversed(messages) if message["role"] != "tool"), None)
    if reason and last is not None:
        last.setdefault("finish_reason", reason)
    return messages
