"""The configuration file: where the broker is, and the token for it.

    # $XDG_CONFIG_HOME/ark-broker/config.toml, or what ARK_BROKER_CONFIG names
    url = "https://broker.example.com"
    token = "arkb_…"

It is refused where it holds a token and others than its owner may read it.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ark_broker.cli.atomic import replace_file

VARIABLE: Final = "ARK_BROKER_CONFIG"
_KEYS: Final = ("url", "token")
_OTHERS: Final = 0o077


class ConfigError(Exception):
    """The file cannot be used; the text says what to do. Never holds the token."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says. The token is not shown."""

    url: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Config(url={self.url!r}, token={'set' if self.token else None!r})"


def path() -> Path:
    """Where the file is, or would be."""
    named = os.environ.get(VARIABLE, "").strip()
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CONFIG_HOME", "").strip()
    base = Path(home) if home and Path(home).is_absolute() else Path("~/.config").expanduser()
    return base / "ark-broker" / "config.toml"


def load() -> Config:
    """The file's content; empty where there is none, unless ARK_BROKER_CONFIG names it."""
    file = path()
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = tomllib.load(opened)
    except FileNotFoundError:
        if os.environ.get(VARIABLE, "").strip():
            raise ConfigError(f"{VARIABLE} names {file}, which is not there") from None
        return Config()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from None
    for key, value in content.items():
        if key not in _KEYS:
            raise ConfigError(f"{file}: {key} is no key of it; there are {' and '.join(_KEYS)}")
        if not isinstance(value, str):
            raise ConfigError(f"{file}: {key} must be a text")
    config = Config(content.get("url") or None, content.get("token") or None)
    if config.token and os.name == "posix" and mode & _OTHERS:
        raise ConfigError(
            f"{file} holds a token, and others may read it: chmod 600 {file}. "
            "If others had a way to it, rotate the token too."
        )
    return config


def save(config: Config) -> Path:
    """Write the file, for its owner alone; what was there is replaced at once or not at all. Returns where."""
    file = path()
    lines = [f"{key} = {_basic_string(value)}\n" for key in _KEYS if (value := getattr(config, key))]
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replace_file(file) as opened:
            opened.write("".join(lines).encode())
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error}") from None
    return file


def _basic_string(value: str) -> str:
    """A TOML string: what JSON writes, DEL escaped too."""
    return json.dumps(value).replace("\x7f", "\\u007f")
