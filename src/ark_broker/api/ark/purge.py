"""Removing everything of a sort: where that is allowed, and never without a word in the log."""

from __future__ import annotations

from typing import Final, Literal

from starlette.requests import Request

from ark_broker.api.errors import request_id_of
from ark_broker.api.services import Services
from ark_broker.log import removal
from ark_broker.model.errors import NotFound

Store = Literal["messages", "events", "chunks", "traces", "sessions"]

_FEEDS: Final[dict[Store, str]] = {
    "messages": "messages",
    "events": "operations",
    "chunks": "chunks",
    "traces": "spans",
}
_MAX_AGENT: Final = 200


async def purge(request: Request, services: Services, store: Store) -> None:
    """Remove what is in the store by now. Raises NotFound where that is switched off."""
    if not services.settings.purge_allowed:
        raise NotFound("Not found: removing everything is switched off (ARK_BROKER_ALLOW_PURGE)")
    content: dict[str, object] = {
        "store": store,
        "requestId": request_id_of(request),
        "client": None if request.client is None else request.client.host,
        "userAgent": request.headers.get("user-agent", "")[:_MAX_AGENT],
    }
    if store == "sessions":
        await removal.unlist_sessions(services.writer.operate, content)
    else:
        await removal.purge(services.writer.operate, _FEEDS[store], content)
