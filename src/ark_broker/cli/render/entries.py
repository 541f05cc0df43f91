"""Entries of a query's view to the lines of the tree.

[event] query.started
[stream] LLM chunks (52 tokens) > ark-broker replay query-001
[tool] web_search("weather NYC") -> "72F sunny"
[question] Waiting for response...
[a2a] task-xyz (pending)
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ark_broker.cli.render import amounts
from ark_broker.cli.render.label import Label, Mood
from ark_broker.cli.render.printable import printable
from ark_broker.cli.render.values import SHORT, plain, question_text, quoted

Entry = Mapping[str, Any]

_ASKED = ("query.waiting", "question.asked", "tool_approval_request")
_ENDS = {
    "question.answered": "",
    "tool_approval_response": "",
    "question.expired": "expired",
    "question.canceled": "called off",
}
_TASKS = ("task.updated", "artifact.updated")
_MODEL_CALLS = ("llm.request", "llm.started")
#: A2A's word for a task that nobody has begun, and the tree's.
_TASK_WORDS = {"submitted": "pending"}


@dataclass(slots=True)
class QueryLines:
    """Makes the lines of one query. `full` shows every entry and every value whole, with times."""

    name: str
    query: Mapping[str, Any]
    full: bool = False
    _questions: dict[str, list[Entry]] = field(default_factory=dict)
    _shown: set[str] = field(default_factory=set)

    def build(self) -> list[Label]:
        """The lines, in the order of the entries; tasks that no entry tells of come last."""
        entries: Sequence[Entry] = self.query.get("events", [])
        for entry in entries:
            if (question := _question_id(entry)) is not None:
                self._questions.setdefault(question, []).append(entry)
        found = [self._timed(entry, label) for entry in entries if (label := self._label(entry)) is not None]
        tasks: Mapping[str, Any] = self.query.get("tasks", {})
        return found + [self._task(task) for task in tasks if f"task:{task}" not in self._shown]

    def _label(self, entry: Entry) -> Label | None:
        kind = str(entry.get("type", ""))
        if kind == "stream":
            return self._stream(entry)
        if kind == "tool.call":
            return self._tool(entry)
        if kind in _ENDS or (kind in _ASKED and _question_id(entry) is not None):
            question = _question_id(entry)
            return None if question is None or self._seen(f"question:{question}") else self._question(question)
        if kind in _TASKS and entry.get("taskId"):
            task = str(entry["taskId"])
            return None if self._seen(f"task:{task}") else self._task(task, entry)
        if kind in _MODEL_CALLS:
            return self._model_call(entry, kind)
        return self._event(entry, kind)

    def _stream(self, entry: Entry) -> Label:
        if entry.get("status") == "error":
            reason = plain(entry.get("error") or "broke off", most=self._most)
            return Label(f"LLM chunks ({_tokens(entry)}) -> ERROR {reason}", "stream", "error", self._replay())
        if self._is_live and not entry.get("complete") and self._is_last("stream", entry):
            return Label("LLM streaming...", "stream", "busy")
        return Label(f"LLM chunks ({_tokens(entry)})", "stream", hint=self._replay())

    def _replay(self) -> str:
        return f"ark-broker replay {shlex.quote(printable(self.name))}"

    def _tool(self, entry: Entry) -> Label:
        name = printable(str(entry.get("tool") or entry.get("name") or "tool"))
        given, gave = entry.get("input"), entry.get("output")
        asks = name == "ask_question"
        if entry.get("status") == "error" or entry.get("error"):
            reason = plain(entry.get("error") or gave or "failed", most=self._most)
            return Label(f"{name}{self._arguments(given)} -> ERROR {reason}", "tool", "error")
        if asks and gave is None and given is not None:
            return Label(f"{name} -> {self._quoted(question_text(given))}", "tool")
        if asks:
            given = question_text(given)
        if gave is not None:
            return Label(f"{name}{self._arguments(given)} -> {self._quoted(gave)}", "tool")
        if self._is_live and "duration" not in entry:
            return Label(f"{name}{self._arguments(given)} ...", "tool", "busy")
        return Label(f"{name}{self._arguments(given)}", "tool")

    def _arguments(self, given: Any) -> str:
        return "" if given is None else f"({self._quoted(given)})"

    def _question(self, question: str) -> Label:
        entries = self._questions[question]
        text = next((each["message"] for each in entries if isinstance(each.get("message"), str)), None)
        asked = any(each.get("type") == "question.asked" for each in entries)
        end = next((each for each in entries if each.get("type") in _ENDS), None)
        if end is not None:
            came = _ENDS[end["type"]] or (self._quoted(end["output"]) if "output" in end else "answered")
            return Label(f"{self._quoted(text) if text else printable(question)} -> {came}", "question")
        if self.query.get("phase") not in ("waiting", "running", "pending"):
            return Label(f"{self._quoted(text) if text else printable(question)} -> not answered", "question", "quiet")
        said = f"Waiting for response... {self._quoted(text)}" if text else "Waiting for response..."
        hint = f"ark-broker answer {shlex.quote(printable(question))}" if asked else ""
        return Label(said, "question", "waiting", hint)

    def _task(self, task: str, entry: Entry | None = None) -> Label:
        known = self.query.get("tasks", {}).get(task, {})
        state = str(known.get("state") or (entry or {}).get("taskState") or "unknown").replace("_", "-")
        moods: dict[str, Mood] = {"failed": "error", "rejected": "error", "working": "busy"}
        word = printable(_TASK_WORDS.get(state, state))
        return Label(f"{printable(task)} ({word})", "a2a", moods.get(state, "plain"))

    def _model_call(self, entry: Entry, kind: str) -> Label | None:
        model = printable(str(entry.get("model") or entry.get("name") or "model"))
        if entry.get("status") == "error" or entry.get("error"):
            return Label(f"{model} -> ERROR {plain(entry.get('error') or 'failed', most=self._most)}", "llm", "error")
        if not self.full and self._is_told(entry, kind):
            return None
        if kind == "llm.started":
            return Label(f"{model} ...", "llm", "busy" if self._is_live else "quiet")
        figures = [f"{amounts.tokens(entry['tokens'])} tokens"] if "tokens" in entry else []
        figures += [amounts.duration(entry["duration"])] if "duration" in entry else []
        figures += [amounts.dollars(entry["cost"])] if "cost" in entry else []
        return Label(f"{model} ({', '.join(figures)})" if figures else model, "llm")

    def _is_told(self, entry: Entry, kind: str) -> bool:
        """Whether another line shows the same model call: the stream of its text, or its end."""
        started = amounts.moment(entry.get("ts"))
        if started is None:
            return False
        took = timedelta(milliseconds=float(entry.get("duration", 0))) if kind == "llm.request" else timedelta.max
        others = ("stream",) if kind == "llm.request" else ("stream", "llm.request")
        for other in self.query.get("events", []):
            began = amounts.moment(other.get("ts")) if other.get("type") in others else None
            if began is not None and timedelta() <= began - started <= took:
                return True
        return False

    def _event(self, entry: Entry, kind: str) -> Label:
        text = printable(kind)
        name = entry.get("agent") if kind.startswith("agent.") else entry.get("name")
        if isinstance(name, str) and name:
            text += f" {plain(name, most=self._most)}"
        if "duration" in entry:
            text += f" ({amounts.duration(entry['duration'])})"
        failed = entry.get("status") == "error" or bool(entry.get("error")) or kind.endswith(".failed")
        if failed:
            reason = entry.get("error") or entry.get("message")
            return Label(text + (f" ERROR {plain(reason, most=self._most)}" if reason else ""), "event", "error")
        if entry.get("message"):
            text += f" {self._quoted(entry['message'])}"
        return Label(text, "event", "waiting" if kind == "query.waiting" else "plain")

    def _timed(self, entry: Entry, label: Label) -> Label:
        if not self.full:
            return label
        when = amounts.offset(entry.get("ts"), self.query.get("startedAt")) or amounts.clock(entry.get("ts"))
        took = f" ({amounts.duration(entry['duration'])})" if label.kind == "tool" and "duration" in entry else ""
        return Label(label.text + took, label.kind, label.mood, label.hint, f"{when:>8}")

    def _seen(self, key: str) -> bool:
        if key in self._shown:
            return True
        self._shown.add(key)
        return False

    def _is_last(self, kind: str, entry: Entry) -> bool:
        entries = self.query.get("events", [])
        return next((each for each in reversed(entries) if each.get("type") == kind), None) is entry

    def _quoted(self, value: Any) -> str:
        return quoted(value, most=self._most)

    @property
    def _is_live(self) -> bool:
        return self.query.get("phase") == "running"

    @property
    def _most(self) -> int | None:
        return None if self.full else SHORT


def _question_id(entry: Entry) -> str | None:
    if entry.get("questionId"):
        return str(entry["questionId"])
    uri = entry.get("questionUri")
    return uri.removeprefix("ark://questions/") if isinstance(uri, str) else None


def _tokens(entry: Entry) -> str:
    number = entry.get("tokens", 0)
    return f"{number} token" if number == 1 else f"{number} tokens"
