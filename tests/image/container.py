"""Programs in the image's file system, shut in as a container engine would: read-only, with a user that is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.image.dockerfile import Stage, base_binaries, node_binaries

_SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"

#: In a mount namespace of its own: the root is read-only, `/data` is a directory from outside, `/proc` and `/dev` are
#: as engines provide them. It is replaced by the program in the end, so that signals reach that.
_ENTER: Final = """
image=$1 data=$2; shift 2
mount --bind "$image" "$image"
mount -o remount,ro,bind "$image"
mount --bind "$data" "$image/data"
mount -t proc proc "$image/proc"
mount -t tmpfs -o mode=755 none "$image/dev"
for device in null zero random urandom; do
  touch "$image/dev/$device"
  mount --bind "/dev/$device" "$image/dev/$device"
done
exec "$@"
"""


def why_not() -> str:
    """Why images can be neither built nor entered here; empty where they can."""
    if os.geteuid() != 0:
        return "takes root"
    missing = [tool for tool in ("strip", "dpkg-query", "unshare", "chroot") if _tool(tool) is None]
    if missing:
        return f"takes {', '.join(missing)}"
    if not (base_binaries() / "python").exists():
        return "takes a Python with a prefix of its own, such as the base image's"
    if node_binaries() is None:
        return "takes Node.js, which `make ui` fetches"
    allowed = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "" if allowed.returncode == 0 else "takes the right to mount"


def _tool(name: str) -> str | None:
    return shutil.which(name, path=_SYSTEM_PATH)


@dataclass(frozen=True)
class Image:
    """A built image: the root of its file system, and what the Dockerfile says about running it."""

    root: Path
    stage: Stage

    @property
    def user(self) -> tuple[int, int]:
        """User id and group id."""
        user, group = self.stage.only("USER").value.split(":")
        return int(user), int(group)

    def command(self, arguments: list[str], data: Path, **variables: object) -> list[str]:
        """How to run a program in it, with `data` as its volume and `variables` beside those of ENV."""
        os.chown(data, *self.user)
        environment = {**self.stage.environment, "PATH": base_binaries(), **variables}
        chroot = [str(_tool("chroot")), "--userspec={}:{}".format(*self.user), str(self.root)]
        program = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *chroot, *arguments]
        return ["unshare", "--mount", "bash", "-euc", _ENTER, "enter", str(self.root), str(data), *program]

    def run(self, arguments: list[str], data: Path, **variables: object) -> subprocess.CompletedProcess[str]:
        """Run a program in it to its end."""
        command = self.command(arguments, data, **variables)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
