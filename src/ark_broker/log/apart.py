"""Keeping namespaces apart: an event never joins a session of another namespace, whatever ids it comes with.

Where access is controlled, a namespace is somebody's. Two of them may use the same session id, query name or trace id,
by chance or on purpose: then the second one's session is its own, stored as `<id>␟<namespace>` (`model.names`).

A name is whose it was first, also after the session was deleted; and a namespace that has its name in that second form
uses no other. So each namespace has one session of a name at most, and nothing that others do moves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ark_broker.log.questions import load_questions
from ark_broker.model import Event
from ark_broker.model.names import SEPARATOR, own_name, qualified
from ark_broker.model.vocabulary import is_provisional
from ark_broker.sessions.keys import Group

if TYPE_CHECKING:
    from ark_broker.log.transaction import Transaction


async def place_apart(transaction: Transaction, groups: Sequence[Group]) -> None:
    """Place the groups, one namespace after the other."""
    await _keep_questions_apart(transaction, (event for found in groups for event in found.events))
    for found in groups:
        if found.session_id is not None and found.namespace is not None:
            _call(found, own_name(found.session_id, found.namespace))
    await _load(transaction, groups)
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


def _call(found: Group, session_id: str) -> None:
    if session_id != found.session_id:
        found.session_id = session_id
        for event in found.events:
            event.session_id = session_id


async def _load(transaction: Transaction, groups: Iterable[Group]) -> None:
    """Have the sessions in memory that the groups name, or are linked to, in both forms of their names."""
    ids: set[str] = set()
    for found in groups:
        linked = (transaction.memory.links.get(key) for key in found.all_keys)
        names = {link.session_id for link in linked if link is not None}
        names |= {found.session_id, found.conversation_id}
        for name in names:
            if name is not None:
                ids.add(name)
                if found.namespace is not None and SEPARATOR not in name:
                    ids.add(qualified(name, found.namespace))
    await transaction.memory.load_sessions(transaction.connection, ids)


async def _keep_questions_apart(transaction: Transaction, events: Iterable[Event]) -> None:
    """Whoever knows the id of a question of another namespace does not answer, or ask, that one by an event."""
    about = [event for event in events if event.question_id is not None and event.namespace is not None]
    for event in about:
        event.question_id = own_name(event.question_id or "", event.namespace or "")
    names = {event.question_id or "" for event in about}
    names |= {qualified(event.question_id or "", event.namespace or "") for event in about}
    if missing := names - transaction.questions.keys():
        transaction.questions |= await load_questions(transaction.connection, sorted(missing))
    owners: dict[str, str | None] = {}
    for event in about:
        name, namespace = event.question_id or "", event.namespace or ""
        own = qualified(name, namespace)
        known = transaction.questions.get(name)
        owner = owners.setdefault(name, namespace) if known is None else known.namespace
        # What nobody's question is about is not for the confined.
        is_foreign = owner != namespace and (owner is not None or event.confined)
        if own in transaction.questions or own in owners or is_foreign:
            owners[own] = namespace
            event.question_id = own


def _keep_out(
    transaction: Transaction,
    groups: Sequence[Group],
    namespace: str,
    claims: dict[str, str | None],
    *,
    confined: bool,
) -> None:
    memory = transaction.memory

    def is_known(session_id: str) -> bool:
        summary = memory.sessions.get(session_id)
        return session_id in claims or session_id in memory.owners or (summary is not None and summary.events > 0)

    def is_foreign(session_id: str | None) -> bool:
        if session_id is None:
            return False
        owner = memory.owner_of(session_id) or claims.get(session_id)
        if owner is not None and owner != namespace:
            return True
        if SEPARATOR not in session_id and is_known(qualified(session_id, namespace)):
            return True
        # What nobody has named is nobody's; what somebody named without a namespace is not for the confined.
        return owner is None and confined and is_known(session_id) and not is_provisional(session_id)

    def is_ours(key: str) -> bool:
        link = memory.links.get(key)
        return link is None or not is_foreign(link.session_id)

    for found in groups:
        if found.session_id is not None and is_foreign(found.session_id):
            _call(found, qualified(found.session_id, namespace))
        if found.conversation_id is not None and is_foreign(found.conversation_id):
            # A session is called by it where nothing else names one.
            found.conversation_id = qualified(found.conversation_id, namespace)
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
