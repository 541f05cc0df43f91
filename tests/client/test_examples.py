"""The programs of docs/examples do what docs/client.md says of them: against a real broker and a stand-in model."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ark_broker.client import Client
from tests.conformance.families.model_server import ANSWER, QUESTION, serving
from tests.support.process import Broker, environment, free_port
from tests.support.waiting import wait_until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    """Base URL of a stand-in for OpenAI."""
    with serving() as (url, _):
        yield url


@pytest.fixture
def variables(running: Broker, model: str) -> dict[str, str]:
    """The environment of an example."""
    return environment() | {"ARK_BROKER_URL": running.url, "OPENAI_BASE_URL": model, "OPENAI_API_KEY": "none"}


def start(variables: dict[str, str], *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def output(program: subprocess.Popen[str]) -> str:
    """What the program printed; it must have ended well."""
    printed, _ = program.communicate(timeout=90)
    assert program.returncode == 0, printed
    return printed


def only_query(client: Client, session: str) -> dict[str, Any]:
    """The one query of the session, with its name."""
    [(name, query)] = client.session(session)["queries"].items()
    return {"name": name, **query}


def text_of(client: Client, query: str) -> str:
    """The text that was streamed."""
    chunks = client.tail_query(query, events=False)
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", []))


def test_the_plain_openai_program_streams_its_answer_and_its_tool_call(
    variables: dict[str, str], sync_client: Client
) -> None:
    printed = output(start(variables, EXAMPLES / "openai_sdk.py", QUESTION))
    assert printed.strip() == ANSWER
    query = only_query(sync_client, "openai-example")
    [tool] = [entry for entry in query["events"] if entry["type"] == "tool.call"]
    assert (tool["tool"], tool["output"]) == ("get_weather", "18 degrees and sunny in Paris")
    assert query["phase"] == "done"
    assert query["agents"] == ["weather"]
    assert text_of(sync_client, query["name"]) == ANSWER


def test_the_langchain_program_waits_for_a_person(variables: dict[str, str], sync_client: Client) -> None:
    program = start(variables, EXAMPLES / "langchain_agent.py", QUESTION)
    waiting = {"state": "open", "session": "langchain-example"}
    [asked] = wait_until(lambda: program.poll() is None and list(sync_client.questions(**waiting)), timeout=90)
    assert only_query(sync_client, "langchain-example")["phase"] == "waiting"
    sync_client.answer(asked["id"], "yes", by="tests")
    assert output(program).strip() == ANSWER
    query = only_query(sync_client, "langchain-example")
    [tool] = [entry for entry in query["events"] if entry["type"] == "tool.call"]
    assert tool["output"] == "18 degrees and sunny in Paris"
    assert query["phase"] == "done"
    assert text_of(sync_client, query["name"]) == ANSWER


@contextmanager
def web_service(variables: dict[str, str]) -> Iterator[str]:
    """The example's URL, while it runs; it must end without complaint."""
    port = free_port()
    program = start(variables, "-m", "uvicorn", "--app-dir", EXAMPLES, "--port", str(port), "fastapi_app:app")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: program.poll() is not None or is_up(url), timeout=90)
        yield url
    finally:
        program.send_signal(signal.SIGINT)
        printed, _ = program.communicate(timeout=30)
    assert program.returncode in (0, -signal.SIGINT), printed
    assert "Traceback" not in printed


def ask(url: str) -> str:
    """Ask the service; the name of the query that answers."""
    found: str = httpx.post(f"{url}/questions", json={"text": QUESTION}, timeout=60).raise_for_status().json()["query"]
    return found


def test_the_web_service_hands_on_the_answer(variables: dict[str, str], sync_client: Client) -> None:
    with web_service(variables) as url:
        query = ask(url)
        for _ in range(2):
            assert httpx.get(f"{url}/answers/{query}", timeout=60).text == ANSWER
        assert wait_until(lambda: sync_client.query(query)["phase"] == "done")
        assert httpx.get(f"{url}/answers/nobody").status_code == 404


def test_the_web_service_hands_on_what_went_wrong(variables: dict[str, str], sync_client: Client) -> None:
    variables["OPENAI_BASE_URL"] = variables["ARK_BROKER_URL"] + "/nowhere"
    with web_service(variables) as url:
        query = ask(url)
        assert wait_until(lambda: sync_client.query(query)["phase"] == "error")
        assert "404" in httpx.get(f"{url}/answers/{query}", timeout=60).text


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/openapi.json").status_code == 200
    except httpx.TransportError:
        return False
