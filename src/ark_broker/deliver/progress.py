"""How a cursor's state changes with what comes of its deliveries. Times are nanoseconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from ark_broker.deliver.otlp_send import Outcome
from ark_broker.log.cursors import CursorState

_MAX_REASON: Final = 300
_NANOSECONDS: Final = 1_000_000_000


@dataclass(slots=True)
class Counts:
    """What this process did, since its start."""

    delivered: int = 0
    rejected: int = 0
    dead: int = 0
    failures: int = 0

    def add(self, outcome: Outcome) -> None:
        self.delivered += outcome.delivered
        self.rejected += outcome.rejected
        self.dead += len(outcome.dead)


def counted(state: CursorState, outcome: Outcome) -> CursorState:
    """With what came of the events of one delivery."""
    return msgspec.structs.replace(
        state,
        delivered=state.delivered + outcome.delivered,
        rejected=state.rejected + outcome.rejected,
        dead=state.dead + len(outcome.dead),
    )


def succeeded(state: CursorState, message: str, now: int) -> CursorState:
    """Something was taken. `message` is what the receiver says of that: a partial success; "" for nothing."""
    state = msgspec.structs.replace(state, failures=0, paused_until=None, last_success_at=now)
    return msgspec.structs.replace(state, last_error=clean(message), last_error_at=now) if message else state


def failed(state: CursorState, message: str, now: int, pause: float) -> CursorState:
    """A try failed; the next one is to come after `pause` seconds."""
    return msgspec.structs.replace(
        state,
        failures=state.failures + 1,
        last_error=clean(message),
        last_error_at=now,
        paused_until=now + int(pause * _NANOSECONDS),
    )


def missed(state: CursorState, position: int, floor: int) -> CursorState:
    """Retention has removed what lies between the two, before it was looked at."""
    return msgspec.structs.replace(
        state, gaps=state.gaps + 1, missed=state.missed + floor - position, noted_floor=floor
    )


def clean(text: str) -> str:
    """As a database can hold it: PostgreSQL takes no NUL, and UTF-8 has no lone surrogates."""
    return text[:_MAX_REASON].replace("\x00", " ").encode("utf-8", "replace").decode("utf-8")
