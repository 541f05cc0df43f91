"""`ark-broker questions` and `ark-broker answer`, against a real broker."""

from __future__ import annotations

import json

import httpx

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

    assert listed.stdout == f'{question}  open  s1/q1  Deploy? ["yes", "no", 3]\n'
    assert (answered.returncode, '→ "yes"' in answered.stdout) == (0, True)
    assert (again.returncode, "the question is answered" in again.stderr) == (1, True)
    assert left.stdout == "nothing waits for an answer\n"
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

    assert line.isprintable()


def test_a_broker_that_is_not_there_is_said_in_one_line() -> None:
    done = run_command("questions", "--url", "http://127.0.0.1:9")

    assert done.returncode == 1
    assert done.stderr.startswith("ark-broker: cannot reach the broker at http://127.0.0.1:9")
