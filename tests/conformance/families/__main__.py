"""`make conformance`: runs the real libraries against a broker, and prints what it made of what they sent."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from tests.conformance.families.model_server import serving
from tests.conformance.families.recorder import Request, recording, write_fixture
from tests.conformance.families.table import EXPECTED, FIELDS, Found, look
from tests.support.process import Broker

PRODUCERS: Final = Path(__file__).parent / "producers"
ENVIRONMENTS: Final = Path(".conformance")
#: Seconds that a program may take, and its installation.
_RUN_SECONDS: Final = 180
_INSTALL_SECONDS: Final = 900


def command_of(name: str) -> tuple[list[str], dict[str, str]]:
    """How to start a producer, installing what it needs where that was not done yet; and the versions it uses."""
    source, home = PRODUCERS / name, (ENVIRONMENTS / name).resolve()
    requirements = source / "requirements.txt"
    if requirements.exists():
        python = home / "bin" / "python"
        stamp = home / "installed.txt"
        if not stamp.exists() or stamp.read_text() != requirements.read_text():
            print(f"  installing {name} …", flush=True)
            _run([sys.executable, "-m", "venv", "--clear", str(home)])
            _run([str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install", "-r", str(requirements)])
            stamp.write_text(requirements.read_text())
        lines = [line for line in requirements.read_text().splitlines() if "==" in line and not line.startswith("#")]
        return [str(python), str(source / "main.py")], dict(line.strip().split("==") for line in lines)
    home.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        target = home / file.name
        if not target.exists() or target.read_bytes() != file.read_bytes():
            target.write_bytes(file.read_bytes())
            (home / "installed.txt").unlink(missing_ok=True)
    if not (home / "installed.txt").exists():
        print(f"  installing {name} …", flush=True)
        _run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"], cwd=home)
        (home / "installed.txt").touch()
    versions: dict[str, str] = json.loads((source / "package.json").read_text())["dependencies"]
    return ["node", str(home / "main.mjs")], versions


def _run(command: list[str], cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, timeout=_INSTALL_SECONDS)


def try_one(name: str, *, capture: bool) -> Found:
    """Run one producer against a fresh broker; returns what the broker made of it."""
    command, versions = command_of(name)
    session = f"session-{name}"
    with tempfile.TemporaryDirectory() as directory, serving() as (model_url, served):
        broker = Broker(Path(directory), {"trace_quiet_seconds": 2})
        broker.start()
        try:
            with recording(broker.url) as (url, requests):
                environment = os.environ | {"OTLP_ENDPOINT": url, "MODEL_URL": model_url, "SESSION": session}
                done = subprocess.run(
                    command, env=environment, timeout=_RUN_SECONDS, capture_output=True, text=True, check=False
                )
            if done.returncode != 0:
                return Found(problems=[f"exit code {done.returncode}: {done.stderr.strip()[-600:]}"])
            found = look(lambda path: _get(broker.url, path), session, served.json(), EXPECTED[name])
        finally:
            broker.close()
        if capture:
            _keep(name, versions, session, served.json(), requests)
    return found


def _keep(name: str, versions: dict[str, str], session: str, served: dict[str, int], requests: list[Request]) -> None:
    print(f"  kept {write_fixture(name, versions, session, served, requests)}")


def _get(url: str, path: str) -> dict[str, Any]:
    response = httpx.get(url + path, timeout=30)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def show(rows: dict[str, Found]) -> None:
    """Families × fields: ✔ for what is there, · for what the family does not send, ✘ for a hole."""
    table = Table(title="canonical fields, as the broker's readers see them", show_lines=False)
    table.add_column("family")
    for name in FIELDS:
        table.add_column(name.replace(" ", "\n"), justify="center")
    for family, found in rows.items():
        missing = EXPECTED[family].missing
        marks = ["✔" if name in found.fields else "·" if name in missing else "✘" for name in FIELDS]
        table.add_row(family, *marks)
    Console(width=220).print(table)
    for family, found in rows.items():
        for problem in found.problems:
            print(f"{family}: {problem}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="programs in tests/conformance/families/producers; all by default")
    parser.add_argument("--capture", action="store_true", help="keep what they sent as fixtures")
    arguments = parser.parse_args()
    rows = {}
    for name in arguments.names or sorted(path.name for path in PRODUCERS.iterdir() if path.is_dir()):
        print(f"  {name} …", flush=True)
        rows[name] = try_one(name, capture=arguments.capture)
    show(rows)
    return 1 if any(found.problems for found in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
