"""Leases in a SQLite database that go on, or are given back; the rest of their life is in
`sqlite_operations`."""

import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from stores.base import NOBODY, Lease, SessionStore
from stores.codec import encode, key, to_micros
from stores.connection_thread import Operation, T
from stores.sqlite_operations import LEASED

RENEW = "UPDATE rmw_response SET lease_until = ?2 WHERE worker = ?1"
THESE = " AND id IN (SELECT value FROM json_each(?3))"

HAND_BACK = f"""
UPDATE rmw_response SET worker = ?, lease_until = ?, attempt = attempt - 1 WHERE {LEASED}
"""


class SQLiteLeases(SessionStore):
    """Threads and the rest are SQLiteStore's."""

    hands_back = True
    renews_each = True

    @abstractmethod
    async def _write(self, operation: Operation[T]) -> T: ...

    async def renew(self, worker: str, until: datetime) -> list[str]:
        row = (key(worker), to_micros(until))
        return await self._write(partial(_renew, statement=RENEW, row=row))

    async def renew_only(self, worker: str, ids: Sequence[str], until: datetime) -> list[str]:
        these = encode([id for id in ids if key(id) is not None], "the ids").decode()
        row = (key(worker), to_micros(until), these)
        return await self._write(partial(_renew, statement=RENEW + THESE, row=row))

    async def hand_back(self, id: str, *, owner: str, lease: Lease, now: datetime) -> bool:
        held = (key(id), key(owner), key(lease.worker), lease.attempt)
        return await self._write(partial(_hand_back, row=(NOBODY, to_micros(now), *held)))


def _renew(
    db: sqlite3.Connection, *, statement: str, row: tuple[str | int | None, ...]
) -> list[str]:
    renewed = db.execute(f"{statement} RETURNING id, cancel_requested", row).fetchall()
    return [id for id, cancel_requested in renewed if cancel_requested]


def _hand_back(db: sqlite3.Connection, *, row: tuple[str | int | None, ...]) -> bool:
    return db.execute(HAND_BACK, row).rowcount == 1
