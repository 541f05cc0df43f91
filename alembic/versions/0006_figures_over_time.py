"""Figures over time: counters by namespace, agent and model, and durations by slot.

They begin empty. A query, or session, that was there before is counted once something of it changes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FIGURES = (
    "sessions sessions_active sessions_waiting sessions_error queries queries_running queries_waiting queries_done "
    "queries_error queries_canceled model_calls model_errors tool_calls input_tokens output_tokens cost query_ms "
    "first_token_ms model_ms"
)


def _by_time() -> list[sa.Column]:
    return [
        sa.Column("width", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("namespace", "agent", "model")),
    ]


def upgrade() -> None:
    op.create_table(
        "rollups",
        *_by_time(),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _FIGURES.split()),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "durations",
        *_by_time(),
        sa.Column("measure", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("slot", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("durations")
    op.drop_table("rollups")
