"""Everything that lives longer than a request, one object per event loop.

It opens the store, owns the generations under way, keeps what they have said so far, renews their
leases, hears of cancellations, and hands on what dead workers left behind.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from responses_mw import retention
from responses_mw.batch import drain_all
from responses_mw.chains import Chains
from responses_mw.generation import Generation
from responses_mw.hooks import Hooks
from responses_mw.jumps import Jumps
from responses_mw.keeping import lease_until
from responses_mw.records import Flushes
from responses_mw.router import Router
from responses_mw.settings import Settings
from responses_mw.usage import Ledger
from responses_mw.watch import Watch
from stores.base import SessionStore, StoredResponse, StoreError

logger = logging.getLogger("responses_mw")

HEAR_S = 0.5
"""How often other workers' cancellations are read, and running streams of theirs followed."""
CHECKPOINT_S = 0.25
"""How often it is looked for streams that said something new for most of a second."""

SWEEP_S = 60.0
"""How often it is looked for responses that are too old."""

Work = Callable[[], Awaitable[object]]
TakeOver = Callable[[StoredResponse], Awaitable[None]]


class Runtime:
    def __init__(
        self,
        store: SessionStore,
        router: Router,
        settings: Settings,
        watch: Watch,
        hooks: Hooks | None = None,
    ) -> None:
        self.watch = watch
        self.hooks = hooks or Hooks()
        self.store = store
        self.router = router
        self.settings = settings
        self.ledger = Ledger(store, shown=settings.cost_in_usage)
        self.worker = secrets.token_hex(8)
        self.seal_key = b""
        self.chains = Chains(store, max_bytes=settings.history_cache_bytes)
        self.generations: dict[str, Generation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._upkeep: set[asyncio.Task[None]] = set()

    async def open(self, take_over: TakeOver) -> None:
        """`take_over` ends or goes on with a response whose worker is gone; its lease is ours."""
        await self.store.open()
        self.seal_key = self.settings.seal_key or await self.store.secret("seal")
        await self.chains.open()

        jumps = Jumps(self.settings.lease_s)

        async def reap() -> None:
            await self._renew()
            if jumps.settled():
                await self._take_over(take_over)

        works = ((HEAR_S, self._hear), (CHECKPOINT_S, self._checkpoint), *self._keeping())
        for seconds, work in (*works, (self.settings.lease_s / 3, reap)):
            self._upkeep.add(asyncio.create_task(_every(seconds, work)))

    async def aclose(self) -> None:
        """Waits `drain_s` for the responses under way, then stops them; what they said is kept."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.settings.drain_s)
        for generation in list(self.generations.values()):
            generation.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        drain_all()
        for observer in self.watch.all:
            if isinstance(observer, Flushes):
                await observer.flush()
        await _cancel(self._upkeep)
        await self._settle()
        await self.router.aclose()
        await self.store.aclose()

    def _keeping(self) -> list[tuple[float, Work]]:
        works: list[tuple[float, Work]] = [(CHECKPOINT_S, self.ledger.flush)]
        if retention.wanted(self.settings):
            works.append((SWEEP_S, partial(retention.sweep, self.store, self.settings)))
        return works

    async def _settle(self) -> None:
        try:
            await self.ledger.flush()
        except StoreError as error:
            logger.error(
                "the store failed at the end, and what was used is not all kept: %s", error
            )

    def start(self, generation: Generation) -> None:
        """Detached from the request that asked for it; waited for at shutdown."""
        task = asyncio.create_task(generation.run())
        generation.start(task)
        self._tasks.add(task)
        self.generations[generation.id] = generation

        def over(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            del self.generations[generation.id]

        task.add_done_callback(over)

    async def _renew(self) -> None:
        if self.generations:
            # Not what is nobody's here any more, because the store failed or a caller left: it ends
            # when its lease does, however much else this worker has to do.
            ids, until = list(self.generations), lease_until(self.settings)
            for id in await self.store.renew_only(self.worker, ids, until):
                if id in self.generations:
                    self.generations[id].cancel()

    async def _hear(self) -> None:
        if any(generation.background for generation in self.generations.values()):
            await self._renew()

    async def _checkpoint(self) -> None:
        now = asyncio.get_running_loop().time()
        found = (generation.checkpoint(now) for generation in self.generations.values())
        if running := [checkpoint for checkpoint in found if checkpoint is not None]:
            await self.store.checkpoint(running)

    async def _take_over(self, take_over: TakeOver) -> None:
        until = lease_until(self.settings)
        for response in await self.store.take_expired(
            self.worker, now=datetime.now(UTC), until=until
        ):
            await take_over(response)


async def _every(seconds: float, work: Work) -> None:
    while True:
        try:
            await work()
        except StoreError as error:
            logger.error("the store failed during upkeep: %s", error)
        await asyncio.sleep(seconds)


async def _cancel(tasks: "set[asyncio.Task[None]]") -> None:
    for task in list(tasks):
        task.cancel()
    for task in list(tasks):
        with contextlib.suppress(asyncio.CancelledError):
            await task
