"""Questions: what waits for an answer, and the events of each."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "questions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("query", sa.Text),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("deadline", sa.BigInteger),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("state_body", sa.LargeBinary, nullable=False),
    )
    op.create_index("questions_state", "questions", ["state", "asked_at", "id"])
    op.create_index("questions_session", "questions", ["session_id", "asked_at", "id"])
    op.create_index("questions_asked", "questions", ["asked_at", "id"])
    for name, table, columns in (
        ("questions_deadline", "questions", ["deadline"]),
        ("events_question", "events", ["question_id", "seq"]),
    ):
        where = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    op.drop_index("events_question", "events")
    op.drop_table("questions")
