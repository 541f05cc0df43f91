"""Arguments, results and answers in one line, as the tree quotes them: `"72F sunny"`, `{"n": 3}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ark_broker.cli.render.printable import printable

#: Characters of a quoted value, where nobody asks for the whole.
SHORT = 100


def quoted(value: Any, *, most: int | None = SHORT) -> str:
    """`value` as JSON, printable, at most `most` characters (None: all of them) with `…` for the rest."""
    if isinstance(value, str) and most is not None and len(value) > most:
        # Cut first: a result may be megabytes long.
        return f'{_json(value[: most - 1])[:-1]}…"'
    text = _json(value)
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"


def plain(value: Any, *, most: int | None = SHORT) -> str:
    """`value` as a person writes it: text without quotes, anything else as JSON."""
    if not isinstance(value, str):
        return quoted(value, most=most)
    cut = value if most is None or len(value) <= most else f"{value[: most - 1]}…"
    return printable(cut)


def text_of(content: Any) -> str:
    """What a message says: a text, or the text parts of a list, with the other parts named."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else json.dumps(content, ensure_ascii=False)
    return "".join(_part(part) for part in content)


def question_text(value: Any) -> Any:
    """What is asked, of the arguments of a tool that asks; the arguments themselves where they do not say."""
    if isinstance(value, Mapping):
        return next((value[key] for key in ("question", "text", "prompt", "message") if value.get(key)), value)
    return value


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        text = part.get("text", part.get("content"))
        if isinstance(text, str):
            return text
        return f"[{part.get('type', 'part')}]"
    return ""


def _json(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))
