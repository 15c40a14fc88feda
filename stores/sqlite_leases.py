"""Giving a lease in a SQLite database back; what else becomes of it is in `sqlite_operations`."""

import sqlite3
from abc import abstractmethod
from datetime import datetime
from functools import partial

from stores.base import NOBODY, Lease, SessionStore
from stores.codec import key, to_micros
from stores.connection_thread import Operation, T
from stores.sqlite_operations import LEASED

HAND_BACK = f"""
UPDATE rmw_response SET worker = ?, lease_until = ?, attempt = attempt - 1 WHERE {LEASED}
"""


class SQLiteLeases(SessionStore):
    """Threads and the rest are SQLiteStore's."""

    hands_back = True

    @abstractmethod
    async def _write(self, operation: Operation[T]) -> T: ...

    async def hand_back(self, id: str, *, owner: str, lease: Lease, now: datetime) -> bool:
        held = (key(id), key(owner), key(lease.worker), lease.attempt)
        return await self._write(partial(_hand_back, row=(NOBODY, to_micros(now), *held)))


def _hand_back(db: sqlite3.Connection, *, row: tuple[str | int | None, ...]) -> bool:
    return db.execute(HAND_BACK, row).rowcount == 1
