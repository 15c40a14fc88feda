"""What waits together is committed together: turns in one statement, everything else by itself."""

import sqlite3
from collections.abc import Iterable, Iterator

from stores.base import StoreError
from stores.connection_thread import FAILURES, Job, is_busy
from stores.sqlite_turns import VIEWS, Row, View, insert

ROWS = 16
"""Of one statement, at most: a text for each number of rows is kept prepared."""

Group = tuple[View, list[tuple[Job, Row]]]


def commit_together(connection: sqlite3.Connection, jobs: Iterable[Job]) -> None:
    """One transaction for all. Turns that cannot be written together are tried one by one."""
    waiting = list(jobs)
    try:
        if not commit_turns(connection, waiting):
            _begin(connection)
            for job in waiting:
                _attempt(connection, job)
            connection.execute("COMMIT")
    except FAILURES:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def commit_turns(connection: sqlite3.Connection, jobs: list[Job]) -> bool:
    """One transaction. False where some turn cannot be written with the others: then nothing was.
    Raises sqlite3.Error where the database is busy."""
    groups = list(_groups(jobs))
    alone = len(groups) == 1 and not isinstance(groups[0], Job)
    try:
        if not alone:  # a statement alone is a transaction
            _begin(connection)
        for group in groups:
            if isinstance(group, Job):
                _attempt(connection, group)
            else:
                _write(connection, *group)
    except (*FAILURES, OverflowError) as error:
        if is_busy(error):
            raise
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return False
    if not alone:
        connection.execute("COMMIT")
    return True


def _begin(connection: sqlite3.Connection) -> None:
    # IMMEDIATE: busy_timeout does not cover a lock that is upgraded later.
    connection.execute("BEGIN IMMEDIATE")


def _groups(jobs: list[Job]) -> Iterator[Group | Job]:
    """Turns by their view. What is no turn stays behind what came before it, and before what came
    after it."""
    turns: dict[View, list[tuple[Job, Row]]] = {view: [] for view in VIEWS}
    for job in jobs:
        if isinstance(job.operation, Row):
            turns[job.operation.view].append((job, job.operation))
        else:
            yield from _taken(turns)
            yield job
    yield from _taken(turns)


def _taken(turns: dict[View, list[tuple[Job, Row]]]) -> Iterator[Group]:
    for view, rows in turns.items():
        for first in range(0, len(rows), ROWS):
            yield view, rows[first : first + ROWS]
        rows.clear()


def _write(connection: sqlite3.Connection, view: View, rows: list[tuple[Job, Row]]) -> None:
    insert(connection, view, [row.values for _, row in rows])
    for job, _ in rows:
        job.result = True


def _attempt(connection: sqlite3.Connection, job: Job) -> None:
    """In a savepoint: one that fails harms no other."""
    connection.execute("SAVEPOINT job")
    job.error = None
    try:
        job.result = job.operation(connection)
    except OverflowError as error:
        job.error = StoreError(f"a number that SQLite cannot keep: {error}")
        connection.execute("ROLLBACK TO job")
    except (*FAILURES, StoreError) as error:
        job.error = error
        if not connection.in_transaction:  # a full disk rolls back everything by itself
            raise
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")
