"""What a webhook is sent: signed as Standard Webhooks says, and nothing in it that telemetry could break out with."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from ark_broker.deliver.webhook_format import (
    CUT,
    MAX_BODY,
    TOLERANCE,
    answer_url,
    generate_secret,
    parse_secret,
    sign,
    slack_body,
    verify,
    webhook_body,
)
from ark_broker.model import Event, event_id
from ark_broker.model.errors import BadInput
from ark_broker.model.names import SEPARATOR, qualified
from ark_broker.sessions.questions import Question

# The example of the reference libraries (github.com/standard-webhooks/standard-webhooks).
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

#: 2024-01-15T10:30:00Z
AT = 1_705_314_600_000_000_000
BASE = "https://broker.example.com/"


def event(**fields: Any) -> Event:
    return Event(**{"id": event_id("e"), "kind": "event", "type": "query.failed", "time": AT, "body": b"{}"} | fields)


def question(**fields: Any) -> Question:
    return Question(**{"id": "q1", "told": True, "text": "Shall I?", "asked_at": AT} | fields)


# --- Signatures ----------------------------------------------------------------------------------------------------


def test_the_example_of_the_specification_is_signed_as_it_says() -> None:
    assert sign([parse_secret(SECRET)], MESSAGE, TIMESTAMP, BODY) == {
        "webhook-id": MESSAGE,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_while_a_secret_is_replaced_both_sign_and_either_verifies() -> None:
    old, new = parse_secret(SECRET), parse_secret(generate_secret())
    headers = sign([new, old], MESSAGE, TIMESTAMP, BODY)
    assert headers["webhook-signature"].split(" ")[1] == SIGNATURE
    verify([old], headers, BODY, TIMESTAMP)
    verify([new], headers, BODY, TIMESTAMP)
    with pytest.raises(BadInput):
        verify([parse_secret(generate_secret())], headers, BODY, TIMESTAMP)


def test_a_secret_made_here_has_32_bytes_and_is_never_the_same() -> None:
    made = {generate_secret() for _ in range(20)}
    assert len(made) == 20
    assert all(secret.startswith("whsec_") and len(parse_secret(secret)) == 32 for secret in made)


def whsec(size: int) -> str:
    return "whsec_" + base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_24_to_64_bytes_is_taken(size: int) -> None:
    assert parse_secret(whsec(size)) == bytes(size)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        whsec(23),
        whsec(65),
        whsec(32).removeprefix("whsec_"),
        whsec(32).replace("whsec", "WHSEC"),
        whsec(32).rstrip("="),
        whsec(32) + "\n",
        "whsec_" + "-_" * 20,
        "whsec_" + "é" * 40,
        " " + whsec(32),
    ],
)
def test_any_other_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_secret(text)
    assert refused.value.field == "secret"
    assert text.removeprefix("whsec_") == "" or text not in str(refused.value)


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "a\r\nx-evil: 1", "é", "a" * 201])
def test_an_id_that_would_make_the_signature_ambiguous_or_a_second_header_is_refused(message_id: str) -> None:
    with pytest.raises(BadInput):
        sign([bytes(32)], message_id, TIMESTAMP, BODY)


def test_nothing_is_sent_unsigned_for_want_of_a_secret() -> None:
    with pytest.raises(BadInput):
        sign([], MESSAGE, TIMESTAMP, BODY)


SIGNED = {"Webhook-Id": MESSAGE, "Webhook-Timestamp": str(TIMESTAMP), "Webhook-Signature": SIGNATURE}


@pytest.mark.parametrize("off", [0, TOLERANCE, -TOLERANCE])
def test_a_timestamp_within_five_minutes_verifies_however_headers_are_written(off: int) -> None:
    verify([parse_secret(SECRET)], SIGNED, BODY, TIMESTAMP + off)


def test_signatures_of_versions_to_come_are_passed_over() -> None:
    verify([parse_secret(SECRET)], SIGNED | {"Webhook-Signature": f"v1a,x v2,y {SIGNATURE}"}, BODY, TIMESTAMP)


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (SIGNED, BODY + b" ", TIMESTAMP),
        (SIGNED, BODY, TIMESTAMP + TOLERANCE + 1),
        (SIGNED, BODY, TIMESTAMP - TOLERANCE - 1),
        (SIGNED | {"Webhook-Id": "msg_other"}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Timestamp": str(TIMESTAMP + 1)}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Timestamp": "soon"}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Timestamp": "1e9"}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Timestamp": "9" * 5_000}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Signature": SIGNATURE.replace("v1,", "v2,")}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Signature": SIGNATURE.removeprefix("v1,")}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Signature": "v1,"}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Signature": "v1,é"}, BODY, TIMESTAMP),
        (SIGNED | {"Webhook-Signature": ""}, BODY, TIMESTAMP),
        ({key: value for key, value in SIGNED.items() if key != "Webhook-Id"}, BODY, TIMESTAMP),
    ],
)
def test_what_was_changed_or_is_old_or_incomplete_does_not_verify(
    headers: dict[str, str], body: bytes, now: int
) -> None:
    with pytest.raises(BadInput):
        verify([parse_secret(SECRET)], headers, body, now)


def test_nothing_verifies_without_a_secret() -> None:
    with pytest.raises(BadInput):
        verify([], SIGNED, BODY, TIMESTAMP)


# --- For programs --------------------------------------------------------------------------------------------------


def test_a_body_says_what_happened_where() -> None:
    happened = event(
        session_id="s", query="q", namespace="ns", agent="a", error="boom", status="error", trace_id="f" * 32
    )
    assert json.loads(webhook_body(happened, None, None)) == {
        "type": "query.failed",
        "timestamp": "2024-01-15T10:30:00Z",
        "data": {
            "id": event_id("e").hex(),
            "session": "s",
            "query": "q",
            "namespace": "ns",
            "agent": "a",
            "traceId": "f" * 32,
            "status": "error",
            "error": "boom",
        },
    }


def test_a_body_says_what_is_asked_and_where_to_answer() -> None:
    asked = question(options=["yes", {"id": 2}], deadline=AT + 60_000_000_000, context="why")
    found = json.loads(webhook_body(event(type="question.asked"), asked, BASE))["data"]["question"]
    assert found == {
        "id": "q1",
        "uri": "ark://questions/q1",
        "state": "open",
        "text": "Shall I?",
        "context": "why",
        "options": ["yes", {"id": 2}],
        "blocking": True,
        "deadline": "2024-01-15T10:31:00Z",
        "answerable": True,
        "answerUrl": "https://broker.example.com/v1/questions/q1/answer",
    }


@pytest.mark.parametrize(
    ("asked", "base"),
    [
        (question(), None),
        (question(), ""),
        (question(state="answered"), BASE),
        (question(source="approval"), BASE),
        (question(source="a2a"), BASE),
        (question(id="x" * 257), BASE),
    ],
)
def test_there_is_no_answer_url_where_nobody_could_answer(asked: Question, base: str | None) -> None:
    assert answer_url(asked, base) is None
    assert b"answerUrl" not in webhook_body(event(), asked, base)
    assert b"Answer with" not in slack_body(event(), asked, base)


def test_an_id_does_not_lead_an_answer_url_elsewhere() -> None:
    found = answer_url(question(id="../../x?y#z@evil.example/é\ud800"), BASE)
    assert found == "https://broker.example.com/v1/questions/..%2F..%2Fx%3Fy%23z%40evil.example%2F%C3%A9%3F/answer"


@pytest.mark.parametrize(
    "asked",
    [
        question(state="answered", secret=True, answer="hunter2"),
        question(state="answered", told=False, answer="hunter2"),
        question(secret=True, default="hunter2"),
        question(state="open", answer="hunter2"),
    ],
)
def test_a_secret_answer_or_one_that_may_be_secret_is_in_no_body(asked: Question) -> None:
    assert b"hunter2" not in webhook_body(event(type="question.answered"), asked, BASE)
    assert b"hunter2" not in slack_body(event(type="question.answered"), asked, BASE)


def test_an_answer_that_is_no_secret_is_told_to_programs() -> None:
    asked = question(state="answered", answer={"ok": True}, answered_by="ann")
    found = json.loads(webhook_body(event(type="question.answered"), asked, BASE))["data"]["question"]
    assert (found["answer"], found["answeredBy"], found["answerable"]) == ({"ok": True}, "ann", False)


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


LONG = [unit * 100_000 for unit in ("a", "\x00", "€", "😀", '\\"', "\ud800")]


@pytest.mark.parametrize("text", LONG, ids=lambda text: ascii(text[:2]))
def test_a_body_is_cut_to_its_limit_wherever_it_is_long(text: str) -> None:
    happened = event(
        type=text,
        session_id=text,
        query=text,
        namespace=text,
        agent=text,
        error=text,
        status=text,
        conversation_id=text,
    )
    options = [text, [text], {text.replace("\ud800", "x"): 1}] * 20
    asked = question(id=text, state="answered", text=text, context=text, options=options, answer=text, answered_by=text)
    for found in (webhook_body(happened, asked, BASE), slack_body(happened, asked, BASE)):
        assert len(found) <= MAX_BODY
        assert CUT in found.decode()
        json.loads(found)


def test_a_text_is_whole_where_there_is_room_for_it() -> None:
    found = json.loads(webhook_body(event(error="e" * 8_192), question(text="t" * 8_192), BASE))["data"]
    assert (found["error"], found["question"]["text"]) == ("e" * 8_192, "t" * 8_192)
    assert json.loads(webhook_body(event(error="e" * 8_193), None, None))["data"]["error"] == "e" * 8_192 + CUT


@pytest.mark.parametrize("depth", [1, 248, 250, 252, 254, 300, 900])
def test_options_however_deep_are_no_error(depth: int) -> None:
    asked = question(options=[nested(depth)], state="answered", answer=nested(depth))
    json.loads(webhook_body(event(), asked, BASE))
    json.loads(slack_body(event(), asked, BASE))


# --- Names that two namespaces use ---------------------------------------------------------------------------------


def second_ones() -> tuple[Event, Question]:
    """A question of a namespace, where another one has a session, and a question, of the same names."""
    session, name = qualified("chat-1", "team-b"), qualified("approval-1", "team-b")
    return (
        event(type="question.asked", namespace="team-b", session_id=session, question_id=name),
        question(id=name, namespace="team-b", session_id=session),
    )


def test_a_body_has_the_names_that_the_namespace_uses() -> None:
    happened, asked = second_ones()
    data = json.loads(webhook_body(happened, asked, None))["data"]
    assert (data["session"], data["namespace"]) == ("chat-1", "team-b")
    assert (data["question"]["id"], data["question"]["uri"]) == ("approval-1", "ark://questions/approval-1")
    message = json.loads(slack_body(happened, asked, None))
    fields = [item["text"] for item in message["blocks"][-1]["fields"]]
    assert fields == ["Session\nchat-1", "Namespace\nteam-b", "Question\nark://questions/approval-1"]
    for body in (webhook_body(happened, asked, None), slack_body(happened, asked, None)):
        assert SEPARATOR not in body.decode()


def test_an_answer_url_leads_to_that_question_whoever_answers() -> None:
    """Somebody who sees all namespaces would answer the other one's by the name that both use."""
    happened, asked = second_ones()
    url = "https://broker.example.com/v1/questions/approval-1%E2%90%9Fteam-b/answer"
    assert json.loads(webhook_body(happened, asked, BASE))["data"]["question"]["answerUrl"] == url
    assert json.loads(slack_body(happened, asked, BASE))["blocks"][-1]["text"]["text"] == f"Answer with a POST to {url}"


# --- For Slack -----------------------------------------------------------------------------------------------------

HOSTILE = [
    "<!channel>",
    "<!here|now>",
    "<!everyone>",
    "<@U024BE7LH>",
    "<#C024BE7LR|general>",
    "<!subteam^S0|ops>",
    "<!date^0^{date}^https://evil.example|x>",
    "<https://evil.example|https://broker.example.com>",
    "<mailto:a@evil.example|mail>",
    "&lt;!channel&gt;",
    "&amp;lt;!channel>",
    "*bold* _it_ ~no~ `code` ```block```",
    "> quote\n>>> all of it",
    "@channel @here @everyone",
    "https://evil.example/token?x=1",
    '"}],"text":"<!channel>","x":[{"a":"',
    "\u202e<!channel>\u202c",
    "\x00<!here>\x1b[31m",
    "a\r\n\r\nb\u2028c",
    "<" * 5_000,
    "&" * 5_000,
    "😀" * 5_000,
    " \n\t ",
    "\ud800",
]


def texts_of(value: Any) -> list[str]:
    """All strings of a JSON value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_of(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_of(item)]
    return [value] if isinstance(value, str) else []


def text_objects(blocks: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Each text object, and the limit that Slack has for it."""
    found = []
    for block in blocks:
        if "text" in block:
            found.append((block["text"], 150 if block["type"] == "header" else 3_000))
        assert len(block.get("fields", ())) <= 10
        found += [(item, 2_000) for item in block.get("fields", ())]
    return found


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
@pytest.mark.parametrize("base", [None, "https://broker.example.com"])
def test_no_text_breaks_out_of_a_slack_message(text: str, base: str | None) -> None:
    happened = event(type=text, session_id=text, query=text, namespace=text, agent=text, error=text)
    for asked in (None, question(id=text, text=text, options=[text, {"x": text.replace("\ud800", "")}], asked_by=text)):
        found = json.loads(slack_body(happened, asked, base))
        assert set(found) == {"text", "mrkdwn", "unfurl_links", "unfurl_media", "blocks"}
        assert (found["mrkdwn"], found["unfurl_links"], found["unfurl_media"]) == (False, False, False)
        for string in texts_of(found):
            assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)|[\x00-\x09\x0b-\x1f\u2028-\u202e\ud800-\udfff]", string)
        for shown, limit in text_objects(found["blocks"]):
            assert (shown["type"], shown["emoji"]) == ("plain_text", False)
            assert 1 <= len(shown["text"].encode("utf-16-le")) // 2 <= limit
        assert {block["type"] for block in found["blocks"]} <= {"header", "section"}
        assert len(found["blocks"]) <= 50
        assert 1 <= len(found["text"].encode("utf-16-le")) // 2 <= 3_000
        assert "\n" not in found["text"] + found["blocks"][0]["text"]["text"]


def test_a_slack_text_is_escaped_once_and_its_escapes_are_never_cut() -> None:
    shown = json.loads(slack_body(event(error="a < b && c > d &lt;"), None, None))["blocks"][1]["text"]["text"]
    assert shown == "a &lt; b &amp;&amp; c &gt; d &amp;lt;"
    for padding in range(6):
        text = json.loads(slack_body(event(error="x" * padding + "<" * 3_000), None, None))["blocks"][1]["text"]["text"]
        assert re.fullmatch(f"x{{{padding}}}(&lt;)+{re.escape(CUT)}", text)
        assert 2_990 < len(text) <= 3_000


def test_a_slack_message_says_what_is_asked_of_whom_and_by_when() -> None:
    asked = question(text="Deploy *now*?", options=["yes", "no"], deadline=AT, asked_by="planner")
    found = json.loads(slack_body(event(type="question.asked", session_id="s1", namespace="prod"), asked, BASE))
    assert found["text"] == "Question asked: Deploy *now*?"
    header, text, options, fields, answer = found["blocks"]
    assert header["text"]["text"] == "Question asked"
    assert text["text"]["text"] == "Deploy *now*?"
    assert options["text"]["text"] == "• yes\n• no"
    assert [item["text"] for item in fields["fields"]] == [
        "Session\ns1",
        "Namespace\nprod",
        "Agent\nplanner",
        "Deadline\n2024-01-15T10:30:00Z",
        "Question\nark://questions/q1",
    ]
    assert answer["text"]["text"] == "Answer with a POST to https://broker.example.com/v1/questions/q1/answer"


def test_a_slack_message_of_an_event_of_no_question_says_what_went_wrong() -> None:
    found = json.loads(slack_body(event(query="q", error="boom"), None, BASE))
    assert found["text"] == "Query failed: boom"
    assert [block["type"] for block in found["blocks"]] == ["header", "section", "section"]
