"""Hears of other processes' commits: PostgreSQL NOTIFY where it works, polling of the head where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import structlog
from sqlalchemy.engine import make_url

from ark_broker.log.database import Database, PostgresDialect
from ark_broker.log.read import Reader

_log = structlog.get_logger(__name__)

#: Seconds between looks at the head while no LISTEN connection is up.
LOST_POLL_SECONDS: Final = 0.25


#: Seconds that this process's own commit has to be delivered without the database's help.
ECHO_SECONDS: Final = 0.1


class Listener:
    """Calls `heard(head)` whenever the log may have grown.

    A notification is only a wake-up: what is new is read from the log, so a lost one costs time (at most
    `poll_seconds`), never an event.
    """

    def __init__(
        self, database: Database, reader: Reader, heard: Callable[[int], None], *, poll_seconds: float
    ) -> None:
        self._database = database
        self._reader = reader
        self._heard = heard
        self._poll_seconds = poll_seconds
        self._tasks: list[asyncio.Task[None]] = []
        #: True while a LISTEN connection is up.
        self.listening = False

    def start(self) -> None:
        """Start the tasks on the running loop."""
        self._tasks.append(asyncio.create_task(self._poll(), name="log-poll"))
        if isinstance(self._database.dialect, PostgresDialect):
            self._tasks.append(asyncio.create_task(self._listen(), name="log-listen"))

    async def close(self) -> None:
        """Stop the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _poll(self) -> None:
        on_postgres = isinstance(self._database.dialect, PostgresDialect)
        while True:
            healthy = self.listening or not on_postgres
            await asyncio.sleep(self._poll_seconds if healthy else LOST_POLL_SECONDS)
            try:
                self._heard((await self._reader.head()).seq)
            except Exception as error:  # noqa: BLE001 - the database may be away; look again
                _log.debug("could not read the head of the log", error=str(error)[:200])

    async def _listen(self) -> None:
        delay = 0.1
        while True:
            try:
                await self._listen_once()
                delay = 0.1
            except Exception as error:  # noqa: BLE001 - whatever broke the connection, a new one is made
                _log.warning("lost the LISTEN connection; polling", error=str(error)[:200])
            self.listening = False
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    async def _listen_once(self) -> None:
        """Listen until the connection breaks."""
        connection = await asyncpg.connect(dsn=_dsn(self._database.url), timeout=5)
        closed = asyncio.Event()
        connection.add_termination_listener(lambda _connection: closed.set())
        try:
            await connection.add_listener(PostgresDialect.channel, self._notified)
            self.listening = True
            # What was committed while nobody listened.
            self._heard((await self._reader.head()).seq)
            while not closed.is_set():
                await _wait(closed, 10.0)
                # A connection that died without a word (a lost node, a dropped NAT entry) shows here.
                if not closed.is_set():
                    await connection.execute("SELECT 1", timeout=5)
        finally:
            self.listening = False
            connection.terminate()

    def _notified(self, _connection: Any, pid: int, _channel: str, payload: object) -> None:
        text = str(payload)
        if not (text.isascii() and text.isdigit()):
            return
        dialect = self._database.dialect
        if isinstance(dialect, PostgresDialect) and pid == dialect.writer_pid:
            # Our own commit, heard before the writer has heard of it itself. It is about to deliver the events; only
            # where it does not (the connection broke after the commit) are they read again.
            asyncio.get_running_loop().call_later(ECHO_SECONDS, self._heard, int(text))
        else:
            self._heard(int(text))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def _dsn(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
