"""Everything that lives longer than a request, one object per event loop.

It opens the store, owns the tasks of responses under way, renews their leases, and ends what dead
workers left behind.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from responses_mw.assembler import ResponseAssembler
from responses_mw.errors import ResponsesError
from responses_mw.generation import lease_until
from responses_mw.router import Router
from responses_mw.settings import Settings
from stores.base import Outcome, SessionStore, StoredResponse, StoreError

logger = logging.getLogger("responses_mw")

_WORKER_STOPPED = "the worker that generated this response stopped"


class Runtime:
    def __init__(self, store: SessionStore, router: Router, settings: Settings) -> None:
        self.store = store
        self.router = router
        self.settings = settings
        self.worker = secrets.token_hex(8)
        self.seal_key = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.store.open()
        self.seal_key = self.settings.seal_key or await self.store.secret("seal")
        self._ticker = asyncio.create_task(self._tick())

    async def aclose(self) -> None:
        """Waits `drain_s` for the responses under way, then stops them; what they said is kept."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.settings.drain_s)
        await _cancel(self._tasks)
        if self._ticker is not None:
            await _cancel({self._ticker})
        await self.router.aclose()
        await self.store.aclose()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Detached from the request that asked for it; waited for at shutdown."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _tick(self) -> None:
        while True:
            try:
                if self._tasks:
                    await self.store.renew(self.worker, lease_until(self.settings))
                await self._end_abandoned()
            except StoreError as error:
                logger.error("leases were neither renewed nor reaped: %s", error)
            await asyncio.sleep(self.settings.lease_s / 3)

    async def _end_abandoned(self) -> None:
        until = lease_until(self.settings)
        expired = await self.store.take_expired(self.worker, now=datetime.now(UTC), until=until)
        for response in expired:
            logger.warning("ending %s: %s", response.id, _WORKER_STOPPED)
            await self._end(response)

    async def _end(self, response: StoredResponse) -> None:
        assert response.lease is not None
        assembler = ResponseAssembler(response.body)
        assembler.fail(ResponsesError(f"Generation ended early: {_WORKER_STOPPED}."))
        outcome = Outcome("failed", assembler.envelope, response.output)
        await self.store.finish(response.id, outcome, owner=response.owner, lease=response.lease)


async def _cancel(tasks: "set[asyncio.Task[None]]") -> None:
    for task in list(tasks):
        task.cancel()
    for task in list(tasks):
        with contextlib.suppress(asyncio.CancelledError):
            await task
