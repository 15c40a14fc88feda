"""Keys that are blocked, until they are unblocked."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0006"
down_revision = "0005"


def upgrade(op: Operations) -> None:
    op.add_column("rmw_key", sa.Column("blocked", sa.Boolean))
