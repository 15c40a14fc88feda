"""Connections to Postgres: one pool per event loop, retries, and errors as ours.

Nobody imports asyncpg but this file and `postgres_spares`. It knows no table but the names in the
errors it translates.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from stores.base import StoreBusy, StoreError
from stores.codec import key
from stores.postgres_spares import Spares, end

Connection = Any  # asyncpg ships no types
T = TypeVar("T")
Work = Callable[[Connection, bool], Awaitable[T]]

TRIES = 6
FIRST_PAUSE_S = 0.02  # doubled after each try: about 0.6 s in all
CUT_S = 5.0
"""For so long a server is tried that takes connections and cuts them, however often."""
ACQUIRE_S = 30.0
COMMAND_S = 60.0
CLOSE_S = 10.0

_COLLISION = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection raises that was cut while nobody used it
    ConnectionError,
    FileNotFoundError,  # the socket of a server that starts again
    asyncpg.ReadOnlySQLTransactionError,  # the server was the first one; another is it now
)
_AWAY = (
    ConnectionRefusedError,
    FileNotFoundError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
)
_BUSY = (
    *_COLLISION,
    asyncpg.TooManyConnectionsError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.CannotConnectNowError,
    TimeoutError,
)
_FOREIGN = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # TimeoutError among them
)


@dataclass(slots=True)
class _Pool:
    """What lives in one event loop."""

    connections: Any
    spares: Spares
    guard: AsyncGenerator[None, None]
    running: set["asyncio.Task[Any]"] = field(default_factory=set)


class Database:
    """Runs work on pooled connections. `prepare` is the first of it in every event loop."""

    def __init__(self, dsn: str, *, size: int, prepare: Work[None]) -> None:
        self._dsn = dsn
        self._size = size
        self._prepare = prepare
        self._pools: dict[asyncio.AbstractEventLoop, asyncio.Task[_Pool]] = {}

    async def connect(self) -> Connection:
        """A connection outside the pool, for work in it; whoever asked closes it."""
        return await asyncpg.connect(self._dsn, command_timeout=COMMAND_S)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for ended in [other for other in list(self._pools) if other.is_closed()]:
            self._pools.pop(ended, None)  # another thread may clear up, too
        opening = self._pools.get(loop)
        if opening is None:
            opening = self._pools[loop] = loop.create_task(self._open_pool())
        try:
            await asyncio.shield(opening)
        finally:
            if opening.done() and (opening.cancelled() or opening.exception() is not None):
                self._pools.pop(loop, None)

    async def aclose(self) -> None:
        """Waits for the work under way in this event loop."""
        opening = self._pools.pop(asyncio.get_running_loop(), None)
        if opening is None:
            return
        pool = await asyncio.shield(opening)
        while pool.running:
            await asyncio.wait(pool.running)
        await pool.guard.aclose()

    async def run(self, work: Work[T]) -> T:
        """Calls `work(connection, lost)`; again if it collided with other work or was cut off.

        `lost` says that an earlier call was cut off: what it sent may have been committed or not,
        or be under way still, holding its locks.
        A cancelled caller leaves the work running.
        """
        loop = asyncio.get_running_loop()
        pool = self._pool(loop)
        task = loop.create_task(self._run(pool, work))
        pool.running.add(task)
        task.add_done_callback(pool.running.discard)
        return await asyncio.shield(task)

    async def read(self, statement: str, *arguments: Any) -> list[Any]:
        """The rows of one statement that changes nothing.

        A cancelled caller cancels it. So it needs no task, which is a tenth of what a short one
        costs.
        """
        pool = self._pool(asyncio.get_running_loop())

        async def work(connection: Connection, _: bool) -> list[Any]:
            return list(await connection.fetch(statement, *arguments))

        try:
            return await self._once(pool, work, lost=False)
        except _FOREIGN:
            return await self.run(work)

    async def transact(self, work: Work[T]) -> T:
        """The same, in a transaction: what it reads after a lock is newer than the lock."""

        async def within(connection: Connection, lost: bool) -> T:
            async with connection.transaction(isolation="read_committed"):
                return await work(connection, lost)

        return await self.run(within)

    async def _run(self, pool: _Pool, work: Work[T]) -> T:
        now = asyncio.get_running_loop().time
        until = now() + CUT_S
        lost = False
        tries = 0
        while True:
            pause = FIRST_PAUSE_S
            try:
                return await self._once(pool, work, lost=lost)
            except _FOREIGN as error:
                lost = lost or is_lost(error)
                if not _is_cut(error) or now() > until:
                    pause *= 2**tries
                    tries += 1
                    if tries == TRIES or not _worth_retrying(error, lost=lost):
                        raise _ours(error) from error
            await asyncio.sleep(random.uniform(0.5, 1.5) * pause)  # not all of them at once

    async def _once(self, pool: _Pool, work: Work[T], *, lost: bool) -> T:
        connection = await pool.spares.take(timeout=ACQUIRE_S)
        ready = False
        try:
            result = await work(connection, lost)
            ready = True
        except _LOST as error:
            if is_lost(error):
                end(connection)  # or the pool may hand it out again
            raise
        finally:
            await pool.spares.give(connection, ready=ready)
        return result

    def _pool(self, loop: asyncio.AbstractEventLoop) -> _Pool:
        opening = self._pools.get(loop)
        if opening is None or not opening.done():
            raise StoreError("the store is not open in this event loop: await its open() first")
        return opening.result()

    async def _open_pool(self) -> _Pool:
        try:
            connections = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._size,
                command_timeout=COMMAND_S,
                init=_without_jit,
                reset=_nothing,
            )
        except _FOREIGN as error:
            raise _ours(error) from error
        except ValueError:
            raise _unreadable() from None
        spares = Spares(connections)
        guard = _close_at_the_end(connections, spares)
        await anext(guard)
        pool = _Pool(connections, spares, guard)
        try:
            await self._run(pool, self._prepare)
        except StoreError:
            await guard.aclose()
            raise
        return pool


def possible(*values: str) -> bool:
    """Whether Postgres could hold these as text; what it cannot hold is nobody's id."""
    return all("\x00" not in value and key(value) is not None for value in values)


async def _close_at_the_end(connections: Any, spares: Spares) -> AsyncGenerator[None, None]:
    """Closed by `aclose`, or else by the event loop: before it ends, asyncio closes the
    generators that are still open, which is the last moment a connection can be closed in."""
    try:
        yield
    finally:
        try:
            await spares.aclose()
            await asyncio.wait_for(connections.close(), CLOSE_S)
        except _FOREIGN:
            connections.terminate()


async def _without_jit(connection: Connection) -> None:
    """Compiling a history's plan costs a hundred times what running it does, and the planner
    thinks well of it once the tables are large. Servers without JIT have no such setting."""
    await connection.execute(
        "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'jit'"
    )


async def _nothing(_: Connection) -> None:
    """We change no session state, so giving a connection back need not cost a round trip."""


def is_lost(error: BaseException) -> bool:
    """DataError is one of asyncpg's interface errors, but the connection is as good as before."""
    return isinstance(error, _LOST) and not isinstance(error, asyncpg.DataError)


def _is_cut(error: BaseException) -> bool:
    return is_lost(error) and not isinstance(error, _AWAY)


def _worth_retrying(error: BaseException, *, lost: bool) -> bool:
    if isinstance(error, asyncpg.UniqueViolationError):
        # Two branches drew the same number; the next draw differs. Or the call that was cut off was
        # committed meanwhile; the next one sees that.
        return lost or error.table_name in ("rmw_branch", "rmw_turn")
    return isinstance(error, _COLLISION) or is_lost(error)


def _ours(error: BaseException) -> StoreError:
    """Only the server's primary message is repeated: details and client errors quote values."""
    kind = StoreBusy if isinstance(error, _BUSY) or is_lost(error) else StoreError
    match error:
        case asyncpg.UniqueViolationError():
            return kind(f"the id exists already in {error.table_name}")
        case asyncpg.UndefinedObjectError():  # no statement of ours names such an object
            hint = "options of the URL that asyncpg does not know are the server's settings"
            return kind(f"Postgres refused: {error.message} ({error.sqlstate}); {hint}")
        case asyncpg.ClientConfigurationError():
            return kind("an option of the Postgres URL has a value that asyncpg does not take")
        case asyncpg.PostgresError():
            return kind(f"Postgres refused: {error.message} ({error.sqlstate})")
        case TimeoutError():
            return kind("Postgres did not answer in time")
        case OSError():
            return kind(f"Postgres cannot be reached: {error.strerror or type(error).__name__}")
        case _:
            return kind(f"Postgres failed: {type(error).__name__}")


def _unreadable() -> StoreError:
    """Raised without its cause, whose text would show the password."""
    return StoreError(
        "the Postgres URL cannot be read: it should look like postgresql://user:password@host/name "
        "with special characters in the password written as %XX"
    )
