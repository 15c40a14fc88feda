"""Sessions in Postgres, for any number of workers on any number of machines.

Here the values of `SessionStore` become parameters and rows become values. The statements are in
`postgres_statements.py`; connections, retries and errors in `postgres_pool.py`.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any

from stores import migrate
from stores import postgres_statements as sql
from stores.base import (
    History,
    Item,
    Lease,
    NewResponse,
    Outcome,
    SessionStore,
    StoredResponse,
    StoreError,
)
from stores.codec import decode, decode_turns, encode, from_micros, key, text, to_micros
from stores.postgres_pool import Connection, Database

MIGRATING = 0x726D77
"""The advisory lock under which one process at a time changes the schema."""

ISOLATION = "read_committed"
"""What is read after a lock must be newer than the lock, whatever the server's default is."""

LONGEST_NAME = 512
"""Characters of an end user's name that are kept as they are; an index entry is limited."""


def _new_branch() -> int:
    return secrets.randbits(63)


class PostgresStore(SessionStore):
    """`dsn` is `postgresql://user:password@host:port/database`, with asyncpg's options.

    At most `connections` are open at once in each event loop. `branch_id` draws 63 random bits.
    """

    def __init__(
        self, dsn: str, *, connections: int = 10, branch_id: Callable[[], int] = _new_branch
    ) -> None:
        self._database = Database(dsn, size=connections, prepare=self._prepare)
        self._branch_id = branch_id

    async def open(self) -> None:
        await self._database.open()

    async def aclose(self) -> None:
        await self._database.aclose()

    async def _prepare(self, connection: Connection, _: bool) -> None:
        version = None
        if await connection.fetchval(f"SELECT to_regclass('{migrate.VERSION_TABLE}') IS NOT NULL"):
            version = await connection.fetchval(f"SELECT version_num FROM {migrate.VERSION_TABLE}")
        if not migrate.is_current(version):
            await self._migrate()

    async def _migrate(self, *, target: str = migrate.HEAD) -> None:
        # Heavy, and needed once in a database's life.
        import sqlalchemy
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._database.connect,
            poolclass=sqlalchemy.NullPool,
        )
        lock = sqlalchemy.text(f"SELECT pg_advisory_xact_lock({MIGRATING})")
        try:
            async with engine.begin() as connection:
                await connection.execute(lock)
                await connection.run_sync(partial(migrate.upgrade, target=target))
        except sqlalchemy.exc.DBAPIError as error:
            raise StoreError(f"the schema cannot be brought up to date: {error.orig}") from error

    # --- a turn's life

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        id, lease = text(new.id, "the id"), new.lease
        body = encode(new.body, "body")
        turn = (encode(list(new.input), "input"), _name(new.end_user))
        request = None if new.request is None else encode(new.request, "request")
        times = (to_micros(lease.until), lease.attempt, to_micros(new.created_at))
        handle = (new.status, lease.worker, *times, body, request)
        if new.parent is not None and not _possible(new.parent):
            return False

        async def work(connection: Connection, lost: bool) -> bool:
            if lost and await connection.fetchval(sql.RESERVED, id, owner, lease.worker, body):
                return True
            row = (id, owner, self._branch_id(), *turn, *handle)
            if new.parent is None:
                return await connection.fetchval(sql.RESERVE_FIRST, *row) is not None
            return await connection.fetchval(sql.RESERVE_NEXT, *row, new.parent) is not None

        return await self._database.run(work)

    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        body, output = encode(outcome.body, "body"), encode(list(outcome.output), "output")
        scope = native = None
        if outcome.native is not None:
            scope = text(outcome.native.scope, "scope")
            native = encode(outcome.native.state, "native")
        if not _possible(id, owner):
            return False

        async def work(connection: Connection, lost: bool) -> bool:
            end = (outcome.status, body)
            if lost and await connection.fetchval(sql.FINISHED, id, owner, lease.attempt, *end):
                return True
            held = (id, owner, lease.worker, lease.attempt)
            finished = await connection.fetchval(sql.FINISH, *held, *end, output, scope, native)
            return finished is not None

        return await self._database.run(work)

    async def release(self, id: str, *, owner: str, lease: Lease) -> bool:
        return await self._erase(id, owner, sql.RELEASE, lease.worker, lease.attempt)

    async def renew(self, worker: str, until: datetime) -> list[str]:
        rows = await self._fetch(sql.RENEW, worker, to_micros(until))
        return [row["id"] for row in rows]

    async def take_expired(
        self, worker: str, *, now: datetime, until: datetime, limit: int = 100
    ) -> list[StoredResponse]:
        rows = await self._fetch(sql.TAKE_EXPIRED, worker, to_micros(now), to_micros(until), limit)
        return [_stored(row) for row in rows]

    # --- reading

    async def history(self, id: str, *, owner: str) -> History | None:
        rows = await self._fetch_owned(sql.HISTORY, id, owner)
        if not rows:
            return None
        rows.sort(key=itemgetter("depth"))
        parts: list[bytes] = []
        for _, input, output, scope, native, _ in rows:
            state = b"null" if scope is None else b"[%b,%b]" % (encode(scope, "scope"), native)
            parts += (input, output or b"[]", state)
        turns = decode_turns(b"[%b]" % b",".join(parts), count=len(rows))
        return History(rows[-1]["status"], turns)

    async def get(self, id: str, *, owner: str) -> StoredResponse | None:
        rows = await self._fetch_owned(sql.GET, id, owner)
        return _stored(rows[0]) if rows else None

    async def input(self, id: str, *, owner: str) -> list[Item] | None:
        rows = await self._fetch_owned(sql.INPUT, id, owner)
        return decode(rows[0]["input"]) if rows else None

    # --- erasing

    async def delete(self, id: str, *, owner: str) -> bool:
        return await self._erase(id, owner, sql.DELETE)

    async def _erase(self, id: str, owner: str, statement: str, *arguments: Any) -> bool:
        if not _possible(id, owner):
            return False

        async def work(connection: Connection, lost: bool) -> bool:
            async with connection.transaction(isolation=ISOLATION):
                branch = await connection.fetchval(sql.LOCK_BRANCH_OF, id, owner)
                if branch is None:
                    return lost  # the call that was cut off has done it
                if await connection.fetchval(statement, id, owner, *arguments) is None:
                    return False
                await _trim(connection, [branch])
                return True

        return await self._database.run(work)

    async def purge(self, owner: str, *, id: str | None = None, user: str | None = None) -> int:
        if id is not None and user is not None:
            raise StoreError("purge takes an id or a user, not both: which turns did you mean?")
        if not _possible(owner, id or "") or key(user or "") is None:
            return 0
        name = _name(user)

        async def work(connection: Connection, _: bool) -> int:
            async with connection.transaction(isolation=ISOLATION):
                if id is not None:
                    blanked = await _blank(connection, sql.PLACES_OF_ID, owner, id)
                elif name is not None:
                    blanked = await _blank(connection, sql.PLACES_OF_USER, owner, name)
                else:
                    blanked = await _erase_owner(connection, owner)
                if blanked:
                    await connection.execute(sql.BUMP_EPOCH, secrets.token_bytes(16))
                return blanked

        return await self._database.run(work)

    # --- keys

    async def secret(self, name: str) -> bytes:
        async def work(connection: Connection, _: bool) -> bytes:
            key = f"secret:{name}"
            await connection.execute(sql.MAKE_SECRET, key, secrets.token_bytes(32))
            return bytes(await connection.fetchval(sql.SECRET, key))

        return await self._database.run(work)

    # --- rows

    async def _fetch_owned(self, statement: str, id: str, owner: str) -> list[Any]:
        return await self._fetch(statement, id, owner) if _possible(id, owner) else []

    async def _fetch(self, statement: str, *arguments: Any) -> list[Any]:
        async def work(connection: Connection, _: bool) -> list[Any]:
            return list(await connection.fetch(statement, *arguments))

        return await self._database.run(work)


async def _trim(connection: Connection, branches: list[int]) -> None:
    """Erases what nobody needs any more from `branches`, which are locked, and from there up."""
    while branches:
        rows = await connection.fetch(sql.TRIM, branches)
        branches = [row["parent"] for row in rows if row["parent"] is not None]
        if branches:
            await connection.fetch(sql.LOCK_BRANCHES, branches)


async def _blank(connection: Connection, places: str, *arguments: str) -> int:
    """`places` finds the turns; it is asked again once their branches cannot change."""
    found = await connection.fetch(places, *arguments)
    lines = await connection.fetch(sql.LOCK_LINES, list({row["branch"] for row in found}))
    locked = {row["id"] for row in lines}
    found = [row for row in await connection.fetch(places, *arguments) if row["branch"] in locked]
    columns = [row["branch"] for row in found], [row["depth"] for row in found]
    await connection.execute(sql.DELETE_AT, *columns)
    await connection.execute(sql.BLANK, *columns)
    await _trim(connection, list(locked))
    return len(found)


async def _erase_owner(connection: Connection, owner: str) -> int:
    branches = [row["id"] for row in await connection.fetch(sql.LOCK_OWNERS_BRANCHES, owner)]
    await connection.execute(sql.DELETE_IN, branches)
    erased = await connection.fetch(sql.ERASE_TURNS_IN, branches)
    await connection.execute(sql.ERASE_BRANCHES, branches)
    return len(erased)


def _stored(row: Any) -> StoredResponse:
    lease = None
    if row["worker"] is not None:
        lease = Lease(row["worker"], from_micros(row["lease_until"]), row["attempt"])
    return StoredResponse(
        id=row["id"],
        owner=row["owner"],
        status=row["status"],
        body=decode(row["body"]),
        output=[] if row["output"] is None else decode(row["output"]),
        created_at=from_micros(row["created_at"]),
        lease=lease,
        cancel_requested=bool(row["cancel_requested"]),
        request=None if row["request"] is None else decode(row["request"]),
    )


def _possible(*values: str) -> bool:
    """Whether Postgres could hold these as text; what it cannot hold is nobody's id."""
    return all("\x00" not in value and key(value) is not None for value in values)


def _name(end_user: str | None) -> str | None:
    """Clients choose this text freely. It is only compared, so a digest does where Postgres could
    not keep or index it."""
    if end_user is None:
        return None
    encoded = text(end_user, "end_user").encode()
    if len(end_user) > LONGEST_NAME or "\x00" in end_user:
        return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
    return end_user
