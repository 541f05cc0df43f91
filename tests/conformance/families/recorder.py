"""What a program sent, as a fixture: OTLP/JSON, scrubbed of the machine it ran on."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from ark_broker.receive.otlp import decode_logs, decode_traces, encoding_of
from tests.conformance.families.model_server import read_body

FIXTURES: Final = Path(__file__).parents[2] / "fixtures" / "families"
#: Attributes that speak of the machine, the process, or the place of code on it.
_OF_THE_MACHINE: Final = re.compile(r"(host|process|os|container|k8s|code|thread|telemetry\.distro)\.|.*\.filepath$")
_PATHS: Final = re.compile(r"(?:/(?:root|home|tmp|work|usr|opt)/[\w./@+-]+)")
_PORTS: Final = re.compile(r"(127\.0\.0\.1|localhost):\d+")
#: Stack traces show paths, and say nothing that the broker reads.
_STACK: Final = "exception.stacktrace"

#: (path, body as OTLP/JSON)
Request = tuple[str, dict[str, Any]]


@contextmanager
def recording(broker: str | None) -> Iterator[tuple[str, list[Request]]]:
    """An OTLP/HTTP receiver on a free port: its URL, and what it got. It hands everything on to `broker`, if given."""
    requests: list[Request] = []
    client = httpx.Client(timeout=30)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

        def do_POST(self) -> None:
            body = read_body(self)
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            media = self.headers.get("Content-Type") or ""
            path = "/v1/" + self.path.rpartition("/v1/")[2]
            if path in ("/v1/traces", "/v1/logs"):
                requests.append((path, as_json(path, body, media)))
            status, answer, answered = 200, b"", media
            if broker is not None:
                response = client.post(broker + path, content=body, headers={"Content-Type": media})
                status, answer = response.status_code, response.content
                answered = response.headers["content-type"]
            self.send_response(status)
            self.send_header("Content-Type", answered)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="recorder", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()


def as_json(path: str, body: bytes, media: str) -> dict[str, Any]:
    """The request as OTLP/JSON; records of one resource and scope that follow each other stand together."""
    if path == "/v1/traces":
        decode, record, groups, parts, records = decode_traces, "span", "resourceSpans", "scopeSpans", "spans"
    else:
        decode, record, groups, parts, records = decode_logs, "logRecord", "resourceLogs", "scopeLogs", "logRecords"
    found: list[dict[str, Any]] = []
    for event in decode(body, encoding_of(media)).events:
        told = orjson.loads(event.body)
        resource, scope = told.get("resource", {}), told.get("scope", {})
        if not found or found[-1]["resource"] != resource:
            found.append({"resource": resource, parts: []})
        if not found[-1][parts] or found[-1][parts][-1]["scope"] != scope:
            found[-1][parts].append({"scope": scope, records: []})
        found[-1][parts][-1][records].append(told[record])
    return {groups: found}


def scrub(value: Any) -> Any:
    """The value without what tells where it was recorded."""
    if isinstance(value, dict):
        return {key: _attributes(item) if key == "attributes" else scrub(item) for key, item in value.items()}
    if isinstance(value, list):
        return [scrub(item) for item in value]
    if isinstance(value, str):
        return _PORTS.sub(r"\1:8000", _PATHS.sub("/app", value))
    return value


def _attributes(attributes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"key": item["key"], "value": scrub(item.get("value", {}))}
        for item in attributes
        if not _OF_THE_MACHINE.match(item["key"]) and item["key"] != _STACK
    ]


def write_fixture(
    name: str, versions: dict[str, str], session: str, served: dict[str, int], requests: Sequence[Request]
) -> Path:
    """Keep what a program sent."""
    content = {
        "library": name,
        "versions": versions,
        "session": session,
        "served": served,
        "requests": [{"path": path, "body": scrub(body)} for path, body in requests],
    }
    FIXTURES.mkdir(parents=True, exist_ok=True)
    target = FIXTURES / f"{name}.json"
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return target
