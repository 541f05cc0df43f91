"""Which receivers the setting names, and that nothing secret is said of them."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ark_broker.deliver.upstreams import Upstream, UpstreamsInvalid, parse_upstreams
from ark_broker.model import Event

#: Stands for a key in entries; nothing that is shown may have it.
SECRET = "sk-lf-5ecre7"


def one(text: str | list[dict[str, Any]]) -> Upstream:
    (found,) = parse_upstreams(text if isinstance(text, str) else orjson.dumps(text).decode())
    return found


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    ("text", "name", "url", "headers"),
    [
        ("https://host/v1/traces", "otlp-host", "https://host/v1/traces", {}),
        ("http://jaeger:4318", "otlp-jaeger", "http://jaeger:4318/v1/traces", {}),
        ("http://host:4318/", "otlp-host", "http://host:4318/v1/traces", {}),
        ("https://host/otlp/own/", "otlp-host", "https://host/otlp/own/", {}),
        ("https://me:p%40ss@host", "otlp-host", "https://host/v1/traces", {"Authorization": basic("me:p@ss")}),
        (
            "langfuse://pk-1:sk%2F2@cloud.langfuse.com",
            "langfuse-cloud.langfuse.com",
            "https://cloud.langfuse.com/api/public/otel/v1/traces",
            {"Authorization": basic("pk-1:sk/2"), "x-langfuse-ingestion-version": "4"},
        ),
        (
            "langfuse://a:b@localhost:3000/under/api/public/otel?tls=false",
            "langfuse-localhost",
            "http://localhost:3000/under/api/public/otel/v1/traces",
            {"Authorization": basic("a:b"), "x-langfuse-ingestion-version": "4"},
        ),
        ("phoenix://host", "phoenix-host", "http://host:6006/v1/traces", {}),
        (
            "phoenix://key@host:7007?project=My+own&tls=true",
            "phoenix-host",
            "https://host:7007/v1/traces",
            {"Authorization": "Bearer key", "x-project-name": "My own"},
        ),
        (
            "phoenix://key@app.phoenix.arize.com/s/space?tls=true",
            "phoenix-app.phoenix.arize.com",
            "https://app.phoenix.arize.com/s/space/v1/traces",
            {"Authorization": "Bearer key"},
        ),
        ("jaeger://host", "jaeger-host", "http://host:4318/v1/traces", {}),
        ("jaeger://host:14318", "jaeger-host", "http://host:14318/v1/traces", {}),
        ("tempo://[::1]", "tempo-::1", "http://[::1]:4318/v1/traces", {}),
        ("collector://host/v1/traces", "collector-host", "http://host:4318/v1/traces", {}),
        (
            "langsmith://key@api.smith.langchain.com?project=demo",
            "langsmith-api.smith.langchain.com",
            "https://api.smith.langchain.com/otel/v1/traces",
            {"x-api-key": "key", "Langsmith-Project": "demo"},
        ),
        (
            "langsmith://key@own.host/api/v1/otel",
            "langsmith-own.host",
            "https://own.host/api/v1/otel/v1/traces",
            {"x-api-key": "key"},
        ),
    ],
)
def test_a_url_or_preset_says_where_and_how(text: str, name: str, url: str, headers: dict[str, str]) -> None:
    found = one(text)
    assert (found.name, found.url, found.headers) == (name, url, headers)


def test_parameters_set_the_rest() -> None:
    found = one(
        "jaeger://h?name=mine&namespace=a&namespace=b&agent=x&type=llm.request&session=true&mark=1"
        "&redact=input.value,+llm.input_messages.*&redact=c&gzip=false"
    )
    assert found == Upstream(
        name="mine",
        url="http://h:4318/v1/traces",
        namespaces=frozenset("ab"),
        agents=frozenset("x"),
        types=frozenset({"llm.request"}),
        session_attribute=True,
        mark=True,
        redact=("input.value", "llm.input_messages.*", "c"),
        gzip=False,
    )


@pytest.mark.parametrize("separator", [",", " ", ", ", "\n", " ,\n  "])
def test_a_list_is_separated_by_commas_or_white_space(separator: str) -> None:
    entries = ["jaeger://a?redact=x,y", "langfuse://k:se,cret@b", "https://c/v1/traces"]
    found = parse_upstreams(separator.join(entries) + separator)
    assert [upstream.name for upstream in found] == ["jaeger-a", "langfuse-b", "otlp-c"]
    assert found[0].redact == ("x", "y")
    assert found[1].headers["Authorization"] == basic("k:se,cret")


@pytest.mark.parametrize("text", ["", " \n", ",", "[]"])
def test_nothing_is_no_upstream(text: str) -> None:
    assert parse_upstreams(text) == ()


def test_json_has_the_same_fields_in_camel_case() -> None:
    found = one(
        [
            {
                "name": "x",
                "url": "https://host/path?key=1",
                "headers": {"X-Scope-OrgID": "7"},
                "namespaces": ["a"],
                "agents": ["b"],
                "types": ["c"],
                "sessionAttribute": True,
                "redact": ["d"],
                "mark": True,
                "maxBatchSpans": 5,
                "maxBatchBytes": 1000,
                "timeoutSeconds": 2.5,
                "gzip": False,
            }
        ]
    )
    assert found == Upstream(
        name="x",
        url="https://host/path?key=1",
        headers={"X-Scope-OrgID": "7"},
        namespaces=frozenset("a"),
        agents=frozenset("b"),
        types=frozenset("c"),
        session_attribute=True,
        redact=("d",),
        mark=True,
        max_batch_spans=5,
        max_batch_bytes=1000,
        timeout_seconds=2.5,
        gzip=False,
    )


def test_json_may_name_a_preset_and_change_what_comes_with_it() -> None:
    found = one([{"url": "langfuse://a:b@h?session=true", "headers": {"X-Langfuse-Ingestion-Version": "3"}}])
    assert found.url == "https://h/api/public/otel/v1/traces"
    assert found.headers == {"Authorization": basic("a:b"), "X-Langfuse-Ingestion-Version": "3"}
    assert found.session_attribute


def test_defaults_keep_below_the_limits_of_receivers() -> None:
    found = one("jaeger://h")
    assert (found.max_batch_spans, found.max_batch_bytes, found.gzip) == (512, 4 * 2**20, True)
    assert not found.session_attribute
    assert not found.mark
    assert not found.redact


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (SECRET, "upstream 1: is not a URL with a host"),
        (f"{SECRET}://host", "upstream 1: must begin with one of langfuse,"),
        (f"jaeger://ok langfuse://{SECRET}@h", "upstream 2 (langfuse://…): needs its keys before the host"),
        (f"langfuse://{SECRET}", "upstream 1 (langfuse://…): needs its keys before the host"),
        (f"langfuse://pk:{SECRET}/x@h", "upstream 1 (langfuse://…): is not a URL"),
        (f"langfuse://pk:{SECRET}@", "upstream 1 (langfuse://…): is not a URL with a host"),
        (f"langfuse://pk:1/{SECRET}@h", "upstream 1 (langfuse://…): has a # in it, or an @ behind the host"),
        (f"https://u:{SECRET}#@h", "upstream 1 (https://…): is not a URL"),
        (f"https://u:1#{SECRET}@h", "upstream 1 (https://…): has a # in it"),
        (f"https://{SECRET}?x=@h", "upstream 1 (https://…): has a # in it, or an @ behind the host"),
        (f"langsmith://a:{SECRET}@h", "upstream 1 (langsmith://…): needs its API key, and nothing else"),
        (f"phoenix://a:{SECRET}@h", "upstream 1 (phoenix://…): takes an API key, and nothing else"),
        (f"https://u:{SECRET}@h:99999", "upstream 1 (https://…): is not a URL"),
        (f"https://u:{SECRET}@h?gzip={SECRET}", "upstream 1 (https://…): the parameter gzip must be true or false"),
        (f"https://u:{SECRET}@h?{SECRET}", "upstream 1 (https://…): has parameters that are not written name=value"),
        (f"https://h?api={SECRET}", "upstream 1 (https://…): the parameter 'api' means nothing here"),
        (f"jaeger://u:{SECRET}@h?project=p", "upstream 1 (jaeger://…): the parameter 'project' means nothing here"),
        ("http://h?tls=true", "upstream 1 (http://…): the parameter 'tls' means nothing here"),
        ("jaeger://h?name=a&name=b", "upstream 1 (jaeger://…): the parameter name comes more than once"),
        ("jaeger://h?name=a/b", "upstream 1 (jaeger://…): the name must be 1 to 128 letters"),
        (f"phoenix://h?project={SECRET}%0A", "upstream 1 (phoenix://…): the header x-project-name must be printable"),
        ("http://h http://h:1", "upstream 2 (http://…): another upstream is named 'otlp-h' too"),
        ("http://☃?name=x", "upstream 1 (http://…): is not a URL that requests can go to"),
        (f'{{"url": "{SECRET}"}}', "must be a JSON list of objects: Expected `array`"),
        (f'["{SECRET}"]', "must be a JSON list of objects: Expected `object`"),
        (f'[{{"url": "{SECRET}]', "must be a JSON list of objects: Input data was truncated"),
        (f'[{{"key": "{SECRET}"}}]', "upstream 1: needs a url"),
        ('[{"url": "http://h", "Name": "x"}]', "upstream 1 (http://…): Object contains unknown field `Name`"),
        ('[{"url": "http://h", "maxBatchSpans": 0}]', "upstream 1 (http://…): Expected `int` >= 1"),
        (f'[{{"url": "http://h", "headers": "{SECRET}"}}]', "upstream 1 (http://…): Expected `object`, got `str`"),
        (f'[{{"url": "http://h", "headers": {{"{SECRET} ": "1"}}}}]', "upstream 1 (http://…): a header has a name"),
        (f'[{{"url": "http://h", "headers": {{"X": "{SECRET}\\n"}}}}]', "upstream 1 (http://…): the header X must be"),
        ('[{"url": "http://h", "headers": {"Content-Type": "x"}}]', "upstream 1 (http://…): the header Content-Type"),
    ],
)
def test_a_wrong_entry_is_named_on_one_line_without_its_secrets(text: str, complaint: str) -> None:
    with pytest.raises(UpstreamsInvalid) as raised:
        parse_upstreams(text)
    shown = str(raised.value)
    assert shown.startswith(complaint)
    assert SECRET not in shown
    assert shown.isprintable()


_PIECES = [*"ab:/?#@%=&,.[] \n", "://", "http://", "langfuse://", "name="]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
def test_any_text_gives_upstreams_or_one_line(text: str) -> None:
    try:
        found = parse_upstreams(text)
    except UpstreamsInvalid as error:
        complaint = str(error)
    else:
        complaint = ""
        assert all(upstream.url.startswith(("http://", "https://")) for upstream in found)
    assert complaint.isprintable()


def test_what_is_shown_of_an_upstream_has_no_secret() -> None:
    found = one([{"url": f"https://u:{SECRET}@h:8443/v1/traces?key={SECRET}", "headers": {"x-api-key": SECRET}}])
    shown = [repr(found), str(found), f"{[found]}", found.label, found.origin, repr(found.__rich_repr__())]
    assert not [text for text in shown if SECRET in text or basic(f"u:{SECRET}") in text]
    assert (found.label, found.origin) == ("otlp-h", "https://h:8443")


def test_an_upstream_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        one("jaeger://h").url = "http://elsewhere"  # type: ignore[misc]


SPAN = Event(id=bytes(16), kind="span", type="llm.request", time=1, body=b"{}", namespace="prod", agent="writer")


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ("", True),
        ("namespace=prod", True),
        ("namespace=dev&namespace=prod", True),
        ("namespace=dev", False),
        ("agent=writer&type=llm.request", True),
        ("agent=writer&type=tool.call", False),
        ("agent=reader", False),
    ],
)
def test_filters_all_have_to_fit(query: str, taken: bool) -> None:
    assert one(f"jaeger://h?{query}").takes(SPAN) is taken


def test_only_spans_are_taken_and_those_of_no_namespace_by_no_filter_for_one() -> None:
    log = msgspec.structs.replace(SPAN, kind="log")
    nowhere = msgspec.structs.replace(SPAN, namespace=None)
    assert not one("jaeger://h").takes(log)
    assert one("jaeger://h").takes(nowhere)
    assert not one("jaeger://h?namespace=prod").takes(nowhere)
