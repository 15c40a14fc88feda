"""Hears a response that another worker generates, by what that worker keeps in the store."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from responses_mw.envelope import grown
from responses_mw.output_items import Event
from responses_mw.replay import replay
from stores.base import RUNNING, SessionStore, StoredResponse, StoreError

FOLLOW_S = 0.5


class Follower:
    """Like a Listener; `after` is the number of the last event that is not wanted."""

    def __init__(
        self, store: SessionStore, stored: StoredResponse, *, after: int, keep_alive_s: float
    ) -> None:
        self._store = store
        self._stored: StoredResponse | None = stored
        self._after = after
        self._keep_alive_s = keep_alive_s
        self._left = asyncio.Event()

    def leave(self) -> None:
        self._left.set()

    @property
    def over(self) -> bool:
        return False

    async def batches(self) -> AsyncIterator[list[Event] | None]:
        """Ends with the response, or where it was deleted. A store that fails is silence: an error
        here would cut the stream off without a word."""
        said = time.monotonic()
        while self._stored is not None and not self._left.is_set():
            if new := self._new_events(self._stored):
                said = time.monotonic()
                yield new
            elif time.monotonic() - said > self._keep_alive_s:
                said = time.monotonic()
                yield None
            if self._stored.status not in RUNNING or await self._leaves_within(FOLLOW_S):
                return
            with contextlib.suppress(StoreError):
                self._stored = await self._store.get(self._stored.id, owner=self._stored.owner)

    def _new_events(self, stored: StoredResponse) -> list[Event]:
        events = replay(grown(stored.body), stored.output, stored.cuts)
        new = [event for event in events if event["sequence_number"] > self._after]
        if new:
            self._after = new[-1]["sequence_number"]
        return new

    async def _leaves_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._left.wait()
        except TimeoutError:
            return False
        return True
