"""Tickets: tokens for one minute, which may stand in a URL. Their name says whose they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ark_broker.access.grants import Grant

_TICKET_OF: Final = "ticket of "
#: Stands for the id of whoever has none, being nobody's stored token.
_NO_ID: Final = "-"


def ticket_name(grant: Grant) -> str:
    """The name of a ticket for whoever has the grant."""
    return f"{_TICKET_OF}{grant.token_id or _NO_ID} {grant.name}"


def is_ticket_name(name: str) -> bool:
    """True for the names of tickets, which no other token may have."""
    return name.startswith(_TICKET_OF)


def is_ticket(grant: Grant) -> bool:
    """True where a ticket says who asks."""
    return grant.token_id is not None and is_ticket_name(grant.name)


def owner_of(grant: Grant) -> Grant:
    """Whose limits count: a ticket uses up those of whoever got it."""
    if not is_ticket(grant):
        return grant
    owner, _, name = grant.name.removeprefix(_TICKET_OF).partition(" ")
    return replace(grant, token_id=None if owner == _NO_ID else owner, name=name)
