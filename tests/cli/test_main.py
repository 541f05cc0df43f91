import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ark_broker import __version__
from ark_broker.cli.main import app
from tests.support.process import PROGRAM, environment, run_command


def test_every_command_explains_itself() -> None:
    assert {command.name or command.callback.__name__ for command in app.registered_commands} == {
        *("serve", "migrate", "demo", "doctor", "version"),
        *("sessions", "session", "tail", "replay", "conversation", "questions", "correlate", "top", "status"),
        *("answer", "send", "export", "import"),
    }
    for command in app.registered_commands:
        assert command.callback.__doc__
    for command in app.registered_commands:
        if command.rich_help_panel in ("Look", "Act") and command.name != "import":
            assert "Exit codes: " in command.callback.__doc__
            assert "\n        ark-broker " in command.callback.__doc__, "an example"


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_version_is_printed(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0
    assert result.stdout.startswith(f"ark-broker {__version__} ")


def test_help_says_what_exit_codes_mean() -> None:
    result = CliRunner().invoke(app, ["--help"])

    assert result.exit_code == 0
    assert "Exit codes" in result.stdout


def test_completion_for_a_shell_is_printed() -> None:
    shown = subprocess.run(
        ["bash", "-c", f"{PROGRAM} --show-completion bash; exit $?"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    words = subprocess.run(
        [PROGRAM],
        env=environment()
        | {"_ARK_BROKER_COMPLETE": "complete_bash", "COMP_WORDS": "ark-broker sess", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "complete -o default -F _ark_broker_completion ark-broker" in shown.stdout
    assert words.stdout.split() == ["sessions", "session"]


def test_an_unknown_option_is_exit_code_2() -> None:
    assert run_command("serve", "--no-such-option").returncode == 2


def test_the_module_runs_as_the_program_does() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ark_broker", "version"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert __version__ in result.stdout


def test_help_does_not_import_what_serving_needs() -> None:
    program = "import sys, ark_broker.cli.main; print([m for m in sys.modules if m in sys.argv[1:]])"
    result = subprocess.run(
        [sys.executable, "-c", program, "fastapi", "sqlalchemy", "pydantic", "opentelemetry.sdk", "httpx"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("url", ["broker", "http://", "http://[::1", "http://broker:port", "http://broker:99999"])
def test_what_is_no_url_is_said_to_be_none(url: str) -> None:
    result = CliRunner().invoke(app, ["sessions", "--url", url])

    assert result.exit_code == 2
    assert "--url" in result.stderr


@pytest.mark.parametrize("token", ["se\ncret", "secr\xe9t", "secr et"])
def test_a_token_that_can_be_none_is_refused_and_not_shown(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARK_BROKER_TOKEN", token)

    result = CliRunner().invoke(app, ["sessions", "--url", "http://127.0.0.1:9"])

    assert result.exit_code == 1
    assert result.stderr.startswith("ark-broker: the token has a character")
    assert "cr" not in result.stderr.removeprefix("ark-broker: the token has a character")


def test_a_name_that_is_no_text_is_refused() -> None:
    result = CliRunner().invoke(app, ["session", "\udcff", "--url", "http://127.0.0.1:9"])

    assert result.exit_code == 2
    assert result.stderr == "ark-broker: '\\udcff' is not UTF-8\n"
