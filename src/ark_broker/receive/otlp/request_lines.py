"""Stored spans as OTLP/JSON, without a detour: their bodies are made of valid OTLP/JSON."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from ark_broker.receive.otlp.canonical import Json


def request_json(bodies: Iterable[bytes]) -> bytes:
    """An `ExportTraceServiceRequest` in JSON, on one line: what `rebuild_spans` gives in protobuf."""
    resources: list[Json] = []
    last: tuple[object, object] | None = None
    for body in bodies:
        found: Json = orjson.loads(body)
        resource = (found.get("resource"), found.get("resourceSchemaUrl"))
        scope = (found.get("scope"), found.get("scopeSchemaUrl"))
        if last is None or last[0] != resource:
            resources.append(_group("resource", *resource) | {"scopeSpans": []})
            last = None
        scopes = resources[-1]["scopeSpans"]
        if last is None or last[1] != scope:
            scopes.append(_group("scope", *scope) | {"spans": []})
        scopes[-1]["spans"].append(found["span"])
        last = (resource, scope)
    return orjson.dumps({"resourceSpans": resources})


def _group(name: str, content: object, schema_url: object) -> Json:
    found = {name: content, "schemaUrl": schema_url}
    return {key: value for key, value in found.items() if value is not None}
