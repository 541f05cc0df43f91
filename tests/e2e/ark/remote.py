"""Programs in processes of their own, told what to do: a JSON object a line on stdin, an answer a line on stdout.

    {"id": 1, "command": "run", "arguments": {…}}   →   {"id": 1, "result": …} or {"id": 1, "failure": "traceback"}

Commands run at the same time; answers come in the order in which they end. The program ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

from tests.support.process import environment

#: Bytes of one request or answer.
_LINE_LIMIT: Final = 256 * 2**20
#: Seconds that a command may take.
_PATIENCE_SECONDS: Final = 60
_REPOSITORY: Final = Path(__file__).parents[3]

Command = Callable[..., Awaitable[object]]


# -- inside the program ------------------------------------------------------------------------------------------------


async def serve(commands: Mapping[str, Command]) -> None:
    """Run commands until stdin ends; what still runs then is cancelled."""
    requests = asyncio.StreamReader(limit=_LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    running: set[asyncio.Task[None]] = set()
    while line := await requests.readline():
        task = asyncio.create_task(_answer(json.loads(line), commands))
        running.add(task)
        task.add_done_callback(running.discard)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _answer(request: Mapping[str, Any], commands: Mapping[str, Command]) -> None:
    answer: dict[str, object] = {"id": request["id"]}
    try:
        answer["result"] = await commands[request["command"]](**request["arguments"])
    except Exception:  # noqa: BLE001 - told to whoever asked
        answer["failure"] = traceback.format_exc()
    # Written whole before anything else runs: answers never mix.
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


# -- beside it ---------------------------------------------------------------------------------------------------------


class ProgramFailed(Exception):
    """A command raised; the message is its traceback."""


class Program:
    """One such program, started from a module of this package."""

    def __init__(self, module: str, log: Path) -> None:
        self._name = module
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.{module}"],
                env=environment() | {"PYTHONUNBUFFERED": "1"},
                cwd=_REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._reader = threading.Thread(target=self._read_answers, name=f"answers of {module}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def call(self, command: str, /, **arguments: object) -> Any:
        """The command's result. Raises ProgramFailed with what it raised."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await asyncio.wrap_future(self._send(command, arguments))

    def _send(self, command: str, arguments: Mapping[str, object]) -> Future[Any]:
        assert self._process.stdin is not None
        number = next(self._numbers)
        future: Future[Any] = Future()
        self._waiting[number] = future
        line = json.dumps({"id": number, "command": command, "arguments": arguments}) + "\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        return future

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            future = self._waiting.pop(answer["id"])
            if future.cancelled():
                continue
            if "failure" in answer:
                future.set_exception(ProgramFailed(answer["failure"]))
            else:
                future.set_result(answer["result"])
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(ProgramFailed(f"{self._name} ended:\n{self.errors[-4000:]}"))

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """End it; by force where it does not want to."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
            raise AssertionError(f"{self._name} did not end when told to:\n{self.errors[-4000:]}") from None
        finally:
            self._reader.join(20)
            self._process.stdout.close()


def run_program(main: Callable[[], Awaitable[None]]) -> None:
    """`main()` to its end: the whole of a program's `if __name__ == "__main__"`."""
    asyncio.run(_as_coroutine(main))
    # Threads of libraries are not waited for: whoever started the program has had its answers.
    sys.stdout.flush()
    os._exit(0)


async def _as_coroutine(main: Callable[[], Awaitable[None]]) -> None:
    await main()
