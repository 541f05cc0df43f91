"""Reads the Dockerfile, and carries it out in a directory, without a container engine.

The RUN lines are run as they are written. They reach their layers by variables, and everything else relative to the
working directory, so that nothing but the base images' Python and Node.js has to be stood in for. Each stage has a
directory of its own, which plays the part of its root.
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

#: Where the stage that makes the image lays it out.
_LAYERS: Final = "/layers/"
#: Of what is copied from the checkout, what .dockerignore keeps from the builder.
_IGNORED: Final = ("__pycache__", "*.py[cod]", "node_modules", "_ui")
#: Beginnings of the names of variables that say how this machine reaches its package indexes: its own affair.
_MACHINE: Final = ("PIP_", "SSL_", "NPM_CONFIG_", "NODE_")


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
    name: str
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
            base, *alias = instruction.words
            found.append(Stage(base, alias[1] if alias else str(len(found))))
        elif found:
            found[-1].instructions.append(instruction)
    return found


def base_binaries() -> Path:
    """The directory of the interpreter below this environment: it plays the part of the base image's."""
    return Path(sys.base_prefix) / "bin"


def node_binaries() -> Path | None:
    """The directory of this machine's Node.js, or of this environment's; None where there is none."""
    found = shutil.which("npm") or shutil.which("npm", path=Path(sys.executable).parent)
    return None if found is None else Path(found).parent


def build(directory: Path) -> Path:
    """Carry out the Dockerfile. Returns the root of the image's file system.

    Takes root, for files that belong to the image's user. Raises CalledProcessError where a step fails.
    """
    *builders, final = stages()
    for stage in builders:
        _carry_out(stage, directory)
    image = directory / "image"
    image.mkdir()
    for copy in final.all("COPY"):
        _lay(copy.words, directory, image)
    return image


def layers(directory: Path) -> Path:
    """Where a build in that directory has laid out the image's layers, each in a directory with its name."""
    return Path(f"{directory / stages()[-2].name}{_LAYERS}")


def _carry_out(stage: Stage, directory: Path) -> None:
    root = directory / stage.name
    work = Path(f"{root}{stage.only('WORKDIR').value}")
    work.mkdir(parents=True)
    environment = _build_environment(stage, root)
    shell = stage.only("SHELL").words
    for instruction in stage.instructions:
        match instruction.name:
            case "RUN":
                subprocess.run([*shell, instruction.value], cwd=work, env=environment, check=True)
            case "COPY":
                _copy(instruction.words, directory, work)


def _build_environment(stage: Stage, root: Path) -> dict[str, str]:
    own = {
        name: value.replace(_LAYERS, f"{root}{_LAYERS}")
        for name, value in stage.environment.items()
        if name != "PIP_NO_CACHE_DIR"  # what the test environment was made of is at hand in pip's cache
    }
    machine = {name: value for name, value in os.environ.items() if name == "HOME" or name.upper().startswith(_MACHINE)}
    return {"PATH": f"{base_binaries()}:/usr/sbin:/usr/bin:/sbin:/bin:{node_binaries() or ''}", **machine, **own}


def _copy(words: list[str], directory: Path, work: Path) -> None:
    if words[0].startswith("--from="):
        stage, source, target = words[0].removeprefix("--from="), *words[1:]
        shutil.copytree(f"{directory / stage}{source}", work / target)
        return
    *sources, target = words
    for source in sources:
        found = REPOSITORY / source
        if found.is_dir():
            shutil.copytree(found, work / target, ignore=shutil.ignore_patterns(*_IGNORED), dirs_exist_ok=True)
        else:
            shutil.copy(found, work / target)


def _lay(words: list[str], directory: Path, image: Path) -> None:
    *options, source, target = words
    options, stage = options[1:], options[0].removeprefix("--from=")
    layer = Path(f"{directory / stage}{source}")
    subprocess.run(["cp", "--archive", f"{layer}/.", f"{image}{target}"], check=True)
    for option in options:
        name, _, owner = option.partition("=")
        if name == "--chown":
            for path in layer.rglob("*"):
                subprocess.run(["chown", owner, image / path.relative_to(layer)], check=True)
