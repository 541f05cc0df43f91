"""Text that would do something if it were taken for more than text; and a session that has it in every field."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import httpx

from tests.support.otlp import PROTOBUF, traces
from tests.support.process import Broker

#: Each sets `window.__xss`, leaves the page, or asks another host, if it does anything.
CORPUS: Final = (
    '<img src=x onerror="window.__xss=1">',
    "<script>window.__xss=1</script>",
    '"><svg onload=window.__xss=1>',
    "<svg><animate onbegin=window.__xss=1 attributeName=x dur=1s></svg>",
    "<svg><a xlink:href=javascript:window.__xss=1><text y=20>svg link</text></a></svg>",
    "<iframe srcdoc='<script>parent.__xss=1</script>'></iframe>",
    "<iframe src=javascript:parent.__xss=1></iframe>",
    "<details open ontoggle=window.__xss=1>details</details>",
    "<style>@import 'http://elsewhere.example/x.css'; * { display: none }</style>",
    "<base href='http://elsewhere.example/'><meta http-equiv=refresh content='0;url=http://elsewhere.example/'>",
    "<form action=http://elsewhere.example/><button autofocus onfocus=window.__xss=1>form</button></form>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=window.__xss=1&gt;'>",
    "[markdown](javascript:window.__xss=1) [entity](&#106;avascript:window.__xss=1) [tab](java\tscript:window.__xss=1)",
    "[data](data:text/html,<script>window.__xss=1</script>) [vb](vbscript:x) <javascript:window.__xss=1>",
    "![picture](http://elsewhere.example/x.png) ![drawn](data:image/svg+xml,<svg/onload=window.__xss=1>)",
    "[reference][r]\n\n[r]: javascript:window.__xss=1 'onmouseover=window.__xss=1'",
    '<a href="javascript:window.__xss=1" onclick="window.__xss=1">link</a>',
    "{{constructor.constructor('window.__xss=1')()}}${window.__xss=1}",
    "</script></style></title></textarea><script>window.__xss=1</script>",
    "\u202egnp.exe\u202c \x1b]8;;http://elsewhere.example\x07link\x1b]8;;\x07 \ufeff\u2028",
)
#: Names that programs stumble over instead.
NAMES: Final = ("__proto__", "constructor", "toString", "../../..", "%2e%2e%2f", "?x=1#y", "a b")

SESSION: Final = "<img src=x onerror=window.__xss=1>"


def name_of(text: str) -> str:
    """The text as names may be: without control characters, of 256 characters at most."""
    return "".join(character for character in text if character.isprintable())[:256]


def fill(broker: Broker) -> None:
    """A session whose every field is made of the corpus: for each text a query, with spans, chunks and questions."""
    with httpx.Client(base_url=broker.url, timeout=60) as http:
        for number, text in enumerate((*CORPUS, *NAMES)):
            _spans(http, number, text)
            _events(http, text)
            _chunks(http, text)
            _question(http, text)


def _spans(http: httpx.Client, number: int, text: str) -> None:
    name = name_of(text)
    attributes = {
        "session.id": SESSION,
        "query.name": name,
        "gen_ai.agent.name": text,
        "gen_ai.request.model": text,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": text}]}]),
        text: text,
    }
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": text, "gen_ai.tool.call.arguments": text}
    chat = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
    failed = {"error.type": text, "exception.message": text}
    trace = bytes([number + 1]) * 16
    made = traces(
        *(
            {
                "trace_id": trace,
                "span_id": bytes([number + 1, place]) * 4,
                "name": text,
                "attributes": attributes | more,
            }
            for place, more in enumerate((tool, chat, failed))
        )
    )
    http.post("/v1/traces", content=made.SerializeToString(), headers=PROTOBUF).raise_for_status()


def _events(http: httpx.Client, text: str) -> None:
    where = {"sessionId": SESSION, "query": name_of(text), "agent": text}
    events: list[dict[str, Any]] = [
        {"type": "query.started", "input": text},
        {"type": "tool.call", "tool": text, "input": {text: text}, "output": text},
        {"type": "llm.response", "model": text, "output": text},
        {"type": "note", "message": text, "name": text, text: text},
        {"type": "query.failed", "error": text, "message": text},
    ]
    now = time.time_ns()
    timed = [{**where, **event, "time": now + place} for place, event in enumerate(events)]
    http.post("/v1/events", json=timed).raise_for_status()


def _chunks(http: httpx.Client, text: str) -> None:
    chunk = {"object": "chat.completion.chunk", "model": text, "choices": [{"index": 0, "delta": {"content": text}}]}
    path = httpx.URL("/").copy_with(raw_path=b"/stream/" + _segment(name_of(text)))
    http.post(path, content=json.dumps(chunk) + "\n").raise_for_status()


def _segment(text: str) -> bytes:
    return "".join(f"%{byte:02X}" for byte in text.encode()).encode()


def _question(http: httpx.Client, text: str) -> None:
    schema = {
        "type": "object",
        "title": text,
        "description": text,
        "properties": {"field": {"type": "string", "title": text, "description": text, "enum": [text, "other"]}},
    }
    about = {"session": SESSION, "query": name_of(text), "text": text, "context": text, "askedBy": text}
    for form in ({"schema": schema}, {"options": [text, "other"]}):
        http.post("/v1/questions", json=about | form).raise_for_status()
