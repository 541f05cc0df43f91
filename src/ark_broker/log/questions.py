"""Questions in the database: one row each, kept in step with the log by the writer's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.confine import as_seen, in_order
from ark_broker.log.tables import questions
from ark_broker.sessions.questions import Question

_DECODER: Final = msgspec.msgpack.Decoder(Question)
_ENCODER: Final = msgspec.msgpack.Encoder()


def question_row(question: Question, head: int) -> tuple[Any, ...]:
    """The row of `questions` as of position `head`."""
    return (
        question.id,
        question.state,
        question.session_id,
        question.query,
        question.asked_at,
        question.deadline if question.is_open and question.escalated_at is None else None,
        head,
        _ENCODER.encode(question),
        question.namespace,
    )


async def load_questions(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Question]:
    """Those that exist, by id."""
    found: dict[str, Question] = {}
    for start in range(0, len(ids), 500):
        rows = await connection.execute(
            select(questions.c.id, questions.c.state_body).where(questions.c.id.in_(ids[start : start + 500]))
        )
        found |= {key: _DECODER.decode(body) for key, body in rows}
    return found


async def stored_question_id(connection: AsyncConnection, question_id: str) -> str | None:
    """What the question is called in the log, for whoever sees what the connection sees; None where there is none."""
    found = await connection.execute(select(questions.c.id).where(questions.c.id == question_id))
    return found.scalar_one_or_none()


async def list_questions(
    connection: AsyncConnection,
    *,
    state: str | None,
    session_id: str | None,
    query: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Question]:
    """Questions by when they were asked, newest first, from `before` on."""
    name = in_order(connection, questions)
    statement: Select[Any] = select(questions.c.state_body)
    if state is not None:
        statement = statement.where(questions.c.state == state)
    if session_id is not None:
        statement = statement.where(questions.c.session_id == session_id)
    if query is not None:
        statement = statement.where(questions.c.query == query)
    if before is not None:
        statement = statement.where(
            (questions.c.asked_at < before[0]) | ((questions.c.asked_at == before[0]) & (name < before[1]))
        )
    statement = statement.order_by(questions.c.asked_at.desc(), name.desc()).limit(limit)
    found = (await connection.execute(statement)).scalars()
    return [as_seen(connection, _DECODER.decode(body)) for body in found]


async def due_questions(connection: AsyncConnection, now: int, limit: int) -> list[str]:
    """Ids of open questions whose deadline has passed at `now` (ns), the longest overdue first."""
    statement = select(questions.c.id).where(questions.c.deadline <= now).order_by(questions.c.deadline).limit(limit)
    return list((await connection.execute(statement)).scalars())
