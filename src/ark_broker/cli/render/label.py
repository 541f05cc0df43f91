"""One line of a tree, in parts: what it says, and how it is to be seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Mood = Literal["plain", "quiet", "good", "busy", "waiting", "error"]

#: What a phase of a query, or a status of a session, looks like.
MOODS: dict[str, Mood] = {
    "done": "good",
    "running": "busy",
    "active": "busy",
    "waiting": "waiting",
    "error": "error",
    "canceled": "quiet",
    "pending": "quiet",
    "idle": "quiet",
}


@dataclass(frozen=True, slots=True)
class Label:
    """`[kind] text > hint`; every part is printable. The hint is a command to type."""

    text: str
    kind: str = ""
    mood: Mood = "plain"
    hint: str = ""
    #: Put before the line: when it happened.
    when: str = ""

    def __str__(self) -> str:
        return "".join(
            (
                f"{self.when} " if self.when else "",
                f"[{self.kind}] " if self.kind else "",
                self.text,
                f" > {self.hint}" if self.hint else "",
            )
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A line and the lines below it."""

    label: Label
    children: list[Node] = field(default_factory=list)
