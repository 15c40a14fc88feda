"""Usage, keys, retention and export in a SQLite database: the store methods and their operations.

The statements are shared with Postgres, but for one.
"""

import sqlite3
from abc import abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from stores import account_statements as sql
from stores import export_statements as exports
from stores import sqlite_operations as operations
from stores import summaries
from stores.accounts import (
    ExportedConversation,
    ExportedTurn,
    ExportedUsage,
    KeyChanges,
    Refusal,
    StoredKey,
    Usage,
    UsageQuery,
    UsageTotal,
)
from stores.base import SessionStore, StoreError
from stores.codec import encode, key, text, to_micros
from stores.connection_thread import Operation, T, store_error
from stores.sqlite_operations import Counted, count, numbered

# The owners are walked along the index on them: there is none on the time alone, which would cost
# every response for the sake of a sweep.
EXPIRED = """
WITH RECURSIVE owners(owner) AS (
    SELECT min(owner) FROM rmw_response
    UNION ALL
    SELECT (SELECT min(owner) FROM rmw_response WHERE owner > owners.owner) FROM owners
    WHERE owners.owner IS NOT NULL
)
SELECT r.id, r.owner FROM owners CROSS JOIN rmw_response r ON r.owner = owners.owner
WHERE r.created_at < ?1 AND (?2 IS NULL OR owners.owner = ?2)
    AND owners.owner NOT IN (SELECT value FROM json_each(?3))
    AND r.status NOT IN ('queued', 'in_progress') AND r.conversation IS NOT r.id
LIMIT ?4
"""


PLACES_OF_ID = """
SELECT branch, depth FROM rmw_response WHERE owner = ?1 AND id = ?2 AND conversation IS NOT id
"""

PLACES_OF_USER = """
SELECT t.branch, t.depth FROM rmw_turn t CROSS JOIN rmw_branch b ON b.id = t.branch
WHERE b.owner = ?1 AND t.end_user = ?2
"""


class SQLiteAccounts(SessionStore):
    """Threads and the rest are SQLiteStore's."""

    keeps_accounts = True
    changes_keys = True

    @property
    @abstractmethod
    def _opened(self) -> Any: ...

    @abstractmethod
    def _connect(self) -> sqlite3.Connection: ...

    @abstractmethod
    async def _write(self, operation: Operation[T]) -> T: ...

    @abstractmethod
    async def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]: ...

    async def _read_aside(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """On a connection of its own: what adds up many rows must not hold up histories."""
        import aiosqlite

        _ = self._opened  # raises where the store is not open
        try:
            async with aiosqlite.Connection(self._connect, iter_chunk_size=64) as db:
                return [tuple(row) for row in await db.execute_fetchall(sql, values)]
        except sqlite3.Error as error:
            raise store_error(error) from error

    async def add_usage(self, rows: Sequence[Usage]) -> None:
        await self._write(partial(_add_usage, rows=[encoded(row) for row in rows]))

    async def usage(self, query: UsageQuery) -> list[UsageTotal]:
        return await sql.aggregate(query, "sqlite", self._read_aside)

    async def add_key(self, key: StoredKey, *, digest: bytes) -> None:
        await self._write(partial(_add_key, values=sql.key_values(key, digest)))

    async def key(self, digest: bytes) -> StoredKey | None:
        rows = await self._read(numbered(sql.KEY), digest)
        return sql.key_of(rows[0]) if rows else None

    async def key_by_id(self, id: str) -> StoredKey | None:
        rows = await self._read(numbered(sql.KEY_BY_ID), key(id))
        return sql.key_of(rows[0]) if rows else None

    async def keys(self, *, owner: str | None = None) -> list[StoredKey]:
        if owner is None:
            rows = await self._read(sql.KEYS)
        else:
            rows = await self._read(numbered(sql.OWNERS_KEYS), key(owner))
        return [sql.key_of(row) for row in rows]

    async def revoke_key(self, id: str, *, at: datetime) -> bool:
        return await self._write(partial(_revoke, id=key(id), at=to_micros(at)))

    async def change_key(self, id: str, changes: KeyChanges, *, at: datetime) -> StoredKey | None:
        values = (key(id), *sql.change_values(changes, at))
        return await self._write(partial(_change_key, values=values))

    async def admit(self, id: str, *, now: datetime) -> Refusal | None:
        return await self._write(partial(_admit, id=key(id), now=now))

    async def expired(
        self,
        *,
        before: datetime,
        owner: str | None = None,
        other_than: Collection[str] = (),
        limit: int = 100,
    ) -> list[tuple[str, str]]:
        others = encode(list(other_than), "the owners").decode()
        rows = await self._read(EXPIRED, to_micros(before), owner and key(owner), others, limit)
        return [(id, whose) for id, whose in rows]

    async def export(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedTurn]:
        place = sql.place_of(after)
        rows = await self._read(numbered(sql.EXPORT), *place, owner, user, limit, b"[]")
        return [sql.exported(row) for row in rows]

    async def export_conversations(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedConversation]:
        rows = await self._read(numbered(exports.CONVERSATIONS), after or "", owner, user, limit)
        return [exports.conversation(row) for row in rows]

    async def export_usage(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedUsage]:
        rows = await self._read(numbered(exports.USAGE), after or "", owner, user, limit)
        return [exports.usage(row) for row in rows]

    async def empty_summaries(
        self, owner: str, *, id: str | None = None, user: str | None = None
    ) -> int:
        name = user if id is None else id
        if name is None:
            return 0
        places = PLACES_OF_USER if id is None else PLACES_OF_ID
        values = (key(owner), key(name))
        return await self._write(partial(_empty_summaries, places=places, values=values))

    async def owners(self, *, user: str | None = None, id: str | None = None) -> list[str]:
        if user is not None:
            rows = await self._read(numbered(sql.OWNERS_OF_USER), key(user))
        elif id is not None:
            rows = await self._read(numbered(sql.OWNER_OF_ID), key(id))
        else:
            rows = await self._read(sql.OWNERS)
        return [owner for (owner,) in rows]


def _empty_summaries(
    db: sqlite3.Connection, places: str, values: tuple[str | None, str | None]
) -> int:
    written: set[tuple[int, int]] = set()
    for place in db.execute(places, values).fetchall():
        for *at, output in db.execute(numbered(summaries.BELOW), place).fetchall():
            empty = summaries.emptied(output)
            if empty is not None:
                db.execute(numbered(summaries.WRITE), (*at, empty))
                written.add((at[0], at[1]))
    if written:
        operations.count_purge(db)
    return len(written)


def encoded(usage: Usage) -> Counted:
    user = None if usage.end_user is None else text(usage.end_user, "end_user")
    return sql.usage_values(usage, user), sql.charge_values(usage)


def _add_usage(db: sqlite3.Connection, rows: list[Counted]) -> None:
    for row in rows:
        count(db, row)


def _add_key(db: sqlite3.Connection, values: tuple[Any, ...]) -> None:
    try:
        db.execute(numbered(sql.ADD_KEY), values)
    except sqlite3.IntegrityError as error:
        raise StoreError(f"the key {values[0]!r} exists; take a new one") from error


def _revoke(db: sqlite3.Connection, id: str | None, at: int) -> bool:
    return bool(db.execute(numbered(sql.REVOKE), (id, at)).fetchall())


def _change_key(db: sqlite3.Connection, values: tuple[Any, ...]) -> StoredKey | None:
    rows = db.execute(numbered(sql.CHANGE_KEY), values).fetchall()
    return sql.key_of(rows[0]) if rows else None


def _admit(db: sqlite3.Connection, id: str | None, now: datetime) -> Refusal | None:
    asked = (id, to_micros(now), sql.minute_of(now))
    if db.execute(numbered(sql.ADMIT), asked).fetchall():
        return None
    return sql.refusal(db.execute(numbered(sql.STANDING), (id,)).fetchone(), now)
