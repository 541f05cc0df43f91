"""Who answers for tokens elsewhere has time: the machine may be busy."""

from __future__ import annotations

import pytest

from ark_broker.access import outbound


@pytest.fixture(autouse=True)
def _patient_verifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TIMEOUT_SECONDS", 60)
