"""Reads that see some namespaces only: every SELECT on such a connection gets the condition, whoever wrote it.

A route cannot forget it, and a row of another namespace cannot be counted, joined or found by its id: for these
connections it does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Alias, ColumnElement, FromClause, Join, Select, Table, event, false, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import visitors

from ark_broker.log.tables import (
    ark_sessions,
    contents,
    events,
    links,
    log_head,
    packs,
    queries,
    questions,
    sessions,
    waiting,
)

#: Execution option of confined connections: the namespaces, as a tuple.
_OPTION: Final = "ark_broker_namespaces"
#: Tables whose rows have a namespace, those whose rows belong to a session, and those that are read by keys which
#: such rows hold. Of any other table nothing is seen.
_NAMESPACED: Final = frozenset({events, sessions, queries, questions, ark_sessions})
_OF_SESSIONS: Final = frozenset({links, packs})
_BY_KEY: Final = frozenset({contents, log_head})


def confined(engine: AsyncEngine, namespaces: frozenset[str]) -> AsyncEngine:
    """The same pool of connections, for reads that see these namespaces only."""
    return engine.execution_options(**{_OPTION: tuple(sorted(namespaces))})


def install(engine: AsyncEngine) -> None:
    """Have the engine heed the option."""

    @event.listens_for(engine.sync_engine, "before_execute", retval=True)
    def before_execute(connection: Any, statement: Any, many: Any, one: Any, _options: Any) -> Any:
        namespaces = connection.get_execution_options().get(_OPTION)
        if namespaces is not None:
            statement = narrowed(statement, namespaces)
        return statement, many, one


def narrowed(statement: Any, namespaces: tuple[str, ...]) -> Any:
    """The statement, with the condition in each of its SELECTs. Raises TypeError for what is no query."""
    if not getattr(statement, "is_select", False):
        raise TypeError(f"a confined connection only reads, and was given {type(statement).__name__}")

    def narrow(found: Select[Any]) -> None:
        conditions = [_condition(table, each, namespaces) for table, each in _tables(found)]
        # Generative methods would make another copy: this one is what the traversal puts into its place.
        found._where_criteria += tuple(condition for condition in conditions if condition is not None)

    return visitors.cloned_traverse(statement, {}, {"select": narrow})


def _tables(found: Select[Any]) -> Iterator[tuple[Table, FromClause]]:
    rest: list[FromClause] = list(found.get_final_froms())
    while rest:
        each = rest.pop()
        if isinstance(each, Join):
            rest += (each.left, each.right)
        elif isinstance(each, Table):
            yield each, each
        elif isinstance(each, Alias) and isinstance(each.element, Table):
            yield each.element, each


def _condition(table: Table, named: FromClause, namespaces: tuple[str, ...]) -> ColumnElement[bool] | None:
    if table in _NAMESPACED:
        return named.c.namespace.in_(namespaces)
    if table in _OF_SESSIONS:
        return named.c.session_id.in_(select(sessions.c.id).where(sessions.c.namespace.in_(namespaces)))
    if table is waiting:
        return named.c.seq.in_(select(events.c.seq).where(events.c.namespace.in_(namespaces)))
    if table in _BY_KEY:
        return None
    # A table that nobody has thought of shows nothing.
    return false()
