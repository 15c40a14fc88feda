"""Brings a database to the schema this version knows; Alembic is imported only if it is behind.

The revisions are the modules of `stores.migrations`. They are given their `Operations` as an
argument and not by Alembic's global one, so two stores that open at once never meet.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stores.base import StoreError

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from sqlalchemy import Connection

VERSION_TABLE = "rmw_version"
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD = REVISIONS[-1]
SCRIPTS = Path(__file__).parent / "migrations"


def is_current(version: str | None) -> bool:
    """Whether a database at `version` (None: an empty one) needs nothing.

    Raises StoreError if a newer version of this package wrote it.
    """
    if version is not None and version not in REVISIONS:
        raise StoreError(
            f"the database is at schema revision {version!r} and this version of responses-mw "
            f"knows revisions up to {HEAD!r}: a newer one wrote it. Upgrade responses-mw"
        )
    return version == HEAD


def upgrade(connection: "Connection", *, target: str = HEAD) -> None:
    """Runs the missing revisions inside the transaction that `connection` is in.

    The caller holds a lock, so that one process at a time gets here, and commits.
    """
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "fn": partial(_steps, target)}
    )
    if not is_current(context.get_current_revision()):
        context.run_migrations(op=Operations(context))


def _steps(target: str, heads: tuple[str, ...], _: "MigrationContext") -> "Iterable[MigrationStep]":
    """The revisions between `heads` (the database's) and `target`, oldest first."""
    from alembic.runtime.migration import MigrationStep
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(SCRIPTS), version_locations=[str(SCRIPTS)])
    newest_first = scripts.iterate_revisions(target, heads, implicit_base=True)
    return [
        MigrationStep.upgrade_from_script(scripts.revision_map, script)
        for script in reversed(list(newest_first))
    ]
