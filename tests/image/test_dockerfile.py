"""The Dockerfile and what it is given: linted, pinned, and true to the settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from ark_broker.settings import Settings, load_settings, variable
from tests.image.dockerfile import DOCKERFILE, REPOSITORY, Instruction, Stage, instructions, stages

HADOLINT = Path(sys.executable).with_name("hadolint")
REGISTRY = re.compile(r"\b(?:[\w-]+\.)+(?:io|com|org|dev|net|cloud)/", re.IGNORECASE)


@pytest.fixture(scope="module")
def final() -> Stage:
    return stages()[-1]


@pytest.fixture(scope="module")
def sources() -> set[str]:
    """What is copied from the checkout."""
    copies = [instruction for stage in stages() for instruction in stage.all("COPY")]
    return {word for copy in copies if "--from=" not in copy.value for word in copy.words[:-1]}


def test_hadolint_finds_nothing() -> None:
    lint = subprocess.run(
        [HADOLINT, "--no-color", "--failure-threshold", "ignore", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (lint.returncode, lint.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    unpinned = tmp_path / "Dockerfile"
    unpinned.write_text("FROM python\n")

    lint = subprocess.run([HADOLINT, unpinned], capture_output=True, text=True, check=False)

    assert "DL3006" in lint.stdout


def test_the_base_images_are_exact_versions_that_the_package_and_the_dashboard_support() -> None:
    arguments = [instruction.value.partition("=") for instruction in instructions() if instruction.name == "ARG"]
    images = {name: image for name, _, image in arguments}
    python = re.fullmatch(r"python:(\d+\.\d+\.\d+)-bookworm(@sha256:[0-9a-f]{64})?", images["PYTHON_IMAGE"])
    node = re.fullmatch(r"node:(\d+\.\d+\.\d+)-bookworm-slim(@sha256:[0-9a-f]{64})?", images["NODE_IMAGE"])
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    package = json.loads((REPOSITORY / "ui" / "package.json").read_text())

    assert python is not None
    assert python[1] in SpecifierSet(project["requires-python"])
    assert node is not None
    assert node[1] in SpecifierSet(package["engines"]["node"])
    assert [stage.base for stage in stages()] == ["${NODE_IMAGE}", "${PYTHON_IMAGE}", "scratch"]


@pytest.mark.parametrize("file", ["Dockerfile", ".dockerignore", "docker-compose.yaml", "docs/docker.md"])
def test_no_registry_is_named(file: str) -> None:
    assert REGISTRY.findall((REPOSITORY / file).read_text()) == []


def test_what_is_copied_is_what_is_sent_to_the_builder(sources: set[str]) -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]

    assert patterns[0] == "*"
    assert {pattern[1:] for pattern in patterns if pattern.startswith("!")} == {
        source for source in sources if not source.startswith("ui/")
    }
    assert [pattern for pattern in patterns[1:] if not pattern.startswith("!")] == [
        "src/ark_broker/_ui",
        "**/node_modules",
        "**/__pycache__",
        "**/*.py[cod]",
    ]


def test_what_is_copied_is_in_a_clean_checkout(sources: set[str]) -> None:
    for source in sources:
        tracked = subprocess.run(
            ["git", "ls-files", "--", source], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        assert tracked.stdout, source


def test_it_runs_as_a_numeric_user_that_is_not_root(final: Stage) -> None:
    assert final.only("USER").value == "10001:10001"


def test_it_serves_and_is_stopped_as_the_broker_wants_it(final: Stage) -> None:
    assert final.only("ENTRYPOINT").words == ["ark-broker"]
    assert final.only("CMD").words == ["serve"]
    assert final.only("STOPSIGNAL").value == "SIGTERM"


def test_its_variables_are_settings_and_agree_with_ports_and_volume(final: Stage) -> None:
    known = {variable(name): name for name in Settings.model_fields}
    given = {name: value for name, value in final.environment.items() if name.startswith("ARK_BROKER_")}
    assert given.keys() <= known.keys()
    settings = load_settings({known[name]: value for name, value in given.items()})

    assert settings.host == "0.0.0.0"
    assert settings.allow_open
    assert not settings.auth
    assert final.only("EXPOSE").words == [str(settings.port), str(settings.grpc_port)]
    assert final.only("VOLUME").value == str(settings.data_dir) == "/data"


def test_it_says_what_it_is(final: Stage) -> None:
    labels = dict(word.split("=", 1) for word in final.only("LABEL").words)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

    assert labels["org.opencontainers.image.description"] == project["description"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]


def test_commands_of_the_final_stage_need_no_shell(final: Stage) -> None:
    assert final.all("RUN") == []
    assert final.healthcheck[0] == "python"
    for name in ("ENTRYPOINT", "CMD"):
        assert isinstance(final.only(name), Instruction)
        assert final.only(name).value.startswith("[")
