"""Usage, keys, retention and export in Postgres: values become parameters, rows become values.

The statements are shared with SQLite, but for one.
"""

import hashlib
import secrets
from abc import abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from stores import account_statements as sql
from stores import export_statements as exports
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
from stores.codec import text, to_micros
from stores.postgres_pool import Connection, Database, possible
from stores.postgres_statements import BUMP_EPOCH, PLACES_OF_ID, PLACES_OF_USER

LONGEST_NAME = 512
"""Characters of an end user's name that are kept as they are; an index entry is limited."""

# LATERAL with OFFSET 0 walks the index on owners and times for each owner: there is none on the
# time alone, which would cost every response for the sake of a sweep.
EXPIRED = """
WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM rmw_response
  UNION ALL
    SELECT (SELECT min(r.owner) FROM rmw_response r WHERE r.owner > owners.owner) FROM owners
    WHERE owners.owner IS NOT NULL)
SELECT r.id, r.owner FROM owners CROSS JOIN LATERAL (
    SELECT id, owner FROM rmw_response WHERE rmw_response.owner = owners.owner AND created_at < $1
    AND status NOT IN ('queued', 'in_progress') AND conversation IS DISTINCT FROM id
    ORDER BY created_at LIMIT $4 OFFSET 0) r
WHERE ($2::text IS NULL OR owners.owner = $2) AND NOT owners.owner = ANY ($3::text[]) LIMIT $4
"""

# Whoever finishes one of them at the same time goes before, or after with all that it says.
LOCK_BELOW = summaries.BELOW + " ORDER BY t.branch, t.depth FOR UPDATE OF t"


class PostgresAccounts(SessionStore):
    """Connections and the rest are PostgresStore's."""

    keeps_accounts = True
    changes_keys = True
    _database: Database

    @abstractmethod
    async def _fetch(self, statement: str, *arguments: Any) -> list[Any]: ...

    async def add_usage(self, rows: Sequence[Usage]) -> None:
        counted_rows = sorted(map(counted, rows), key=lambda row: row[5] or "")

        async def work(connection: Connection, lost: bool) -> None:
            # Keys in one order: two workers that charge the same ones do not wait in a circle.
            for row in counted_rows:
                if not lost:
                    await connection.execute(sql.COUNT, *row[:18])
                elif await connection.fetchval(sql.COUNT_ONCE, *row[:18]) is None:
                    continue
                if row[5] is not None:
                    await connection.execute(sql.CHARGE, row[5], *row[18:])

        await self._database.transact(work)

    async def usage(self, query: UsageQuery) -> list[UsageTotal]:
        if not possible(*(value or "" for value in query.where.values())):
            return []
        return await sql.aggregate(query, "postgres", self._fetch)

    async def add_key(self, key: StoredKey, *, digest: bytes) -> None:
        if not possible(key.owner, key.name or ""):
            raise StoreError("a key's owner and name can hold no NUL")
        await self._fetch(sql.ADD_KEY, *sql.key_values(key, digest))

    async def key(self, digest: bytes) -> StoredKey | None:
        rows = await self._fetch(sql.KEY, digest)
        return sql.key_of(rows[0]) if rows else None

    async def key_by_id(self, id: str) -> StoredKey | None:
        rows = await self._fetch(sql.KEY_BY_ID, id) if possible(id) else []
        return sql.key_of(rows[0]) if rows else None

    async def keys(self, *, owner: str | None = None) -> list[StoredKey]:
        if owner is None:
            rows = await self._fetch(sql.KEYS)
        else:
            rows = await self._fetch(sql.OWNERS_KEYS, owner) if possible(owner) else []
        return [sql.key_of(row) for row in rows]

    async def revoke_key(self, id: str, *, at: datetime) -> bool:
        return possible(id) and bool(await self._fetch(sql.REVOKE, id, to_micros(at)))

    async def change_key(self, id: str, changes: KeyChanges, *, at: datetime) -> StoredKey | None:
        if not possible(id):
            return None
        if not possible(changes.get("name") or ""):
            raise StoreError("a key's name can hold no NUL")
        rows = await self._fetch(sql.CHANGE_KEY, id, *sql.change_values(changes, at))
        return sql.key_of(rows[0]) if rows else None

    async def admit(self, id: str, *, now: datetime) -> Refusal | None:
        if not possible(id):
            return Refusal("gone")
        if await self._fetch(sql.ADMIT, id, to_micros(now), sql.minute_of(now)):
            return None
        rows = await self._fetch(sql.STANDING, id)
        return sql.refusal(rows[0] if rows else None, now)

    async def expired(
        self,
        *,
        before: datetime,
        owner: str | None = None,
        other_than: Collection[str] = (),
        limit: int = 100,
    ) -> list[tuple[str, str]]:
        others = [name for name in other_than if possible(name)]
        if owner is not None and not possible(owner):
            return []
        rows = await self._fetch(EXPIRED, to_micros(before), owner, others, limit)
        return [(row["id"], row["owner"]) for row in rows]

    async def export(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedTurn]:
        place = sql.place_of(after)
        if owner is not None and not possible(owner):
            return []
        rows = await self._fetch(sql.EXPORT, *place, owner, name_of(user), limit, b"[]")
        return [sql.exported(row) for row in rows]

    async def export_conversations(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedConversation]:
        if not possible(after or "", owner or ""):
            return []
        rows = await self._fetch(exports.CONVERSATIONS, after or "", owner, name_of(user), limit)
        return [exports.conversation(row) for row in rows]

    async def export_usage(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedUsage]:
        if not possible(after or "", owner or ""):
            return []
        rows = await self._fetch(exports.USAGE, after or "", owner, name_of(user), limit)
        return [exports.usage(row) for row in rows]

    async def empty_summaries(
        self, owner: str, *, id: str | None = None, user: str | None = None
    ) -> int:
        name = name_of(user) if id is None else id
        if name is None or not possible(owner, name):
            return 0
        places = PLACES_OF_USER if id is None else PLACES_OF_ID

        async def work(connection: Connection, _: bool) -> int:
            written = set()
            for place in await connection.fetch(places, owner, name):
                for branch, depth, output in await connection.fetch(LOCK_BELOW, *place):
                    empty = summaries.emptied(output)
                    if empty is not None:
                        await connection.execute(summaries.WRITE, branch, depth, empty)
                        written.add((branch, depth))
            if written:
                await connection.execute(BUMP_EPOCH, secrets.token_bytes(16))
            return len(written)

        return await self._database.transact(work)

    async def owners(self, *, user: str | None = None, id: str | None = None) -> list[str]:
        if user is not None:
            rows = await self._fetch(sql.OWNERS_OF_USER, name_of(user))
        elif id is not None:
            rows = await self._fetch(sql.OWNER_OF_ID, id) if possible(id) else []
        else:
            rows = await self._fetch(sql.OWNERS)
        return [row["owner"] for row in rows]


def counted(usage: Usage) -> tuple[Any, ...]:
    """A usage row's values, then the cost, tokens and minute its key is charged.

    Names that clients chose are told apart, not searched: what Postgres cannot hold is replaced.
    """
    row = list(sql.usage_values(usage, name_of(usage.end_user)))
    row[6] = row[6].replace("\x00", "\ufffd")
    if row[9] is not None:
        row[9] = row[9].replace("\\u0000", "\ufffd")
    return (*row, *sql.charge_values(usage)[1:])


def name_of(end_user: str | None) -> str | None:
    """Clients choose this text freely. It is only compared, so a digest does where Postgres could
    not keep or index it."""
    if end_user is None:
        return None
    encoded = text(end_user, "end_user").encode()
    if len(end_user) > LONGEST_NAME or "\x00" in end_user:
        return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
    return end_user
