"""Finds Chromium; run as a program, installs it where that can be done. Exit code 1 where there is none at the end.

Playwright's own builds are not downloaded: Debian's is found first, and its security fixes come with the system's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_HOW: Final = (
    "No Chromium was found. On Debian and Ubuntu, as root: apt-get install chromium. Elsewhere install Chromium or "
    "Chrome so that it is on the PATH, or run: .venv/bin/playwright install chromium"
)
#: root has no sandbox to run in; a container's /dev/shm is often too small for a page.
ARGUMENTS: Final = ("--disable-dev-shm-usage", *(("--no-sandbox",) if os.geteuid() == 0 else ()))


def find() -> Path | None:
    """The browser's program; None where there is none."""
    for name in _NAMES:
        if found := shutil.which(name):
            return Path(found)
    return _playwrights_own()


def _playwrights_own() -> Path | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def _install() -> None:
    """By apt, for root. Raises CalledProcessError."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", "--quiet", *command], env=environment, check=True, stdout=sys.stderr)


def main() -> int:
    if find() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        sys.stderr.write("Installing Chromium ...\n")
        try:
            _install()
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{error}\n")
    if find() is None:
        sys.stderr.write(f"{_HOW}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
