"""A broker in the test's own event loop, as the route tests have it, and clients of its MCP server."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from tests.api.conftest import (  # noqa: F401 - fixtures
    api,
    each_api,
    migrated_postgres,
    migrated_sqlite,
    postgres_url,
    sqlite_url,
    start_api,
)


@pytest.fixture(params=["legacy", "auto"])
def era(request: pytest.FixtureRequest) -> str:
    """How a client connects: with the handshake of 2025-11-25, or as the newest revision has it."""
    found: str = request.param
    return found


@pytest.fixture(autouse=True)
def _others_warnings() -> Iterator[None]:
    """The SDK's client leaves memory streams to the garbage collector where a connection broke."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ResourceWarning)
        yield
