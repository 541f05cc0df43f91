"""What somebody limited to namespaces sends is theirs: the namespace, and the ids within it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ark_broker.model import Event, event_id
from ark_broker.model.errors import Forbidden
from ark_broker.receive.confine import confine, confined_id

A = frozenset({"a"})
AB = frozenset({"a", "b"})


def event(**fields: Any) -> Event:
    return Event(**{"id": event_id("e"), "kind": "chunk", "type": "llm.chunk", "time": 1, "body": b"{}"} | fields)


def test_ids_are_those_of_the_namespace() -> None:
    one, other, again = event(), event(), event()
    confine([one], A)
    confine([other], frozenset({"b"}))
    confine([again], A)
    assert one.id == again.id == confined_id(event_id("e"), "a")
    assert len({one.id, other.id, event_id("e")}) == 3
    assert (one.namespace, one.confined) == ("a", True)


def test_a_question_is_called_by_the_id_of_the_event_that_asks_it() -> None:
    asked, named = event(question_id=event_id("e").hex()), event(question_id="mine")
    confine([asked, named], A)
    assert asked.question_id == asked.id.hex()
    assert named.question_id == "mine"


@pytest.mark.parametrize("namespaces", [A, AB])
@pytest.mark.parametrize("question", [None, "mine", event_id("e").hex()])
def test_confining_once_more_changes_nothing(namespaces: frozenset[str], question: str | None) -> None:
    """Whoever is told to come again comes with the same events, and the first try may be stored after all."""
    sent = event(namespace="a", question_id=question)
    confine([sent], namespaces)
    before = msgspec.structs.asdict(sent)
    confine([sent], namespaces)
    assert msgspec.structs.asdict(sent) == before


@pytest.mark.parametrize("confined", [False, True])
@pytest.mark.parametrize("namespace", [None, "c"])
def test_who_has_several_namespaces_names_one_of_them(namespace: str | None, confined: bool) -> None:
    with pytest.raises(Forbidden):
        confine([event(namespace=namespace, confined=confined)], AB)
