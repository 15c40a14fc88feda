"""Who asked for a response, who answered it and for how much; the tags usage is summed by."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0004"
down_revision = "0003"


def upgrade(op: Operations) -> None:
    op.add_column("rmw_response", sa.Column("chain", sa.Text))
    op.add_column("rmw_response", sa.Column("api_key", sa.Text))
    op.add_column("rmw_response", sa.Column("tags", sa.LargeBinary))
    op.add_column("rmw_response", sa.Column("deployment", sa.Text))
    op.add_column("rmw_response", sa.Column("cost_nano", sa.BigInteger))
    op.add_column("rmw_usage", sa.Column("tags", sa.Text))
    # Most responses have no end user; those that have must be found when one is forgotten.
    where = sa.text("end_user IS NOT NULL")
    op.create_index(
        "ix_rmw_usage_user",
        "rmw_usage",
        ["end_user"],
        sqlite_where=where,
        postgresql_where=where,
    )
