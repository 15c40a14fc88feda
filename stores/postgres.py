"""Sessions in Postgres, for any number of workers on any number of machines.

Here the values of `SessionStore` become parameters and rows become values. Conversations have
`postgres_conversations.py`, what is erased `postgres_erasing.py`. The statements are in
`postgres_statements.py`; connections, retries and errors in `postgres_pool.py`.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any

from stores import migrate
from stores import postgres_statements as sql
from stores.account_statements import (
    FORGET_OWNERS_USERS,
    FORGET_RESPONSES_USER,
    FORGET_USER,
)
from stores.base import (
    NOBODY,
    Checkpoint,
    History,
    Item,
    Json,
    Lease,
    NewResponse,
    Outcome,
    Standing,
    StoredResponse,
    StoredTurn,
    StoreError,
)
from stores.branch_ids import new_branch_id
from stores.codec import decode, decode_turns, encode, from_micros, key, text, to_micros
from stores.postgres_accounts import PostgresAccounts, counted, name_of
from stores.postgres_conversations import PostgresConversations, check_free
from stores.postgres_erasing import blank, erase_owner, trim
from stores.postgres_pool import Connection, Database, is_lost, possible

MIGRATING = 0x726D77
"""The advisory lock under which one process at a time changes the schema."""

JOINED = 1 << 18
"""Bytes of turns, about, that are decoded at once. A few turns cost less together than one by one;
megabytes are copied into memory that the operating system has to find first."""


class PostgresStore(PostgresAccounts, PostgresConversations):
    """`dsn` is `postgresql://user:password@host:port/database`, with asyncpg's options.

    At most `connections` are open at once in each event loop. `branch_id` draws a number of 63
    bits that hardly ever comes again.
    """

    hands_back = True
    renews_each = True

    def __init__(
        self, dsn: str, *, connections: int = 10, branch_id: Callable[[], int] = new_branch_id
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
            cause = error.orig and error.orig.__cause__
            if cause is not None and is_lost(cause):
                raise cause from error  # it is tried again, and finds what was done
            raise StoreError(f"the schema cannot be brought up to date: {error.orig}") from error

    # --- a turn's life

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        id, lease = text(new.id, "the id"), new.lease
        body = encode(new.body, "body")
        turn = (encode(list(new.input), "input"), name_of(new.end_user))
        request = None if new.request is None else encode(new.request, "request")
        times = (to_micros(lease.until), lease.attempt, to_micros(new.created_at))
        tags = encode(list(new.tags), "tags") if new.tags else None
        asked = (new.conversation, new.chain, new.api_key, tags)
        handle = (new.status, lease.worker, *times, body, request, *asked)
        parent = new.parent if new.conversation is None else new.conversation
        if parent is not None and not possible(parent):
            return False

        async def work(connection: Connection, lost: bool) -> bool:
            place = None
            if new.conversation is not None:
                place = await connection.fetchrow(sql.LOCK_CONVERSATION, new.conversation, owner)
            if lost and await connection.fetchval(sql.RESERVED, id, owner, lease.worker, body):
                return True
            row = (id, owner, self._branch_id(), *turn, *handle)
            if parent is None:
                return await connection.fetchval(sql.RESERVE_FIRST, *row) is not None
            reserve = sql.RESERVE_NEXT
            if new.conversation is not None:
                if place is None:
                    return False
                await check_free(connection, new.conversation, place)
                reserve = sql.RESERVE_IN_CONVERSATION
            return await connection.fetchval(reserve, *row, parent) is not None

        if new.conversation is None:
            return await self._database.run(work)
        return await self._database.transact(work)

    async def checkpoint(self, running: Sequence[Checkpoint]) -> None:
        told = [
            (
                *(each.id, each.owner, each.lease.worker, each.lease.attempt),
                encode(each.body, "body"),
                encode(list(each.output), "output"),
                _encoded_cuts(each.cuts),
            )
            for each in running
            if possible(each.id, each.owner, each.lease.worker)
        ]
        if told:
            await self._fetch(sql.CHECKPOINT, *map(list, zip(*told, strict=True)))

    async def request_cancel(self, id: str, *, owner: str) -> bool:
        return bool(await self._fetch_owned(sql.REQUEST_CANCEL, id, owner))

    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        body, output = encode(outcome.body, "body"), encode(list(outcome.output), "output")
        scope = native = None
        if outcome.native is not None:
            scope = text(outcome.native.scope, "scope")
            native = encode(outcome.native.state, "native")
        turn = (output, scope, native, _encoded_cuts(outcome.cuts))
        usage = None if outcome.usage is None else counted(outcome.usage)
        if not possible(id, owner):
            return False

        async def work(connection: Connection, lost: bool) -> bool:
            end = (outcome.status, body)
            held = (id, owner, lease.worker, lease.attempt)
            finish = sql.FINISH if usage is None else sql.FINISH_AND_COUNT
            row = (*held, *end, outcome.deployment, outcome.cost_nano, *turn, *(usage or ()))
            if await connection.fetchval(finish, *row) is not None:
                return True
            done = (id, owner, lease.attempt, *end)
            return lost and await connection.fetchval(sql.FINISHED, *done) is not None

        return await self._database.run(work)

    async def release(self, id: str, *, owner: str, lease: Lease) -> bool:
        return await self._erase(id, owner, sql.RELEASE, lease.worker, lease.attempt)

    async def renew(self, worker: str, until: datetime) -> list[str]:
        rows = await self._fetch(sql.RENEW, worker, to_micros(until))
        return [row["id"] for row in rows]

    async def renew_only(self, worker: str, ids: Sequence[str], until: datetime) -> list[str]:
        these = [id for id in ids if possible(id)]
        rows = await self._fetch(sql.RENEW_ONLY, worker, to_micros(until), these)
        return [row["id"] for row in rows]

    async def take_expired(
        self, worker: str, *, now: datetime, until: datetime, limit: int = 100
    ) -> list[StoredResponse]:
        rows = await self._fetch(sql.TAKE_EXPIRED, worker, to_micros(now), to_micros(until), limit)
        return [_stored(row) for row in rows]

    async def hand_back(self, id: str, *, owner: str, lease: Lease, now: datetime) -> bool:
        held = (id, owner, lease.worker)
        if not possible(*held):
            return False
        row = (*held, lease.attempt, NOBODY, to_micros(now))
        return bool(await self._fetch(sql.HAND_BACK, *row))

    # --- reading

    async def history(self, id: str, *, owner: str) -> History | None:
        rows = await self._read_owned(sql.HISTORY, id, owner)
        if not rows:
            return None
        rows.sort(key=itemgetter("depth"))
        last = rows[-1]
        return History(last["status"], _turns(rows), last["deployment"], last["chain"])

    async def probe(self, id: str, *, owner: str) -> Standing:
        if not possible(id, owner):
            id = owner = ""
        (row,) = await self._database.read(sql.STANDING, id, owner)
        return Standing(row["status"], row["epoch"] or b"")

    async def get(self, id: str, *, owner: str) -> StoredResponse | None:
        rows = await self._read_owned(sql.GET, id, owner)
        return _stored(rows[0]) if rows else None

    async def input(self, id: str, *, owner: str) -> list[Item] | None:
        rows = await self._read_owned(sql.INPUT, id, owner)
        return decode(rows[0]["input"]) if rows else None

    # --- erasing

    async def delete(self, id: str, *, owner: str) -> bool:
        return await self._erase(id, owner, sql.DELETE)

    async def _erase(self, id: str, owner: str, statement: str, *arguments: Any) -> bool:
        if not possible(id, owner):
            return False

        async def work(connection: Connection, lost: bool) -> bool:
            branch = await connection.fetchval(sql.LOCK_BRANCH_OF, id, owner)
            if branch is None:
                return lost  # the call that was cut off has done it
            if await connection.fetchval(statement, id, owner, *arguments) is None:
                return lost and await connection.fetchval(sql.LOCK_BRANCH_OF, id, owner) is None
            await trim(connection, [branch])
            return True

        return await self._database.transact(work)

    async def purge(self, owner: str, *, id: str | None = None, user: str | None = None) -> int:
        if id is not None and user is not None:
            raise StoreError("purge takes an id or a user, not both: which turns did you mean?")
        if id is not None or user is not None:
            await self.empty_summaries(owner, id=id, user=user)
        if not possible(owner, id or "") or key(user or "") is None:
            return 0
        name = name_of(user)

        async def work(connection: Connection, _: bool) -> int:
            if id is not None:
                await connection.execute(FORGET_RESPONSES_USER, owner, id)
                blanked = await blank(connection, sql.PLACES_OF_ID, owner, id)
            elif name is not None:
                await connection.execute(FORGET_USER, owner, name)
                blanked = await blank(connection, sql.PLACES_OF_USER, owner, name)
            else:
                await connection.execute(FORGET_OWNERS_USERS, owner)
                blanked = await erase_owner(connection, owner)
            if blanked:
                await connection.execute(sql.BUMP_EPOCH, secrets.token_bytes(16))
            return blanked

        return await self._database.transact(work)

    # --- keys

    async def secret(self, name: str) -> bytes:
        async def work(connection: Connection, _: bool) -> bytes:
            key = f"secret:{name}"
            await connection.execute(sql.MAKE_SECRET, key, secrets.token_bytes(32))
            return bytes(await connection.fetchval(sql.SECRET, key))

        return await self._database.run(work)

    # --- rows

    async def _read_owned(self, statement: str, id: str, owner: str) -> list[Any]:
        return await self._database.read(statement, id, owner) if possible(id, owner) else []

    async def _fetch_owned(self, statement: str, id: str, owner: str, *arguments: Any) -> list[Any]:
        return await self._fetch(statement, id, owner, *arguments) if possible(id, owner) else []

    async def _fetch(self, statement: str, *arguments: Any) -> list[Any]:
        async def work(connection: Connection, _: bool) -> list[Any]:
            return list(await connection.fetch(statement, *arguments))

        return await self._database.run(work)


def _turns(rows: Sequence[Any]) -> list[StoredTurn]:
    """Of rows of HISTORY."""
    parts: list[bytes] = []
    for _, input, output, scope, native, *_ in rows:
        state = b"null" if scope is None else b"[%b,%b]" % (encode(scope, "scope"), native)
        parts += (input, output or b"[]", state)
    step = 3 * max(1, JOINED * len(rows) // sum(map(len, parts)))
    turns: list[StoredTurn] = []
    for at in range(0, len(parts), step):
        some = parts[at : at + step]
        turns += decode_turns(b"[%b]" % b",".join(some), count=len(some) // 3)
    return turns


def _encoded_cuts(cuts: Json) -> bytes | None:
    return None if cuts is None else encode(cuts, "cuts")


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
        cuts=None if row["cuts"] is None else decode(row["cuts"]),
        conversation=row["conversation"],
        chain=row["chain"],
        api_key=row["api_key"],
        tags=() if row["tags"] is None else tuple(decode(row["tags"])),
        deployment=row["deployment"],
        cost_nano=row["cost_nano"],
        end_user=row["end_user"],
    )
