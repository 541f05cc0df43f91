"""`/traces`: spans as Ark's dashboard reads them, however they came in."""

from __future__ import annotations

import base64
import gzip
import zlib
from typing import Any
from urllib.parse import quote

import brotli
import httpx
import orjson
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.api.ark.support import data, items, ok, watch
from tests.support.api import Api
from tests.support.otlp import JSON, PROTOBUF, TRACE, traces
from tests.support.process import Broker

OTHER = "0af7651916cd43dd8448eb211c80319c"
SLASHED = "ff" * 16


async def send(api: Api, trace: str, number: int, session: str = "s1", **fields: Any) -> None:
    attributes = fields.pop("attributes", {"ark.session.id": session, "query.name": "q1"})
    await api.spans(
        {"trace_id": bytes.fromhex(trace), "span_id": number.to_bytes(8, "big"), "attributes": attributes, **fields}
    )


async def test_a_span_is_shown_in_one_form_whatever_its_encoding(each_api: Api) -> None:
    await send(each_api, TRACE, 1, kind=3, status={"code": 2, "message": "boom"})
    span = {
        "traceId": OTHER,
        "spanId": "0000000000000002",
        "parentSpanId": "0000000000000001",
        "name": "tool.x",
        "kind": 1,
        "startTimeUnixNano": "1000",
        "endTimeUnixNano": "2000",
        "attributes": [{"key": "n", "value": {"intValue": "7"}}, {"key": "b", "value": {"boolValue": True}}],
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "ark-controller"}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    response = await each_api.http.post("/v1/traces", content=orjson.dumps(body), headers=JSON)
    assert (response.status_code, response.json()) == (200, {})

    newest, oldest = await items(each_api, "/traces")

    [shown] = newest["spans"]
    assert newest["traceId"] == OTHER
    assert shown == span | {"kind": "SPAN_KIND_INTERNAL", "status": {}, "resource": {"service.name": "ark-controller"}}
    [first] = oldest["spans"]
    assert (first["traceId"], first["parentSpanId"], first["kind"]) == (TRACE, "", "SPAN_KIND_CLIENT")
    assert first["status"] == {"message": "boom", "code": "STATUS_CODE_ERROR"}
    assert {"key": "ark.session.id", "value": {"stringValue": "s1"}} in first["attributes"]
    assert await each_api.get(f"/traces/{OTHER}") == newest


async def test_what_the_sdk_exports_is_read_back(broker: Broker) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "ark-controller"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{broker.url}/v1/traces", timeout=60)))
    with provider.get_tracer("ark").start_as_current_span("query.q1") as parent:
        parent.set_attribute("ark.session.id", "s1")
        with provider.get_tracer("ark").start_as_current_span("target.a"):
            pass
    provider.shutdown()

    async with httpx.AsyncClient(timeout=60) as http:
        [trace] = (await http.get(f"{broker.url}/traces")).json()["items"]

    assert trace["traceId"] == f"{parent.get_span_context().trace_id:032x}"
    assert sorted(span["name"] for span in trace["spans"]) == ["query.q1", "target.a"]
    assert trace["spans"][0]["resource"]["service.name"] == "ark-controller"


async def test_traces_stand_by_their_first_span_newest_first(each_api: Api) -> None:
    ids = [f"{number:032x}" for number in range(1, 6)]
    for number, trace in enumerate(ids, 1):
        await send(each_api, trace, number)
    await send(each_api, ids[0], 9)

    first = await each_api.get("/traces", limit=2)
    second = await each_api.get("/traces", limit=2, cursor=first["nextCursor"])
    third = await each_api.get("/traces", limit=2, cursor=second["nextCursor"])

    seen = [item["traceId"] for each in (first, second, third) for item in each["items"]]
    assert seen == ids[::-1]
    assert len(third["items"][0]["spans"]) == 2
    assert [each["hasMore"] for each in (first, second, third)] == [True, True, False]
    whole = await each_api.get("/traces")
    assert (whole["total"], whole["hasMore"]) == (5, False)


async def test_a_session_sees_only_its_spans(each_api: Api) -> None:
    await send(each_api, TRACE, 1, "s1")
    await send(each_api, TRACE, 2, "s2")
    await send(each_api, OTHER, 3, "s2")

    [mine] = await items(each_api, "/traces", session_id="s1")
    both = await items(each_api, "/traces", session_id="s2")

    assert [span["spanId"] for span in mine["spans"]] == ["0000000000000001"]
    assert [(each["traceId"], len(each["spans"])) for each in both] == [(OTHER, 1), (TRACE, 1)]
    assert len(await items(each_api, "/traces", session_id="")) == 2


async def test_a_watch_has_single_spans_as_they_come(each_api: Api) -> None:
    await send(each_api, TRACE, 1)
    async with (
        watch(each_api, "/traces") as live,
        watch(each_api, "/traces", cursor=0) as replayed,
        watch(each_api, "/traces", session_id="s2") as other,
        watch(each_api, f"/traces/{TRACE}", **{"from-beginning": "true"}) as whole,
        watch(each_api, f"/traces/{TRACE}") as news,
        watch(each_api, f"/traces/{SLASHED}") as silent,
    ):
        await send(each_api, TRACE, 2)
        await send(each_api, OTHER, 3, "s2")
        await send(each_api, SLASHED, 4, "s3")
        assert [span["spanId"][-1] for span in await data(live, 3)] == ["2", "3", "4"]
        assert [span["spanId"][-1] for span in await data(replayed, 4)] == ["1", "2", "3", "4"]
        assert [span["spanId"][-1] for span in await data(other, 1)] == ["3"]
        assert [span["spanId"][-1] for span in await data(whole, 2)] == ["1", "2"]
        assert [span["spanId"][-1] for span in await data(news, 1)] == ["2"]
        assert [span["spanId"][-1] for span in await data(silent, 1)] == ["4"]


async def test_an_unknown_trace_is_not_found(api: Api) -> None:
    for name in (TRACE, "nonsense", "x" * 200):
        error = await api.error(f"/traces/{name}", 404)
        assert (error["code"], error["message"]) == ("NOT_FOUND", "Trace not found")
    await api.error(f"/traces/{TRACE}", 404, method="DELETE")
    await send(api, TRACE, 1)
    assert (await api.get(f"/traces/{TRACE}", limit="nonsense"))["traceId"] == TRACE


async def test_an_empty_export_is_taken_and_an_unreadable_one_refused(api: Api) -> None:
    assert (await api.http.post("/v1/traces", content=b"", headers=PROTOBUF)).status_code == 200
    for content, headers in ((b"\xff\xff", PROTOBUF), (b"{", JSON)):
        assert (await api.http.post("/v1/traces", content=content, headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)]
)
async def test_exports_may_be_compressed(api: Api, encoding: str, pack: Any) -> None:
    content = pack(traces({}).SerializeToString())
    headers = PROTOBUF | {"Content-Encoding": encoding}

    assert (await api.http.post("/v1/traces", content=content, headers=headers)).status_code == 200
    assert len(await items(api, "/traces")) == 1


async def test_a_purge_removes_all_spans(each_api: Api) -> None:
    await send(each_api, TRACE, 1)
    async with watch(each_api, "/traces") as live:
        await ok(each_api, "DELETE", "/traces", message="Trace data purged")
        assert await items(each_api, "/traces") == []
        await send(each_api, OTHER, 2)
        assert (await data(live, 1))[0]["traceId"] == OTHER


# -- defects of Ark's broker, each mended ------------------------------------------------------------------------------


async def test_defect_6_ids_are_hex_and_base64_is_understood(each_api: Api) -> None:
    await send(each_api, SLASHED, 1)
    in_base64 = base64.b64encode(bytes.fromhex(SLASHED)).decode()
    assert "/" in in_base64

    for name in (SLASHED, SLASHED.upper(), quote(in_base64, safe=""), in_base64.replace("/", "_").rstrip("=")):
        assert (await each_api.get(f"/traces/{name}"))["traceId"] == SLASHED


async def test_defect_7_events_and_links_of_a_span_are_kept(each_api: Api) -> None:
    link = {"trace_id": bytes.fromhex(OTHER), "span_id": (7).to_bytes(8, "big")}
    await send(each_api, TRACE, 1, events=[{"name": "exception", "time_unix_nano": 5}], links=[link])

    [span] = (await each_api.get(f"/traces/{TRACE}"))["spans"]

    assert span["events"] == [{"timeUnixNano": "5", "name": "exception"}]
    assert span["links"] == [{"traceId": OTHER, "spanId": "0000000000000007"}]


async def test_defect_8_page_and_watch_are_on_one_scale(each_api: Api) -> None:
    for number in range(1, 4):
        await send(each_api, f"{number:032x}", number)
    page = await each_api.get("/traces", limit=1)

    async with watch(each_api, "/traces", cursor=page["watchCursor"]) as frames:
        await send(each_api, f"{4:032x}", 4)
        assert (await data(frames, 1))[0]["spanId"][-1] == "4"
    async with watch(each_api, "/traces", cursor=page["nextCursor"]) as frames:
        assert (await data(frames, 1))[0]["spanId"][-1] == "4"
