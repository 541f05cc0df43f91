"""Redaction of `NAME=value` and `name: value` in text, and of headers as lists: what goes, what stays, how long."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from ark_broker.receive.redaction import PatternRule, RedactionRules, compile_rules
from ark_broker.receive.redaction.assigned import MOST_NAMES, assigned
from ark_broker.receive.redaction.bundled import rule_for_name
from tests.support.events import make

# Put together here, so that nobody who scans this repository takes it for a real one.
AWS = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"

#: Text → (what must be gone from it, the text that must come of it).
ASSIGNED = {
    f"AWS_SECRET_ACCESS_KEY={AWS}": "AWS_SECRET_ACCESS_KEY=[redacted:api-key]",
    "API_KEY=hushhush": "API_KEY=[redacted:api-key]",
    "export API_KEY=hushhush; run --fast": "export API_KEY=[redacted:api-key]; run --fast",
    "A=1\nDB_PASSWORD=hushhush\nB=2": "A=1\nDB_PASSWORD=[redacted:password]\nB=2",
    "DB_PASSWORD=hushhush # of the cluster": "DB_PASSWORD=[redacted:password] # of the cluster",
    'DB_PASSWORD="hush hush" B=2': 'DB_PASSWORD="[redacted:password]" B=2',
    "DB_PASSWORD='hush \"hush\"' B=2": "DB_PASSWORD='[redacted:password]' B=2",
    'DB_PASSWORD="hush \\" hush" B=2': 'DB_PASSWORD="[redacted:password]" B=2',
    "config/.env:3:DB_PASSWORD=hushhush": "config/.env:3:DB_PASSWORD=[redacted:password]",
    "PGPASSWORD=hushhush psql -h db": "PGPASSWORD=[redacted:password] psql -h db",
    "docker run -e API_KEY=hushhush -e B=2 image": "docker run -e API_KEY=[redacted:api-key] -e B=2 image",
    "mysql --password=hushhush app": "mysql --password=[redacted:password] app",
    "mysql --password hushhush app": "mysql --password [redacted:password] app",
    "tool --api-key 'hush hush' go": "tool --api-key '[redacted:api-key]' go",
    "Server=db;User Id=sa;Password=hushhush;Encrypt=no": "Server=db;User Id=sa;Password=[redacted:password];Encrypt=no",
    "{user=bob, password=hushhush}": "{user=bob, password=[redacted:password]}",
    "{password=hush,hush,user=bob}": "{password=[redacted:password],user=bob}",
    "DB_PASSWORD=hush(hush B=2": "DB_PASSWORD=[redacted:password] B=2",
    'client = Client(api_key="hushhush", n=1)': 'client = Client(api_key="[redacted:api-key]", n=1)',
    "api_key = 'hushhush'": "api_key = '[redacted:api-key]'",
    "apiKey: 'hushhush',": "apiKey: '[redacted:api-key]',",
    "'password' => 'hushhush',": "'password' => '[redacted:password]',",
    'password := "hushhush"': 'password := "[redacted:password]"',
    '{\\"api_key\\":\\"hushhush\\", \\"n\\": 1, cut': '{\\"api_key\\":\\"[redacted:api-key]\\", \\"n\\": 1, cut',
    '{"password": 12345678, "cut of': '{"password": [redacted:password], "cut of',
    "password: hushhush": "password: [redacted:password]",
    "db:\n  user: bob\n  password: hushhush\n": "db:\n  user: bob\n  password: [redacted:password]\n",
    "  - secret: hushhush": "  - secret: [redacted:secret]",
    "login as bob (password: hushhush)": "login as bob (password: [redacted:password])",
    "the password: hunter2 opens it": "the password: [redacted:password] opens it",
    "client_secret: hushhush": "client_secret: [redacted:secret]",
    "invalid header X-Api-Key: hush-1hush was sent": "invalid header X-Api-Key: [redacted:api-key] was sent",
    "curl -H 'X-Api-Key: hushhush' https://x/": "curl -H 'X-Api-Key: [redacted:api-key]' https://x/",
    "> Authorization: hushhush": "> Authorization: [redacted:authorization]",
    "> Proxy-Authorization: Digest hush, hush\n>": "> Proxy-Authorization: [redacted:authorization]\n>",
    "Cookie: a=hush; b=hush\nHost: x": "Cookie: [redacted:cookie]\nHost: x",
    "curl -H 'Cookie: a=hush; b=hush' x": "curl -H 'Cookie: [redacted:cookie]' x",
    "< Set-Cookie: sid=hush; Path=/": "< Set-Cookie: [redacted:cookie]",
    "https://x/?api_key=hush123": "https://x/?api_key=[redacted:api-key]",
    "GET /a?b=1&token=hush123&c=2 HTTP/1.1": "GET /a?b=1&token=[redacted:token]&c=2 HTTP/1.1",
    "https://x/?access_token=hush123#top": "https://x/?access_token=[redacted:token]#top",
    "https://x/#access_token=hush123&n=1": "https://x/#access_token=[redacted:token]&n=1",
    "https://x/b?se=2030&sig=hush%2F123%3D": "https://x/b?se=2030&sig=[redacted:signature]",
    "https://x/b?X-Amz-Signature=hush123&a=1": "https://x/b?X-Amz-Signature=[redacted:signature]&a=1",
    '<a href="https://x/?a=1&amp;token=hush123">': '<a href="https://x/?a=1&amp;token=[redacted:token]">',
    "x?password=hush&password=hush&n=1": "x?password=[redacted:password]&password=[redacted:password]&n=1",
    "PASSWORD=": "PASSWORD=",
}

INNOCENT = [
    "max_tokens=5",
    "token_count: 3",
    "session_id=0af7651916cd43dd",
    "primary_key=7",
    "sort_key: name",
    "key=value",
    "token=abc",
    "next_page_token=abc&page=2",
    "https://x/?page_token=abc&pageToken=abc&continuation_token=x1",
    "https://x/?design=modern&assign=3",
    "author: Jane, cookie_policy: strict, secretary=Ann",
    "PASSWORD=$DB_PASSWORD",
    "PASSWORD=${DB_PASSWORD}",
    "password: {{ .Values.password }}",
    "password: <your password>",
    "API_KEY=<your-api-key>",
    "API_KEY=\nB=1",
    "API_KEY= B=1",
    'API_KEY=""',
    "password: ********",
    "api_key=sk-...",
    "def login(user: str, password: str) -> None:",
    "password: Optional[str] = None",
    "api_key: str | None = None",
    "class A:\n    api_key: SecretStr\n    password: str = Field(repr=False)",
    "interface A { password: string; apiKey?: string }",
    'api_key=os.environ["API_KEY"]',
    "api_key = os.getenv('OPENAI_API_KEY')",
    "apiKey: process.env.OPENAI_API_KEY,",
    "login(user, password=password)",
    "self.password = password",
    "Client(api_key=settings.api_key)",
    "if password == other: return",
    "if api_key != expected and password is None: pass",
    "password=None, api_key=null, secret: true, client_secret=false",
    "password: required",
    "Access denied for user 'x'@'host' (using password: YES)",
    "reset your password: see the bearer of this letter",
    "Password: use at least twelve characters",
    "The secret: patience, and more of it",
    "Cookie: a small biscuit",
    "Set the password: it must be long",
    "PWD=/home/ada/agent OLDPWD=/tmp",
    "arn:aws:secretsmanager:eu-west-1:1234:secret:prod/db-1AbC",
    "image: registry.example/client-secret:v1.2",
    "secretName: tls-1, password_file=/run/secrets/db",
    "the flag --password is required; --api-key too",
    "pass --password --force",
    "Authorization: see RFC 9110",
    "docs: https://example.com/cookie?x=1",
]


def redactor_of(**rules: Any) -> Any:
    return compile_rules(RedactionRules(**rules))


def redacted(body: object, **rules: Any) -> Any:
    event = make("e", kind="event", body=orjson.dumps(body))
    redactor_of(**rules).redact(event)
    return orjson.loads(event.body)


@pytest.mark.parametrize("text", ASSIGNED)
@pytest.mark.parametrize("template", ["{}", "line\n{}\nline", "\u00e9\n{}", "line\r\n\t{}"])
def test_what_is_assigned_to_a_secret_name_goes_and_the_rest_of_the_text_stays(text: str, template: str) -> None:
    assert redacted({"note": template.replace("{}", text)}) == {"note": template.replace("{}", ASSIGNED[text])}


@pytest.mark.parametrize("text", ASSIGNED)
def test_it_goes_from_json_in_json_as_well(text: str) -> None:
    def nested(shown: str) -> dict[str, str]:
        return {"output": json.dumps([json.dumps({"stdout": shown})])}

    found = redacted(nested(text))
    assert orjson.loads(orjson.loads(found["output"])[0]) == {"stdout": ASSIGNED[text]}


@pytest.mark.parametrize("text", INNOCENT)
@pytest.mark.parametrize("template", ["{}", "line\n{}\nline", "x {} y", '"{}"', "({})"])
def test_a_text_that_assigns_no_secret_stays(text: str, template: str) -> None:
    body = {"note": template.replace("{}", text)}
    assert redacted(body) == body


@pytest.mark.parametrize("text", ASSIGNED)
def test_what_was_redacted_stays_when_it_is_sent_again(text: str) -> None:
    for replacement in ("[redacted:{rule}]", "taken out by {rule}, sorry", "x"):
        once = redacted({"note": text}, replacement=replacement)
        assert redacted(once, replacement=replacement) == once


def test_own_names_count_in_text_and_kept_names_are_left_alone_there() -> None:
    rules = {"attributes": ("user.ssn", "*_pin"), "keep": ("app.api_key",)}
    body = {"note": "user.ssn=hush1 card_pin: hush2 app.api_key=shown1 other.api_key=hush3"}
    found = redacted(body, **rules)["note"]
    assert "hush" not in found
    assert "app.api_key=shown1" in found
    assert redacted({"a": "user.ssn=hush1"}, attributes=("user.ssn",), bundled=False) == {
        "a": "user.ssn=[redacted:user.ssn]"
    }


def test_own_patterns_are_found_beside_what_is_assigned() -> None:
    rules = {"patterns": (PatternRule("order", "ORD-[0-9]{8}"),)}
    assert redacted(["API_KEY=hush1 ORD-12345678"], **rules) == ["API_KEY=[redacted:api-key] [redacted:order]"]


# -- headers as programs list them ----------------------------------------------------------------------------------


def test_headers_as_pairs_lose_their_secrets() -> None:
    headers = [["host", "x"], ["authorization", "Basic hush"], ["X-Api-Key", 12345], ["set-cookie", ["a=hush"]]]
    assert redacted({"headers": headers}) == {
        "headers": [
            ["host", "x"],
            ["authorization", "[redacted:authorization]"],
            ["X-Api-Key", "[redacted:api-key]"],
            ["set-cookie", "[redacted:cookie]"],
        ]
    }
    assert redacted([["authorization", "Basic hush"]]) == [["authorization", "[redacted:authorization]"]]


def test_headers_with_a_list_of_values_lose_them() -> None:
    headers = [{"name": "Authorization", "values": ["hush"]}, {"key": "host", "values": ["x"]}]
    assert redacted({"headers": headers}) == {
        "headers": [{"name": "Authorization", "values": "[redacted:authorization]"}, {"key": "host", "values": ["x"]}]
    }


@pytest.mark.parametrize(
    "body",
    [
        {"required": ["password", "email"]},
        {"headers": [["host", "x"], ["max_tokens", 5], ["password", None], ["password", ""]]},
        {"fields": [["password"], ["password", "email", "name"]]},
        {"properties": [{"name": "session.id", "values": ["s1"]}, {"name": "password", "values": []}]},
        {"rows": [[{"password": True}, "x"], [["password"], "y"]]},
    ],
)
def test_lists_that_are_no_headers_with_secrets_stay(body: Any) -> None:
    # The second member makes the body be looked at.
    shown = body | {"api_key": "hush"}
    assert redacted(shown) == shown | {"api_key": "[redacted:api-key]"}


def test_kept_and_structural_names_are_left_alone_in_pairs() -> None:
    body = [["app.api_key", "x"], ["session.id", "4111111111111111"], ["note", "4111111111111111"]]
    assert redacted(body, keep=("app.api_key",)) == [*body[:2], ["note", "[redacted:card]"]]


# -- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "piece",
    [
        "password=",
        "password: ",
        "password=$",
        'password="',
        'password="$',
        "password=(",
        "password=,",
        "password=\\",
        "password=x,a",
        "password: a, ",
        "api_key=os.",
        "api_key=os.environ",
        "a",
        "a.",
        "-",
        "--password ",
        "?token=",
        "&sig=$",
        "cookie: a",
        "authorization: basic ",
        "\\",
        " ",
        "\t",
        "=",
    ],
)
def test_a_megabyte_of_whatever_text_is_done_with_in_one_go(piece: str) -> None:
    """No expression may take time that grows faster than the text: at 1 MB that would be hours, not a moment."""
    text = (piece * (2**20 // len(piece)))[: 2**20]
    spent = list(assigned(text, lambda name, _in_query: rule_for_name(name), ("[redacted:",)))
    assert all(start < end for start, end, _ in spent)
    redacted({"note": text + " API_KEY=hush"})


def test_what_stands_behind_thousands_of_secret_names_goes_as_a_whole() -> None:
    text = "password=$X " * (MOST_NAMES + 10) + "the rest, with a hidden word"
    found = redacted({"note": text})
    assert "hidden" not in str(found)
    assert str(found["note"]).startswith("password=$X password=$X ")
