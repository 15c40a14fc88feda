"""What each response used: rows that stay when the response goes, and hold no content."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0002"
down_revision = "0001"


def upgrade(op: Operations) -> None:
    op.create_table(
        "rmw_usage",
        sa.Column("response", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("end_user", sa.Text),
        sa.Column("api_key", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("deployment", sa.Text),
        sa.Column("chain", sa.Text),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_nano", sa.BigInteger, nullable=False),
        sa.Column("cost_known", sa.Boolean, nullable=False),
    )
    op.create_index("ix_rmw_usage_owner", "rmw_usage", ["owner", "created_at"])
    op.create_index("ix_rmw_usage_time", "rmw_usage", ["created_at"])
