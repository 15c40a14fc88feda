"""The events of one response for somebody in another thread or another event loop.

Here events become objects and a client's leaving becomes known; what they say is not looked at.
"""

from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from responses_mw.http import Heard
from responses_mw.loop_thread import LoopThread
from responses_mw.output_items import singly
from responses_mw.typed import Event


class Ear:
    """Lives in the loop that generates. `leave` must end what is heard."""

    def __init__(
        self, heard: Heard, *, headers: Mapping[str, str], leave: Callable[[], None] | None = None
    ) -> None:
        self._batches = heard.batches()
        self.headers = dict(headers)
        self.leave = leave or heard.leave
        self._hearing = False

    async def next(self) -> list[dict[str, Any]]:
        """Empty at the end. Silences are not told."""
        self._hearing = True
        try:
            async for events in self._batches:
                if events:
                    return singly(events)
        finally:
            self._hearing = False
        return []

    async def close(self) -> None:
        self.leave()
        aclose = getattr(self._batches, "aclose", None)
        if aclose is not None and not self._hearing:
            await aclose()


class _Events:
    """What both kinds share. Whoever forgets to close it has left when it is collected."""

    def __init__(self, ear: Ear, thread: LoopThread) -> None:
        self._ear = ear
        self._thread = thread
        self._waiting: deque[dict[str, Any]] = deque()
        self._over = False
        self.headers: Mapping[str, str] = ear.headers
        """What the HTTP answer would have: who answers, what was left out."""

    def _next(self) -> Event | None:
        return Event(self._waiting.popleft()) if self._waiting else None

    def _take(self, events: list[dict[str, Any]]) -> None:
        self._waiting.extend(events)
        self._over = self._over or not events

    def __del__(self) -> None:
        if not self._over:
            self._thread.soon(self._ear.leave)


class EventStream(_Events):
    """Iterate over it; leaving early is `close()`, or `with`."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while (event := self._next()) is None:
            if self._over:
                raise StopIteration
            self._take(self._thread.run(self._ear.next()))
        return event

    def close(self) -> None:
        self._waiting.clear()
        if not self._over:
            self._over = True
            self._thread.run(self._ear.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncEventStream(_Events):
    """The same for `async for`; leaving early is `await aclose()`, or `async with`."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while (event := self._next()) is None:
            if self._over:
                raise StopAsyncIteration
            self._take(await self._thread.arun(self._ear.next()))
        return event

    async def aclose(self) -> None:
        self._waiting.clear()
        if not self._over:
            self._over = True
            await self._thread.arun(self._ear.close())

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
