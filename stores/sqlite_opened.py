"""What a SQLite store has while it is open, and what becomes of that at its end and in a fork.

The locks on a file are the process's that took them. A forked child inherits connections that
believe in locks which only its parent holds: with the parent gone, another process could take the
log away while the child writes to it. So the child closes them, and its store is not open.
"""

import os
import sqlite3
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock

from stores.connection_thread import ConnectionThread
from stores.sqlite_at_once import AtOnce
from stores.sqlite_glance import Glance


@dataclass(frozen=True, slots=True)
class Opened:
    writer: ConnectionThread
    reader: ConnectionThread
    glance: Glance
    at_once: AtOnce | None

    async def aclose(self) -> None:
        """Waits for what was asked of the threads."""
        self.glance.close()
        both = (self.reader, self.writer)
        for thread in both:
            thread.stop()
        for thread in both:
            await thread.join()
        if self.at_once is not None:
            self.at_once.close()

    @property
    def locks(self) -> tuple[Lock, ...]:
        """Who holds them all knows that nobody uses a connection."""
        return *self.writer.locks, *self.reader.locks, self.glance.lock

    @property
    def connections(self) -> list[sqlite3.Connection]:
        found = [self.writer.connection, self.reader.connection, self.glance.connection]
        if self.at_once is not None:
            found.append(self.at_once.connection)
        return [connection for connection in found if connection is not None]


class Forked:
    """A store that is closed in every fork of the process."""

    _threads: Opened | None

    def __init__(self) -> None:
        self._threads = None
        self._held: list[Lock] = []
        if hasattr(os, "register_at_fork"):  # where nothing forks, there is nothing to do
            it = weakref.ref(self)
            os.register_at_fork(
                before=partial(_call, it, Forked._hold),
                after_in_parent=partial(_call, it, Forked._let_go),
                after_in_child=partial(_call, it, Forked._leave),
            )

    def _hold(self) -> None:
        """A connection in the midst of a statement could not be closed in the child."""
        for lock in () if self._threads is None else self._threads.locks:
            lock.acquire()
            self._held.append(lock)

    def _let_go(self) -> None:
        while self._held:
            self._held.pop().release()

    def _leave(self) -> None:
        threads, self._threads = self._threads, None
        for connection in [] if threads is None else threads.connections:
            connection.close()
        self._let_go()


def _call(it: "weakref.ref[Forked]", method: Callable[[Forked], None]) -> None:
    if (found := it()) is not None:
        method(found)
