"""What the real libraries sent, replayed: every family's canonical fields come out, and nothing counts twice."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.families.recorder import FIXTURES
from tests.conformance.families.table import EXPECTED, look
from tests.support.api import Api, StartApi

NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
Fixture = dict[str, Any]


def load(name: str) -> Fixture:
    fixture: Fixture = json.loads((Path(FIXTURES) / f"{name}.json").read_text())
    return fixture


async def send(api: Api, path: str, body: dict[str, Any]) -> None:
    response = await api.http.post(path, json=body)
    assert response.status_code == 200, response.text
    assert response.json() == {}


def record_by_record(fixture: Fixture) -> list[tuple[str, dict[str, Any]]]:
    """Each span and log record as a request of its own."""
    found = []
    for request in fixture["requests"]:
        for groups, parts, records in (
            ("resourceSpans", "scopeSpans", "spans"),
            ("resourceLogs", "scopeLogs", "logRecords"),
        ):
            for group in request["body"].get(groups, []):
                for part in group[parts]:
                    for record in part[records]:
                        one = {**group, parts: [{**part, records: [record]}]}
                        found.append((request["path"], {groups: [one]}))
    return found


async def problems(api: Api, fixture: Fixture) -> list[str]:
    """What is wrong with what the broker made of it."""
    # No clock is waited for: what is undecided is decided now.
    await api.services.writer.decide_quiet_traces(2**62)
    answers: dict[str, dict[str, Any]] = {}
    paths = ["/v1/sessions"]
    for path in paths:
        answers[path] = await api.get(path)
        if path == "/v1/sessions":
            for item in answers[path]["items"]:
                paths += [f"/v1/sessions/{item['id']}", f"/v1/sessions/{item['id']}/conversation"]
    name = fixture["library"]
    return look(answers.__getitem__, fixture["session"], fixture["served"], EXPECTED[name]).problems


def test_every_family_that_is_tried_has_a_fixture() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
async def test_the_broker_understands_what_the_library_sent(each_api: Api, name: str) -> None:
    fixture = load(name)
    for request in fixture["requests"]:
        await send(each_api, request["path"], request["body"])
    assert await problems(each_api, fixture) == []


@pytest.mark.parametrize("name", NAMES)
async def test_in_any_order_one_by_one_and_twice_it_is_the_same(start_api: StartApi, name: str) -> None:
    fixture = load(name)
    requests = record_by_record(fixture)
    for seed in range(2):
        order = requests * 2
        random.Random(seed).shuffle(order)
        async with start_api() as api:
            for path, body in order:
                await send(api, path, body)
            assert await problems(api, fixture) == []
