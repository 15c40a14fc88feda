"""What was seen, put by for a moment and then worked through in a row.

Between two requests the processor has forgotten the code that counts one: a row of sixty costs a
third of what sixty single ones do. So whoever counts puts by, and counts before it is asked.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

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
        with _known:
            _all.add(self)

    def add(self, seen: T) -> None:
        self._waiting.append(seen)
        if len(self._waiting) >= MOST:
            self.drain()
        elif self._loop is None or self._due is None or not self._loop.is_running():
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
        """The timer of a loop that has gone would never ring. Which one runs in this thread is not
        asked more often than need be: up to Python 3.11 that is a system call."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
            self.drain()
        else:
            self._due = self._loop.call_later(DELAY_S, self.drain)


_all: "WeakSet[Batch[Any]]" = WeakSet()
_known = threading.Lock()
"""Held while `_all` changes or is gone through."""


def drain_all() -> None:
    """Works through whatever is put by in this process."""
    with _known:
        batches = list(_all)
    for batch in batches:
        batch.drain()
