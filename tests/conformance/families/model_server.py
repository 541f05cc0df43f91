"""A stand-in for the OpenAI API: answers in two turns, streams, and knows how many tokens it served.

POST /v1/chat/completions, POST /v1/responses    first a call of `get_weather`, then the answer
GET  /served                                     {"calls", "input", "output", "cached", "reasoning"}
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MODEL: Final = "gpt-4o-mini-2024-07-18"
TOOL: Final = "get_weather"
ARGUMENTS: Final = {"city": "Paris"}
RESULT: Final = "18 degrees and sunny"
ANSWER: Final = "It is 18 degrees and sunny in Paris."
QUESTION: Final = "What is the weather in Paris?"


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer; `cached` is a part of `input`, `reasoning` of `output`."""

    input: int
    output: int
    cached: int
    reasoning: int


FIRST: Final = Usage(120, 18, 64, 5)
SECOND: Final = Usage(160, 12, 96, 0)


@dataclass
class Served:
    """What the stand-in answered so far."""

    calls: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, usage: Usage) -> None:
        """One more answer."""
        with self.lock:
            self.calls += 1
            for name, value in asdict(usage).items():
                setattr(self, name, getattr(self, name) + value)

    def json(self) -> dict[str, int]:
        """The totals."""
        return {name: getattr(self, name) for name in ("calls", "input", "output", "cached", "reasoning")}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the programs under test have the terminal."""

    def do_GET(self) -> None:
        self._send(200, "application/json", json.dumps(self.served.json()).encode())

    def do_POST(self) -> None:
        request = json.loads(read_body(self))
        if self.path.endswith("/chat/completions"):
            self._chat(request)
        elif self.path.endswith("/responses"):
            self._responses(request)
        else:
            self._send(404, "application/json", b'{"error": {"message": "not served here"}}')

    def _chat(self, request: dict[str, Any]) -> None:
        first = bool(request.get("tools")) and all(message.get("role") != "tool" for message in request["messages"])
        usage = FIRST if first else SECOND
        self.served.add(usage)
        if not request.get("stream"):
            self._send(200, "application/json", json.dumps(_completion(first, usage)).encode())
            return
        with_usage = (request.get("stream_options") or {}).get("include_usage")
        # As OpenAI does it, the chunks of one answer have one id.
        envelope = _envelope("chat.completion.chunk")
        frames = [envelope | chunk for chunk in [*_chunks(first), *([_chunk([], usage)] if with_usage else [])]]
        body = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames) + "data: [DONE]\n\n"
        self._send(200, "text/event-stream", body.encode())

    def _responses(self, request: dict[str, Any]) -> None:
        items = request.get("input")
        outputs = (
            [item for item in items if item.get("type") == "function_call_output"] if isinstance(items, list) else []
        )
        first = bool(request.get("tools")) and not outputs
        usage = FIRST if first else SECOND
        self.served.add(usage)
        response = _response(first, usage)
        if not request.get("stream"):
            self._send(200, "application/json", json.dumps(response).encode())
            return
        body = "".join(
            f"event: {event['type']}\ndata: {json.dumps(event | {'sequence_number': number})}\n\n"
            for number, event in enumerate(_response_events(response))
        )
        self._send(200, "text/event-stream", body.encode())

    def _send(self, status: int, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def read_body(handler: BaseHTTPRequestHandler) -> bytes:
    """The request's body, also where it comes in chunks, as Node's exporters send it."""
    if "chunked" not in (handler.headers.get("Transfer-Encoding") or "").lower():
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    body = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _call() -> dict[str, Any]:
    call_id = f"call_{secrets.token_hex(12)}"
    return {"id": call_id, "type": "function", "function": {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}}


def _completion(first: bool, usage: Usage) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None if first else ANSWER}
    if first:
        message["tool_calls"] = [_call()]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if first else "stop", "logprobs": None}
    return _envelope("chat.completion") | {"choices": [choice], "usage": _usage(usage)}


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{secrets.token_hex(6)}", "object": kind, "created": 1_765_533_600, "model": MODEL}


def _chunk(choices: list[dict[str, Any]], usage: Usage | None = None) -> dict[str, Any]:
    return {"choices": choices, "usage": None if usage is None else _usage(usage)}


def _chunks(first: bool) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return _chunk([{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}])

    if first:
        call = _call()
        arguments = call["function"]["arguments"]
        start = call | {"index": 0, "function": {"name": TOOL, "arguments": ""}}
        yield chunk({"role": "assistant", "content": None, "tool_calls": [start]})
        yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})
        yield chunk({}, "tool_calls")
        return
    yield chunk({"role": "assistant", "content": ""})
    for word in ANSWER.split(" "):
        yield chunk({"content": word if word == "It" else f" {word}"})
    yield chunk({}, "stop")


def _response(first: bool, usage: Usage) -> dict[str, Any]:
    if first:
        call = _call()
        item: dict[str, Any] = {
            "type": "function_call",
            "id": f"fc_{secrets.token_hex(6)}",
            "call_id": call["id"],
            "status": "completed",
            **call["function"],
        }
    else:
        text = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
        item = {
            "type": "message",
            "id": f"msg_{secrets.token_hex(6)}",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        }
    return {
        "id": f"resp_{secrets.token_hex(6)}",
        "object": "response",
        "created_at": 1_765_533_600,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": MODEL,
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        },
    }


def _response_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = response | {"status": "in_progress", "output": [], "usage": None}
    [item] = response["output"]
    place = {"output_index": 0, "item_id": item["id"]}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    if item["type"] == "message":
        [text] = item["content"]
        opened = item | {"content": [], "status": "in_progress"}
        yield {"type": "response.output_item.added", "output_index": 0, "item": opened}
        yield {"type": "response.content_part.added", **place, "content_index": 0, "part": text | {"text": ""}}
        yield {"type": "response.output_text.delta", **place, "content_index": 0, "delta": ANSWER, "logprobs": []}
        yield {"type": "response.output_text.done", **place, "content_index": 0, "text": ANSWER, "logprobs": []}
        yield {"type": "response.content_part.done", **place, "content_index": 0, "part": text}
    else:
        opened = item | {"arguments": "", "status": "in_progress"}
        yield {"type": "response.output_item.added", "output_index": 0, "item": opened}
        yield {"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]}
        done = {"arguments": item["arguments"], "name": item["name"]}
        yield {"type": "response.function_call_arguments.done", **place, **done}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": response}


@contextmanager
def serving() -> Iterator[tuple[str, Served]]:
    """The stand-in on a free port: its base URL (`…/v1`), and what it serves."""
    served = Served()
    handler = type("Handler", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, name="model-server", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with serving() as (url, _):
        print(url, flush=True)
        threading.Event().wait()
