"""The log, its links, and the summaries of sessions and queries."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def partial(where: str) -> dict[str, sa.TextClause]:
    """An index over the rows that `where` names, on both dialects."""
    return {"postgresql_where": sa.text(where), "sqlite_where": sa.text(where)}


def upgrade() -> None:
    head = op.create_table(
        "log_head",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("log_id", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "log_id": str(uuid.uuid4()), "seq": 0, "floor": 0}])

    text_columns = {
        "first": ("session_id", "namespace", "query", "query_uid", "conversation_id", "agent", "model"),
        "second": (
            "tool",
            "tool_call_id",
            "mcp_server",
            "mcp_session_id",
            "task_id",
            "question_id",
            "stream_id",
            "status",
            "error",
        ),
    }
    op.create_table(
        "events",
        sa.Column("seq", POSITION, primary_key=True, autoincrement=False),
        sa.Column("session_seq", sa.BigInteger),
        sa.Column("query_seq", sa.BigInteger),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("duration", sa.BigInteger),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text) for name in text_columns["first"]),
        sa.Column("trace_id", sa.LargeBinary),
        sa.Column("span_id", sa.LargeBinary),
        sa.Column("parent_span_id", sa.LargeBinary),
        *(sa.Column(name, sa.Text) for name in text_columns["second"]),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cost", sa.Float),
        sa.Column("correlated_by", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("events_id", "events", ["id"], unique=True)
    op.create_index("events_session", "events", ["session_id", "session_seq"])
    op.create_index("events_query", "events", ["query", "query_seq"])
    op.create_index("events_trace", "events", ["trace_id", "seq"])
    op.create_index("events_session_adopted", "events", ["session_seq"], **partial("session_seq != seq"))
    op.create_index("events_query_adopted", "events", ["query_seq"], **partial("query_seq != seq"))

    op.create_index("events_completed", "events", ["seq"], **partial("type = 'stream.completed'"))

    op.create_table(
        "packs",
        sa.Column("first_seq", POSITION, primary_key=True, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("first_session_seq", sa.BigInteger, nullable=False),
        sa.Column("last_session_seq", sa.BigInteger, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("first_query_seq", sa.BigInteger, nullable=False),
        sa.Column("last_query_seq", sa.BigInteger, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index("packs_last", "packs", ["last_seq"])
    op.create_index("packs_session", "packs", ["session_id", "last_session_seq"])
    op.create_index("packs_query", "packs", ["query", "last_query_seq"])

    op.create_table(
        "contents",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index("contents_session", "contents", ["session_id", "epoch"])

    op.create_table(
        "links",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Text),
        sa.Column("query", sa.Text),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
    )
    op.create_index("links_session", "links", ["session_id"])
    op.create_index("links_unassigned", "links", ["last_seen"], **partial("session_id IS NULL"))

    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("namespace", sa.Text),
        sa.Column("last_activity", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("gone_seq", sa.BigInteger, nullable=False),
        sa.Column("search", sa.Text, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_index("sessions_activity", "sessions", ["last_activity", "id"])
    op.create_index("sessions_status", "sessions", ["status", "last_activity", "id"])
    op.create_index("sessions_namespace", "sessions", ["namespace", "last_activity", "id"])
    op.create_index("sessions_seq", "sessions", ["seq"])

    op.create_table(
        "queries",
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("namespace", sa.Text),
        sa.Column("uid", sa.Text),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("last_activity", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_index("queries_name", "queries", ["name"])
    op.create_index("queries_uid", "queries", ["uid"])


def downgrade() -> None:
    for table in ("queries", "sessions", "links", "contents", "packs", "events", "log_head"):
        op.drop_table(table)
