"""What whoever is limited to namespaces sends belongs to them, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence

from ark_broker.model import Event, event_id
from ark_broker.model.errors import Forbidden


def confined_id(identity: bytes, namespace: str) -> bytes:
    """The identity within the namespace."""
    return event_id("namespace", namespace, identity)


def confine(events: Sequence[Event], namespaces: frozenset[str]) -> None:
    """Give each event its namespace, and mark it as confined to it: its identity, too, is one within the namespace.

    Producers make up ids and idempotency keys, and traces reach over namespaces. What another namespace has sent under
    the same ids neither makes an event a duplicate, nor tells by that of itself.

    Who has one namespace need not name it, and is not asked: `k8s.namespace.name` of a span says where its program
    runs, which may be elsewhere. Who has several has to say which. Raises Forbidden.

    An event that is confined already keeps its identity: whoever sends the same events to the log again, because it was
    said to be away, may find that it has them after all.
    """
    only = next(iter(namespaces)) if len(namespaces) == 1 else None
    for event in events:
        if only is not None:
            event.namespace = only
        elif event.namespace is None:
            raise Forbidden("the token is for several namespaces: each event has to name one of them")
        elif event.namespace not in namespaces:
            raise Forbidden(f"the token is not for the namespace {event.namespace[:100]!r}")
        if event.confined:
            continue
        identity = confined_id(event.id, event.namespace)
        if event.question_id == event.id.hex():
            # A question that is asked here is called by the identity of the event that asks.
            event.question_id = identity.hex()
        event.id = identity
        event.confined = True
