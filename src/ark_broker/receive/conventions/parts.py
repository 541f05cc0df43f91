"""Parts of a message, as the telemetry families write them, and the JSON text they may come in.

A part is text, reasoning, a call of a tool, the result of one, or something else, such as an image, which is kept as it
is. The spellings that are read: OpenTelemetry GenAI parts, OpenAI content parts and Responses items, Anthropic content
blocks, Vercel AI SDK parts, Gemini and Bedrock parts, A2A parts, LangChain content blocks.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

#: An OpenAI chat message, or a part of one.
Message = dict[str, object]

#: Levels that a value may nest; what nests deeper is shown as text, cut at this level.
MAX_DEPTH: Final = 64
#: How often JSON text may hold nothing but JSON text.
_MAX_WRAPPED_TEXT: Final = 3

_TEXT: Final = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})
#: A text part without a type has nothing else.
_BARE_TEXT: Final = frozenset({"text", "thought"})
_REASONING: Final = frozenset({"reasoning", "thinking"})
_CALLS: Final = frozenset(
    {"tool_call", "tool-call", "tool_use", "function_call", "function", "server_tool_call", "server_tool_use"}
)
_RESULTS: Final = frozenset(
    {
        "tool_call_response",
        "tool-result",
        "tool-error",
        "tool_result",
        "function_call_output",
        "server_tool_call_response",
    }
)
#: Content parts that OpenAI's chat API knows, besides text.
_NATIVE: Final = frozenset({"image_url", "input_audio", "file", "refusal"})
#: Members that tie a result to its call, the most telling first: some items have an id of their own besides.
_CALL_ID: Final = ("tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "call_id", "id")
_TOOL_NAME: Final = ("name", "toolName", "tool_name")
_ARGUMENTS: Final = ("arguments", "args", "input", "server_tool_call")
#: The GenAI convention's schema says `response`, the example in its registry `result`.
_OUTCOME: Final = ("response", "result", "output", "content", "server_tool_call_response", "error")
_REASONING_TEXT: Final = ("content", "thinking", "text", "reasoning", "summary")
#: Parts that have a member instead of a type: Gemini's and Bedrock's.
_CALL_MEMBERS: Final = ("functionCall", "function_call", "toolUse")
_RESULT_MEMBERS: Final = ("functionResponse", "function_response", "toolResult")


@dataclass(frozen=True, slots=True)
class Piece:
    """What one part is: exactly one member is set."""

    #: An OpenAI content part, or one that OpenAI does not know, as it was.
    part: Message | None = None
    #: `{"id", "type": "function", "function": {"name", "arguments"}}`.
    call: Message | None = None
    #: A whole message of role `tool`.
    result: Message | None = None
    reasoning: str | None = None


def read_part(part: object) -> Piece:
    """Any JSON value that stands where a part should be."""
    if not isinstance(part, dict):
        return Piece(part=text_part(part if isinstance(part, str) else json_text(part)))
    kind = kind_of(part)
    if (text := _text_in(part)) is not None:
        return Piece(reasoning=text) if part.get("thought") is True else Piece(part=text_part(text))
    if kind in _REASONING:
        return Piece(reasoning=reasoning_text(part))
    if (call := _call_in(part, kind)) is not None:
        return Piece(call=tool_call(call))
    if (result := _result_in(part, kind)) is not None:
        return Piece(result=tool_result(result))
    return Piece(part=part)


def is_part(value: Mapping[str, object]) -> bool:
    """True for what is a part beyond doubt, whatever it is found in: data of applications has types, too."""
    kind = kind_of(value)
    if _text_in(value) is not None:
        return bool(kind) or value.keys() <= _BARE_TEXT
    if kind in _REASONING:
        return bool(reasoning_text(value))
    if (call := _call_in(value, kind)) is not None:
        return bool(first_text(_function(call), _TOOL_NAME))
    result = _result_in(value, kind)
    return result is not None and (result is not value or bool(first_text(result, _CALL_ID)))


def is_native(part: object) -> bool:
    """True for a content part as OpenAI's chat API writes it."""
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    return isinstance(part.get("text"), str) if kind == "text" else isinstance(kind, str) and kind in _NATIVE


def text_part(text: str) -> Message:
    return {"type": "text", "text": text}


def content_of(parts: list[Message]) -> object:
    """A message's content: None, the text of a lone text part, or the list of parts."""
    if not parts:
        return None
    if len(parts) == 1 and parts[0].keys() == {"type", "text"} and is_native(parts[0]):
        return parts[0]["text"]
    return parts


def tool_call(call: Mapping[str, object]) -> Message:
    """A call in OpenAI's shape. `id` is empty where none was given."""
    function = _function(call)
    arguments = _first(function, _ARGUMENTS)
    return {
        "id": first_text(call, _CALL_ID),
        "type": "function",
        "function": {"name": first_text(function, _TOOL_NAME), "arguments": _arguments_text(arguments)},
    }


def tool_result(result: Mapping[str, object]) -> Message:
    """A message of role `tool`; `tool_call_id` and `name` where they were given."""
    message: Message = {"role": "tool", "content": outcome_text(_first(result, _OUTCOME))}
    if call_id := call_id_of(result):
        message["tool_call_id"] = call_id
    if name := first_text(result, _TOOL_NAME):
        message["name"] = name
    return message


def call_id_of(value: Mapping[str, object]) -> str:
    """Id of the call that a result, or a message of role `tool`, belongs to; empty where none is given."""
    return first_text(value, _CALL_ID)


def outcome_text(outcome: object) -> str:
    """What a tool gave, as text: of blocks of text their text, of anything else its JSON."""
    if isinstance(outcome, dict) and outcome.keys() == {"type", "value"}:
        # The Vercel AI SDK says which type its output has.
        outcome = outcome["value"]
    if outcome is None:
        return ""
    if isinstance(outcome, str):
        return outcome
    if isinstance(outcome, list) and outcome:
        texts = [_text_in(block) for block in outcome]
        if None not in texts:
            return "\n".join(text for text in texts if text)
    return json_text(outcome)


def reasoning_text(part: object) -> str:
    """The text of reasoning: given as text, as a part, or as a list of these. Empty where it was not disclosed."""
    if isinstance(part, list):
        return "\n".join(text for item in part if (text := _reasoning_in(item)))
    return _reasoning_in(part)


def _reasoning_in(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    for name in _REASONING_TEXT:
        value = part.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and (text := "\n".join(texts_of(value))):
            return text
    return ""


def texts_of(parts: Iterable[object]) -> list[str]:
    """The texts among parts, in their order."""
    found = (part if isinstance(part, str) else _text_in(part) for part in parts)
    return [text for text in found if text]


def kind_of(part: Mapping[str, object]) -> str:
    """`type`, or `kind` as A2A 0.3 says; empty where there is neither."""
    kind = part.get("type", part.get("kind"))
    return kind if isinstance(kind, str) else ""


def _text_in(part: object) -> str | None:
    """A text part's text; None for other parts. Gemini, Bedrock and A2A 1.0 give no type."""
    if not isinstance(part, dict):
        return None
    kind = kind_of(part)
    if kind and kind not in _TEXT:
        return None
    text = part.get("text", part.get("content") if kind else None)
    if text is None or isinstance(text, str):
        return text
    return json_text(text) if kind else None


def _call_in(part: Mapping[str, object], kind: str) -> Mapping[str, object] | None:
    if kind in _CALLS:
        # A definition of a tool looks like a call of it, but for the schema of its parameters.
        return None if kind == "function" and "parameters" in _function(part) else part
    if kind:
        return None
    for member in _CALL_MEMBERS:
        if isinstance(inner := part.get(member), dict):
            return inner
    is_vercel = "toolCallId" in part and "toolName" in part and not {"result", "output"} & part.keys()
    return part if is_vercel else None


def _result_in(part: Mapping[str, object], kind: str) -> Mapping[str, object] | None:
    if kind in _RESULTS or (kind.endswith("_tool_result") and "tool_use_id" in part):
        return part
    if kind:
        return None
    for member in _RESULT_MEMBERS:
        if isinstance(inner := part.get(member), dict):
            return inner
    return part if "toolCallId" in part and "toolName" in part else None


def _function(call: Mapping[str, object]) -> Mapping[str, object]:
    for member in ("function", "custom"):
        if isinstance(inner := call.get(member), dict):
            return inner
    return call


def _first(value: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((found for name in names if (found := value.get(name)) is not None), None)


def first_text(value: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((found for name in names if isinstance(found := value.get(name), str) and found), "")


def _arguments_text(arguments: object) -> str:
    if arguments is None or arguments == "":
        return "{}"
    return arguments if isinstance(arguments, str) else json_text(arguments)


def decode(text: str) -> object:
    """What JSON text holds: an object, a list, or a text. Anything else is the text itself."""
    found: object = text
    for _ in range(_MAX_WRAPPED_TEXT):
        if not isinstance(found, str) or not found.lstrip().startswith(("{", "[", '"')):
            break
        try:
            decoded = orjson.loads(found)
        except orjson.JSONDecodeError:
            break
        if nests_too_deep(decoded):
            break
        found = decoded
    return found


def nests_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def json_text(value: object) -> str:
    """JSON of any plain value; what JSON cannot hold is given as text."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Nested too deeply, a number beyond 64 bits, or half a surrogate pair.
        return orjson.dumps(_tamed(value, MAX_DEPTH)).decode()


def _plain(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _tamed(value: object, levels: int) -> object:
    if isinstance(value, dict | list) and levels == 0:
        return "…"
    if isinstance(value, dict):
        return {str(_tamed(key, 0)): _tamed(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_tamed(item, levels - 1) for item in value]
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        # Python refuses to write out thousands of digits.
        return value if value.bit_length() < 64 else (str(value) if value.bit_length() < 10_000 else hex(value))
    return str(value if isinstance(value, str) else _plain(value)).encode("utf-8", "replace").decode()
