"""`ask_question` and `get_answer`: a question is held open in the log, whatever becomes of the call that asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
import structlog
from msgspec import Meta

from ark_broker.access.grants import ANYBODY, Grant
from ark_broker.api.services import Services
from ark_broker.model import Event
from ark_broker.model.errors import ArkBrokerError, NotFound
from ark_broker.questions.ask import MAX_OPTIONS, MAX_TEXT, MAX_TIMEOUT, Ask, asked_event, check_ask, question_id_for
from ark_broker.receive.confine import confined_id
from ark_broker.receive.context import context_of
from ark_broker.receive.fields import MAX_NAME
from ark_broker.sessions.questions import OnDeadline, Question, question_json

_log = structlog.get_logger(__name__)

#: What the server calls itself, and what a session's view calls it.
SERVER_NAME: Final = "ark-broker"
#: What the URI of a question has before its id.
QUESTIONS: Final = "ark://questions/"
#: Seconds that a call waits unless it says otherwise: below the timeouts that clients have.
DEFAULT_WAIT: Final = 50
MAX_WAIT: Final = 3_600
#: Seconds between two progress notifications.
PROGRESS_SECONDS: Final = 5.0
_TIMED_OUT: Final = re.compile(r"time[d ]*\s*-?out", re.IGNORECASE)

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
WaitSeconds = Annotated[
    float,
    Meta(
        ge=0,
        le=MAX_WAIT,
        description="How long this call waits for the answer. The question stays open after that: get_answer waits on.",
    ),
]
Report = Callable[[float, float, str], Awaitable[None]]


class AskQuestion(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Arguments of `ask_question`."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT, description="The question, as a person reads it.")]
    context: Annotated[
        str | None, Meta(description="What a person needs to know to answer it. At most 8,192 characters.")
    ] = None
    options: Annotated[
        list[Any] | None,
        Meta(description=f"The answers to choose from, at most {MAX_OPTIONS}."),
    ] = None
    schema: Annotated[dict[str, Any] | None, Meta(description="JSON Schema of the answer.")] = None
    blocking: Annotated[bool, Meta(description="Whether the query waits until it is answered.")] = True
    secret: Annotated[
        bool, Meta(description="The answer is handed to whoever waits for it, and never stored or shown.")
    ] = False
    timeout_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=MAX_TIMEOUT)] | None,
        Meta(description="Deadline, from now. Without it the question stays open."),
    ] = None
    on_deadline: Annotated[
        OnDeadline, Meta(description="At the deadline: `fail`, take the `default` answer, or `escalate` to others.")
    ] = "fail"
    default: Annotated[Any, Meta(description="The answer at the deadline, where `onDeadline` is `default`.")] = None
    session: Annotated[Name | None, Meta(description="The session, if known; found by the trace otherwise.")] = None
    query: Annotated[Name | None, Meta(description="The query, if known.")] = None
    asked_by: Annotated[Name | None, Meta(description="Who asks: the agent's name.")] = None
    wait_seconds: WaitSeconds = DEFAULT_WAIT


class GetAnswer(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Arguments of `get_answer`."""

    question: Annotated[Name, Meta(description="The question's id, or its URI: ark://questions/…")]
    wait_seconds: WaitSeconds = DEFAULT_WAIT


class Call:
    """Who calls: what correlates the call with a query, and the names that a cancellation finds it by."""

    def __init__(
        self, meta: Mapping[str, object], headers: Mapping[str, str], request_id: object, grant: Grant = ANYBODY
    ) -> None:
        self.meta = meta
        self.headers = headers
        self.grant = grant
        self.session_id = headers.get("mcp-session-id")
        self.request_id = request_id

    @property
    def attempt(self) -> str | None:
        """The same for a request that is sent again; None where nothing tells."""
        return None if self.session_id is None else attempt_of(self.session_id, self.request_id, self.grant)

    def correlate(self, event: Event) -> None:
        """Say what is known of the query: `_meta` goes before headers, and the MCP session comes last."""
        for carrier in (self.meta, self.headers):
            context_of(carrier).apply(event)
        event.mcp_server, event.mcp_session_id = SERVER_NAME, self.session_id


def attempt_of(session_id: str, request_id: object, grant: Grant) -> str:
    """Identity of one request of one MCP session: clients of other namespaces may know the session's id."""
    owner = "" if grant.namespaces is None else ",".join(sorted(grant.namespaces))
    return f"mcp:{session_id}:{type(request_id).__name__}:{request_id}:{owner}"


class Asking:
    """Asks for MCP clients, on one process. What it remembers are the calls that wait here, and nothing else.

    It has no services of its own: each call comes with those that whoever makes it may use. Two namespaces may have a
    question of one id, and that id says which of them is meant to these alone.
    """

    def __init__(self) -> None:
        #: The question of a call that is under way in this process, by the call: stored, or about to be.
        self._asked: dict[str, asyncio.Task[Question]] = {}
        self._cancelling: set[asyncio.Task[None]] = set()

    @contextmanager
    def asked(self, services: Services, wanted: AskQuestion, call: Call) -> Iterator[asyncio.Task[Question]]:
        """Ask it, for as long as the call lasts: meanwhile a cancellation finds the question.

        The task has the question once it is stored; it raises BadInput, Overloaded or LogUnavailable. Whoever awaits
        it shields it: what has begun to be stored is stored, also when the caller goes away.
        """
        asked = asyncio.get_running_loop().create_task(self._ask(services, wanted, call), name="mcp-ask")
        if call.attempt is not None:
            self._asked[call.attempt] = asked
        try:
            yield asked
        finally:
            if call.attempt is not None and self._asked.get(call.attempt) is asked:
                del self._asked[call.attempt]

    async def _ask(self, services: Services, wanted: AskQuestion, call: Call) -> Question:
        """A request that is sent again finds its question."""
        values = {name: getattr(wanted, name) for name in wanted.__struct_fields__ if name != "wait_seconds"}
        ask = Ask(**values | {"source": "mcp"})
        check_ask(ask)
        question = await self._stored(services, ask, call, call.attempt)
        if call.attempt is not None and (not question.is_open or question.text != ask.text):
            # The same number for another request: the client counts anew in an old session.
            question = await self._stored(services, ask, call, None)
        return question

    @staticmethod
    async def _stored(services: Services, ask: Ask, call: Call, attempt: str | None) -> Question:
        event = asked_event(ask, attempt)
        call.correlate(event)
        await services.append("questions", [event])
        return await services.desk.get(event.question_id or "")

    @staticmethod
    async def wait(services: Services, question_id: str, seconds: float, report: Report) -> tuple[Question, Any]:
        """The question once it is over, or as it is after `seconds`; and its answer. Progress is reported meanwhile.

        `question_id`: as the caller of these services calls it. A call that is cancelled leaves its question open.
        Raises NotFound.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        # One task for the whole wait: a secret answer is refused while nobody waits for it.
        waiting = loop.create_task(services.desk.wait(question_id, seconds))
        try:
            while not waiting.done():
                elapsed = loop.time() - began
                await report(round(elapsed, 1), seconds, f"waiting for an answer: {QUESTIONS}{question_id}")
                await asyncio.wait((waiting,), timeout=PROGRESS_SECONDS)
            return waiting.result()
        finally:
            waiting.cancel()

    async def canceled(self, services: Services, session_id: str, request_id: object, reason: str | None) -> None:
        """The client gave a call up. Its question is called off, unless all that ran out is the client's patience."""
        grant = services.grant
        if not grant.may("ingest") or (reason is not None and _TIMED_OUT.search(reason)):
            return
        attempt = attempt_of(session_id, request_id, grant)
        reason = reason or "the request was cancelled"
        asked = self._asked.get(attempt)
        if asked is not None:
            await self._call_off_asked(services, asked, reason)
            return
        # Another replica may hold the call; the question's name is made of what we were told.
        known = question_id_for(attempt)
        if grant.namespaces is not None and len(grant.namespaces) == 1:
            known = confined_id(bytes.fromhex(known), *grant.namespaces).hex()
        await self.call_off(services, known, reason)

    def hung_up(self, services: Services, asked: asyncio.Task[Question]) -> None:
        """The client closed the request: since 2026-07-28 that is how a call is cancelled."""
        if services.readiness.draining or services.tail.closing.is_set():
            asked.cancel()
            return
        task = asyncio.get_running_loop().create_task(
            self._call_off_asked(services, asked, "the client closed the request"), name="mcp-call-off"
        )
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._cancelling, return_exceptions=True)

    async def _call_off_asked(self, services: Services, asked: asyncio.Task[Question], reason: str) -> None:
        try:
            question = await asyncio.shield(asked)
        except ArkBrokerError:
            return  # it was not asked
        await self.call_off(services, question.id, reason)

    @staticmethod
    async def call_off(services: Services, question_id: str, reason: str) -> None:
        """Call an open question of an MCP client off; nothing where there is none."""
        try:
            question = await services.desk.get(question_id)
            if question.source == "mcp" and question.is_open:
                await services.desk.cancel(question_id, reason[:MAX_TEXT])
        except NotFound:
            pass  # a call of another tool
        except ArkBrokerError as error:
            # Answered at the same moment, or no database: nobody is left to tell.
            _log.info("a question was not called off", question=question_id, reason=str(error))


def question_id_of(text: str) -> str:
    """The id in `ark://questions/<id>`, or the id itself."""
    return text.removeprefix(QUESTIONS)


def outcome(question: Question, answer: Any) -> dict[str, Any]:
    """What the tools say of a question: `{"state", "question", "uri", "answer"?, "next"?}`."""
    found: dict[str, Any] = {"state": question.state, "question": question.id, "uri": question.uri}
    if question.state == "answered":
        found["answer"] = answer
        if question.answered_by is not None:
            found["answeredBy"] = question.answered_by
    elif question.is_open:
        found["next"] = "Nobody has answered yet. Call get_answer with this question to go on waiting."
    else:
        found["reason"] = question.reason or question.state
    known = question_json(question)
    return found | {key: known[key] for key in ("session", "query", "deadline") if key in known}
