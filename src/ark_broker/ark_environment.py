"""Environment variables of Ark's own broker, as settings of this one: a deployment may keep them while it changes over.

Pure: takes an environment, returns what it means. `settings` is what reads the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ark_broker.model.errors import ArkBrokerError


class OldVariableInvalid(ArkBrokerError):  # noqa: N818 - reads as what it says
    """A variable of Ark's broker has a value that it would have refused as well."""


@dataclass(slots=True)
class Translation:
    """Setting → value as text, and what to tell the operator, a line a variable."""

    values: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def _same(_name: str, value: str) -> str:
    return value


def _whole(name: str, value: str) -> str:
    if not re.fullmatch(r"\d{1,12}", value):
        raise OldVariableInvalid(f"{name}: Input should be a whole number (got {value[:80]!r})")
    return value


def _seconds_of_ms(name: str, value: str) -> str:
    return str(int(_whole(name, value)) / 1000)


_LEVELS: Final = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "error": "error",
    "fatal": "error",
    "silent": "error",
}


def _level(name: str, value: str) -> str:
    if value.lower() not in _LEVELS:
        raise OldVariableInvalid(f"{name}: Input should be one of {', '.join(_LEVELS)} (got {value[:80]!r})")
    return _LEVELS[value.lower()]


#: Variable → setting, and what its value is there.
_MEANT: Final[dict[str, tuple[str, Callable[[str, str], str]]]] = {
    "HOST": ("host", _same),
    "PORT": ("port", _same),
    "LOG_LEVEL": ("log_level", _level),
    "DATABASE_POOL_MAX": ("database_pool_size", _whole),
    "STREAM_IDLE_TIMEOUT_MS": ("stream_idle_seconds", _seconds_of_ms),
    "SHUTDOWN_DRAIN_TIMEOUT_MS": ("shutdown_seconds", _seconds_of_ms),
}
#: Variable → kind of event that is kept so many seconds. Of two for one kind the first is taken.
_AGES: Final = {
    "MESSAGE_VISIBILITY_TTL_SECONDS": "message",
    "EVENT_VISIBILITY_TTL_SECONDS": "event",
    "CHUNK_TTL_SECONDS": "chunk",
    "REDIS_STREAM_TTL_SECONDS": "chunk",
}
_BACKENDS: Final = ("MESSAGE_BACKEND", "EVENT_BACKEND", "SESSIONS_BACKEND", "CHUNK_BACKEND")
_ONE_LOG: Final = "everything is in one log: SQLite, or PostgreSQL with ARK_BROKER_DATABASE_URL"
_BY_AGE: Final = "the log is bounded by age: ARK_BROKER_RETENTION"
_IMPORT: Final = "the file is not read any more; `ark-broker import` takes over what is in it"
#: Variables without a meaning here, and what to do instead.
_MEANINGLESS: Final = {
    "NODE_ENV": "ARK_BROKER_LOG_FORMAT=console writes logs for people",
    "REQUEST_TIMEOUT_MS": "no request is cut off by its age",
    **dict.fromkeys(_BACKENDS, _ONE_LOG),
    **dict.fromkeys(("MAX_MESSAGES", "MAX_CHUNKS", "MAX_SPANS", "MAX_EVENTS"), _BY_AGE),
    **dict.fromkeys(("MESSAGE_MAX_BYTES", "EVENT_MAX_BYTES", "CHUNK_MAX_BYTES", "TRACE_MAX_BYTES"), _BY_AGE),
    **dict.fromkeys(
        ("MEMORY_FILE_PATH", "STREAM_FILE_PATH", "TRACE_FILE_PATH", "EVENT_FILE_PATH", "SESSIONS_FILE_PATH"), _IMPORT
    ),
    "SESSIONS_VISIBILITY_TTL_SECONDS": "sessions stay as long as their events: ARK_BROKER_RETENTION",
    "ROW_REAP_INTERVAL_SECONDS": "what has expired is removed within half a minute",
    "ROW_REAP_BATCH_SIZE": "what has expired is removed in small steps",
    "DATABASE_CONNECT_TIMEOUT_MS": "connections are given up after ten seconds",
    "DATABASE_STATEMENT_TIMEOUT_MS": "statements are given up after ten seconds",
    "DATABASE_DEBUG_QUERIES": "statements are not logged",
    "DATABASE_SSL_ROOT_CERT_PATH": "set PGSSLROOTCERT, and add ?sslmode=verify-full to ARK_BROKER_DATABASE_URL",
    **dict.fromkeys(
        (
            "REDIS_URL",
            "REDIS_USERNAME",
            "REDIS_PASSWORD",
            "REDIS_TLS_CA_CERT_PATH",
            "REDIS_KEY_PREFIX",
            "REDIS_CONNECT_TIMEOUT_MS",
            "REDIS_DEBUG_COMMANDS",
        ),
        "chunks are in the log; no Redis is needed",
    ),
}


def translate(environment: Mapping[str, str], is_set: Callable[[str], bool]) -> Translation:
    """What the old variables of `environment` mean. A setting for which `is_set` is not overruled.

    `DATABASE_URL` counts where one of the old backends was PostgreSQL, as it did. Raises OldVariableInvalid.
    """
    found = Translation()
    for name, (setting, convert) in _MEANT.items():
        value = environment.get(name, "")
        if value and not is_set(setting):
            found.values[setting] = convert(name, value)
            found.warnings.append(f"{name} is understood as {_variable(setting)}; set that instead")
    uses_postgres = any(environment.get(name) == "postgres" for name in _BACKENDS)
    if environment.get("DATABASE_URL") and uses_postgres and not is_set("database_url"):
        found.values["database_url"] = environment["DATABASE_URL"]
        found.warnings.append("DATABASE_URL is understood as ARK_BROKER_DATABASE_URL; set that instead")
    _add_ages(found, environment, is_set)
    for name, advice in _MEANINGLESS.items():
        if environment.get(name):
            found.warnings.append(f"{name} has no meaning here: {advice}")
    return found


def _add_ages(found: Translation, environment: Mapping[str, str], is_set: Callable[[str], bool]) -> None:
    ages: dict[str, str] = {}
    for name, kind in _AGES.items():
        if environment.get(name) and not is_set("retention"):
            seconds = _whole(name, environment[name])
            ages.setdefault(kind, seconds)
            found.warnings.append(f"{name} is understood as ARK_BROKER_RETENTION={kind}={seconds}s; set that instead")
    if ages:
        found.values["retention"] = ",".join(f"{kind}={seconds}s" for kind, seconds in ages.items())


def _variable(setting: str) -> str:
    return f"ARK_BROKER_{setting.upper()}"


def old_variables() -> list[str]:
    """Every variable of Ark's broker that is known."""
    return sorted({*_MEANT, *_AGES, *_MEANINGLESS, "DATABASE_URL"})
