"""Events to flowing text: a line for each event, and the text of a model's chunks joined as it comes.

    14:51:09 query-001 [event] query.started
    14:51:10 query-001 [stream] Let me have a look at what it is like outside
    14:51:14 query-001 [tool] web_search("weather NYC") -> "72F sunny"

Streams that come at the same time each get lines of their own: whoever speaks next begins a new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ark_broker.cli.render import amounts
from ark_broker.cli.render.content import details_of
from ark_broker.cli.render.label import Mood
from ark_broker.cli.render.printable import printable
from ark_broker.cli.render.values import plain, question_text, quoted

#: Types of which the tree's bracket says something else than `event`.
_KINDS = {"tool": "tool", "llm": "llm", "question": "question", "task": "a2a", "artifact": "a2a", "stream": "stream"}
_WAITS = ("query.waiting", "question.asked")


class Piece(NamedTuple):
    """Printable text, and how it is to be seen."""

    text: str
    mood: Mood = "plain"


@dataclass(slots=True)
class Flow:
    """Joins what comes into lines. `with_session` puts the session before each."""

    with_session: bool = False
    #: Whose text the open line is; None where none is open.
    _speaker: str | None = None

    def event(self, event: Mapping[str, Any]) -> Iterator[Piece]:
        """A stored event, as `GET …/events` shows them."""
        body = event.get("body")
        if event.get("kind") == "chunk" and isinstance(body, Mapping) and "choices" in body:
            stream = str(event.get("streamId") or event.get("query") or "")
            yield from self._chunk(body, stream, self._where(event), event.get("time"))
            return
        yield from self._line(event, details_of(event), self._where(event), event.get("time"))

    def frame(self, query: str, frame: Any) -> Iterator[Piece]:
        """A frame of a query's stream: an OpenAI chunk, or `{"type": "event", "event": {…}}`.

        Whatever JSON a producer posted as a chunk may come too; it has nothing to show.
        """
        if not isinstance(frame, Mapping):
            return
        event = frame.get("event")
        if frame.get("type") == "event" and isinstance(event, Mapping):
            yield from self._line(event, event, printable(query), event.get("ts"))
        else:
            yield from self._chunk(frame, query, printable(query), None)

    def finish(self) -> Iterator[Piece]:
        """End the line that is open."""
        if self._speaker is not None:
            self._speaker = None
            yield Piece("\n")

    def _where(self, event: Mapping[str, Any]) -> str:
        session, query = event.get("sessionId"), event.get("query")
        names = [session, query] if self.with_session else [query or session]
        return " ".join(printable(str(name)) for name in names if name) or "-"

    def _chunk(self, body: Mapping[str, Any], stream: str, where: str, time: str | None) -> Iterator[Piece]:
        error = body.get("error")
        if error:
            yield from self.finish()
            yield Piece(f"{_clock(time)}{where} [stream] ERROR {plain(_reason(error), most=None)}\n", "error")
            return
        text = text_of_chunk(body)
        if not text:
            return
        if self._speaker != stream:
            yield from self.finish()
            yield Piece(f"{_clock(time)}{where} ", "quiet")
            yield Piece("[stream] ", "good")
            self._speaker = stream
        yield Piece(printable(text, lines=True).replace("\n", "\n    "))

    def _line(
        self, event: Mapping[str, Any], details: Mapping[str, Any], where: str, time: str | None
    ) -> Iterator[Piece]:
        kind = str(event.get("type", ""))
        if kind == "stream.completed":
            yield from self.finish()
            return
        yield from self.finish()
        failed = event.get("status") == "error" or bool(event.get("error")) or kind.endswith(".failed")
        mood: Mood = "error" if failed else "waiting" if kind in _WAITS else "plain"
        bracket = _KINDS.get(kind.partition(".")[0], "event")
        yield Piece(f"{_clock(time)}{where} ", "quiet")
        yield Piece(f"[{bracket}] {_said(kind, event, details, failed=failed)}\n", mood)


def text_of_chunk(body: Any) -> str:
    """What a completion chunk adds to the text of its first choice; reasoning where it has no text."""
    choices = body.get("choices") if isinstance(body, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        return ""
    delta = choices[0].get("delta")
    if not isinstance(delta, Mapping):
        return ""
    for key in ("content", "refusal", "reasoning_content", "reasoning"):
        if isinstance(delta.get(key), str) and delta[key]:
            return str(delta[key])
    return ""


def _said(kind: str, event: Mapping[str, Any], details: Mapping[str, Any], *, failed: bool) -> str:
    group = kind.partition(".")[0]
    given, gave = details.get("input"), details.get("output")
    if group == "tool":
        said = printable(str(event.get("tool") or "tool"))
        said += "" if given is None else f"({quoted(question_text(given) if said == 'ask_question' else given)})"
        if gave is not None and not failed:
            said += f" -> {quoted(gave)}"
    elif group == "task":
        said = f"{plain(event.get('taskId') or 'task')} ({plain(event.get('taskState') or 'unknown')})"
    elif group == "llm":
        said = f"{kind} {plain(event.get('model') or '')}".rstrip()
    else:
        said = printable(kind)
        message = details.get("message")
        said += f" {plain(event['agent'])}" if group == "agent" and event.get("agent") else ""
        said += f" {quoted(message)}" if message else ""
        said += f" -> {quoted(gave)}" if kind == "question.answered" and gave is not None else ""
        said += f" {plain(event['questionId'])}" if event.get("questionId") else ""
    if failed:
        reason = event.get("error") or details.get("message") or gave
        return f"{said} ERROR {plain(reason, most=300)}" if reason else f"{said} ERROR"
    took = event.get("duration")
    return f"{said} ({amounts.duration(took)})" if isinstance(took, int | float) and took >= 1 else said


def _reason(error: Any) -> Any:
    return error.get("message", error) if isinstance(error, Mapping) else error


def _clock(time: str | None) -> str:
    return f"{amounts.clock(time)} " if time else ""
