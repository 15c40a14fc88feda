"""Whether a response is still there, read on the thread that asks.

Only what an index leads to in a few microseconds is read so: it takes less than asking another
thread does, and the event loop stands still meanwhile.
"""

import sqlite3
from pathlib import Path
from threading import Lock

from stores.base import Standing
from stores.sqlite_operations import OWNED

STANDING = (
    f"SELECT (SELECT status FROM rmw_response WHERE {OWNED}),"
    " (SELECT value FROM rmw_meta WHERE key = 'epoch')"
)


class Glance:
    """A connection of its own, for any thread. It waits for no other process."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._connection = sqlite3.connect(
            path, isolation_level=None, timeout=0, check_same_thread=False
        )

    def standing(self, id: str | None, owner: str | None) -> Standing | None:
        """None where it would have to wait, or something is wrong: the reader's thread says
        what."""
        with self._lock:
            try:
                ((status, epoch),) = self._connection.execute(STANDING, (id, owner)).fetchall()
            except sqlite3.Error:
                return None
        return Standing(status, epoch or b"")

    def close(self) -> None:
        with self._lock:
            self._connection.close()
