"""What this environment's own database says, where the broker does not answer."""

from __future__ import annotations

import asyncio
import os


def local_schema() -> str | None:
    """Why `ark-broker serve` would refuse the database that ARK_BROKER_DATABASE_URL names; None where it would not.

    None too where the variable is not set, or names what cannot be reached from here: that is said by `serve` itself.
    """
    if not os.environ.get("ARK_BROKER_DATABASE_URL", "").startswith("postgres"):
        return None
    from ark_broker.app import open_from
    from ark_broker.log import schema
    from ark_broker.log.database import is_unavailable
    from ark_broker.model.errors import ArkBrokerError
    from ark_broker.settings import SettingsError, load_settings

    async def look() -> None:
        database = open_from(load_settings())
        try:
            await schema.check(database)
        finally:
            await database.close()

    try:
        asyncio.run(look())
    except SettingsError:
        return None
    except ArkBrokerError as error:
        return str(error)
    except Exception as error:
        if not is_unavailable(error):
            raise
        return f"cannot reach the database: {error}"
    return None
