"""Redaction: what must go and what must stay, in every kind of event, however it is written; rules that are wrong."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.receive.a2a import Stream
from ark_broker.receive.chunks import ChunkReader
from ark_broker.receive.custom import decode_events
from ark_broker.receive.otlp import decode_traces
from ark_broker.receive.otlp.logs import decode_logs
from ark_broker.receive.otlp.rebuild import rebuild_spans
from ark_broker.receive.redaction import PatternRule, RedactionInvalid, RedactionRules, compile_rules, read_rules
from ark_broker.receive.redaction.bundled import rule_for_name
from tests.support.events import NOON, make, span, trace

# Put together here, so that nobody who scans this repository takes them for real ones.
ALNUM = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7z"
OPENAI = "sk-proj-" + ALNUM * 2
ANTHROPIC = "sk-ant-" + "api03-" + ALNUM * 2
GITHUB = "ghp_" + (ALNUM * 2)[:36]
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GOOGLE = "AIza" + (ALNUM * 2)[:35]
NPM = "npm_" + (ALNUM * 2)[:36]
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0In0" + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r"
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc+/=\n-----END RSA " + "PRIVATE KEY-----"
CARD = "4111 1111 1111 1111"

#: Text → the rules that must find something in it.
SECRET_TEXTS = {
    PEM: "private-key",
    "before " + PEM + " after": "private-key",
    PEM[:60]: "private-key",
    JWT: "jwt",
    f"token={JWT};": "jwt",
    "Bearer " + ALNUM: "bearer-token",
    "sent 'bearer abcdef12345'": "bearer-token",
    "Authorization: Basic " + "dXNlcjpwYXNz": "authorization",
    AWS: "aws-access-key-id",
    f"key {AWS}, region eu": "aws-access-key-id",
    "ASIA" + "IOSFODNN7EXAMPLE": "aws-access-key-id",
    GITHUB: "github-token",
    "gho_" + (ALNUM * 2)[:36]: "github-token",
    "github_pat_" + ALNUM: "github-token",
    "glpat-" + ALNUM: "gitlab-token",
    "xoxb-" + "123456789012-abcdefABCDEF": "slack-token",
    "https://hooks.slack.com/services/" + "T00000000/B00000000/XXXXXXXXXXXX": "slack-webhook",
    OPENAI: "openai-key",
    f"Incorrect API key provided: {OPENAI}.": "openai-key",
    "sk-" + ALNUM * 2: "openai-key",
    "sk-" + "0123456789abcdef" * 2: "openai-key",
    ANTHROPIC: "anthropic-key",
    GOOGLE: "google-api-key",
    "sk_live_" + ALNUM: "stripe-key",
    "rk_test_" + ALNUM: "stripe-key",
    NPM: "npm-token",
    "hf_" + (ALNUM * 2)[:34]: "hugging-face-token",
    "pk-lf-" + "0f9a8b7c-1234-4abc-9def-001122334455": "langfuse-key",
    "sk-lf-" + "0f9a8b7c-1234-4abc-9def-001122334455": "langfuse-key",
    "postgresql://app:" + "hunter2@db.internal:5432/app": "url-password",
    "redis://:" + "hunter2@cache:6379/0": "url-password",
    CARD: "card",
    "4111111111111111": "card",
    "4111-1111-1111-1111": "card",
    "pay with 5500 0000 0000 0004, please": "card",
    "order 1234 4111 1111 1111 1111": "card",
    "3782 822463 10005": "card",
    "6011000990139424": "card",
    "3530111333300000": "card",
    "30569309025904": "card",
    '{"password": "hunter2", "cut of': "password",
    "{'api_key': 'abcdef', 'q': 1}": "api-key",
}

INNOCENT_TEXTS = [
    "",
    "password",
    "the secretary authorized the author's cookie recipe",
    "reset your password: see the bearer of this letter",
    "Bearer authentication is required",
    "task-management-system-with-many-parts",
    "risk-based-authentication-for-everyone-2024",
    "sk-learn",
    "eyJ",
    "AKIA is a prefix",
    "0af7651916cd43dd8448eb211c80319c",
    "b7ad6b7169203331",
    "4111111111111111aaaaaaaaaaaaaaaa",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "1705314600000000000",
    "1705314600000000",
    "2024-01-15T10:30:00.123456789Z",
    "8d1c2f6e-0b1a-4c3d-8e5f-123456789012",
    "40000000-4111-1111-1111-111111111111",
    "41111111-1111-1111-1111-111111111111",
    "4111111111111112",
    "4111 1111 1111 1112",
    "41111111111111111111111",
    "call_4111111111111111",
    "0.4111111111111111",
    "+44 20 7946 0958",
    "https://example.com:8080/path?x=1@2",
    "https://example.com/a:b@c",
    "user@example.com",
    "git@github.com:org/repo.git",
    "C:\\Users\\me\\token",
    "the text of the stream ends with [DONE]",
    "{'input_tokens': 'many'}",
]

SECRET_NAMES = [
    "http.request.header.authorization",
    "Authorization",
    "Proxy-Authorization",
    "cookie",
    "http.response.header.set-cookie",
    "x-api-key",
    "X-Api-Key",
    "api_key",
    "apikey",
    "apiKey",
    "api-key",
    "OPENAI_API_KEY",
    "azureOpenaiApiKey",
    "password",
    "db.password",
    "DB_PASSWORD",
    "passwd",
    "userPassword",
    "secret",
    "client_secret",
    "clientSecret",
    "access_token",
    "accessToken",
    "refresh_token",
    "X-A2A-Notification-Token",
    "private_key",
    "aws_secret_access_key",
    "password_2",
    "credentials",
]

INNOCENT_NAMES = [
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "max_tokens",
    "token_count",
    "llm.token_count.prompt",
    "token",
    "page_token",
    "eos_token",
    "session.id",
    "ark.session.id",
    "sessionId",
    "tokenizer",
    "secretary",
    "author",
    "authorized",
    "password_reset_required",
    "cookie_policy",
    "key",
    "primary_key",
    "keyboard",
    "compass",
    "api_key_count",
]


def event_with(body: object, **fields: Any) -> Event:
    return make("e", kind="event", body=body if isinstance(body, bytes) else orjson.dumps(body), **fields)


def redacted(body: object, rules: RedactionRules | None = None) -> Any:
    event = event_with(body)
    compile_rules(rules or RedactionRules()).redact(event)
    return orjson.loads(event.body)


def own(**rules: Any) -> RedactionRules:
    return read_rules(orjson.dumps({"bundled": False} | rules))


# -- both ways ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SECRET_TEXTS)
@pytest.mark.parametrize("template", ["{}", "line\n{}", 'said "{}"', "\u00e9 {} \u017e"])
def test_a_secret_in_a_text_is_replaced_and_counted_by_its_rule(text: str, template: str) -> None:
    shown = template.replace("{}", text)
    event = event_with({"note": shown})
    redactor = compile_rules(RedactionRules())
    assert redactor.redact(event) > 0
    assert SECRET_TEXTS[text] in redactor.counts
    found = orjson.loads(event.body)["note"]
    assert f"[redacted:{SECRET_TEXTS[text]}]" in found
    assert text not in found


@pytest.mark.parametrize("text", INNOCENT_TEXTS)
def test_an_innocent_text_is_left_alone(text: str) -> None:
    event = event_with({"note": text, "more": [text, {"deep": f"x {text} y"}]}, error=text)
    before = event.body
    redactor = compile_rules(RedactionRules())
    assert redactor.redact(event) == 0
    assert (event.body, event.error, redactor.counts) == (before, text, {})


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_value_by_a_secret_name_is_replaced_as_a_key_and_as_an_attribute(name: str) -> None:
    found = redacted(
        {
            "plain": {name: "v"},
            "number": {name: 12345},
            "list": {name: ["v", "w"]},
            "attributes": [{"key": name, "value": {"stringValue": "v"}}],
            "headers": [{"name": name, "value": "v"}],
            "arguments": orjson.dumps({name: "v"}).decode(),
        }
    )
    text = found["plain"][name]
    assert text.startswith("[redacted:")
    assert found["number"][name] == found["list"][name] == found["headers"][0]["value"] == text
    assert found["attributes"] == [{"key": name, "value": {"stringValue": text}}]
    assert orjson.loads(found["arguments"]) == {name: text}


@pytest.mark.parametrize("name", INNOCENT_NAMES)
def test_a_value_by_an_innocent_name_is_left_alone(name: str) -> None:
    body = {
        "plain": {name: "v"},
        "attributes": [{"key": name, "value": {"stringValue": "v"}}],
        "arguments": orjson.dumps({name: "v", "n": 7}).decode(),
        # Makes the body be looked at.
        "password": "hunter2",
    }
    assert redacted(body) == body | {"password": "[redacted:password]"}


@pytest.mark.parametrize("value", [None, True, False, "", [], {}])
def test_where_there_is_nothing_to_hide_nothing_is_replaced(value: object) -> None:
    body = {"password": value}
    assert redacted(body) == body


def test_a_schema_that_describes_a_password_stays() -> None:
    body = {"type": "object", "properties": {"password": {"type": "string"}}, "required": ["password"]}
    assert redacted(body) == body


def test_ids_that_correlate_stay_whatever_they_look_like() -> None:
    digits = "4111111111111111"
    body = {
        "sessionId": digits,
        "conversationId": digits,
        "toolCallId": digits,
        "taskId": digits,
        "traceId": digits * 2,
        "id": digits,
        "attributes": [
            {"key": "session.id", "value": {"stringValue": digits}},
            {"key": "mcp.session.id", "value": {"intValue": digits}},
        ],
    }
    assert redacted(body | {"note": digits}) == body | {"note": "[redacted:card]"}


# -- however it is written ------------------------------------------------------------------------------------------


def test_a_card_sent_as_a_number_is_replaced() -> None:
    assert redacted({"n": 4111111111111111, "m": 4111111111111112}) == {"n": "[redacted:card]", "m": 4111111111111112}
    assert redacted(b'{"n":4111111111111111.0}') == {"n": "[redacted:card]"}


def test_a_number_of_otlp_becomes_a_text_of_otlp() -> None:
    body = {"attributes": [{"key": "n", "value": {"intValue": "4111111111111111"}}]}
    assert redacted(body) == {"attributes": [{"key": "n", "value": {"stringValue": "[redacted:card]"}}]}


@pytest.mark.parametrize("key", ["password", "note"])
def test_escapes_hide_nothing(key: str) -> None:
    def escaped(text: str) -> str:
        return "".join(f"\\u{ord(mark):04x}" for mark in text)

    body = f'{{"{escaped(key)}":"{escaped(OPENAI)}"}}'
    assert redacted(body.encode())[key].startswith("[redacted:")
    nested = orjson.dumps({"arguments": body})
    assert OPENAI not in orjson.loads(redacted(nested)["arguments"])[key]


def test_an_escaped_slash_hides_nothing() -> None:
    assert redacted(b'{"u":"https:\\/\\/u:pw@host\\/"}') == {"u": "https://[redacted:url-password]@host/"}


def test_names_count_in_json_that_is_in_json_that_is_in_json() -> None:
    arguments = orjson.dumps({"api_key": "v", "q": "w"}).decode()
    messages = orjson.dumps([{"parts": [{"type": "tool_call", "arguments": arguments}]}]).decode()
    (message,) = orjson.loads(redacted({"gen_ai.input.messages": messages})["gen_ai.input.messages"])
    assert orjson.loads(message["parts"][0]["arguments"]) == {"api_key": "[redacted:api-key]", "q": "w"}


def test_a_member_that_another_of_the_same_name_hides_is_not_kept() -> None:
    event = event_with(b'{"note":"' + OPENAI.encode() + b'","note":"x"}')
    assert compile_rules(RedactionRules()).redact(event) == 1
    assert event.body == b'{"note":"x"}'


def test_numbers_beside_a_secret_stay_as_they_were_written() -> None:
    event = event_with(b'{"password":"x", "a":1.50, "b":123456789012345678901234567890, "c":1E40, "d":-0}')
    compile_rules(RedactionRules()).redact(event)
    assert event.body == (
        b'{"password":"[redacted:password]","a":1.50,"b":123456789012345678901234567890,"c":1E40,"d":-0}'
    )


def test_a_secret_that_is_a_key_is_replaced() -> None:
    assert redacted({GITHUB: 1, "b": 2}) == {"[redacted:github-token]": 1, "b": 2}


@pytest.mark.parametrize(
    "body", [b'{"password":"x', b'"\xff' + OPENAI.encode() + b'"', b"[" * 2_000 + b'"' + PEM[:40].encode()]
)
def test_a_body_that_may_hold_a_secret_and_cannot_be_read_is_replaced_whole(body: bytes) -> None:
    event = event_with(body)
    redactor = compile_rules(RedactionRules())
    assert redactor.redact(event) == 1
    assert event.body == b'"[redacted:unreadable]"'
    assert redactor.counts == {"unreadable": 1}


# -- each kind of event ---------------------------------------------------------------------------------------------


def attribute(key: str, text: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": text}}


def test_a_span_loses_secrets_of_resource_attributes_events_and_status_and_stays_a_span() -> None:
    told = {
        "traceId": trace(1),
        "spanId": span(1),
        "name": "chat",
        "startTimeUnixNano": str(NOON),
        "endTimeUnixNano": str(NOON + 5),
        "attributes": [
            attribute("http.request.header.authorization", "Bearer x"),
            attribute("session.id", "s1"),
            attribute("gen_ai.tool.call.arguments", '{"api_key": "v"}'),
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}},
        ],
        "events": [{"name": "exception", "timeUnixNano": "1", "attributes": [attribute("exception.message", OPENAI)]}],
        "status": {"code": 2, "message": f"refused {OPENAI}"},
    }
    resource = {"attributes": [attribute("db.password", "hunter2")]}
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [told]}]}]}
    (event,) = decode_traces(orjson.dumps(request), "json").events
    redactor = compile_rules(RedactionRules())
    redactor.redact(event)
    assert OPENAI not in event.body.decode() + str(event.error)
    assert b"hunter2" not in event.body
    assert "[redacted:openai-key]" in str(event.error)
    assert (event.session_id, event.input_tokens, event.trace_id) == ("s1", 7, trace(1))
    (rebuilt,) = rebuild_spans([event.body]).resource_spans[0].scope_spans[0].spans
    values = {item.key: item.value.string_value for item in rebuilt.attributes}
    assert values["http.request.header.authorization"] == "[redacted:authorization]"
    assert values["gen_ai.tool.call.arguments"] == '{"api_key":"[redacted:api-key]"}'
    assert redactor.counts == {"password": 1, "authorization": 1, "api-key": 1, "openai-key": 3}


def test_a_chunk_loses_secrets_of_its_text_and_stays_a_chunk() -> None:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_705_314_600,
        "model": "gpt-4o",
        "choices": [
            {
                "index": 0,
                "delta": {"content": f"use {GITHUB}"},
                "logprobs": {"content": [{"token": "use", "logprob": -0.5}]},
            }
        ],
    }
    event = ChunkReader("q", "s", "c", lambda: NOON).read(orjson.dumps(chunk))
    assert event is not None
    assert compile_rules(RedactionRules()).redact(event) == 1
    chunk["choices"][0]["delta"]["content"] = "use [redacted:github-token]"  # type: ignore[index]
    assert orjson.loads(event.body) == chunk


@pytest.mark.parametrize("kind", ["event", "message", "task"])
def test_a_custom_event_loses_secrets_of_its_body_and_of_its_columns(kind: str) -> None:
    told = {"kind": kind, "type": "x", "sessionId": "s", "error": f"no {OPENAI}", "userId": "card 4111111111111111"}
    (event,) = decode_events(orjson.dumps(told), "application/json", {}).events
    compile_rules(RedactionRules()).redact(event)
    assert event.error == "no [redacted:openai-key]"
    assert event.user_id == "card [redacted:card]"
    assert orjson.loads(event.body)["error"] == event.error
    assert event.session_id == "s"


def test_a_task_update_loses_secrets_of_its_message() -> None:
    update = {
        "taskId": "t1",
        "contextId": "c1",
        "status": {
            "state": "TASK_STATE_FAILED",
            "message": {"messageId": "m", "parts": [{"text": f"bad {ANTHROPIC}"}]},
        },
    }
    events = Stream().events({"statusUpdate": update})
    redactor = compile_rules(RedactionRules())
    assert sum(map(redactor.redact, events)) > 0
    assert all(ANTHROPIC not in event.body.decode() + str(event.error) for event in events)
    assert events[0].task_id == "t1"


def test_a_log_record_loses_secrets_of_its_body() -> None:
    record = {"severityNumber": 17, "body": {"stringValue": f"failed: {PEM}"}, "timeUnixNano": "5"}
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    (event,) = decode_logs(orjson.dumps(request), "json").events
    compile_rules(RedactionRules()).redact(event)
    assert event.error == "failed: [redacted:private-key]"
    assert b"MIIEp" not in event.body


# -- operators' rules -----------------------------------------------------------------------------------------------


def test_own_names_are_compared_whole_and_stars_stand_for_any_characters() -> None:
    rules = own(attributes=["user.email", "*.ssn", "x-internal-*", "*hidden*"])
    body = {"User.Email": "a", "user.email2": "b", "p.ssn": "c", "ssn": "d", "x-internal-1": "e", "a_hidden_b": "f"}
    assert redacted(body, rules) == {
        "User.Email": "[redacted:user.email]",
        "user.email2": "b",
        "p.ssn": "[redacted:*.ssn]",
        "ssn": "d",
        "x-internal-1": "[redacted:x-internal-*]",
        "a_hidden_b": "[redacted:*hidden*]",
    }


def test_what_an_own_name_removes_goes_from_the_columns_too() -> None:
    told = {"type": "x", "attributes": {"user.id": "jane"}, "userId": "jane"}
    (event,) = decode_events(orjson.dumps(told), "application/json", {}).events
    compile_rules(own(attributes=["userId"])).redact(event)
    assert event.user_id == "[redacted:userId]"


def test_an_own_pattern_applies_to_texts_and_to_whole_numbers() -> None:
    rules = own(patterns=[{"name": "order", "regex": "ORD-[0-9]{8}"}, {"name": "ssn", "regex": "[0-9]{9}"}])
    body = {"t": "see ORD-12345678.", "n": 123456789, "m": 1234567890, "u": "ord-12345678 ORD-1234"}
    assert redacted(body, rules) == {
        "t": "see [redacted:order].",
        "n": "[redacted:ssn]",
        "m": 1234567890,
        "u": "ord-12345678 ORD-1234",
    }


@pytest.mark.parametrize("regex", ['"quoted"', "[^a-z]{3}x", ".{3}y", "é{3}", "a\\nb", "^x{2}$", "(?i)abc|d."])
def test_an_own_pattern_finds_what_json_writes_in_another_way(regex: str) -> None:
    texts = {'"quoted"': 'a "quoted" b', "[^a-z]{3}x": '\\"\nx', ".{3}y": '"\\"y', "é{3}": "ééé", "a\\nb": "a\nb"}
    text = texts.get(regex, {"^x{2}$": "xx"}.get(regex, "xABCx"))
    assert "<r>" in redacted([text], own(patterns=[{"name": "r", "regex": regex}], replacement="<r>"))[0]


def test_kept_names_are_touched_by_no_rule() -> None:
    rules = read_rules(orjson.dumps({"keep": ["ark.password", "public_*"], "attributes": ["public_name"]}))
    body = {
        "ark.password": "x",
        "public_name": "y",
        "public_card": {"n": CARD},
        "attributes": [attribute("ark.password", CARD)],
    }
    assert redacted(body, rules) == body


def test_without_the_bundled_rules_only_the_own_ones_apply() -> None:
    body = {"password": "x", "note": OPENAI}
    assert redacted(body, own()) == body
    assert redacted(body, own(attributes=["note"])) == {"password": "x", "note": "[redacted:note]"}


def test_the_example_of_the_page_works() -> None:
    page = Path(__file__).parents[2] / "docs" / "redaction.md"
    (example,) = re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL)
    body = {"user.email": "x", "app.public_access_token": "y", "note": "ORD-12345678"}
    assert redacted(body, read_rules(example.encode())) == {
        "user.email": "[redacted:user.email]",
        "app.public_access_token": "y",
        "note": "[redacted:order-number]",
    }


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_the_page_lists_every_rule_for_names(name: str) -> None:
    rule = rule_for_name(name)
    assert f"| `{rule}` |" in (Path(__file__).parents[2] / "docs" / "redaction.md").read_text()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"{", "not redaction rules"),
        (b'{"surprise": 1}', "surprise"),
        (b'{"patterns": [{"name": "a"}]}', "regex"),
        ({"attributes": ["a*b"]}, "'a\\*b'"),
        ({"attributes": [""]}, "''"),
        ({"attributes": ["*"]}, "'\\*'"),
        ({"attributes": ["x" * 129]}, "attributes: 'xxx"),
        ({"attributes": ["n"] * 501}, "attributes: 501 are too many"),
        ({"attributes": ["Session.ID"]}, "'Session.ID' holds what the broker correlates by"),
        ({"keep": ['a"b']}, "keep: "),
        ({"replacement": 'a"b'}, "replacement"),
        ({"replacement": ""}, "replacement"),
        ({"replacement": "x" * 65}, "replacement"),
        ({"patterns": [{"name": "two words", "regex": "abc"}]}, "'two words'"),
        ({"patterns": [{"name": "twin", "regex": "abc"}, {"name": "twin", "regex": "abd"}]}, "'twin' is there twice"),
        ({"patterns": [{"name": "p", "regex": "[0-9]"}], "replacement": "x0"}, "'p': it matches the replacement 'x0'"),
        ({"replacement": "{rule}"}, "reads as a name that rule '.*' removes"),
        ({"attributes": ["*]"]}, "reads as a name that rule '\\*]' removes"),
        ({"replacement": "a:b"}, "'url-password': it matches the replacement"),
        ({"patterns": [{"name": f"p{n}", "regex": "abc"} for n in range(51)]}, "patterns: 51 are too many"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_the_rule(file: object, message: str) -> None:
    content = file if isinstance(file, bytes) else orjson.dumps(file)
    with pytest.raises(RedactionInvalid, match=message) as caught:
        compile_rules(read_rules(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("regex", "reason"),
    [
        ("(a+)+b", "no upper bound"),
        ("(a{1,9}){1,9}b", "nested quantifiers"),
        ("(?:a|aa){2}", "nested quantifiers"),
        ("a**", "nested quantifiers"),
        ("a++", "nested quantifiers"),
        ("a*b", "no upper bound"),
        ("a{2,}b", "no upper bound"),
        ("(a)\\1", "back reference"),
        ("(?=a)b", "lookarounds"),
        ("(?<!a)b", "lookarounds"),
        ("(?P<n>a)", "names"),
        ("a(?i)b", "flags"),
        ("a{0,500}a{0,500}b", "ways"),
        ("(?:a{500}){9}b", "characters"),
        ("", "1 to 256"),
        ("a" * 257, "1 to 256"),
        ("a?", "empty text"),
        ("\\b", "empty text"),
        ("(", "not closed"),
        (")", "unbalanced"),
        ("[a", "not closed"),
        ("[[a]", "not closed"),
        ("[a--b]", "doubled"),
        ("[z-a]x", "not a class"),
        ("a\\", "backslash"),
        ("\\Aab", "only"),
        ("a{x}", "not a count"),
        ("a{3,2}", "wrong way round"),
        ("*a", "nothing to repeat"),
        ("^*a", "nothing to repeat"),
    ],
)
def test_an_expression_that_could_run_away_is_refused(regex: str, reason: str) -> None:
    with pytest.raises(RedactionInvalid, match=f"^pattern 'mine': .*{reason}"):
        compile_rules(RedactionRules(patterns=(PatternRule("mine", regex),)))


@pytest.mark.parametrize(
    ("regex", "text"),
    [
        ("[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]+", "jane.doe@example.com"),
        ("(?:[0-9]{4}-){3}[0-9]{4}", "1234-5678-9012-3456"),
        ("(?i)emp(?:loyee|l)? ?#\\d{2,6}\\b", "EMPL #1234"),
        ("[0-9]{3}-[0-9]{2}-[0-9]{4}", "123-45-6789"),
        ("x\\{\\d\\}", "x{1}"),
        ("a.{0,5}z", 'a\t"z'),
        ("[\\]a]{3}", "]a]"),
        ("a{,2}bcd", "aabcd"),
    ],
)
def test_ordinary_expressions_are_accepted(regex: str, text: str) -> None:
    rules = own(patterns=[{"name": "r", "regex": regex}], replacement="<R>")
    assert redacted([f" {text}"], rules) == [" <R>"]


# -- whatever comes -------------------------------------------------------------------------------------------------

RULES = RedactionRules(
    attributes=("user.email", "*.ssn"),
    patterns=(PatternRule("order", "ORD-[0-9]{2,8}"), PatternRule("odd", ".QX[+-]")),
    keep=("public",),
)
pieces = st.one_of(
    st.sampled_from([*SECRET_TEXTS, *INNOCENT_TEXTS, "ORD-123", '"QX+', "\\u0041", "://a:", "@", '"password": "']),
    st.sampled_from(["API_KEY=", "password: ", "?token=", "--password ", "Cookie: a=", "user_x.ssn=", "\\", "'", ";"]),
    st.text(max_size=6),
)
texts = st.lists(pieces, max_size=4).map("".join)
names = st.one_of(st.sampled_from([*SECRET_NAMES, *INNOCENT_NAMES, "p.ssn", "public", "value", "properties"]), texts)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.just(4111111111111111))
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(names, inner, max_size=3),
        st.builds(lambda key, text: {"key": key, "value": {"stringValue": text}}, names, texts),
        inner.map(json.dumps),
    ),
    max_leaves=8,
)


UNGATED = PatternRule("ungated", '"[^a]Q')


@given(documents, st.booleans(), st.one_of(st.none(), texts), st.booleans())
@example({"password": "[redacted:password]"}, True, "[redacted:jwt]", False)
@example({f"{NPM}password": 0}, False, None, False)
@example({f"{GOOGLE}{JWT}": None}, False, None, False)
@example({"key": f"Bearer {ALNUM}", "value": {"stringValue": PEM}}, False, None, False)
@example(None, False, "\x00", False)
def test_redaction_is_idempotent_and_gives_json(
    document: Any, ascii_only: bool, error: str | None, with_ungated: bool
) -> None:
    rules = msgspec.structs.replace(RULES, patterns=(*RULES.patterns, UNGATED)) if with_ungated else RULES
    event = event_with(json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "replace"), error=error)
    before = (event.body, event.error)
    redactor = compile_rules(rules)
    count = redactor.redact(event)
    after = (event.body, event.error)
    assert sum(redactor.counts.values()) == count
    if count == 0:
        assert after == before
    orjson.loads(event.body)
    assert compile_rules(rules).redact(event) == 0
    assert (event.body, event.error) == after


@given(st.one_of(st.binary(max_size=60), texts.map(lambda text: text.encode("utf-8", "replace"))))
def test_no_bytes_make_it_fail(body: bytes) -> None:
    event = event_with(body)
    if compile_rules(RULES).redact(event):
        orjson.loads(event.body)
    else:
        assert event.body == body


@given(documents)
@example("\x1f3782 822463 10005")
@example("\u00e9" + "4111111111111111")
@example({"note": ".4111111111111111"})
@example({"pass\x01word": "x"})
def test_the_quick_look_misses_nothing(document: Any) -> None:
    body = json.dumps(document).encode()
    quick, slow = event_with(body), event_with(body)
    compile_rules(RULES).redact(quick)
    # A pattern that no quick look can judge makes every event be walked.
    never = PatternRule("never", '"[^\\s\\S]"')
    compile_rules(RedactionRules(RULES.attributes, (*RULES.patterns, never), keep=RULES.keep)).redact(slow)
    assert quick.body == slow.body


@given(st.text(max_size=20), st.integers(0, 8))
def test_any_expression_is_refused_or_works(noise: str, place: int) -> None:
    regex = noise[:place] + "ab?(c|d){2}" + noise[place:]
    redactor = None
    with contextlib.suppress(RedactionInvalid):
        redactor = compile_rules(RedactionRules(patterns=(PatternRule("r", regex),)))
    if redactor is not None:
        redactor.redact(event_with(["abcd"]))
