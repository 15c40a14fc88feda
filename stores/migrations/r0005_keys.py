"""Virtual keys: whom they let in, how much they may spend, what they have spent."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0005"
down_revision = "0004"


def upgrade(op: Operations) -> None:
    op.create_table(
        "rmw_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("models", sa.LargeBinary),
        sa.Column("max_budget_nano", sa.BigInteger),
        sa.Column("budget_s", sa.BigInteger),
        sa.Column("budget_ends", sa.BigInteger),
        sa.Column("spent_nano", sa.BigInteger, nullable=False),
        sa.Column("rpm", sa.BigInteger),
        sa.Column("tpm", sa.BigInteger),
        sa.Column("minute", sa.BigInteger, nullable=False),
        sa.Column("minute_requests", sa.BigInteger, nullable=False),
        sa.Column("minute_tokens", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
    )
    op.create_index("ix_rmw_key_digest", "rmw_key", ["digest"], unique=True)
    op.add_column("rmw_usage", sa.Column("estimated", sa.Boolean))
