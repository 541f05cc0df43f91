"""The client as the commands use it: it says when it takes a stream up again, and knows a few routes more."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from ark_broker.cli.connection import Connection
from ark_broker.client import BrokerError, Client, calls, programs
from ark_broker.client.steps import Call, Pause, Program, request

Value = TypeVar("Value")
#: Called before each new try of a stream, with the seconds until then and what happened, if it was an error.
OnPause = Callable[[float, BrokerError | None], None]


class BrokerClient(Client):
    """A client of the broker that `connection` names. `timeout` is seconds for one request."""

    def __init__(self, connection: Connection, *, timeout: float = 30.0, retry_seconds: float = 10.0) -> None:
        super().__init__(connection.url, token=connection.token, timeout=timeout, retry_seconds=retry_seconds)
        #: Told of every pause of a stream.
        self.on_pause: OnPause | None = None

    def head(self) -> int:
        """Position of the newest event of the log."""
        return int(self._run(programs.fetch(calls.get("sessions", limit=1)))["seq"])

    def deliveries(self) -> list[dict[str, Any]]:
        """Upstreams and webhooks, with how far each lags behind."""
        return list(self._run(programs.fetch(calls.get("deliveries")))["items"])

    def metrics(self) -> str:
        """What Prometheus reads."""
        return self._run(request(Call("GET", "/metrics"))).body.decode()

    def _iterate(self, program: Program[None]) -> Generator[Any, None, None]:
        return super()._iterate(program if self.on_pause is None else _announced(program, self.on_pause))


def _announced(program: Program[Value], on_pause: OnPause) -> Program[Value]:
    """The same program; before each of its pauses `on_pause` is called."""
    failed: BrokerError | None = None
    try:
        step = next(program)
        while True:
            if isinstance(step, Pause):
                on_pause(step.seconds, failed)
                failed = None
            try:
                reply = yield step
            except BrokerError as error:
                failed = error
                step = program.throw(error)
            else:
                step = program.send(reply)
    except StopIteration as stop:
        found: Value = stop.value
        return found
