"""How the commands that speak to a broker say who they are."""

from __future__ import annotations

import os
from typing import Final

#: The token for a broker with authentication. A variable and no option: options are seen by everybody on the machine.
TOKEN: Final = "ARK_BROKER_TOKEN"  # noqa: S105 - the name of a variable


def bearer() -> dict[str, str]:
    """The header that shows the token; none where there is no token."""
    token = os.environ.get(TOKEN, "").strip()
    return {"authorization": f"Bearer {token}"} if token else {}
