"""Flattened attributes back to structure: `llm.input_messages.0.message.role` and its like.

OpenInference and the older OpenLLMetry write a list of messages as one attribute a leaf, with the index in its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ark_broker.receive.conventions.parts import Message, decode

#: Items of one list; those with the lowest indexes are kept.
MAX_ITEMS: Final = 1_000
#: Names in a key, after the prefix: a call's argument has seven.
_MAX_NAMES: Final = 12
#: Digits of an index.
_MAX_DIGITS: Final = 9
#: Levels that OpenInference puts between an index and the members.
_LEVELS: Final = ("message", "message_content", "tool_call")


class _Node(dict[str, object]):
    """A level of keys; a plain dict is somebody's value."""


def unflatten(attributes: Mapping[str, object], prefix: str) -> list[object]:
    """The list whose leaves are `attributes` under `prefix`, such as `llm.input_messages`; for `as_messages`.

    Items come in the order of their indexes, gaps are closed, and what has no index is left out. OpenInference's
    levels `message`, `message_content` and `tool_call` are taken away, `contents` becomes `content`. Never raises.
    """
    start = prefix.rstrip(".") + "."
    root = _Node()
    # In order: a key comes before those that extend it, and a value has no members.
    for key in sorted(key for key in attributes if key.startswith(start)):
        names = key[len(start) :].split(".", _MAX_NAMES)
        if attributes[key] is not None and len(names) <= _MAX_NAMES and _is_index(names[0]):
            _put(root, names, attributes[key])
    return _items(root)


def _put(node: _Node, names: list[str], value: object) -> None:
    for name in names[:-1]:
        inner = node.setdefault(name, _Node())
        if not isinstance(inner, _Node):
            return
        node = inner
    node.setdefault(names[-1], value)


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= _MAX_DIGITS


def _items(node: _Node) -> list[object]:
    indexes = sorted((name for name in node if _is_index(name)), key=lambda name: (int(name), name))
    return [_built(node[index]) for index in indexes[:MAX_ITEMS]]


def _built(value: object) -> object:
    if not isinstance(value, _Node):
        return value
    if value and all(_is_index(name) for name in value):
        return _items(value)
    return _unwrapped({name: _built(inner) for name, inner in value.items()})


def _unwrapped(item: Message) -> Message:
    for level in _LEVELS:
        if isinstance(inner := item.get(level), dict):
            item = {name: value for name, value in item.items() if name != level} | inner
    if "contents" in item and "content" not in item:
        item["content"] = item.pop("contents")
    return _translated(item)


def _translated(item: Message) -> Message:
    """Members that only the flattened conventions have, as OpenAI has them."""
    content = item.get("content")
    if isinstance(content, str) and content.startswith("[") and _are_parts(parts := decode(content)):
        # OpenLLMetry writes a list of parts as JSON into what is otherwise a text.
        item["content"] = parts
    if name := item.pop("function_call_name", None):
        item["function_call"] = {"name": name, "arguments": item.pop("function_call_arguments_json", None)}
    image = item.get("image")
    if item.get("type") == "image" and isinstance(image, dict):
        inner = image.get("image", image)
        if isinstance(inner, dict) and isinstance(inner.get("url"), str):
            return {"type": "image_url", "image_url": inner}
    return item


def _are_parts(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in value)
    )
