"""Prices: what the producer says stays, the table fills in, and nobody is charged for what is not known."""

from __future__ import annotations

import pytest

from ark_broker.model import Event
from ark_broker.receive.prices import PricesInvalid, needs_price, price_table
from tests.support.events import make

OWN = b'{"models": {"mine": {"input": 1, "output": 2, "cachedInput": 0.5}, "gpt-4o-mini": {"input": 10}}}'


def call(**fields: object) -> Event:
    return make("call", **({"type": "llm.request", "input_tokens": 1_000_000, "output_tokens": 0} | fields))


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({"model": "m"}, True),
        ({"model": "m", "type": "llm.embedding"}, True),
        ({"model": "m", "cost": 0.0}, False),
        ({"model": None}, False),
        ({"model": "m", "input_tokens": None}, False),
        ({"model": "m", "type": "agent.completed"}, False),
        ({"model": "m", "kind": "chunk", "type": "llm.usage"}, False),
    ],
)
def test_a_price_is_needed_where_a_call_has_tokens_and_no_cost(fields: dict[str, object], needed: bool) -> None:
    assert needs_price(call(**fields)) is needed


def test_the_bundled_table_knows_models_by_their_dated_names_and_what_was_cached() -> None:
    table = price_table()
    assert not table.is_loaded
    whole, cached = call(model="gpt-4o-mini-2024-07-18"), call(model="gpt-4o-mini", cached_tokens=1_000_000)
    table.price([whole, cached])
    assert table.is_loaded
    assert (whole.cost_by, cached.cost_by) == ("table", "table")
    assert whole.cost is not None
    assert cached.cost is not None
    assert 0 < cached.cost < whole.cost


def test_ones_own_table_goes_first() -> None:
    table = price_table(OWN)
    mine = call(model="mine", output_tokens=1_000_000, cached_tokens=500_000)
    cheap = call(model="gpt-4o-mini")
    table.price([mine, cheap])
    assert (mine.cost, cheap.cost) == (0.5 + 0.25 + 2, 10)


def test_without_the_bundled_table_nothing_else_has_a_price() -> None:
    table = price_table(b'{"models": {}, "bundled": false}')
    found = call(model="gpt-4o-mini")
    table.price([found])
    assert (found.cost, found.cost_by) == (None, None)


@pytest.mark.parametrize("model", ["mystery", "", "\x00", "x" * 256, "gpt-4o-mini; drop table", "trace:ab"])
def test_a_model_nobody_knows_costs_nothing(model: str) -> None:
    found = call(model=model)
    price_table().price([found])
    assert found.cost is None


@pytest.mark.parametrize("text", [b"", b"[]", b'{"models": {"m": {"inputs": 1}}}', b'{"models": {"m": 1}}', b"\xff"])
def test_a_table_that_cannot_be_read_is_refused(text: bytes) -> None:
    with pytest.raises(PricesInvalid):
        price_table(text)
