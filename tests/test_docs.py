"""What the pages say is so: links lead somewhere, commands and settings exist, examples run."""

import asyncio
import re
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest

from ark_broker.cli.demo_story import WEATHER
from ark_broker.cli.main import app
from ark_broker.settings import Settings, variable
from tests.support.mcp import give
from tests.support.otlp import TRACE
from tests.support.process import Broker, environment, run_command

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.fixture(params=PAGES, ids=NAMES)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_settings_page_is_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "docs" / "settings_page.py", "--check"], capture_output=True, text=True, check=False
    )

    assert check.returncode == 0, check.stderr


def test_the_settings_page_names_every_setting_with_a_meaning() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()

    for name, field in Settings.model_fields.items():
        assert f"`{variable(name)}`" in text
        assert field.description


def test_an_outdated_settings_page_is_noticed(tmp_path: Path) -> None:
    script = tmp_path / "settings_page.py"
    script.write_text((ROOT / "docs" / "settings_page.py").read_text())
    (tmp_path / "settings.md").write_text("of yesterday")

    main = runpy.run_path(str(script))["main"]

    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_links_lead_to_files_that_exist(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_variable_that_is_mentioned_exists(page: Path) -> None:
    known = {variable(name) for name in Settings.model_fields}
    known |= {"ARK_BROKER_URL", "ARK_BROKER_TOKEN", "ARK_BROKER_CONFIG", "ARK_BROKER_TEST_POSTGRES_URL"}

    assert set(re.findall(r"ARK_BROKER_[A-Z0-9_]*[A-Z0-9]", page.read_text())) <= known


def test_every_make_target_that_is_mentioned_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^ {4}|`|; )make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE)) <= targets


def test_every_command_that_is_mentioned_exists(page: Path) -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    commands |= {group.typer_instance.info.name for group in app.registered_groups}

    assert set(re.findall(r"bin/ark-broker ([a-z]+)|`ark-broker ([a-z]+)", page.read_text())) <= {
        pair for name in commands for pair in ((name, ""), ("", name))
    }


def test_the_readme_starts_with_the_two_commands() -> None:
    commands = re.findall(r"^ {4}(make \w+)", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert commands == ["make run", "make test"]


def shell_blocks(path: Path) -> list[str]:
    """Indented blocks of a page, as they would be pasted into a shell."""
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", path.read_text(), re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip("\n") for block in blocks]


def test_the_readmes_examples_of_sending_work_as_they_are_written(broker: Broker) -> None:
    sent = [block for block in shell_blocks(ROOT / "README.md") if "/stream/my-query" in block or "/v1/events" in block]
    assert len(sent) == 2

    for block in sent:
        here = block.replace("http://127.0.0.1:4318", broker.url).replace("curl ", "curl -sS --fail-with-body ")
        result = subprocess.run(["/bin/bash", "-ec", here], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr

    query = httpx.get(f"{broker.url}/v1/queries/my-query", timeout=60).json()
    assert query["name"] == "my-query"
    session = httpx.get(f"{broker.url}/v1/sessions/my-session", timeout=60).json()
    assert "my-query" in session["queries"]


def test_the_quickstarts_program_makes_the_session_it_promises(broker: Broker, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "quickstart.md").read_text(), re.DOTALL)
    file = tmp_path / "program.py"
    file.write_text(program.replace("http://127.0.0.1:4318", broker.url))

    subprocess.run([sys.executable, file], env=environment() | {"OTEL_EXPORTER_OTLP_TIMEOUT": "60"}, check=True)

    session = httpx.get(f"{broker.url}/v1/sessions/my-session", timeout=60).json()
    types = [event["type"] for event in session["queries"]["my-query"]["events"]]
    assert sorted(types) == ["agent.completed", "llm.request", "tool.call"]


def test_the_openai_client_of_the_api_page_reads_the_demo(broker: Broker) -> None:
    assert run_command("demo", "--no-ask", "--speed", "max", url=broker.url).returncode == 0
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    here = program.replace("http://127.0.0.1:4318", broker.url)

    result = subprocess.run(
        [sys.executable, "-c", here], env=environment(), capture_output=True, text=True, check=False, timeout=60
    )

    assert (result.returncode, result.stdout) == (0, WEATHER), result.stderr


async def test_the_agent_of_the_mcp_page_gets_its_answer(broker: Broker) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mcp.md").read_text(), re.DOTALL)
    lines = example.replace("http://127.0.0.1:4318", broker.url).replace(
        "    result.structured_content", "    return result.structured_content"
    )
    program = "async def main(traceparent):\n" + textwrap.indent(lines, "    ")
    found: dict[str, Any] = {}
    exec(program, found)

    asked = asyncio.create_task(found["main"](f"00-{TRACE}-00f067aa0ba902b7-01"))
    async with httpx.AsyncClient(base_url=broker.url, timeout=60) as http:
        await give(http, "yes")
    assert await asked == "yes"
