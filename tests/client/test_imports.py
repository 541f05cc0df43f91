"""The client is light: who only speaks to a broker does not load one."""

from __future__ import annotations

import json
import subprocess
import sys

_SERVER = {
    "fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "pydantic", "pydantic_settings", "opentelemetry", "mcp",
    "typer", "structlog", "asyncpg", "aiosqlite", "prometheus_client", "msgspec", "google", "jsonschema",
}  # fmt: skip
_SHOW = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def modules_after(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after the statement."""
    shown = subprocess.run(
        [sys.executable, "-c", f"{statement}; {_SHOW}"], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(shown.stdout))


def test_importing_the_client_loads_nothing_of_the_server() -> None:
    loaded = modules_after("import ark_broker.client")
    assert {name.partition(".")[0] for name in loaded} & _SERVER == set()
    own = {name for name in loaded if name.startswith("ark_broker.") and not name.startswith("ark_broker.client")}
    assert own == {"ark_broker.connecting"}


def test_opentelemetry_is_loaded_by_whoever_wants_it() -> None:
    loaded = modules_after("import ark_broker.client.otel")
    assert "opentelemetry.sdk.trace" in loaded
    assert {name.partition(".")[0] for name in loaded} & {"fastapi", "starlette", "sqlalchemy", "pydantic"} == set()
