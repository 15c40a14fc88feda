"""A thread that owns one sqlite3 connection.

Everything about threads is here; nothing about what the statements mean.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, TypeVar

from stores.base import StoreBusy, StoreError

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

BATCH_SECONDS = 0.005
FAILURES = (sqlite3.Error, MemoryError)
"""Of one operation, after which others may work: MemoryError is what SQLite's own becomes."""
EMPTYING_MS = 50


class Job:
    """One operation, and whoever waits for it in whichever event loop."""

    __slots__ = ("error", "future", "loop", "operation", "result")

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        if self.future.done():  # the caller was cancelled, the operation was not
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class ConnectionThread:
    """Runs operations in the order they came, up to `batch` of those that wait as one batch.

    It belongs to no event loop. It is a daemon: a program that forgets to close its store ends
    nonetheless, and every answered operation is committed by then.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        execute: Callable[[sqlite3.Connection, Iterable[Job]], None],
        *,
        batch: int,
        name: str,
    ) -> None:
        self.at_once: Callable[[Sequence[Job]], bool] | None = None
        """Does jobs on the thread that asks, while nothing waits for this one; or says no."""
        self.connection: sqlite3.Connection | None = None
        """While it is open."""
        self._connect = connect
        self._execute = execute
        self._batch = batch
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        # What is asked for in one pass of an event loop comes together: a busy loop's turns share
        # their statements, and an idle one's do not wait for it.
        self._gathered: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        self._taken: list[Job] = []
        self._left = 0
        """How many jobs were handed over and are not answered."""
        self._stopping = False
        self._lock = Lock()
        self._working = Lock()
        self._ended: BaseException | None = None
        self._thread = Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    async def run(self, operation: Operation[T]) -> T:
        """Cancelling the caller does not cancel the operation. Raises StoreError."""
        job = Job(operation)
        with self._lock:
            gathered = self._gathered.setdefault(job.loop, [])
            gathered.append(job)
        if len(gathered) == 1:
            if self._batch > 1:
                job.loop.call_soon(self._begin, job.loop)
            else:
                self._hand_over(job.loop)
        try:
            result: T = await job.future
        except FAILURES as error:
            raise store_error(error) from error
        return result

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        done: list[Job] = []
        try:
            with self._lock:
                waiting = self._gathered.get(loop)
                free = not self._left and self._ended is None
                if waiting and free and self.at_once is not None and self.at_once(waiting):
                    done = self._gathered.pop(loop)
        finally:  # whatever it raised: nobody waits for ever
            if not done:
                self._hand_over(loop)
        _resolve(done)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            gathered = self._gathered.pop(loop, [])
            if self._ended is None:
                self._left += len(gathered)
                for job in gathered:
                    self._jobs.put(job)
                return
        for job in gathered:
            job.error = self._ended
        _answer(gathered)

    @property
    def locks(self) -> tuple[Lock, Lock]:
        """Who holds both knows that neither the thread nor `at_once` does anything."""
        return self._working, self._lock

    def stop(self) -> None:
        """Lets it end after what was asked so far."""
        for loop in list(self._gathered):
            self._hand_over(loop)
        self._jobs.put(None)

    async def join(self) -> None:
        await asyncio.to_thread(self._thread.join)

    def _main(self) -> None:
        ended: BaseException = StoreError("the store stopped; its thread's traceback says why")
        try:
            connection = self.connection = self._connect()
            try:
                self._serve(connection)
            finally:
                with self._working:
                    self.connection = None
                    connection.close()
            ended = StoreError("the store is closed")
        except (sqlite3.Error, StoreError) as error:
            ended = error
        finally:
            self._end(ended)

    def _serve(self, connection: sqlite3.Connection) -> None:
        while not self._stopping and (first := self._jobs.get()) is not None:
            self._taken = [first]
            try:
                with self._working:
                    self._execute(connection, self._waiting())
            except FAILURES as error:
                for job in self._taken:
                    job.error = job.error or error
            answered, self._taken = self._taken, []
            with self._lock:
                self._left -= len(answered)
            _answer(answered)

    def _waiting(self) -> Iterator[Job]:
        """The job taken, and those behind it. Nobody is waited for: a lone caller has no delay."""
        deadline = monotonic() + BATCH_SECONDS
        yield self._taken[0]
        while len(self._taken) < self._batch and monotonic() < deadline:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is None:
                self._stopping = True
                return
            self._taken.append(job)
            yield job

    def _end(self, error: BaseException) -> None:
        with self._lock:
            self._ended = error
        left, self._taken = self._taken, []
        with suppress(Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    left.append(job)
        for job in left:
            job.error = error
        _answer(left)


def each_alone(connection: sqlite3.Connection, jobs: Iterable[Job]) -> None:
    """For reading: a single statement needs no transaction around it."""
    for job in jobs:
        try:
            job.result = job.operation(connection)
        except (*FAILURES, StoreError) as error:
            job.error = error


def empty_wal(db: sqlite3.Connection) -> bool:
    """Moves everything into the file and empties the log of what was there before; false where
    somebody who reads keeps it.

    Nobody can write while it waits for them, so that it does not wait for long.
    """
    ((waits_ms,),) = db.execute("PRAGMA busy_timeout").fetchall()
    db.execute(f"PRAGMA busy_timeout = {EMPTYING_MS}").fetchall()
    try:
        ((is_kept, *_),) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        db.execute(f"PRAGMA busy_timeout = {waits_ms}").fetchall()
    return not is_kept


def is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def store_error(error: Exception) -> StoreError:
    """Of one of FAILURES. SQLite's messages name tables and files, never values."""
    if isinstance(error, MemoryError):
        return StoreError("SQLite refused: out of memory")
    if is_busy(error):
        return StoreBusy(f"another process holds the database for too long ({error}); try again")
    return StoreError(f"SQLite refused: {error}")


def _answer(jobs: list[Job]) -> None:
    """One wake-up per event loop, however many of its callers wait."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, its_jobs in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, its_jobs)


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        job.resolve()
