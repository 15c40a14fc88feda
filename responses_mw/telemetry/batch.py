"""What was seen, put by for a moment and then worked through in a row.

Between two requests the processor has forgotten the code that counts one: a row of sixty costs a
third of what sixty single ones do. So whoever counts puts by, and counts before it is asked.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 64
DELAY_S = 0.25
"""How long something waits if nobody asks and no more comes."""


class Batch(Generic[T]):
    """Without an event loop nothing waits. Several loops, each in its thread, may share one."""

    def __init__(self, work: Callable[[list[T]], None]) -> None:
        self._work = work
        self._waiting: deque[T] = deque()
        self._due: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, seen: T) -> None:
        self._waiting.append(seen)
        if len(self._waiting) >= MOST:
            self.drain()
        elif self._due is None or self._loop is not _running():
            self._wait()

    def drain(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        row: list[T] = []
        with contextlib.suppress(IndexError):
            while True:  # not `while self._waiting`: another thread may take the last one
                row.append(self._waiting.popleft())
        if row:
            self._work(row)

    def _wait(self) -> None:
        """The timer of a loop that has gone would never ring."""
        self._loop = _running()
        if self._loop is None:
            self.drain()
        else:
            self._due = self._loop.call_later(DELAY_S, self.drain)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
