"""The event that says who changed what: `audit.request`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

import orjson

from ark_broker.access.grants import Grant
from ark_broker.model import Event
from ark_broker.model.vocabulary import AUDIT


def audit_event(who: Grant, what: Mapping[str, object]) -> Event:
    """Who it was, as far as anybody knows, and `what` was done; members that are None are left out.

    `by` is what the vouching party calls them, so it means something only together with `via` and `issuer`.
    """
    content = {
        "by": None if who.via == "open" else who.name,
        "via": who.via,
        "issuer": who.issuer,
        "tokenId": who.token_id,
        **what,
    }
    body = orjson.dumps({key: value for key, value in content.items() if value is not None})
    return Event(id=uuid.uuid4().bytes, kind="event", type=AUDIT, time=time.time_ns(), body=body)
