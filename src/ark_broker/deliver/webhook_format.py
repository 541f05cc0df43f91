"""What a webhook is sent: the signature of Standard Webhooks, and the bodies, for programs and for Slack.

Pure: nothing here sends. https://www.standardwebhooks.com says what is signed, and how; Slack's "Formatting message
text" and "Block Kit" say what is escaped, and how long a text may be.

What is told has the names that a namespace uses itself (`model.names`), also where the log has another form of them;
only the address of an answer has that form (`answer_url`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as random
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final
from urllib.parse import quote

import orjson

from ark_broker.log.confine import unqualified
from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.model.timestamps import rfc3339
from ark_broker.sessions.questions import Question

#: Bytes that `webhook_body` never has more of.
MAX_BODY: Final = 64 * 1024
#: Seconds by which a signed timestamp may differ from the receiver's clock.
TOLERANCE: Final = 300
#: Stands at the end of a text that was cut.
CUT: Final = "… [cut]"

_PREFIX: Final = "whsec_"
#: Of a secret, in bytes, as the specification wants it.
_SHORTEST: Final = 24
_LONGEST: Final = 64
#: The full stop separates what is signed, so an id has none.
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_~:-]{1,200}")

#: Characters that each text of a body may have: the next, where the body would be too long with the one before.
_TEXT_LIMITS: Final = (8_192, 2_048, 512, 128)
_MAX_OPTIONS: Final = 50

#: Slack's limits, in characters as JavaScript counts them.
_SLACK_HEADER: Final = 150
_SLACK_SECTION: Final = 3_000
_SLACK_FIELD: Final = 2_000
_SLACK_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
#: Control characters but the line feed, and those that turn the direction of the text after them.
_UNSEEN: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


# --- Signatures ----------------------------------------------------------------------------------------------------


def generate_secret() -> str:
    """A fresh secret of 32 random bytes: `whsec_<base64>`."""
    return _PREFIX + base64.b64encode(random.token_bytes(32)).decode("ascii")


def parse_secret(text: str) -> bytes:
    """The key in `whsec_<base64>`: 24 to 64 bytes. Raises BadInput, which does not repeat the secret."""
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise BadInput(f"must be {_PREFIX} and {_SHORTEST} to {_LONGEST} bytes in base64", "secret")
    return key


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt to deliver `body`, signed with each of the keys: two while one replaces the other.

    `timestamp`: of this attempt, in seconds since the Unix epoch. `message_id` is the same for each attempt. Raises
    BadInput for an id that cannot be signed, and without a key.
    """
    if not secrets:
        raise BadInput("there is none to sign with", "secret")
    if not _MESSAGE_ID.fullmatch(message_id):
        raise BadInput("must be 1 to 200 letters, digits and any of _ ~ : -", "webhook-id")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join("v1," + _signature(key, message_id, str(timestamp), body) for key in secrets),
    }


def verify(secrets: Iterable[bytes], headers: Mapping[str, str], body: bytes, now: float) -> None:
    """What a receiver does: one signature by one of the keys is enough. `now`: seconds since the Unix epoch.

    Raises BadInput when a header is missing or wrong, the timestamp is more than 5 minutes off, or no signature fits.
    """
    found = {name.lower(): value for name, value in headers.items()}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not found.get(name):
            raise BadInput("is missing", name)
    timestamp = found["webhook-timestamp"]
    if not re.fullmatch("[0-9]{1,15}", timestamp) or abs(now - int(timestamp)) > TOLERANCE:
        raise BadInput(f"is not within {TOLERANCE} seconds of now", "webhook-timestamp")
    versions = (entry.partition(",") for entry in found["webhook-signature"].split(" "))
    sent = [value.encode() for version, _, value in versions if version == "v1"]
    right = [_signature(key, found["webhook-id"], timestamp, body).encode() for key in secrets]
    # Every pair is compared, whichever fits: the time taken tells nothing.
    if sum(hmac.compare_digest(one, other) for one in sent for other in right) == 0:
        raise BadInput("is by none of the secrets", "webhook-signature")


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


# --- For programs --------------------------------------------------------------------------------------------------


def webhook_body(event: Event, question: Question | None, base_url: str | None) -> bytes:
    """`{"type", "timestamp", "data": {…}}` in JSON, at most `MAX_BODY` bytes; texts that are too long are cut.

    `data` has what is known of `id`, `session`, `query`, `namespace`, `conversationId`, `agent`, `traceId`, `status`,
    `error`, and the `question` that the event is about. `base_url` is where people reach the broker: a question that
    they can answer there has an `answerUrl`.
    """
    event, question, url = _told(event, question, base_url)
    for limit in _TEXT_LIMITS:
        body = orjson.dumps(
            {
                "type": _cut(event.type, limit),
                "timestamp": rfc3339(event.time),
                "data": _event_data(event, limit) | _question_data(question, url, limit),
            }
        )
        if len(body) <= MAX_BODY:
            break
    return body


def _told(event: Event, question: Question | None, base_url: str | None) -> tuple[Event, Question | None, str | None]:
    """The two as they are told, and where to answer."""
    if question is None:
        return unqualified(event), None, None
    return unqualified(event), unqualified(question), answer_url(question, base_url)


def _event_data(event: Event, limit: int) -> dict[str, object]:
    texts = {
        "session": event.session_id,
        "query": event.query,
        "namespace": event.namespace,
        "conversationId": event.conversation_id,
        "agent": event.agent,
        "traceId": event.trace_id,
        "status": event.status,
        "error": event.error,
    }
    return {"id": event.id.hex(), **{name: _cut(text, limit) for name, text in texts.items() if text}}


def _question_data(question: Question | None, url: str | None, limit: int) -> dict[str, object]:
    if question is None:
        return {}
    found: dict[str, object | None] = {
        "id": _cut(question.id, limit),
        "uri": _cut(question.uri, limit),
        "state": question.state,
        "text": question.text and _cut(question.text, limit),
        "context": question.context and _cut(question.context, limit),
        "options": question.options and [_value(option, limit) for option in question.options[:_MAX_OPTIONS]],
        "blocking": question.blocking,
        "secret": question.secret or None,
        "deadline": None if question.deadline is None else rfc3339(question.deadline),
        "answerable": question.is_open and question.is_answerable,
        "answerUrl": url,
        "answeredBy": question.answered_by and _cut(question.answered_by, limit),
    }
    shown = {name: value for name, value in found.items() if value is not None}
    if question.state == "answered" and question.told and not question.secret:
        # An answer known before its question is not shown: nobody has said yet that it is no secret.
        shown["answer"] = _value(question.answer, limit)
    return {"question": shown}


def answer_url(question: Question, base_url: str | None) -> str | None:
    """Where an answer is POSTed; None for a question that is over, or is answered elsewhere, or nobody says where.

    `question`: as the log has it. Its stored name leads everybody to it; by the name that it shares with a question of
    another namespace, whoever sees both would answer the other one.
    """
    if not base_url or not question.is_open or not question.is_answerable or len(question.id) > 256:
        return None
    return f"{base_url.rstrip('/')}/v1/questions/{quote(_clean(question.id), safe='')}/answer"


def _value(value: Any, limit: int) -> object:
    """A JSON value as it is where it is short; else its text, cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _cut(value, limit)
    written = _json(value)
    # A fragment: as part of the body, what is nested as deep as orjson writes would be too deep.
    return orjson.Fragment(written) if len(written) <= limit else _cut(written.decode(), limit)


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # nested deeper than orjson writes, which is less deep than it reads
        return orjson.dumps(CUT)


def _cut(text: str, limit: int) -> str:
    text = _clean(text[: limit + 1])
    return text if len(text) <= limit else text[:limit].rstrip() + CUT


def _clean(text: str) -> str:
    """Without lone surrogates, which UTF-8 has no bytes for."""
    return text.encode("utf-8", "replace").decode("utf-8")


# --- For Slack -----------------------------------------------------------------------------------------------------


def slack_body(event: Event, question: Question | None, base_url: str | None) -> bytes:
    """The JSON of an incoming webhook of Slack: `text` for notifications, and `blocks`.

    All that came from telemetry stands in `plain_text`, where Slack reads no formatting, links or mentions, and is
    escaped besides. No secret is in it, and no answer.
    """
    event, question, url = _told(event, question, base_url)
    title = re.sub("[._]+", " ", event.type).strip().capitalize()
    detail = (question.text if question is not None else None) or event.error
    blocks: list[dict[str, object]] = [{"type": "header", "text": _plain(_one_line(title), _SLACK_HEADER)}]
    blocks += [{"type": "section", "text": _plain(text, _SLACK_SECTION)} for text in (detail,) if text]
    if question is not None and question.options:
        lines = "\n".join("• " + _one_line(_written(option)) for option in question.options[:_MAX_OPTIONS])
        blocks.append({"type": "section", "text": _plain(lines, _SLACK_SECTION)})
    fields = [_plain(f"{name}\n{_one_line(text)}", _SLACK_FIELD) for name, text in _slack_fields(event, question)]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    if url is not None:
        blocks.append({"type": "section", "text": _plain(f"Answer with a POST to {url}", _SLACK_SECTION)})
    return orjson.dumps(
        {
            "text": _slack_text(_one_line(f"{title}: {detail}" if detail else title), _SLACK_SECTION),
            "mrkdwn": False,
            # Slack would fetch what telemetry names.
            "unfurl_links": False,
            "unfurl_media": False,
            "blocks": blocks,
        }
    )


def _slack_fields(event: Event, question: Question | None) -> list[tuple[str, str]]:
    """At most 10, as Slack wants it."""
    deadline = None if question is None or question.deadline is None else rfc3339(question.deadline)
    found = (
        ("Session", event.session_id),
        ("Query", event.query),
        ("Namespace", event.namespace),
        ("Agent", event.agent or (question.asked_by if question is not None else None)),
        ("Deadline", deadline),
        ("Question", None if question is None else question.uri),
    )
    return [(name, text) for name, text in found if text]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else _json(value).decode()


def _plain(text: str, limit: int) -> dict[str, object]:
    return {"type": "plain_text", "text": _slack_text(text, limit), "emoji": False}


def _one_line(text: str) -> str:
    return " ".join(text[:_SLACK_SECTION].split())


def _slack_text(text: str, limit: int) -> str:
    """Escaped, and cut between two characters so that no escape is broken; never empty, which Slack refuses."""
    seen = _UNSEEN.sub(" ", _clean(text[: limit + 1])).strip()
    escaped = [_SLACK_ESCAPES.get(character, character) for character in seen]
    if len(text) <= limit and _slack_length("".join(escaped)) <= limit:
        return "".join(escaped) or "–"
    ends = accumulate(map(_slack_length, escaped))
    return "".join(escaped[: sum(end <= limit - len(CUT) for end in ends)]) + CUT


def _slack_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
