"""The commands that read, as processes against a real broker: in a pipe, and on a terminal."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Feeder
from tests.cli.hostile import HOSTILE
from tests.cli.render.test_printable import is_safe
from tests.cli.terminal import on_terminal
from tests.support.process import PROGRAM, environment, free_port, run_command


def test_sessions_are_listed_filtered_and_limited(feeder: Feeder) -> None:
    feeder.event("query.started", agent="planner")

    plain = run_command("sessions", "--url", feeder.url, "--query", feeder.query)
    as_json = run_command("sessions", "--url", feeder.url, "--query", feeder.query, "--json")
    none = run_command("sessions", "--url", feeder.url, "--query", feeder.query, "--status", "error")

    [line] = plain.stdout.splitlines()
    assert line.split("\t")[:4] == [feeder.session, "active", "1: 1 running", "planner"]
    assert [json.loads(each)["id"] for each in as_json.stdout.splitlines()] == [feeder.session]
    assert (none.stdout, none.returncode) == ("", 0)
    assert len(run_command("sessions", "--url", feeder.url, "-n", "1").stdout.splitlines()) == 1


def test_a_newcomer_finds_the_failed_tool_call_in_one_look(feeder: Feeder) -> None:
    feeder.failed_tool_call()

    shown = run_command("session", feeder.session, "--url", feeder.url)

    failed = '[tool] web_search({"q": "weather NYC"}) -> ERROR connection refused'
    assert shown.stdout.splitlines()[:3] == [
        "Sessions",
        f"+-- {feeder.session} (error)",
        f"|   +-- {feeder.query} (error)",
    ]
    assert any(line.endswith(f"+-- {failed}") for line in shown.stdout.splitlines())
    heading, last = shown.stdout.splitlines()[-2:]
    assert heading == "1 error:"
    assert last.startswith(f'  {feeder.query}: tool web_search({{"q": "weather NYC"}}): connection refused (span ')
    with on_terminal("session", feeder.session, "--url", feeder.url) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("1 error:")
        assert "└── " in terminal.text
        assert failed in terminal.text
        assert "\x1b[1;31m" in terminal.raw, "what failed is red"


def test_the_tree_is_plain_in_a_pipe_and_without_colour_where_nobody_wants_it(feeder: Feeder) -> None:
    feeder.event("query.started")

    assert run_command("session", feeder.session, "--url", feeder.url).stdout.isascii()
    with on_terminal("session", feeder.session, "--url", feeder.url, NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("[event] query.started")
        assert "\x1b[3" not in terminal.raw.replace("\x1b[39m", "")


def test_hostile_telemetry_never_reaches_the_terminal(feeder: Feeder) -> None:
    for text in HOSTILE.values():
        # What UTF-8 or PostgreSQL cannot hold is refused by the broker.
        if not any("\ud800" <= each <= "\udfff" or each == "\0" for each in text):
            feeder.event("tool.call", tool=text, agent=text, error=text, message=text)
    feeder.stream(*(text for text in HOSTILE.values() if text.isprintable() or "\x1b" in text))
    feeder.ask(text="\x1b]52;c;x\x07[bold]Deploy[/bold]?\u202e", options=["\x9b2J"])

    commands = (
        ["session", feeder.session],
        ["session", feeder.session, "--full"],
        ["session", feeder.session, "--json"],
        ["sessions", "--query", feeder.query],
        ["sessions", "--query", feeder.query, "--json"],
        ["tail", feeder.session, "-n", "40"],
        ["tail", feeder.session, "-n", "40", "--json"],
        ["questions", "--session", feeder.session],
        ["conversation", feeder.session],
        ["replay", feeder.query, "--speed", "max"],
        ["replay", feeder.query, "--speed", "max", "--text"],
        ["export", feeder.session],
        ["top", "--once"],
    )
    for command in commands:
        with on_terminal(*command, "--url", feeder.url) as terminal:
            assert terminal.wait() == 0, terminal.text
            # What is left, once the styles that rich may use are taken away.
            assert is_safe(terminal.text.replace("\t", " ")), command
            assert "]52" not in terminal.raw.replace("\\x1b]52", "").replace("\\u001b]52", "")
            assert "\x1b[2J" not in terminal.raw


def test_rich_markup_in_telemetry_is_text(feeder: Feeder) -> None:
    feeder.event("tool.call", tool="[bold red]x[/bold red]", message=":skull:", output="[/]")

    with on_terminal("session", feeder.session, "--url", feeder.url) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("[tool] [bold red]x[/bold red]")


def test_a_conversation_is_a_chat_and_openai_messages_in_json(feeder: Feeder) -> None:
    feeder.event("query.started", input="Weather?")
    feeder.stream("It is", " sunny.")

    plain = run_command("conversation", feeder.session, "--url", feeder.url)
    as_json = run_command("conversation", feeder.session, "--url", feeder.url, "--json")

    assert "assistant: It is sunny.\n" in plain.stdout
    assert json.loads(as_json.stdout.splitlines()[-1]) == {"role": "assistant", "content": "It is sunny."}


def test_replay_types_the_text_again(feeder: Feeder) -> None:
    feeder.event("query.started")
    feeder.stream("Hello", " you")

    told = run_command("replay", feeder.query, "--url", feeder.url, "--speed", "max")
    text = run_command("replay", feeder.query, "--url", feeder.url, "--speed", "10", "--text")
    frames = run_command("replay", feeder.query, "--url", feeder.url, "--speed", "max", "--json").stdout.splitlines()

    assert re.sub(r"\d\d:\d\d:\d\d ", "", told.stdout) == (
        f"{feeder.query} [event] query.started\n{feeder.query} [stream] Hello you\n"
    )
    assert text.stdout == "Hello you\n"
    assert [json.loads(each).get("type") for each in frames] == ["event", None, None]


def test_correlation_says_where_something_belongs(feeder: Feeder) -> None:
    feeder.event("task.updated", taskId=f"task-{feeder.session}", taskState="working")

    known = run_command("correlate", "--task-id", f"task-{feeder.session}", "--url", feeder.url)
    as_json = run_command("correlate", "--task-id", f"task-{feeder.session}", "--url", feeder.url, "--json")
    unknown = run_command("correlate", "--trace-id", "0" * 31 + "1", "--url", feeder.url)

    assert f"session\t{feeder.session}\n" in known.stdout
    assert json.loads(as_json.stdout)["query"] == feeder.query
    assert unknown.returncode == 3
    assert run_command("correlate", "--url", feeder.url).returncode == 2


def test_an_exported_session_goes_where_it_was_said_and_comes_back(feeder: Feeder, tmp_path: Path) -> None:
    feeder.failed_tool_call()
    file = tmp_path / "s.jsonl"
    file.write_text("before")

    exported = run_command("export", feeder.session, "-o", file, "--url", feeder.url)
    spans = run_command("export", feeder.session, "--format", "otlp", "--url", feeder.url)
    missing = run_command("export", "no-such", "-o", tmp_path / "no.jsonl", "--url", feeder.url)

    assert (exported.returncode, exported.stdout) == (0, "")
    assert json.loads(file.read_text().splitlines()[0])["events"] == 3
    assert [*tmp_path.glob(".s.jsonl*")] == []
    assert "resourceSpans" in json.loads(spans.stdout)
    assert (missing.returncode, (tmp_path / "no.jsonl").exists()) == (3, False)
    sent = subprocess.run(
        [PROGRAM, "send", "--url", feeder.url],
        check=False,
        env=environment(),
        input=spans.stdout,
        text=True,
        capture_output=True,
    )
    assert sent.stdout == "sent 1 OTLP request\n"


def test_status_shows_how_the_broker_is(feeder: Feeder) -> None:
    feeder.ask()

    shown = dict(line.split(maxsplit=1) for line in run_command("status", "--url", feeder.url).stdout.splitlines())
    told = json.loads(run_command("status", "--url", feeder.url, "--json").stdout)

    assert (shown["ready"], shown["database"]) == ("yes", "SQLite")
    assert shown["questions"].endswith("waiting")
    assert told["ready"] is True
    assert told["head"] >= 1
    assert told["waitingQuestions"] >= 1


@pytest.mark.parametrize(
    "command",
    [
        ["sessions"], ["session", "s"], ["tail"], ["replay", "q"], ["conversation", "s"], ["questions"],
        ["answer", "q", "yes"], ["correlate", "--query", "q"], ["export", "s"], ["send", '{"type": "x"}'], ["top"],
        ["status"],
    ],
)  # fmt: skip
def test_a_broker_that_is_not_there_is_exit_code_5_and_one_line(command: list[str]) -> None:
    done = run_command(*command, "--url", f"http://127.0.0.1:{free_port()}")

    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("ark-broker: no answer from http://127.0.0.1:")
    assert done.stderr.count("\n") == 1


def test_what_is_not_known_is_exit_code_3(feeder: Feeder) -> None:
    for command in (["session", "no"], ["conversation", "no"], ["replay", "no"], ["answer", "no", "x"]):
        done = run_command(*command, "--url", feeder.url)
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), command


def test_a_wrong_option_is_exit_code_2(feeder: Feeder) -> None:
    for command in (
        ["sessions", "--status", "odd"],
        ["sessions", "--since", "tomorrow"],
        ["sessions", "--url", "broker"],
        ["tail", "s1", "--all"],
        ["tail", "--since", "now", "--after", "3"],
        ["send", "{broken"],
        ["answer", "q1"],
        ["session", ""],
    ):
        assert run_command(*command).returncode == 2, command


def test_head_ends_a_command_quietly(feeder: Feeder) -> None:
    for number in range(300):
        feeder.event("step", message=f"{number} " + "x" * 300)
    for command in (f"session {feeder.session} --full", f"tail {feeder.session}", f"export {feeder.session}"):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{PROGRAM} {command} --url {feeder.url} | head -n 1"],
            check=False,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
