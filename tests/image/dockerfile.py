"""Reads the Dockerfile, and carries it out in a directory, without a container engine.

The RUN lines are run as they are written. They reach their layers by variables, and everything else relative to the
working directory, so that nothing but the base image's Python has to be stood in for.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dockerfile_parse import DockerfileParser

REPOSITORY: Final = Path(__file__).parents[2]
DOCKERFILE: Final = REPOSITORY / "Dockerfile"

#: Where the Dockerfile's first stage lays out the image.
_LAYERS: Final = "/layers/"


@dataclass(frozen=True)
class Instruction:
    """One instruction, with its continuation lines joined."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The value as a shell splits it, or the list of its JSON form."""
        return list(json.loads(self.value)) if self.value.startswith("[") else shlex.split(self.value)


@dataclass
class Stage:
    """What follows one FROM."""

    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    def only(self, name: str) -> Instruction:
        (instruction,) = self.all(name)
        return instruction

    @property
    def environment(self) -> dict[str, str]:
        """Variables that ENV sets."""
        pairs = (word.partition("=") for line in self.all("ENV") for word in line.words)
        return {name: value for name, _, value in pairs}

    @property
    def healthcheck(self) -> list[str]:
        """The command of HEALTHCHECK."""
        _, _, command = self.only("HEALTHCHECK").value.partition(" CMD ")
        return list(json.loads(command))


def instructions() -> list[Instruction]:
    """Every instruction of the Dockerfile, in order."""
    parser = DockerfileParser(path=str(DOCKERFILE), cache_content=True)
    return [
        Instruction(line["instruction"], line["value"]) for line in parser.structure if line["instruction"] != "COMMENT"
    ]


def stages() -> list[Stage]:
    """The stages of the Dockerfile, in order."""
    found: list[Stage] = []
    for instruction in instructions():
        if instruction.name == "FROM":
            found.append(Stage(instruction.words[0]))
        elif found:
            found[-1].instructions.append(instruction)
    return found


def base_binaries() -> Path:
    """The directory of the interpreter below this environment: it plays the part of the base image's."""
    return Path(sys.base_prefix) / "bin"


def build(directory: Path) -> Path:
    """Carry out the Dockerfile. Returns the root of the image's file system.

    Takes root, for files that belong to the image's user. Raises CalledProcessError where a step fails.
    """
    first, final = stages()
    _carry_out(first, directory)
    image = directory / "image"
    image.mkdir()
    for copy in final.all("COPY"):
        _lay(copy.words, directory, image)
    return image


def _carry_out(stage: Stage, directory: Path) -> None:
    work = directory / "build"
    work.mkdir()
    environment = _build_environment(stage, directory)
    shell = stage.only("SHELL").words
    for instruction in stage.instructions:
        match instruction.name:
            case "RUN":
                subprocess.run([*shell, instruction.value], cwd=work, env=environment, check=True)
            case "COPY":
                _copy(instruction.words, work)


def _build_environment(stage: Stage, directory: Path) -> dict[str, str]:
    layers = {
        name: value.replace(_LAYERS, f"{directory}{_LAYERS}")
        for name, value in stage.environment.items()
        if name != "PIP_NO_CACHE_DIR"  # what the test environment was made of is at hand in pip's cache
    }
    # How this machine reaches its package index is its own affair.
    machine = {name: value for name, value in os.environ.items() if name == "HOME" or name.startswith(("PIP_", "SSL_"))}
    return {"PATH": f"{base_binaries()}:/usr/sbin:/usr/bin:/sbin:/bin", **machine, **layers}


def _copy(words: list[str], work: Path) -> None:
    *sources, target = words
    for source in sources:
        found = REPOSITORY / source
        if found.is_dir():
            shutil.copytree(found, work / target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(found, work / target)


def _lay(words: list[str], directory: Path, image: Path) -> None:
    *options, source, target = words
    layer = Path(f"{directory}{source}")
    subprocess.run(["cp", "--archive", f"{layer}/.", f"{image}{target}"], check=True)
    for option in options:
        name, _, owner = option.partition("=")
        if name == "--chown":
            for path in layer.rglob("*"):
                subprocess.run(["chown", owner, image / path.relative_to(layer)], check=True)
