"""The client: read what the broker knows, follow it live, answer its questions, and send to it.

    from ark_broker.client import AsyncClient

    async with AsyncClient("http://127.0.0.1:4318") as client:
        async for event in client.tail("session-abc"):
            print(event["type"])

`Client` is the same without asyncio. Neither imports anything of the server's: only httpx.
"""

from ark_broker.client.aio import AsyncClient
from ark_broker.client.errors import BrokerError, GapError, Refused, Unreachable
from ark_broker.client.sync import Client

__all__ = ["AsyncClient", "BrokerError", "Client", "GapError", "Refused", "Unreachable"]
