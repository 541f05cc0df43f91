"""What the surface for Ark's programs reads by: feeds of one sort of event, times of expiry, its list of sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WHERE = {
    "expiring": "expires_at IS NOT NULL",
    "messages": "kind = 'message'",
    "operations": "kind = 'event' AND query_uid IS NOT NULL",
    "chunks": "kind = 'chunk'",
    "spans": "kind = 'span'",
}
INDEXES = {
    "expiring": ("expiring", ["expires_at"]),
    "messages": ("messages", ["seq"]),
    "messages_conversation": ("messages", ["conversation_id", "seq"]),
    "messages_query": ("messages", ["query", "query_seq"]),
    "operations": ("operations", ["seq"]),
    "operations_uid": ("operations", ["query_uid", "seq"]),
    "operations_session": ("operations", ["session_id", "session_seq"]),
    "chunks": ("chunks", ["seq"]),
    "spans": ("spans", ["seq"]),
}
SESSION_INDEXES = {
    "activity": ["activity", "id"],
    "status": ["status", "activity", "id"],
    "name": ["name", "id"],
    "conversations": ["conversations", "activity", "id"],
}


def upgrade() -> None:
    op.add_column("events", sa.Column("expires_at", sa.BigInteger))
    for name, (feed, columns) in INDEXES.items():
        where = sa.text(WHERE[feed])
        op.create_index(f"events_{name}", "events", columns, postgresql_where=where, sqlite_where=where)
    op.create_table(
        "ark_sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("activity", sa.BigInteger, nullable=False),
        sa.Column("conversations", sa.Integer, nullable=False),
        sa.Column("search", sa.Text, nullable=False),
    )
    for name, columns in SESSION_INDEXES.items():
        op.create_index(f"ark_sessions_{name}", "ark_sessions", columns)


def downgrade() -> None:
    op.drop_table("ark_sessions")
    for name in INDEXES:
        op.drop_index(f"events_{name}", "events")
    op.drop_column("events", "expires_at")
