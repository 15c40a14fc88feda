"""Sessions in one SQLite file: a writer that commits in groups, a reader beside it.

Opening and closing, and what each method sends to which thread. How turns begin and end is in
`sqlite_turns`, the other statements in `sqlite_operations`, the threads in `connection_thread`.
"""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from stores import sqlite_file
from stores import sqlite_operations as operations
from stores.base import (
    Checkpoint,
    History,
    Item,
    Lease,
    NewResponse,
    Outcome,
    Standing,
    StoredResponse,
    StoreError,
)
from stores.codec import decode, decode_turns, encode, key, text, to_micros
from stores.connection_thread import (
    ConnectionThread,
    Operation,
    T,
    each_alone,
    empty_wal,
    store_error,
)
from stores.group_commit import commit_together
from stores.migrate import VERSION_TABLE, is_current, upgrade
from stores.sqlite_accounts import SQLiteAccounts, encoded
from stores.sqlite_at_once import AtOnce
from stores.sqlite_conversations import SQLiteConversations
from stores.sqlite_glance import STANDING, Glance
from stores.sqlite_leases import SQLiteLeases
from stores.sqlite_opened import Forked, Opened
from stores.sqlite_rows import encoded_cuts, leased, stored
from stores.sqlite_turns import END, NOTHING, Row, begun, define

BATCH = 64
OLDEST = (3, 35)  # RETURNING
LOG_PAGES = 4000
EMPTYING_TRIES = 10
EMPTYING_PAUSE_S = 0.25


class SQLiteStore(Forked, SQLiteAccounts, SQLiteConversations, SQLiteLeases):
    """`synchronous="NORMAL"` survives a crash of the process, `"FULL"` a power cut, too.

    Any number of processes on one machine may share the file. Beside it live `-wal`, `-shm` and
    `.lock`. Erased content is overwritten: in the file at once, in the `-wal` after a purge or
    when SQLite next begins it anew. A new file is its user's alone (0600). `busy_seconds` is how
    long to wait for other processes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        busy_seconds: float = 5.0,
    ) -> None:
        if os.fspath(path) in ("", ":memory:"):
            raise ValueError(
                f"SQLiteStore needs a file, not {os.fspath(path)!r}: for sessions that end with the"
                " process take MemoryStore() or the URL memory://"
            )
        if synchronous not in ("NORMAL", "FULL"):
            raise ValueError(f"synchronous is {synchronous!r}; it can be 'NORMAL' or 'FULL'")
        self.path = Path(path).absolute()
        self._synchronous = synchronous
        self._busy_seconds = busy_seconds
        super().__init__()

    # --- life

    async def open(self) -> None:
        if self._threads is not None:
            return
        threads = await self._start()
        if self._threads is None:
            self._threads = threads
        else:  # somebody else opened it meanwhile, maybe in another event loop
            await threads.aclose()

    async def _start(self) -> Opened:
        """The writer first: it makes what the reader opens."""
        started: list[ConnectionThread] = []
        try:
            for connect, execute, batch, name in (
                (self._prepare, commit_together, BATCH, "writer"),
                (self._connect, each_alone, 1, "reader"),
            ):
                thread = ConnectionThread(connect, execute, batch=batch, name=f"sqlite {name}")
                started.append(thread)
                await thread.run(lambda _: None)  # raises what connecting raised
            writer, reader = started
            # FULL waits for the disk at every commit.
            at_once = AtOnce(self._connect) if self._synchronous == "NORMAL" else None
        except BaseException:
            for thread in started:
                thread.stop()
            raise
        writer.at_once = at_once
        return Opened(writer, reader, Glance(self.path), at_once)

    async def aclose(self) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            await threads.aclose()

    def _connect(self) -> sqlite3.Connection:
        # By one thread at a time; a store may be open in several loops.
        options: Any = {"isolation_level": None, "check_same_thread": False}
        db: sqlite3.Connection = sqlite3.connect(self.path, timeout=self._busy_seconds, **options)
        db.execute("PRAGMA secure_delete = ON")
        # Savepoints keep what pages were before: in a file, unless they are told otherwise.
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        # Pages that are written again and again are copied into the file less often.
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        return db

    def _prepare(self) -> sqlite3.Connection:
        """A connection to the database at the current schema, made or migrated if need be."""
        if sqlite3.sqlite_version_info < OLDEST:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 is needed")
        with sqlite_file.locked(self.path):
            sqlite_file.make(self.path)
            db = self._connect()
            try:
                (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
                if mode != "wal":
                    raise StoreError(f"the file system of {self.path} cannot do SQLite's WAL")
                if not is_current(_version(db)):
                    self._migrate()
                define(db)
            except BaseException:
                db.close()
                raise
            return db

    def _migrate(self) -> None:
        # Half a second to import, and only for a new or an old file.
        from sqlalchemy import create_engine
        from sqlalchemy.exc import DBAPIError
        from sqlalchemy.pool import NullPool

        engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool)
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                upgrade(connection)
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                raise store_error(error.orig) from error
            raise

    # --- a turn's life

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        if key(new.parent or "") is None or key(new.conversation or "") is None:
            return False
        id, owner = text(new.id, "the id"), text(owner, "the owner")
        turn = (
            encode(list(new.input), "input"),
            None if new.end_user is None else text(new.end_user, "end_user"),
        )
        handle = (
            new.status,
            text(new.lease.worker, "the worker"),
            to_micros(new.lease.until),
            new.lease.attempt,
            to_micros(new.created_at),
            encode(new.body, "body"),
            None if new.request is None else encode(new.request, "request"),
            new.conversation,
            None if new.chain is None else text(new.chain, "the chain"),
            None if new.api_key is None else text(new.api_key, "the key's id"),
            encode(list(new.tags), "tags") if new.tags else None,
        )
        if new.conversation is None:
            return await self._write(begun(id, owner, new.parent, turn, handle))
        return await self._write(
            partial(
                operations.reserve,
                id=id,
                owner=owner,
                conversation=new.conversation,
                turn=turn,
                handle=handle,
            )
        )

    async def checkpoint(self, running: Sequence[Checkpoint]) -> None:
        encoded = [
            (
                leased(each.id, each.owner, each.lease),
                encode(each.body, "body"),
                (encode(list(each.output), "output"), encoded_cuts(each.cuts)),
            )
            for each in running
        ]
        await self._write(partial(operations.checkpoint, running=encoded))

    async def request_cancel(self, id: str, *, owner: str) -> bool:
        return await self._write(partial(operations.request_cancel, id=key(id), owner=key(owner)))

    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        native = outcome.native
        used = NOTHING if outcome.usage is None else encoded(outcome.usage)
        values = (
            *leased(id, owner, lease),
            outcome.status,
            encode(outcome.body, "body"),
            outcome.deployment,
            outcome.cost_nano,
            encode(list(outcome.output), "output"),
            None if native is None else text(native.scope, "scope"),
            None if native is None else encode(native.state, "native"),
            encoded_cuts(outcome.cuts),
            *used[0],
            *used[1],
        )
        return await self._write(Row(END, values))

    async def release(self, id: str, *, owner: str, lease: Lease) -> bool:
        return await self._write(partial(operations.release, leased=leased(id, owner, lease)))

    async def take_expired(
        self, worker: str, *, now: datetime, until: datetime, limit: int = 100
    ) -> list[StoredResponse]:
        rows = await self._write(
            partial(
                operations.take_expired,
                worker=text(worker, "the worker"),
                now=to_micros(now),
                until=to_micros(until),
                limit=limit,
            )
        )
        return [stored(row) for row in rows]

    # --- reading

    async def history(self, id: str, *, owner: str) -> History | None:
        asked = (key(id), key(owner))
        lines = self._opened.glance.rows(operations.HISTORY, *asked, operations.SHORT)
        if lines is None or (lines and lines[0][3] >= operations.SHORT):
            lines = await self._read(operations.HISTORY, *asked, operations.ANY)
        if not lines:
            return None
        status, deployment, chain, depth, _ = lines[0]
        joined = b"[" + b",".join([turns for *_, turns in reversed(lines)]) + b"]"
        return History(status, decode_turns(joined, count=depth + 1), deployment, chain)

    async def probe(self, id: str, *, owner: str) -> Standing:
        asked = (key(id), key(owner))
        standing = self._opened.glance.standing(*asked)
        if standing is None:
            ((status, epoch),) = await self._read(STANDING, *asked)
            standing = Standing(status, epoch or b"")
        return standing

    async def get(self, id: str, *, owner: str) -> StoredResponse | None:
        rows = await self._read(operations.OWNED_RESPONSE, key(id), key(owner))
        return stored(rows[0]) if rows else None

    async def input(self, id: str, *, owner: str) -> list[Item] | None:
        rows = await self._read(operations.INPUT, key(id), key(owner))
        return decode(rows[0][0]) if rows else None

    # --- erasing

    async def delete(self, id: str, *, owner: str) -> bool:
        return await self._write(partial(operations.delete, id=key(id), owner=key(owner)))

    async def purge(self, owner: str, *, id: str | None = None, user: str | None = None) -> int:
        if id is not None and user is not None:
            raise StoreError("purge takes an id or a user, not both: which turns did you mean?")
        if id is not None or user is not None:
            await self.empty_summaries(owner, id=id, user=user)
        if id is not None:
            operation = partial(operations.purge_response, id=key(id), owner=key(owner))
        elif user is not None:
            operation = partial(operations.purge_user, user=key(user), owner=key(owner))
        else:
            operation = partial(operations.purge_owner, owner=key(owner))
        blanked = await self._write(operation)
        if blanked:
            await self._empty_log()
        return blanked

    async def _empty_log(self) -> None:
        """Others write between two tries. Who reads through all of them keeps it for later."""
        for _ in range(EMPTYING_TRIES):
            if await self._opened.reader.run(empty_wal):
                return
            await asyncio.sleep(EMPTYING_PAUSE_S)

    # --- keys

    async def secret(self, name: str) -> bytes:
        name = text(f"secret:{name}", "the name")
        rows = await self._read(operations.META, name)
        if rows:
            return bytes(rows[0][0])
        return await self._write(partial(operations.make_secret, key=name))

    # --- threads

    @property
    def _opened(self) -> Opened:
        if self._threads is None:
            raise StoreError(f"the store at {self.path} is not open: use `async with` or open()")
        return self._threads

    async def _write(self, operation: Operation[T]) -> T:
        return await self._opened.writer.run(operation)

    async def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """One statement with all its rows in one visit to the thread."""
        return await self._opened.reader.run(lambda db: db.execute(sql, values).fetchall())


def _version(db: sqlite3.Connection) -> str | None:
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (VERSION_TABLE,)).fetchone():
        return None
    row = db.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    return None if row is None else str(row[0])
