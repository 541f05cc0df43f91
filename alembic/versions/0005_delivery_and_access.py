"""Named cursors with what they could not deliver, webhooks, and tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "dead_letters",
        sa.Column("cursor", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "webhooks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_used_at", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.add_column("questions", sa.Column("namespace", sa.Text))
    op.create_index("questions_namespace", "questions", ["namespace", "asked_at", "id"])
    op.add_column("ark_sessions", sa.Column("namespace", sa.Text))
    where = sa.text("namespace IS NOT NULL")
    op.create_index("events_namespace", "events", ["namespace", "seq"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    op.drop_index("events_namespace", "events")
    op.drop_column("ark_sessions", "namespace")
    op.drop_index("questions_namespace", "questions")
    op.drop_column("questions", "namespace")
    for name in ("tokens", "webhooks", "dead_letters", "cursors"):
        op.drop_table(name)
