"""Short reads, made on the thread that asks: they take less than asking another thread does.

The event loop stands still meanwhile, so whatever takes longer than a moment is given up here, and
left to the reader's thread.
"""

import sqlite3
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from stores.base import Standing
from stores.connection_thread import FAILURES
from stores.sqlite_operations import OWNED

_MOMENT_S = 0.001
_STEPS = 500
"""Of SQLite's machine, between two looks at the clock: a fraction of a moment, unless a disk is
slow."""

STANDING = (
    f"SELECT (SELECT status FROM rmw_response WHERE {OWNED}),"
    " (SELECT value FROM rmw_meta WHERE key = 'epoch')"
)


class Glance:
    """A connection of its own, for any thread. It waits for no other process."""

    def __init__(self, path: Path) -> None:
        self.lock = Lock()
        self._deadline = 0.0
        self.connection = sqlite3.connect(
            path, isolation_level=None, timeout=0, check_same_thread=False
        )
        self.connection.set_progress_handler(self._is_over, _STEPS)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]] | None:
        """None where it would have to wait, takes too long, or something is wrong: the reader's
        thread says what."""
        with self.lock:
            self._deadline = monotonic() + _MOMENT_S
            try:
                return self.connection.execute(sql, values).fetchall()
            except FAILURES:
                return None

    def standing(self, id: str | None, owner: str | None) -> Standing | None:
        rows = self.rows(STANDING, id, owner)
        return None if rows is None else Standing(rows[0][0], rows[0][1] or b"")

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    def _is_over(self) -> bool:
        return monotonic() > self._deadline
