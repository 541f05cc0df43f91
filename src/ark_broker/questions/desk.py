"""Where questions are asked, waited for, answered and called off.

Who answers first is decided under the head's lock, which all replicas share: one wins, the others are told who did.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from ark_broker.log.confine import unqualified
from ark_broker.log.questions import due_questions, load_questions, stored_question_id
from ark_broker.log.read import Reader
from ark_broker.log.scope import Scope
from ark_broker.log.tail import Format, Tail
from ark_broker.log.transaction import Transaction
from ark_broker.log.writer import Writer
from ark_broker.model import Event, event_id
from ark_broker.model.errors import NotFound, QuestionOver
from ark_broker.model.vocabulary import (
    QUESTION_ANSWERED,
    QUESTION_CANCELED,
    QUESTION_ESCALATED,
    QUESTION_EXPIRED,
)
from ark_broker.questions.ask import check_answer
from ark_broker.sessions.questions import Question, question_json

#: Questions whose deadline is looked after in one turn.
_DUE: Final = 100
_SIGNALS: Final = Format("question", lambda _item, _position: b"")


class Desk:
    """Questions of one process; the log has all of them."""

    def __init__(
        self, writer: Writer, reader: Reader, tail: Tail, redact: Callable[[bytes], bytes] | None = None
    ) -> None:
        """`redact` takes out of a JSON text what is not to be stored."""
        self._redact = redact
        self._writer = writer
        self._reader = reader
        self._tail = tail
        #: Those who wait here for a secret answer, which is handed over and not stored.
        self._secret: dict[str, set[asyncio.Future[Any]]] = {}
        #: Questions as those see them whom the desk is for.
        self._seen: Callable[[Question], Question] = lambda question: question

    def reading(self, reader: Reader) -> Desk:
        """The same desk, for somebody limited to namespaces, who sees what `reader` sees."""
        desk = Desk(self._writer, reader, self._tail, self._redact)
        desk._secret = self._secret
        desk._seen = unqualified
        return desk

    async def get(self, question_id: str) -> Question:
        """The question. Raises NotFound."""
        return self._seen(await self._stored(question_id))

    async def _stored(self, question_id: str) -> Question:
        """The same, by the names that the log has for it and its session."""
        async with self._reader.snapshot() as connection:
            stored_id = await stored_question_id(connection, question_id)
            found = await load_questions(connection, [] if stored_id is None else [stored_id])
        if stored_id is None or stored_id not in found:
            raise NotFound(f"no question {question_id!r}")
        return found[stored_id]

    async def wait(self, question_id: str, seconds: float) -> tuple[Question, Any]:
        """The question once it is over, or as it is after `seconds`; and its answer, a secret one too.

        Raises NotFound.
        """
        question = await self._stored(question_id)
        if not question.is_open or seconds <= 0:
            return self._seen(question), question.answer
        question_id = question.id
        handed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if question.secret:
            self._secret.setdefault(question_id, set()).add(handed)
        try:
            async with asyncio.timeout(seconds):
                question = await self._until_over(question_id)
        except TimeoutError:
            question = await self._stored(question_id)
        finally:
            self._leave(question_id, handed)
        return self._seen(question), handed.result() if handed.done() else question.answer

    def _leave(self, question_id: str, handed: asyncio.Future[Any]) -> None:
        waiting = self._secret.get(question_id, set())
        waiting.discard(handed)
        if not waiting:
            self._secret.pop(question_id, None)

    async def _until_over(self, question_id: str) -> Question:
        with self._tail.follow(Scope("question", question_id), _SIGNALS, self._tail.head) as follower:
            # Once it follows, nothing is missed; what came before is in the database.
            question = await self._stored(question_id)
            while question.is_open and not self._tail.closing.is_set():
                if await follower.next() is not None:
                    question = await self._stored(question_id)
            return question

    async def answer(self, question_id: str, answer: Any, by: str | None, attempt: str | None) -> Question:
        """Answer it. Raises NotFound, BadInput, or QuestionOver where somebody, or time, was faster.

        With the same `attempt` it is the same answer, and no second one.
        """
        known = await self._stored(question_id)
        question_id = known.id
        if not known.is_answerable:
            raise QuestionOver(f"the question is answered where it was asked ({known.source})", self._json(known))
        check_answer(known, answer)
        if known.secret and known.is_open and question_id not in self._secret:
            raise QuestionOver(
                "nobody waits for the answer here, and a secret one is not stored: let whoever asked wait for it",
                self._json(known),
            )
        body = self._redacted({"answeredBy": by})
        # The answer itself is for whoever asked, as it is.
        if not known.secret:
            body["answer"] = answer
        identity = event_id("answer", question_id, attempt) if attempt else None
        question = await self._end(question_id, QUESTION_ANSWERED, body, identity)
        if known.secret:
            for handed in self._secret.get(question_id, ()):
                if not handed.done():
                    handed.set_result(answer)
        return self._seen(question)

    async def cancel(self, question_id: str, reason: str | None) -> Question:
        """Call it off. Raises NotFound, QuestionOver."""
        known = await self._stored(question_id)
        return self._seen(await self._end(known.id, QUESTION_CANCELED, self._redacted({"reason": reason}), None))

    def _redacted(self, said: dict[str, Any]) -> dict[str, Any]:
        """What people say about a question, without what the rules name."""
        if self._redact is None:
            return said
        found = orjson.loads(self._redact(orjson.dumps(said)))
        # A text that cannot be read is replaced whole.
        return found if isinstance(found, dict) else {}

    def _json(self, question: Question) -> dict[str, object]:
        return question_json(self._seen(question))

    async def look_after_deadlines(self) -> int:
        """Do what is to be done where a deadline has passed; returns for how many."""
        now = time.time_ns()
        async with self._reader.snapshot() as connection:
            due = await due_questions(connection, now, _DUE)
        for question_id in due:
            await self._writer.operate(_at_deadline(question_id))
        return len(due)

    async def _end(self, question_id: str, kind: str, body: dict[str, Any], identity: bytes | None) -> Question:
        outcome: list[Question] = []

        async def end(transaction: Transaction) -> list[Event]:
            question = await transaction.question(question_id)
            if question is None:
                raise NotFound(f"no question {question_id!r}")
            event = _event(question, kind, body, identity)
            if not question.is_open:
                if identity is not None and await transaction.is_stored(identity):
                    outcome.append(question)
                    return []
                raise QuestionOver(f"the question is {question.state}", self._json(question))
            stored = await transaction.append([event])
            outcome.append(transaction.questions[question_id])
            return stored

        await self._writer.operate(end)
        return outcome[0]


def _at_deadline(question_id: str) -> Callable[[Transaction], Awaitable[list[Event]]]:
    async def run(transaction: Transaction) -> list[Event]:
        question = await transaction.question(question_id)
        if question is None or not question.is_open or question.deadline is None or question.escalated_at:
            return []
        if question.deadline > transaction.now:
            return []
        match question.on_deadline:
            case "default":
                event = _event(
                    question, QUESTION_ANSWERED, {"answer": question.default, "answeredBy": "deadline"}, None
                )
            case "escalate":
                event = _event(question, QUESTION_ESCALATED, {"reason": "deadline"}, None)
            case "fail":
                event = _event(question, QUESTION_EXPIRED, {"reason": "deadline"}, None)
        return await transaction.append([event])

    return run


def _event(question: Question, kind: str, body: dict[str, Any], identity: bytes | None) -> Event:
    return Event(
        # One end a question: two replicas that look after the same deadline write the same event.
        id=identity or event_id(kind, question.id),
        kind="event",
        type=kind,
        time=time.time_ns(),
        body=orjson.dumps({key: value for key, value in body.items() if key == "answer" or value is not None}),
        session_id=question.session_id,
        query=question.query,
        namespace=question.namespace,
        question_id=question.id,
    )
