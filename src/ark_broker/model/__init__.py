"""The vocabulary. Imports nothing of ours; everything else imports it."""

from ark_broker.model.event import KINDS, MAX_INT64, Event, Kind, event_id

__all__ = ["KINDS", "MAX_INT64", "Event", "Kind", "event_id"]
