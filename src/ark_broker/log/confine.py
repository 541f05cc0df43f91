"""Reads that see some namespaces only: every SELECT on such a connection gets the condition, whoever wrote it.

A route cannot forget it, and a row of another namespace cannot be counted, joined or found by its id: for these
connections it does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import (
    Alias,
    BinaryExpression,
    BindParameter,
    Column,
    ColumnElement,
    FromClause,
    Join,
    Select,
    Table,
    event,
    false,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql import operators, visitors

from ark_broker.log.tables import (
    ark_sessions,
    contents,
    durations,
    events,
    links,
    log_head,
    packs,
    queries,
    questions,
    rollups,
    sessions,
    waiting,
)
from ark_broker.model import Event
from ark_broker.model.names import SEPARATOR, qualified, shown
from ark_broker.sessions.correlate import Link
from ark_broker.sessions.questions import Question
from ark_broker.sessions.summary import QuerySummary, SessionSummary

#: Execution option of confined connections: the namespaces, as a tuple.
_OPTION: Final = "ark_broker_namespaces"
#: Tables whose rows have a namespace, those whose rows belong to a session, and those that are read by keys which
#: such rows hold. Of any other table nothing is seen.
_NAMESPACED: Final = frozenset({events, sessions, queries, questions, ark_sessions, rollups, durations})
_OF_SESSIONS: Final = frozenset({links, packs})
_BY_KEY: Final = frozenset({contents, log_head})
#: Columns that hold the stored form of a name (`model.names`), and in which table that name is to be found.
_STORED_NAMES: Final = {
    **{(each, "session_id"): sessions for each in (events, packs, queries, questions, links)},
    **{(each, "id"): sessions for each in (sessions, ark_sessions)},
    (events, "question_id"): questions,
    (questions, "id"): questions,
}
#: Fields that hold it.
_STORED_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    Event: ("session_id", "question_id"),
    SessionSummary: ("id",),
    QuerySummary: ("session_id",),
    Question: ("id", "session_id"),
    Link: ("session_id",),
}
_Read = TypeVar("_Read", Event, SessionSummary, QuerySummary, Question, Link)


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

    def look_up(found: BinaryExpression[Any]) -> None:
        given = found.right
        table = _named_in(found.left)
        if table is None or found.operator is not operators.eq or not isinstance(given, BindParameter):
            return
        if isinstance(given.value, str):
            found.right = func.coalesce(_stored_name(table, given.value, namespaces), given)

    return visitors.cloned_traverse(statement, {}, {"select": narrow, "binary": look_up})


def _named_in(column: object) -> Table | None:
    """Where the names are that the column holds; None where it holds none."""
    if not isinstance(column, Column):
        return None
    source: Any = column.table
    table: Any = source.element if isinstance(source, Alias) else source
    return _STORED_NAMES.get((table, column.name))


def meant(name: str, namespaces: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The name that is asked for, and in which of the namespaces: `<name>␟<namespace>` says it.

    What says one that is not among them stays as it is, and is the name of nothing there.
    """
    own, separator, namespace = name.partition(SEPARATOR)
    return (own, (namespace,)) if separator and namespace in namespaces else (name, namespaces)


def _stored_name(table: Table, name: str, namespaces: tuple[str, ...]) -> ColumnElement[Any]:
    """How the name that these namespaces use is stored.

    One look-up of as many keys, whether or not somebody else has a name like it.
    """
    own, within = meant(name, namespaces)
    forms = [own, *(qualified(own, namespace) for namespace in within)]
    known = select(table.c.id).where(table.c.id.in_(forms), table.c.namespace.in_(within))
    return known.order_by(table.c.id).limit(1).scalar_subquery()


def namespaces_of(connection: AsyncConnection) -> tuple[str, ...] | None:
    """The namespaces that the connection sees; None for all."""
    assert connection.sync_connection is not None, "a connection is used once it is open"
    found: tuple[str, ...] | None = connection.sync_connection.get_execution_options().get(_OPTION)
    return found


def is_confined(connection: AsyncConnection) -> bool:
    """True for a connection that sees some namespaces only."""
    return namespaces_of(connection) is not None


def as_seen(connection: AsyncConnection, found: _Read) -> _Read:
    """What was read on that connection, its names as whoever reads on it sees them."""
    return unqualified(found) if is_confined(connection) else found


def unqualified(found: _Read) -> _Read:
    """The same, or a copy, with names as who is limited to namespaces sees them."""
    changed = {
        field: shown(name)
        for field in _STORED_FIELDS[type(found)]
        if (name := getattr(found, field)) is not None and SEPARATOR in name
    }
    return msgspec.structs.replace(found, **changed) if changed else found


def in_order(connection: AsyncConnection, source: Any) -> ColumnElement[str]:
    """The `id` of a table, or subquery, of things with a namespace, as what a list on that connection is sorted by.

    The order, too, has to be that of the names that are seen.
    """
    column: ColumnElement[str] = source.c.id
    return func.replace(column, SEPARATOR + source.c.namespace, "") if is_confined(connection) else column


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
