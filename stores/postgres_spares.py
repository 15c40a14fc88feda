"""Connections that were given back a moment ago, kept at hand beside the pool they came from.

Taking one from here costs nothing; from asyncpg's pool and back it costs 20 us, most of a short
statement. How many there may be at once, and who waits for one, stays the pool's.
"""

import asyncio
import contextlib
from typing import Any

import asyncpg

STALE_S = 60.0
"""A connection that nobody used for so long may have been cut by something between."""


class Spares:
    """One event loop's."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._now = asyncio.get_running_loop().time
        self._free: list[tuple[Any, float]] = []
        self._waiting = 0
        self._closing = False

    async def take(self, *, timeout: float) -> Any:
        """Raises what the pool raises, TimeoutError among it. The taker gives it back."""
        while self._free:
            connection, since = self._free.pop()
            if _is_open(connection):
                if self._now() - since < STALE_S:
                    return connection
                end(connection)
            await self._pool.release(connection)
        self._waiting += 1
        try:
            return await self._pool.acquire(timeout=timeout)
        finally:
            self._waiting -= 1

    async def give(self, connection: Any, *, ready: bool) -> None:
        """Not `ready` where something went wrong on it, which the pool sees to. Whoever waits,
        waits there, too."""
        if ready and not self._waiting and not self._closing and _is_open(connection):
            self._free.append((connection, self._now()))
        else:
            await self._pool.release(connection)

    async def aclose(self) -> None:
        """Gives all back to the pool, which can then be closed."""
        self._closing = True
        free, self._free = self._free, []
        for connection, _ in free:
            await self._pool.release(connection)


def end(connection: Any) -> None:
    """At once. One that was cut may be the pool's again already, which sees to it."""
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


def _is_open(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it was cut, and the pool has taken it back already
        return False
