"""Brokers of `tests.support.api` with the A2A routes, whether or not the app has them of itself."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.routing import NoMatchFound

from ark_broker.api.v1 import a2a
from ark_broker.app import create_app
from ark_broker.settings import Settings


def with_a2a(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every broker that the test starts take A2A."""

    def create(settings: Settings) -> FastAPI:
        app = create_app(settings)
        try:
            app.url_path_for("post_a2a_events")
        except NoMatchFound:
            app.include_router(a2a.router)
        return app

    monkeypatch.setattr("tests.support.api.create_app", create)
