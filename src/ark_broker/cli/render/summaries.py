"""Sessions and questions in lists: one row each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ark_broker.cli.render import amounts
from ark_broker.cli.render.label import MOODS, Mood
from ark_broker.cli.render.values import SHORT, plain, quoted

SESSION_COLUMNS = ("SESSION", "STATUS", "QUERIES", "AGENTS", "EVENTS", "TOKENS", "COST", "ERRORS", "ACTIVE")
QUESTION_COLUMNS = ("QUESTION", "STATE", "WHERE", "ASKED", "TEXT")

Cell = str | tuple[str, Mood]


def session_row(session: Mapping[str, Any], now: datetime) -> list[Cell]:
    """One session, in the order of SESSION_COLUMNS."""
    counts: Mapping[str, Any] = session.get("counts", {})
    status = plain(session.get("status", "unknown"))
    errors = int(counts.get("errors", 0))
    return [
        plain(session["id"], most=None),
        (status, MOODS.get(status, "plain")),
        phases(counts),
        plain(", ".join(session.get("agents", [])), most=40),
        amounts.count(counts.get("events", 0)),
        amounts.tokens(session.get("tokens")),
        amounts.dollars(session.get("cost")),
        (str(errors), "error" if errors else "quiet"),
        f"{amounts.age(session.get('lastActivity'), now)} ago",
    ]


def phases(counts: Mapping[str, Any]) -> str:
    """Queries by phase: `3: 1 done, 1 running, 1 waiting`."""
    told = ", ".join(f"{number} {plain(phase)}" for phase, number in counts.get("phases", {}).items() if number)
    total = counts.get("queries", 0)
    return f"{total}: {told}" if told else str(total)


def question_row(question: Mapping[str, Any], now: datetime) -> list[Cell]:
    """One question, in the order of QUESTION_COLUMNS."""
    state = plain(question.get("state", "unknown"))
    moods: dict[str, Mood] = {"open": "waiting", "answered": "good"}
    where = "/".join(str(question[key]) for key in ("session", "query") if question.get(key))
    return [
        plain(question["id"], most=None),
        (state, moods.get(state, "quiet")),
        plain(where, most=60),
        f"{amounts.age(question.get('askedAt'), now)} ago" if question.get("askedAt") else "",
        question_text(question),
    ]


def question_text(question: Mapping[str, Any]) -> str:
    """What is asked, of which values one is the answer, and what came of it."""
    text = plain(question.get("text", ""), most=SHORT * 2)
    if question.get("options"):
        text += f" {quoted(question['options'])}"
    if "answer" in question:
        text += f" -> {quoted(question['answer'])}"
        text += f" by {plain(question['answeredBy'])}" if question.get("answeredBy") else ""
    return text
