"""Conversations, and the cuts from which a stored response's stream is told again."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    op.add_column("rmw_turn", sa.Column("cuts", sa.LargeBinary))
    op.add_column("rmw_response", sa.Column("conversation", sa.Text))
    op.create_table(
        "rmw_conversation",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("hidden", sa.LargeBinary),
        sa.Column("running", sa.Text),
    )
    op.create_index("ix_rmw_conversation_owner", "rmw_conversation", ["owner", "created_at"])
