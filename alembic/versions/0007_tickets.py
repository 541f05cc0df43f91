"""Tickets apart from the tokens: whose they are, and when they end.

Tickets that are there already are forgotten: they would be good for a minute at most.
"""

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_IS_TICKET = sa.text("owner IS NOT NULL")


def upgrade() -> None:
    op.add_column("tokens", sa.Column("owner", sa.Text))
    op.add_column("tokens", sa.Column("expires_at", sa.BigInteger))
    op.create_index(
        "tokens_tickets", "tokens", ["owner", "expires_at"], postgresql_where=_IS_TICKET, sqlite_where=_IS_TICKET
    )
    _forget_tickets()


def _forget_tickets() -> None:
    connection = op.get_bind()
    tokens = sa.table("tokens", sa.column("id"), sa.column("content"))
    found = [
        row.id
        for row in connection.execute(sa.select(tokens.c.id, tokens.c.content))
        if str(msgspec.msgpack.decode(row.content)["name"]).startswith("ticket of ")
    ]
    if found:
        connection.execute(
            sa.delete(tokens).where(tokens.c.id == sa.bindparam("ticket")), [{"ticket": each} for each in found]
        )


def downgrade() -> None:
    connection = op.get_bind()
    connection.execute(sa.text("DELETE FROM tokens WHERE owner IS NOT NULL"))
    op.drop_index("tokens_tickets", "tokens")
    op.drop_column("tokens", "expires_at")
    op.drop_column("tokens", "owner")
