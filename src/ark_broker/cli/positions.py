"""Where in the log a point in time is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ark_broker.cli.render.amounts import moment

if TYPE_CHECKING:
    from ark_broker.client import Client


def position_at(client: Client, when: datetime) -> int:
    """The position behind which every event was recorded at or after `when`: as many requests as the log's length
    has binary digits.

    Events that a token may not see, and such as were removed, are stepped over.
    """
    low, high = 0, client.head()
    # Everything up to `low` was recorded before; whatever is behind `high`, at that time or later.
    while low < high:
        middle = (low + high) // 2
        event = next(client.events(after=middle, limit=1), None)
        recorded = None if event is None else moment(event.get("recordedAt"))
        if event is None or recorded is None or event["seq"] > high or recorded >= when:
            high = middle
        else:
            low = event["seq"]
    return low
