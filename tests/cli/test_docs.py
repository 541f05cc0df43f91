"""The examples of docs/cli.md, run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ark_broker.cli.main import app
from tests.support.process import PROGRAM, StartBroker, environment, run_command

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.mark.timeout(400)
def test_the_examples_work_and_show_what_the_page_shows(
    start_broker: StartBroker, sqlite_url: str, tmp_path: Path
) -> None:
    broker = start_broker(sqlite_url)
    assert run_command("demo", "--no-ask", "--speed", "max", "--url", broker.url).returncode == 0
    page = PAGE.read_text()
    commands = re.findall(r"^    \$ (.+)$", page, re.MULTILINE)
    assert len(commands) > 15
    variables = environment({"url": broker.url}) | {"PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}

    shown = {}
    for command in commands:
        if "jq" in command and shutil.which("jq") is None:
            command = command.partition("|")[0]  # noqa: PLW2901
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=tmp_path,
            env=variables,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        shown[command] = done.stdout

    assert (tmp_path / "abc.jsonl").exists()
    tree = "".join(f"    {line}\n" for line in shown["ark-broker session session-abc"].splitlines())
    assert tree in page


@pytest.mark.parametrize(
    "name", sorted(command.name or command.callback.__name__ for command in app.registered_commands)
)
def test_the_page_names_every_command(name: str) -> None:
    if name != "version":
        assert re.search(rf"`{name.rstrip('_')}\b", PAGE.read_text())
