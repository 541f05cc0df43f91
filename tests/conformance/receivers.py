"""`make receivers`: install real receivers of OTLP, and deliver to them. Needs the network, and Go for two of them.

What can be installed is, once, into `.conformance/receivers`; what cannot is named, and its tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / ".conformance" / "receivers"
SUITES: Final = ("tests/conformance/test_receivers.py", "tests/conformance/test_collector.py")
#: The last version whose all-in-one program is one `go build`, and keeps its traces in memory.
JAEGER: Final = "github.com/jaegertracing/jaeger@v1.76.0"


def phoenix() -> Path | None:
    """The `phoenix` command, installed with pip."""
    program = PLACE / "phoenix" / "bin" / "phoenix"
    if not program.exists():
        print("installing Phoenix …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", PLACE / "phoenix"], check=True)
        pip = [PLACE / "phoenix" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "arize-phoenix"], check=False).returncode != 0:
            return None
    return program


def jaeger() -> Path | None:
    """Jaeger's all-in-one program, built with Go."""
    program = PLACE / "jaeger"
    go = shutil.which("go")
    if program.exists() or go is None:
        return program if program.exists() else None
    print("building Jaeger …", flush=True)
    environment = os.environ | {"GOPATH": str(PLACE / "go"), "GOFLAGS": "-modcacherw"}
    download = [go, "mod", "download", "-json", JAEGER]
    found = subprocess.run(download, cwd=PLACE, env=environment, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        print(found.stderr or found.stdout)
        return None
    source = json.loads(found.stdout)["Dir"]
    build = [go, "build", "-o", program, "./cmd/all-in-one"]
    built = subprocess.run(build, cwd=source, env=environment, check=False)
    return program if built.returncode == 0 else None


def collector() -> Path | None:
    """The OpenTelemetry Collector of `tests/conformance/collector`, built with Go."""
    program = PLACE / "collector"
    go = shutil.which("go")
    if program.exists() or go is None:
        return program if program.exists() else None
    print("building the Collector …", flush=True)
    environment = os.environ | {"GOPATH": str(PLACE / "go"), "GOFLAGS": "-mod=mod -modcacherw"}
    source = shutil.copytree(
        ROOT / "tests" / "conformance" / "collector", PLACE / "collector-source", dirs_exist_ok=True
    )
    built = subprocess.run([go, "build", "-p", "1", "-o", program, "."], cwd=source, env=environment, check=False)
    return program if built.returncode == 0 else None


def main() -> int:
    """Returns pytest's exit code."""
    PLACE.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    programs = (
        ("ARK_BROKER_TEST_JAEGER", jaeger()),
        ("ARK_BROKER_TEST_PHOENIX", phoenix()),
        ("ARK_BROKER_TEST_COLLECTOR", collector()),
    )
    for variable, program in programs:
        if program is not None:
            environment[variable] = str(program)
    command = [sys.executable, "-m", "pytest", "-v", *SUITES, *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
