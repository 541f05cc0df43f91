"""What the client does, apart from how: programs that name their next step, and know nothing of sockets.

A program is a generator. It yields a step, and is sent what came of it:

    Call   → Answer          one request, whole
    Open   → None            a request whose answer is read piece by piece
    Read   → bytes           the next piece of that answer; empty at its end
    Pause  → None            wait
    Emit   → None            hand these items to whoever iterates

Where nobody answers, `Unreachable` is raised at the step; where the answer to `Open` is an error, `Refused`. So every
program is written once, and `Client` and `AsyncClient` only carry out steps.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from ark_broker.client.errors import BrokerError, refusal

Value = TypeVar("Value")

Parameters: TypeAlias = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `path` is below the broker's URL, its names already encoded."""

    method: str
    path: str
    parameters: Parameters = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    #: Seconds that the broker may take to answer on top of the client's time limit: a long poll.
    patience: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer to a Call. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Open:
    """Send the request, and leave its answer open; one that is open is closed. With `media`, it must be of that type.

    `silence` is the longest time without a byte, in seconds, before the connection counts as lost.
    """

    call: Call
    silence: float | None = None
    media: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """The next bytes of the open answer."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for so many seconds, because of what went wrong; None where nothing did."""

    seconds: float
    reason: BrokerError | None


@dataclass(frozen=True, slots=True)
class Emit:
    """Items for whoever iterates."""

    items: Sequence[Any]


Step: TypeAlias = Call | Open | Read | Pause | Emit
Program: TypeAlias = Generator[Step, Any, Value]


def request(call: Call) -> Program[Answer]:
    """Make the call once. Raises Refused where the answer is an error."""
    answer: Answer = yield call
    if answer.status >= 400:
        raise refusal(answer.status, answer.headers, answer.body)
    return answer


class Run(Generic[Value]):
    """A program on its way. `step` is what it wants next; None once it has ended, with `result`."""

    def __init__(self, program: Program[Value]) -> None:
        self._program = program
        self._result: list[Value] = []
        self.step: Step | None = None
        self.resume(None)

    @property
    def result(self) -> Value:
        """What the program returned."""
        return self._result[0]

    def resume(self, reply: object) -> None:
        """Tell the program what came of its step."""
        try:
            self.step = self._program.send(reply)
        except StopIteration as stop:
            self._end(stop.value)

    def fail(self, error: BrokerError) -> None:
        """Raise the error at the program's step."""
        try:
            self.step = self._program.throw(error)
        except StopIteration as stop:
            self._end(stop.value)

    def _end(self, result: Value) -> None:
        self.step = None
        self._result.append(result)
