"""Rules of webhooks: what they take, what they match, and what they never show."""

from __future__ import annotations

import re
import traceback

import msgspec
import orjson
import pytest

from ark_broker.deliver.guard import Policy, Refused
from ark_broker.deliver.rules import (
    Matcher,
    Rule,
    RulesInvalid,
    When,
    decode_rule,
    parse_rules,
    policy_of,
    rule_json,
)
from ark_broker.deliver.webhook_format import generate_secret, parse_secret
from ark_broker.model.errors import BadInput
from tests.support.events import make

OPEN = Policy()
SECRET = generate_secret()
RULE = {
    "name": "oncall",
    "url": "https://hooks.example.com/token-in-path?key=v",
    "secret": SECRET,
    "when": {"types": ["query.failed"]},
}


def decoded(**changes: object) -> Rule:
    return parse_rules(written(**changes).join((b"[", b"]")).decode(), OPEN)[0]


def written(**changes: object) -> bytes:
    return orjson.dumps({key: value for key, value in (RULE | changes).items() if value is not None})


def field_of(**changes: object) -> str | None:
    with pytest.raises(BadInput) as error:
        decode_rule(written(**changes), OPEN)
    assert SECRET not in str(error.value)
    return error.value.field


def test_a_rule_has_what_its_json_says() -> None:
    rule = decoded(when={"types": ["tool.*"], "namespaces": ["prod"], "agents": ["a", "b"]}, **{"from": "start"})

    assert (rule.name, rule.cursor, rule.format, rule.from_) == ("oncall", "webhook:oncall", "standard", "start")
    assert rule.when == When(types=("tool.*",), namespaces=frozenset({"prod"}), agents=frozenset({"a", "b"}))
    assert rule.keys == [parse_secret(SECRET)]


def test_several_secrets_sign_while_one_replaces_the_other() -> None:
    both = [SECRET, generate_secret()]

    assert decoded(secret=None, secrets=both).secrets == tuple(both)


def test_a_rule_without_a_secret_is_given_one_that_is_told_once() -> None:
    rule, generated = decode_rule(written(secret=None), OPEN)

    assert rule.secrets == (generated,)
    assert len(rule.keys[0]) == 32
    assert decode_rule(written(), OPEN)[1] is None
    assert decode_rule(written(secret=None, format="slack"), OPEN) == (decoded(secret=None, format="slack"), None)


def test_the_setting_has_to_name_the_secret() -> None:
    with pytest.raises(RulesInvalid, match="webhook 1: secret: is missing"):
        decoded(secret=None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": 7}, "name"),
        ({"url": None}, "url"),
        ({"secret": None, "secrets": []}, "secret"),
        ({"secret": "whsec_c2hvcnQ="}, "secret"),
        ({"secret": 7}, "secret"),
        ({"secrets": [SECRET]}, "secret"),
        ({"secret": None, "secrets": [SECRET] * 4}, "secrets"),
        ({"when": None}, "when"),
        ({"when": {}}, "when.types"),
        ({"when": {"types": []}}, "when.types"),
        ({"when": {"types": "query.failed"}}, "when.types"),
        ({"when": {"types": ["a b"]}}, "when.types"),
        ({"when": {"types": ["a"] * 101}}, "when.types"),
        ({"when": {"types": ["a"], "agents": ["a", 7]}}, "when.agents[1]"),
        ({"when": {"types": ["a"], "olderThan": 7}}, "when.olderThan"),
        ({"when": {"types": ["question.asked"], "olderThanSeconds": 0}}, "when.olderThanSeconds"),
        ({"when": {"types": ["query.failed"], "olderThanSeconds": 60}}, "when.olderThanSeconds"),
        ({"when": {"types": ["question.asked", "x"], "olderThanSeconds": 60}}, "when.olderThanSeconds"),
        ({"format": "teams"}, "format"),
        ({"from": "yesterday"}, "from"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_error_names_the_field(changes: dict[str, object], field: str) -> None:
    assert field_of(**changes) == field


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://169.254.169.254/",
        "https://intranet/",
        "ftp://h.com/",
    ],
)
def test_a_url_that_the_guard_refuses_makes_no_rule(url: str) -> None:
    with pytest.raises(Refused):
        decode_rule(written(url=url), OPEN)


def test_what_is_allowed_is_not_refused() -> None:
    policy = policy_of(" hooks.svc , 10.0.0.0/8,", private=False)

    for url in ("http://hooks.svc/", "https://10.1.2.3/"):
        decode_rule(written(url=url), policy)
    decode_rule(written(url="http://127.0.0.1/"), policy_of("", private=True))
    with pytest.raises(RulesInvalid):
        policy_of("not a host", private=False)


@pytest.mark.parametrize(
    ("types", "name", "fits"),
    [
        (["query.failed"], "query.failed", True),
        (["query.failed"], "query.failed2", False),
        (["query.*"], "query.failed", True),
        (["query.*"], "aquery.failed", False),
        (["*"], "", True),
        (["*.failed"], "tool.failed", True),
        (["*.failed"], "tool.failed.x", False),
        (["a*b*c"], "a1b2c", True),
        (["a*b*c"], "a1c2b", False),
        (["ab*ba"], "aba", False),
        (["a.b"], "axb", False),
        (["x", "tool.*"], "tool.call", True),
    ],
)
def test_a_star_stands_for_any_text(types: list[str], name: str, fits: bool) -> None:
    assert Matcher(When(types=tuple(types)))(make(1, kind="event", type=name)) is fits


def test_an_event_without_a_namespace_belongs_to_none() -> None:
    matcher = Matcher(When(types=("*",), namespaces=frozenset({"prod"}), agents=frozenset({"a"})))

    assert matcher(make(1, namespace="prod", agent="a"))
    assert not matcher(make(1, namespace="prod"))
    assert not matcher(make(1, agent="a"))
    assert not matcher(make(1, namespace="test", agent="a"))


def test_a_question_is_one_through_whichever_door_it_came() -> None:
    asked = make(1, kind="event", type="question.asked", question_id="q")
    approval = make(2, kind="chunk", type="tool_approval_request", question_id="q")
    task = make(3, kind="task", type="task.updated", question_id="q", task_state="input_required")
    working = make(4, kind="task", type="task.updated", question_id="q", task_state="working")
    answered = make(5, kind="event", type="question.answered", question_id="q")

    for when in (When(types=("question.asked",)), When(types=("question.asked",), older_than_seconds=5)):
        matcher = Matcher(when)
        assert [matcher(event) for event in (asked, approval, task, working, answered)] == [True] * 3 + [False] * 2
        assert {asked.type, approval.type, task.type} <= set(matcher.types)


def test_types_that_the_database_can_look_for_are_known() -> None:
    assert Matcher(When(types=("b", "a"))).types == ("a", "b")
    assert Matcher(When(types=("b", "a*"))).types == ()


def test_nothing_that_is_printed_shows_a_secret() -> None:
    rule = decoded()

    shown = [repr(rule), str(rule), f"{rule.__rich_repr__()}", str(rule_json(rule))]

    for text in shown:
        assert SECRET not in text
        assert "token-in-path" not in text
    assert rule_json(rule)["url"] == "https://hooks.example.com/…"


def test_a_stored_rule_is_the_same_again() -> None:
    rule = decoded(when={"types": ["question.asked"], "olderThanSeconds": 60}, **{"from": "start"})

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(rule), type=Rule) == rule


def test_the_setting_is_a_list_of_rules() -> None:
    assert parse_rules("", OPEN) == ()
    assert parse_rules(" [] ", OPEN) == ()
    assert [rule.name for rule in parse_rules(orjson.dumps([RULE, RULE | {"name": "b"}]).decode(), OPEN)] == [
        "oncall",
        "b",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "must be a JSON list"),
        ("{}", "must be a JSON list"),
        ("[7]", "must be a JSON list"),
        (orjson.dumps([RULE, RULE]).decode(), "webhook 2: another one is named 'oncall' too"),
        (orjson.dumps([RULE | {"secret": SECRET[:-1] + "!"}]).decode(), "webhook 1: secret: "),
        (orjson.dumps([RULE | {"url": "http://h.com/x"}]).decode(), "webhook 1: the URL must begin with https://"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line_without_secrets(text: str, complaint: str) -> None:
    with pytest.raises(RulesInvalid, match=f"^{re.escape(complaint)}.*$") as error:
        parse_rules(text, OPEN)

    shown = "".join(traceback.format_exception(error.value))
    assert SECRET[:20] not in shown
