"""Branches, turns, the handles onto them, and what is made once per database."""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    op.create_table(
        "rmw_branch",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("parent", sa.BigInteger),
        sa.Column("fork", sa.Integer),
    )
    # Most branches are roots, and nobody looks for the children of none.
    _partial_index(op, "ix_rmw_branch_parent", "rmw_branch", ["parent", "fork"], "parent")
    op.create_table(
        "rmw_turn",
        sa.Column("branch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("depth", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("input", sa.LargeBinary, nullable=False),
        sa.Column("output", sa.LargeBinary),
        sa.Column("scope", sa.Text),
        sa.Column("native", sa.LargeBinary),
        sa.Column("end_user", sa.Text),
        sqlite_with_rowid=False,
    )
    _partial_index(op, "ix_rmw_turn_user", "rmw_turn", ["end_user"], "end_user")
    op.create_table(
        "rmw_response",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("branch", sa.BigInteger, nullable=False),
        sa.Column("depth", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("request", sa.LargeBinary),
    )
    op.create_index("ix_rmw_response_place", "rmw_response", ["branch", "depth"])
    op.create_index("ix_rmw_response_owner", "rmw_response", ["owner", "created_at"])
    # Only running responses have a worker: this index stays as small as they are few.
    _partial_index(op, "ix_rmw_response_worker", "rmw_response", ["worker"], "worker")
    op.create_table(
        "rmw_meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    _compress(op)


def _partial_index(op: Operations, name: str, table: str, columns: list[str], only: str) -> None:
    where = sa.text(f"{only} IS NOT NULL")
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _compress(op: Operations) -> None:
    """Takes lz4 for the large columns where the server was built with it: it reads faster."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    known = (
        "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    )
    if connection.execute(sa.text(known)).scalar():
        for table, column in [
            ("rmw_turn", "input"),
            ("rmw_turn", "output"),
            ("rmw_turn", "native"),
            ("rmw_response", "body"),
            ("rmw_response", "request"),
        ]:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION lz4")
