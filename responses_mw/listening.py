"""Who hears a generation: each listener has events of its own waiting, and none waits for
another."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from responses_mw.output_items import Event


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
    """Filled by a generation, drained by one client."""

    def __init__(self, keep_alive_s: float) -> None:
        self._keep_alive_s = keep_alive_s
        self._batches: deque[list[Event]] = deque()
        self._signal = Signal()
        self._ended = False

    def tell(self, events: list[Event]) -> None:
        self._batches.append(events)
        self._signal.send()

    def end(self) -> None:
        self._ended = True
        self._signal.send()

    def leave(self) -> None:
        self._batches.clear()
        self.end()

    async def batches(self) -> AsyncIterator[list[Event] | None]:
        """Events as they come, several at a time; None after each silence of `keep_alive_s`."""
        while True:
            if self._batches:
                events = [event for batch in self._batches for event in batch]
                self._batches.clear()
                yield events
            elif self._ended:
                return
            elif not await self._heard():
                yield None

    async def _heard(self) -> bool:
        try:
            async with asyncio.timeout(self._keep_alive_s):
                await self._signal.wait()
        except TimeoutError:
            return False
        return True
