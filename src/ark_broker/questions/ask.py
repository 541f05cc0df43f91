"""What may be asked, and what may be answered: checked here, before anything is stored."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from referencing.exceptions import Unresolvable

from ark_broker.model import Event, event_id
from ark_broker.model.errors import BadInput
from ark_broker.model.vocabulary import QUESTION_ASKED
from ark_broker.receive.conventions.parts import nests_too_deep
from ark_broker.receive.fields import MAX_NAME
from ark_broker.sessions.questions import OnDeadline, Question

#: Characters of a question, and of what is said about it.
MAX_TEXT: Final = 8_192
#: Bytes of a schema, of all options, of an answer.
MAX_CONTENT: Final = 65_536
MAX_OPTIONS: Final = 100
#: References within a schema: each may multiply the work.
MAX_REFERENCES: Final = 20
#: A year, in seconds: who asks for longer asks for ever.
MAX_TIMEOUT: Final = 366 * 86_400
_SECOND: Final = 1_000_000_000


class Ask(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A question as it is posted. `timeoutSeconds` from now is its deadline."""

    text: str
    context: str | None = None
    session: str | None = None
    query: str | None = None
    namespace: str | None = None
    asked_by: str | None = None
    schema: dict[str, Any] | None = None
    options: list[Any] | None = None
    blocking: bool = True
    secret: bool = False
    timeout_seconds: float | None = None
    on_deadline: OnDeadline = "fail"
    default: Any = None
    source: str = "api"


def decode_ask(body: bytes) -> Ask:
    """The question in a request. Raises BadInput that names the field."""
    try:
        ask = msgspec.json.decode(body, type=Ask)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except msgspec.DecodeError as error:
        raise BadInput(f"not JSON: {str(error)[:200]}", "body") from None
    check_ask(ask)
    return ask


def check_ask(ask: Ask) -> None:
    """Raise BadInput where the question cannot be asked like this."""
    for field, least, most in (("text", 1, MAX_TEXT), ("context", 0, MAX_TEXT)):
        value = getattr(ask, field)
        if value is not None and not least <= len(value) <= most:
            raise BadInput(f"must have {least} to {most} characters", field)
    for field in ("session", "query", "namespace", "asked_by", "source"):
        value = getattr(ask, field)
        if value is not None and (not 1 <= len(value) <= MAX_NAME or "\x00" in value):
            raise BadInput(f"must have 1 to {MAX_NAME} characters, no NUL", field.replace("asked_by", "askedBy"))
    if ask.timeout_seconds is not None and not 0 < ask.timeout_seconds <= MAX_TIMEOUT:
        raise BadInput(f"must be more than 0 and at most {MAX_TIMEOUT}", "timeoutSeconds")
    if ask.options is not None and not 1 <= len(ask.options) <= MAX_OPTIONS:
        raise BadInput(f"must have 1 to {MAX_OPTIONS} items", "options")
    for field in ("schema", "options", "default"):
        _check_size(getattr(ask, field), field)
    if ask.schema is not None:
        try:
            Draft202012Validator.check_schema(ask.schema)
        except SchemaError as error:
            raise BadInput(f"is no JSON Schema: {error.message[:300]}", "schema") from None
        _check_schema_is_tame(ask.schema)
    if ask.on_deadline == "default":
        if ask.timeout_seconds is None:
            raise BadInput("is needed for a default answer", "timeoutSeconds")
        check_answer(_question(ask), ask.default, "default")


def asked_event(ask: Ask, attempt: str | None) -> Event:
    """The event that asks. With the same `attempt` it is the same question."""
    identity = uuid.uuid4().bytes if attempt is None else _identity(attempt)
    now = time.time_ns()
    body: dict[str, Any] = {
        key: value
        for key, value in msgspec.to_builtins(ask).items()
        if value is not None and key not in ("session", "query", "namespace", "timeoutSeconds")
    }
    if ask.timeout_seconds is not None:
        body["deadline"] = now + int(ask.timeout_seconds * _SECOND)
    return Event(
        id=identity,
        kind="event",
        type=QUESTION_ASKED,
        time=now,
        body=orjson.dumps(body),
        session_id=ask.session,
        query=ask.query,
        namespace=ask.namespace,
        agent=ask.asked_by,
        question_id=identity.hex(),
    )


def question_id_for(attempt: str) -> str:
    """Id of the question that was, or would be, asked with this `attempt`."""
    return _identity(attempt).hex()


def _identity(attempt: str) -> bytes:
    return event_id("question", attempt)


def check_answer(question: Question, answer: object, field: str = "answer") -> None:
    """Raise BadInput where the answer is not among the options, or not what the schema wants."""
    _check_size(answer, field)
    if question.options is not None and not any(_equal(answer, option) for option in question.options):
        raise BadInput(f"must be one of {orjson.dumps(question.options).decode()[:300]}", field)
    if question.schema is not None:
        try:
            problem: ValidationError | None = best_match(Draft202012Validator(question.schema).iter_errors(answer))
        except (RecursionError, Unresolvable):
            raise BadInput("the question's schema cannot be followed", field) from None
        if problem is not None:
            place = "".join(f"[{part!r}]" if isinstance(part, int) else f".{part}" for part in problem.absolute_path)
            raise BadInput(problem.message[:300], field + place)


def _question(ask: Ask) -> Question:
    return Question(id="", schema=ask.schema, options=ask.options)


def _equal(one: object, other: object) -> bool:
    # In JSON `true` is no number.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _check_size(value: object, field: str) -> None:
    if value is None:
        return
    if nests_too_deep(value):
        raise BadInput("is nested too deep", field)
    if len(orjson.dumps(value)) > MAX_CONTENT:
        raise BadInput(f"is longer than {MAX_CONTENT} bytes", field)


def _check_schema_is_tame(schema: object) -> None:
    """Raise BadInput for a schema that a small answer could keep busy for ever, or that lies elsewhere."""
    references = 0
    rest = [schema]
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            rest += value
        if not isinstance(value, Mapping):
            continue
        for key, content in value.items():
            if key in ("pattern", "patternProperties"):
                raise BadInput(f"may not have `{key}`: list the options, or say the format in the text", "schema")
            if key in ("$ref", "$dynamicRef"):
                references += 1
                if not (isinstance(content, str) and content.startswith("#")):
                    raise BadInput("may refer to itself only (`#…`)", "schema")
        rest += value.values()
    if references > MAX_REFERENCES:
        raise BadInput(f"has more than {MAX_REFERENCES} references", "schema")


def _invalid(error: msgspec.ValidationError) -> BadInput:
    message, _, place = str(error).partition(" - at `$.")
    field = place.rstrip("`") or "body"
    if "unknown field" in message or "missing required field" in message:
        field = message.rpartition("`")[0].rpartition("`")[2] or field
    return BadInput(message[:300], field)
