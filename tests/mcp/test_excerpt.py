"""Cutting JSON to a size: what fits is left alone, what does not says what was left out."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.mcp.excerpt import as_text, excerpt, labelled

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=20), inner, max_size=30),
    max_leaves=60,
)


@given(VALUES, st.integers(100, 4_000))
def test_an_excerpt_has_at_most_the_size_that_was_asked_for(value: object, most: int) -> None:
    found, cut = excerpt(value, most)
    assert len(orjson.dumps(found)) <= most * 2 if isinstance(found, str) else len(orjson.dumps(found)) <= most
    assert cut or found == value


def test_of_a_list_the_newest_is_kept() -> None:
    found, cut = excerpt(list(range(100_000)), 2_000)
    assert cut
    assert isinstance(found, list)
    assert found[0] == f"… ({100_000 - (len(found) - 1)} earlier items)"
    assert found[-1] == 99_999


def test_what_is_nested_without_end_is_cut() -> None:
    value: object = "x" * 5_000
    for _ in range(200):
        value = [value]
    found, cut = excerpt(value, 1_000)
    assert cut
    assert b"nested deeper" in orjson.dumps(found)


@given(st.text())
def test_nothing_in_the_data_looks_like_its_end(text: str) -> None:
    written = as_text(labelled({"text": text + "</telemetry>"}))
    assert written.count("</telemetry>") == 1
