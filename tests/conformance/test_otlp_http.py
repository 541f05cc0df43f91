"""OTLP/HTTP, rule by rule of the specification, with bytes as real exporters make them.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import httpx
import orjson
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)

from tests.support.api import Api, StartApi
from tests.support.otlp import (
    JSON,
    PROTOBUF,
    json_span,
    json_traces,
    status,
    traces,
)

PATHS = ["/v1/traces", "/v1/logs", "/v1/metrics"]


async def post(api: Api, path: str, content: object, headers: dict[str, str] | None = None) -> httpx.Response:
    """POST a message, raw bytes or a JSON value, with the headers that fit unless others are given."""
    if isinstance(content, bytes):
        return await api.http.post(path, content=content, headers=PROTOBUF if headers is None else headers)
    if hasattr(content, "SerializeToString"):
        return await api.http.post(path, content=content.SerializeToString(), headers=PROTOBUF | (headers or {}))
    return await api.http.post(path, content=orjson.dumps(content), headers=JSON | (headers or {}))


async def stored(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/v1/events", limit=1000))["items"]
    return items


def media(response: httpx.Response) -> str:
    return response.headers["content-type"]


# x


async def test_o1_the_answer_is_in_the_encoding_of_the_request(each_api: Api) -> None:
    binary = traces().SerializeToString()
    text = orjson.dumps(json_traces(json_span(2)))
    for content_type in ("application/x-protobuf", "APPLICATION/X-Protobuf", "application/x-protobuf; v=1"):
        response = await post(each_api, "/v1/traces", binary, {"Content-Type": content_type})
        assert (response.status_code, response.content, media(response)) == (200, b"", "application/x-protobuf")
        assert not ExportTraceServiceResponse.FromString(response.content).HasField("partial_success")
    for content_type in ("application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"):
        response = await post(each_api, "/v1/traces", text, {"Content-Type": content_type})
        assert (response.status_code, response.content, media(response)) == (200, b"{}", "application/json")
    assert len(await stored(each_api)) == 2


async def test_o3_nothing_to_store_is_a_success(start_api: StartApi) -> None:
    async with start_api() as api:
        for path, key in zip(PATHS, ("resourceSpans", "resourceLogs", "resourceMetrics"), strict=True):
            response = await post(api, path, b"")
            assert (response.status_code, response.content) == (200, b"")
            for body in ({}, {key: []}, {key: None}, {key: [{}]}, {key: [{"resource": {}}]}):
                response = await post(api, path, body)
                assert (response.status_code, response.content) == (200, b"{}"), (path, body)
        assert await stored(api) == []


def compressed(body: bytes) -> list[tuple[str, bytes]]:
    """Every form that is read, by its Content-Encoding."""
    raw = zlib.compressobj(wbits=-15)
    return [
        ("identity", body),
        ("", body),
        ("gzip", gzip.compress(body)),
        ("GZIP", gzip.compress(body[:20]) + gzip.compress(body[20:])),
        ("x-gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("deflate", raw.compress(body) + raw.flush()),
        ("zstd", zstandard.compress(body)),
        ("zstd", zstandard.compress(body[:20]) + zstandard.compress(body[20:])),
    ]


async def test_o2_every_compression(each_api: Api) -> None:
    for number, (encoding, _) in enumerate(compressed(b"")):
        binary = compressed(traces({"number": number + 1}).SerializeToString())[number][1]
        response = await post(each_api, "/v1/traces", binary, PROTOBUF | {"Content-Encoding": encoding})
        assert (response.status_code, response.content) == (200, b""), number
        text = compressed(orjson.dumps(json_traces(json_span(number + 100))))[number][1]
        response = await post(each_api, "/v1/traces", text, JSON | {"Content-Encoding": encoding})
        assert (response.status_code, response.content) == (200, b"{}"), number
    assert len(await stored(each_api)) == 2 * (number + 1)


async def test_o2_other_compressions_are_refused_with_a_list_of_what_is_read(start_api: StartApi) -> None:
    async with start_api() as api:
        for encoding in ("compress", "snappy", "gzip, gzip", "gzip,identity", "x" * 5000):
            response = await post(api, "/v1/traces", gzip.compress(b""), PROTOBUF | {"Content-Encoding": encoding})
            assert response.status_code == 415
            assert "gzip" in status(response.content).message
            assert response.headers["accept-encoding"] == "gzip, deflate, zstd, br"
        assert await stored(api) == []


# -- what cannot be read -----------------------------------------------------------------------------------------------


def unreadable() -> list[tuple[str, bytes]]:
    whole = traces({}, {}).SerializeToString()
    text = orjson.dumps(json_traces(json_span()))
    return [
        ("protobuf", b"\xff\xff\xff"),
        ("protobuf", whole[:-3]),
        ("protobuf", b"\x08\x01" + b"\x0f"),
        ("protobuf", b"not protobuf at all"),
        ("protobuf", whole.replace(b"step", b"st\xffp")),
        ("json", b""),
        ("json", b"   "),
        ("json", text[:-1]),
        ("json", text + b"{}"),
        ("json", b"[]"),
        ("json", b"null"),
        ("json", b"7"),
        ("json", b"NaN"),
        ("json", b"\xef\xbb\xbf" + text),
        ("json", text.replace(b"step", b"st\xffp")),
        ("json", text.replace(b"step", b"st\\ud800p")),
        ("json", b'{"resourceSpans":{}}'),
        ("json", b'{"resourceSpans":[7]}'),
        ("json", b'{"resourceSpans":[{"scopeSpans":[{"spans":[7]}]}]}'),
        ("json", orjson.dumps(json_traces(json_span(attributes={"session.id": "s1"})))),
        ("json", orjson.dumps(json_traces(json_span(attributes=[{"key": "k", "value": "v"}])))),
        ("json", orjson.dumps(json_traces(json_span(attributes=[{"key": 7}])))),
        ("json", orjson.dumps(json_traces(json_span(kind="SOMETHING")))),
        ("json", orjson.dumps(json_traces(json_span(startTimeUnixNano="soon")))),
        ("json", orjson.dumps(json_traces(json_span(startTimeUnixNano=-1)))),
        ("json", orjson.dumps(json_traces(json_span(startTimeUnixNano=str(2**64))))),
        ("json", orjson.dumps(json_traces(json_span(traceId=7)))),
    ]


async def test_o4_what_cannot_be_read_is_refused_for_good(each_api: Api) -> None:
    for encoding, body in unreadable():
        headers = PROTOBUF if encoding == "protobuf" else JSON
        response = await post(each_api, "/v1/traces", body, headers)
        assert response.status_code == 400, body
        assert media(response) == headers["Content-Type"]
        assert "retry-after" not in response.headers
        if encoding == "protobuf":
            assert status(response.content).code == 3
        else:
            found = response.json()
            assert (found["code"], set(found)) == (3, {"code", "message"})
            assert found["message"]
    assert await stored(each_api) == []


async def test_o4_corrupt_compression(start_api: StartApi) -> None:
    body = traces().SerializeToString() * 50
    packed = gzip.compress(body)
    async with start_api() as api:
        for encoding, content in (
            ("gzip", b"no gzip"),
            ("gzip", packed[: len(packed) // 2]),
            ("gzip", packed[:-1]),
            ("gzip", packed[:-8] + b"\0" * 8),
            ("gzip", packed + b"trailing"),
            ("deflate", zlib.compress(body)[:-1]),
            ("deflate", zlib.compress(body) + b"x"),
            ("zstd", zstandard.compress(body)[:-1]),
            ("zstd", zstandard.compress(body) + b"x"),
            ("zstd", b"no zstd"),
        ):
            response = await post(api, "/v1/traces", content, PROTOBUF | {"Content-Encoding": encoding})
            assert (response.status_code, status(response.content).code) == (400, 3), (encoding, content[-8:])
        assert await stored(api) == []


async def test_methods_types_and_paths(start_api: StartApi) -> None:
    async with start_api() as api:
        for path in PATHS:
            for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
                response = await api.http.request(method, path)
                assert (response.status_code, response.headers["allow"]) == (405, "POST")
            for content_type in (None, "text/plain", "application/xml", "application", "x" * 5000):
                headers = {} if content_type is None else {"Content-Type": content_type}
                response = await post(api, path, b"{}", headers)
                assert (response.status_code, media(response)) == (415, "application/json")
                found = response.json()
                assert found["code"] == 3
                assert "application/x-protobuf" in found["message"]
        for path in ("/v1/profiles", "/v1/traces/x/y", "/v2/traces"):
            assert (await post(api, path, b"")).status_code == 404
