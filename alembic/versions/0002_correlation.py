"""More of what producers say about a call, more kinds of links, and the events that wait for one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEW_TEXTS = ("provider", "user_id", "task_state", "phase", "cost_by")
NEW_COUNTS = ("cached_tokens", "reasoning_tokens")


def upgrade() -> None:
    for name in NEW_TEXTS:
        op.add_column("events", sa.Column(name, sa.Text))
    for name in NEW_COUNTS:
        op.add_column("events", sa.Column(name, sa.BigInteger))
    for name in ("trace_id", "rule"):
        op.add_column("links", sa.Column(name, sa.Text))
    op.create_index("links_seen", "links", ["last_seen"])
    op.create_table(
        "waiting",
        sa.Column("key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    op.create_index("waiting_seq", "waiting", ["seq"])
    where = sa.text("tool_call_id IS NOT NULL")
    op.create_index("events_call", "events", ["tool_call_id", "seq"], postgresql_where=where, sqlite_where=where)
    if op.get_bind().dialect.name == "postgresql":
        # Summaries are rewritten with every commit: inline as long as a page holds them, instead of compressed and
        # put aside each time.
        for table in ("queries", "sessions"):
            op.execute(f"ALTER TABLE {table} SET (toast_tuple_target = 8160)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("queries", "sessions"):
            op.execute(f"ALTER TABLE {table} RESET (toast_tuple_target)")
    op.drop_index("events_call", "events")
    op.drop_table("waiting")
    op.drop_index("links_seen", "links")
    for name in ("trace_id", "rule"):
        op.drop_column("links", name)
    for name in (*NEW_TEXTS, *NEW_COUNTS):
        op.drop_column("events", name)
