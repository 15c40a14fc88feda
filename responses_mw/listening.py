"""Who hears a generation: each listener has events of its own waiting, and none waits for
another."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from responses_mw.output_items import DeltaRun, Told, end_of

_AT_HAND = 1024
"""Events that wait for a client. One that reads more slowly is told those behind them anew: they
are made again from the answer, which is there once, however many listen."""
_AT_ONCE = 1024
"""Events that are sent together at most."""


class Signal:
    """Wakes everybody who waits at that moment."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def send(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


class Listener:
    """Filled by a generation, drained by one client. `after` is the number of the last event that
    is not wanted; `again(number)` are all events from there on that were told so far."""

    def __init__(
        self, keep_alive_s: float, *, after: int, again: Callable[[int], Sequence[Told]]
    ) -> None:
        self._keep_alive_s = keep_alive_s
        self._again = again
        self._wanted = after + 1
        self._missed = False
        self._batches: deque[Sequence[Told]] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._silent = False
        self._ended = False

    def tell(self, events: Sequence[Told]) -> None:
        """Of events that follow each other from call to call."""
        end = end_of(events[-1])
        if end <= self._wanted:
            return
        follows = bool(self._batches) or _first(events[0]) == self._wanted
        fits = not self._batches or end - self._wanted <= _AT_HAND
        if not (follows and fits):
            self._missed = True
        if not self._missed:
            self._batches.append(events)
        self._wake()

    def catch_up(self) -> None:
        """What was told before this began to listen, too."""
        self._missed = True
        self._wake()

    @property
    def over(self) -> bool:
        return self._ended and not self._batches and not self._missed

    def end(self) -> None:
        self._ended = True
        self._wake()

    def leave(self) -> None:
        self._batches.clear()
        self._missed = False
        self.end()

    async def batches(self) -> AsyncIterator[Sequence[Told] | None]:
        """Events as they come, several at a time; None after each silence of `keep_alive_s`."""
        loop = asyncio.get_running_loop()
        clock = _Silence(loop, self._keep_alive_s, self._fall_silent)
        try:
            while True:
                if self._batches or self._missed:
                    if events := self._next():
                        yield events
                        clock.heard()
                elif self._ended:
                    return
                elif self._silent:
                    self._silent = False
                    yield None
                    clock.heard()
                else:
                    self._waiting = loop.create_future()
                    await self._waiting
        finally:
            clock.stop()

    def _next(self) -> list[Told]:
        events: list[Told] = []
        while self._batches and len(events) < _AT_ONCE:
            events += self._batches.popleft()
        if not events:
            told = self._again(self._wanted)
            # A quarter at least: to make them again takes as long however few of them are wanted.
            count = max(_AT_ONCE, len(told) // 4)
            events = list(told[:count])
            self._missed = len(told) > count
        if events:
            self._wanted = end_of(events[-1])
        return events

    def _fall_silent(self) -> None:
        self._silent = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class _Silence:
    """Calls `fallen` when nothing was heard for a while. One timer that looks at the clock when it
    rings: setting one anew for every event would cost more than the event does."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, fallen: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._fallen = fallen
        self._heard_at = loop.time()
        self._timer = loop.call_later(seconds, self._ring)

    def heard(self) -> None:
        self._heard_at = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        left = self._heard_at + self._seconds - self._loop.time()
        if left <= 0:
            self._fallen()
            left = self._seconds
        self._timer = self._loop.call_later(left, self._ring)


def _first(told: Told) -> int:
    return told.first if isinstance(told, DeltaRun) else int(told["sequence_number"])
