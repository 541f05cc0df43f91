"""`ark-broker questions` and `ark-broker answer`, against a real broker."""

from __future__ import annotations

import json

import httpx

from tests.cli.terminal import on_terminal
from tests.support.process import Broker, run_command


def ask(broker: Broker, **fields: object) -> str:
    body = {"text": "Deploy?", "session": "s1", "query": "q1", "options": ["yes", "no", 3], **fields}
    response = httpx.post(f"{broker.url}/v1/questions", json=body)
    assert response.status_code == 201, response.text
    found: str = response.json()["id"]
    return found


def test_a_person_lists_what_waits_and_answers_it(broker: Broker) -> None:
    question = ask(broker)

    listed = run_command("questions", "--url", broker.url)
    answered = run_command("answer", f"ark://questions/{question}", "yes", "--url", broker.url, "--by", "ann")
    again = run_command("answer", question, "no", "--url", broker.url)
    left = run_command("questions", "--url", broker.url)

    [row] = [line.split("\t") for line in listed.stdout.splitlines()]
    assert (row[:3], row[4]) == ([question, "open", "s1/q1"], 'Deploy? ["yes", "no", 3]')
    assert (answered.returncode, '-> "yes" by ann' in answered.stdout) == (0, True)
    assert (again.returncode, "the question is answered" in again.stderr) == (1, True)
    assert (left.returncode, left.stdout) == (0, "")
    assert httpx.get(f"{broker.url}/v1/questions/{question}").json()["answeredBy"] == "ann"


def test_a_value_that_is_json_is_taken_as_that(broker: Broker) -> None:
    number, text = ask(broker), ask(broker, options=["3"])

    assert run_command("answer", number, "3", "--url", broker.url).returncode == 0
    assert run_command("answer", text, '"3"', "--url", broker.url).returncode == 0
    wrong = run_command("answer", ask(broker), "maybe", "--url", broker.url)
    assert (wrong.returncode, "must be one of" in wrong.stderr) == (1, True)


def test_all_of_them_as_json_lines(broker: Broker) -> None:
    question = ask(broker)
    run_command("answer", question, "yes", "--url", broker.url)

    lines = run_command("questions", "--all", "--json", "--session", "s1", "--url", broker.url).stdout.splitlines()

    assert [json.loads(line)["state"] for line in lines] == ["answered"]


def test_what_telemetry_says_cannot_write_on_the_terminal(broker: Broker) -> None:
    ask(broker, text="\x1b[2Jgone\r\nfake  open")

    [line] = run_command("questions", "--url", broker.url).stdout.splitlines()

    assert line.replace("\t", "").isprintable()


def test_a_broker_that_is_not_there_is_said_in_one_line() -> None:
    done = run_command("questions", "--url", "http://127.0.0.1:9")

    assert done.returncode == 5
    assert done.stderr.startswith("ark-broker: no answer from http://127.0.0.1:9")


def test_on_a_terminal_a_choice_is_asked_for(broker: Broker) -> None:
    question = ask(broker)

    with on_terminal("answer", question, "--url", broker.url, "--by", "ann") as terminal:
        terminal.wait_for("Deploy?")
        terminal.wait_for("2) no")
        terminal.type("maybe\n")
        terminal.wait_for('"maybe" cannot be the answer')
        terminal.type("2\n")
        assert terminal.wait() == 0
        terminal.wait_for('-> "no" by ann')
    assert httpx.get(f"{broker.url}/v1/questions/{question}").json()["answer"] == "no"


def test_a_form_is_made_from_the_schema(broker: Broker) -> None:
    schema = {
        "type": "object",
        "required": ["approved"],
        "properties": {"approved": {"type": "boolean"}, "comment": {"type": "string"}},
    }
    question = ask(broker, options=None, schema=schema)

    with on_terminal("answer", question, "--url", broker.url) as terminal:
        terminal.wait_for("approved (yes/no)")
        terminal.type("yes\n")
        terminal.wait_for("comment, empty to leave it out")
        terminal.type("\n")
        assert terminal.wait() == 0
    assert httpx.get(f"{broker.url}/v1/questions/{question}").json()["answer"] == {"approved": True}


def test_whoever_leaves_the_form_answers_nothing(broker: Broker) -> None:
    question = ask(broker)

    with on_terminal("answer", question, "--url", broker.url) as terminal:
        terminal.wait_for("answer (1-3)")
        terminal.type("\x03")
        assert terminal.wait() == 130
    assert httpx.get(f"{broker.url}/v1/questions/{question}").json()["state"] == "open"


def test_a_question_that_is_over_is_not_asked_again(broker: Broker) -> None:
    question = ask(broker)
    run_command("answer", question, "yes", "--url", broker.url)

    with on_terminal("answer", question, "--url", broker.url) as terminal:
        assert terminal.wait() == 1
        terminal.wait_for("the question is answered")
