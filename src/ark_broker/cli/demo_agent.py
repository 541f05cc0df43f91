"""The demo's agent: a client of the broker's MCP server, as an executor's would be."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, RequestParamsMeta

from ark_broker.cli.connection import bearer
from ark_broker.cli.demo_producer import ProducerError
from ark_broker.cli.demo_story import Asked

#: Seconds of one call; a question stays open for the next.
_WAIT_SECONDS: Final = 30
#: Seconds that a broker may be away while its answer is waited for.
_PATIENCE_SECONDS: Final = 60
_Found = TypeVar("_Found")


class _AwayError(ProducerError):
    """The broker cannot be reached; it may come back."""


class McpAgent:
    """Asks through `<url>/mcp`. Its methods raise ProducerError where the broker is away or refuses."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/mcp"
        self._headers = bearer(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo-agent", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ask(self, text: str, options: Sequence[str], traceparent: str) -> Asked:
        """Ask; the broker finds the query by the trace, which is all it is told."""
        arguments = {"text": text, "options": list(options), "askedBy": "assistant", "waitSeconds": 0}
        found = self._run(self._call("ask_question", arguments, {"traceparent": traceparent}))
        return Asked(found["question"], found["uri"])

    def answer_to(self, asked: Asked) -> object:
        """Wait as long as it takes, one call after the other; also for a broker that is started again."""
        patience = _PATIENCE_SECONDS
        while True:
            try:
                found = self._run(self._call("get_answer", {"question": asked.id, "waitSeconds": _WAIT_SECONDS}, {}))
            except _AwayError:
                if patience <= 0:
                    raise
                patience -= 1
                time.sleep(1)
                continue
            patience = _PATIENCE_SECONDS
            if found["state"] == "answered":
                return found["answer"]
            if found["state"] != "open":
                raise ProducerError(f"the question is {found['state']}: {found.get('reason')}")

    async def _call(self, tool: str, arguments: dict[str, Any], meta: dict[str, str]) -> dict[str, Any]:
        async with (
            httpx2.AsyncClient(headers=self._headers, timeout=_WAIT_SECONDS + 30) as http,
            Client(streamable_http_client(self._url, http_client=http)) as client,
        ):
            result = await client.call_tool(
                tool, arguments, meta=cast(RequestParamsMeta, meta), read_timeout_seconds=_WAIT_SECONDS + 30
            )
        return _structured(result, tool)

    def _run(self, call: Coroutine[Any, Any, _Found]) -> _Found:
        try:
            return asyncio.run_coroutine_threadsafe(call, self._loop).result()
        except ProducerError:
            raise
        except (MCPError, httpx2.HTTPError, OSError) as error:
            raise _AwayError(f"{self._url}: {error}") from error
        except BaseExceptionGroup as group:
            raise _AwayError(f"{self._url}: {_first(group)}") from group


def _structured(result: CallToolResult, tool: str) -> dict[str, Any]:
    content = result.structured_content
    if isinstance(content, dict):
        return content
    said = " ".join(part.text for part in result.content if part.type == "text")
    raise ProducerError(f"{tool} failed: {said[:300]}")


def _first(error: BaseException) -> BaseException:
    """What the tasks of the client died of, without the groups around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
