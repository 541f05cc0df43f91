"""Keeping namespaces apart: an event never joins a session of another namespace, whatever ids it comes with.

Where access is controlled, a namespace is somebody's. Two of them may use the same session id, query name or trace id,
by chance or on purpose: then the second one's session is its own, `<id>@<namespace>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ark_broker.log.questions import load_questions
from ark_broker.model import Event
from ark_broker.model.vocabulary import is_provisional
from ark_broker.sessions.keys import Group

if TYPE_CHECKING:
    from ark_broker.log.transaction import Transaction


def qualified(name: str, namespace: str) -> str:
    """What a namespace's session, or question, is called where another namespace has one of that id."""
    return f"{name}@{namespace}"


async def place_apart(transaction: Transaction, groups: Sequence[Group]) -> None:
    """Place the groups, one namespace after the other."""
    await _keep_questions_apart(transaction, (event for found in groups for event in found.events))
    named = {found.session_id for found in groups}
    linked = {
        link.session_id
        for found in groups
        for key in found.all_keys
        if (link := transaction.memory.links.get(key)) is not None
    }
    ids = {each for each in named | linked if each is not None}
    ids |= {
        qualified(found.session_id, found.namespace)
        for found in groups
        if found.session_id is not None and found.namespace is not None
    }
    await transaction.memory.load_sessions(transaction.connection, ids)
    claims: dict[str, str | None] = {}
    parts: dict[tuple[str | None, bool], list[Group]] = {}
    for found in groups:
        parts.setdefault((found.namespace, found.confined), []).append(found)
    for (namespace, confined), part in parts.items():
        if namespace is not None:
            _keep_out(transaction, part, namespace, claims, confined=confined)
        transaction.correlator.place(part)
        for found in part:
            for event in found.events:
                if event.session_id is not None:
                    claims.setdefault(event.session_id, namespace)


async def _keep_questions_apart(transaction: Transaction, events: Iterable[Event]) -> None:
    """Whoever knows the id of a question of another namespace does not answer, or ask, that one by an event."""
    about = [event for event in events if event.question_id is not None and event.namespace is not None]
    missing = {event.question_id or "" for event in about} - transaction.questions.keys()
    if missing:
        transaction.questions |= await load_questions(transaction.connection, sorted(missing))
    owners: dict[str, str | None] = {}
    for event in about:
        name = event.question_id or ""
        known = transaction.questions.get(name)
        owner = owners.setdefault(name, event.namespace) if known is None else known.namespace
        # What nobody's question is about is not for the confined.
        if owner != event.namespace and (owner is not None or event.confined):
            event.question_id = qualified(name, event.namespace or "")


def _keep_out(
    transaction: Transaction,
    groups: Sequence[Group],
    namespace: str,
    claims: dict[str, str | None],
    *,
    confined: bool,
) -> None:
    def is_foreign(session_id: str | None) -> bool:
        if session_id is None:
            return False
        summary = transaction.memory.sessions.get(session_id)
        owner = None if summary is None else summary.namespace
        if owner is None and session_id in claims:
            owner = claims[session_id]
        if owner is not None:
            return owner != namespace
        known = session_id in claims or (summary is not None and summary.events > 0)
        # What nobody has named is nobody's; what somebody named without a namespace is not for the confined.
        return confined and known and not is_provisional(session_id)

    def is_ours(key: str) -> bool:
        link = transaction.memory.links.get(key)
        return link is None or not is_foreign(link.session_id)

    for found in groups:
        if found.session_id is not None and is_foreign(found.session_id):
            found.session_id = qualified(found.session_id, namespace)
            for event in found.events:
                event.session_id = found.session_id
        found.keys = tuple(filter(is_ours, found.keys))
        found.more_keys = {key: None for key in found.more_keys if is_ours(key)}


async def stamp(transaction: Transaction, groups: Sequence[Group]) -> None:
    """Give events that name no namespace that of their session."""
    bare = [event for found in groups for event in found.events if event.namespace is None and event.session_id]
    if not bare:
        return
    await transaction.memory.load_sessions(transaction.connection, {event.session_id or "" for event in bare})
    said: dict[str, str] = {}
    for found in groups:
        for event in found.events:
            if event.namespace is not None and event.session_id is not None:
                said.setdefault(event.session_id, event.namespace)
    for event in bare:
        session_id = event.session_id or ""
        event.namespace = transaction.memory.sessions[session_id].namespace or said.get(session_id)
