"""A proxy between the broker and PostgreSQL that loses the answer to a COMMIT, and then the connection."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

_SOCKET: Final = ".s.PGSQL.5432"
#: What asyncpg sends, and what PostgreSQL answers, when a transaction commits.
_COMMIT: Final = b"COMMIT;\x00"
_COMMITTED: Final = b"COMMIT\x00"


class LossyProxy:
    """Passes everything on, but for every `lose_every`-th answer to a COMMIT (0: passes all of them)."""

    def __init__(self, server_socket: Path) -> None:
        self._server_socket = server_socket
        self._commits = 0
        self.lose_every = 0
        #: Commits that were done and whose answer was lost.
        self.lost = 0

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        server, to_server = await asyncio.open_unix_connection(str(self._server_socket))
        losing = asyncio.Event()
        ways = [
            asyncio.create_task(self._there(client, to_server, losing)),
            asyncio.create_task(self._back(server, to_client, losing)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # Python 3.11 reports a cancelled connection callback as an error of the loop.
            return
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_server.transport.abort()
            to_client.transport.abort()

    async def _there(self, client: asyncio.StreamReader, server: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while data := await client.read(65536):
            if data.endswith(_COMMIT):
                self._commits += 1
                if self.lose_every and self._commits % self.lose_every == 0:
                    losing.set()
            server.write(data)
            await server.drain()

    async def _back(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while data := await server.read(65536):
            if losing.is_set() and _COMMITTED in data:
                self.lost += 1
                return
            client.write(data)
            await client.drain()


@asynccontextmanager
async def lossy_proxy(database_url: str) -> AsyncIterator[tuple[LossyProxy, str]]:
    """A proxy before the database (reached by its Unix socket), and the URL that goes through it."""
    parts = urlsplit(database_url)
    [host] = parse_qs(parts.query)["host"]
    with tempfile.TemporaryDirectory(prefix="ark-proxy-") as directory:
        proxy = LossyProxy(Path(host) / _SOCKET)
        server = await asyncio.start_unix_server(proxy.serve, str(Path(directory) / _SOCKET))
        try:
            yield proxy, urlunsplit(parts._replace(query=f"host={quote(directory, safe='/')}"))
        finally:
            server.close()
