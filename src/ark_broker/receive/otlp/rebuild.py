"""Stored bodies back to OTLP: field by field what came in."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import orjson
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from ark_broker.receive.otlp import schema
from ark_broker.receive.otlp.canonical import Json
from ark_broker.receive.otlp.schema import Message


def rebuild_spans(bodies: Iterable[bytes]) -> TracesData:
    """Spans from their bodies, each under its own resource and scope; equal neighbours share them."""
    data = TracesData()
    last: tuple[object, ...] | None = None
    group = part = None
    for body in bodies:
        found: Json = orjson.loads(body)
        resource = (found.get("resource"), found.get("resourceSchemaUrl", ""))
        scope = (found.get("scope"), found.get("scopeSchemaUrl", ""))
        if group is None or last is None or last[0] != resource:
            group = data.resource_spans.add(schema_url=resource[1])
            if resource[0] is not None:
                group.resource.SetInParent()
                fill(group.resource, resource[0], schema.RESOURCE)
            part = None
        if part is None or last is None or last[1] != scope:
            part = group.scope_spans.add(schema_url=scope[1])
            if scope[0] is not None:
                part.scope.SetInParent()
                fill(part.scope, scope[0], schema.SCOPE)
        last = (resource, scope)
        fill(part.spans.add(), found["span"], schema.SPAN)
    return data


def fill(message: Any, value: Json, of: Message) -> None:
    """Set the fields of a protobuf message from its canonical form."""
    for field in of.fields:
        content = value.get(field.key)
        if content is None:
            continue
        match field.kind:
            case "id":
                setattr(message, field.name, bytes.fromhex(content))
            case "u64":
                setattr(message, field.name, int(content))
            case "attributes":
                _fill_attributes(getattr(message, field.name), content)
            case "any":
                part = getattr(message, field.name)
                part.SetInParent()
                _fill_any(part, content)
            case "texts":
                getattr(message, field.name).extend(content)
            case "message":
                part = getattr(message, field.name)
                part.SetInParent()
                assert isinstance(field.of, Message)
                fill(part, content, field.of)
            case "messages":
                assert isinstance(field.of, Message)
                for item in content:
                    fill(getattr(message, field.name).add(), item, field.of)
            case _:
                setattr(message, field.name, content)


def _fill_attributes(target: Any, attributes: list[Json]) -> None:
    for item in attributes:
        entry = target.add(key=item["key"], key_strindex=item.get("keyStrindex", 0))
        if "value" in item:
            entry.value.SetInParent()
            _fill_any(entry.value, item["value"])


def _fill_any(target: Any, value: Json) -> None:
    for kind, content in value.items():
        match kind:
            case "stringValue":
                target.string_value = content
            case "boolValue":
                target.bool_value = content
            case "intValue":
                target.int_value = int(content)
            case "doubleValue":
                target.double_value = float(content)
            case "bytesValue":
                target.bytes_value = base64.b64decode(content)
            case "arrayValue":
                target.array_value.SetInParent()
                for item in content["values"]:
                    _fill_any(target.array_value.values.add(), item)
            case "kvlistValue":
                target.kvlist_value.SetInParent()
                _fill_attributes(target.kvlist_value.values, content["values"])
            case _:
                target.string_value_strindex = content
