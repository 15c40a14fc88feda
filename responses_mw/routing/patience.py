"""How long one attempt is waited for: a limit for each wait, by one timer for all of them.

`asyncio.timeout` around every batch of a stream would cost more than the rest of routing it.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class OutOfPatience(TimeoutError):
    """Of this file's own, not of whoever was waited for."""


class Patience:
    """Of one attempt, in the task that asks. To be closed."""

    __slots__ = ("_due", "_expired", "_loop", "_timer", "_waiting")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._waiting: asyncio.Task[object] | None = None
        self._expired = False

    async def wait(self, work: Awaitable[T], seconds: float) -> T:
        """Raises OutOfPatience, and then `work` was cancelled."""
        self._due = self._loop.time() + seconds
        if self._timer is None or self._due < self._timer.when():
            self._set()
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        self._waiting = task
        try:
            return await work
        except asyncio.CancelledError as error:
            # Somebody else may have cancelled it, too: then it is for them.
            if self._expired and task.cancelling() <= before + 1:
                raise OutOfPatience from error
            raise
        finally:
            self._waiting = None
            if self._expired:
                self._expired = False
                task.uncancel()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        """Most waits are over long before this: the timer is then set for the one of now."""
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._due:
            self._set()
            return
        self._expired = True
        self._waiting.cancel()
