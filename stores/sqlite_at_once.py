"""Turns written on the thread that asks, where nothing has to be waited for.

Handing them to the writer's thread and hearing of them takes as long as writing them does. The
event loop stands still meanwhile, so a disk that keeps it is left to the writer for a while.
"""

import sqlite3
from collections.abc import Callable, Sequence
from time import monotonic

from stores.connection_thread import FAILURES, Job
from stores.group_commit import commit_turns
from stores.sqlite_turns import Row, define

_LONG_S = 0.01
_REST_S = 10.0
_MOST_BYTES = 64 * 1024
_EVERY = 64
"""One group in so many is the writer's: its connection copies the log into the file."""


class AtOnce:
    """With a connection of its own, which waits for no other process. One thread at a time."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self.connection = connect()
        for pragma in ("busy_timeout = 0", "wal_autocheckpoint = 0"):
            self.connection.execute(f"PRAGMA {pragma}")
        define(self.connection)
        self._groups = 0
        self._rests_until = 0.0

    def __call__(self, jobs: Sequence[Job]) -> bool:
        """Whether they are committed; if not, nothing of them is."""
        self._groups += 1
        if self._groups % _EVERY == 0 or not all(map(_is_small_turn, jobs)):
            return False
        began = monotonic()
        if began < self._rests_until:
            return False
        try:
            return commit_turns(self.connection, list(jobs))
        except FAILURES:
            return False
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            ended = monotonic()
            if ended - began > _LONG_S:
                self._rests_until = ended + _REST_S

    def close(self) -> None:
        self.connection.close()


def _is_small_turn(job: Job) -> bool:
    operation = job.operation
    return isinstance(operation, Row) and operation.size < _MOST_BYTES
