"""A store's own life: reopening, other event loops and processes, cancelled callers, budgets."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from stores.base import SessionStore
from stores.testing.hooks import Budget, StoreHooks
from stores.testing.turns import (
    LEASE,
    OWNER,
    history_of,
    new,
    outcome,
    said,
    say,
    say_chain,
)


class LifeTests(StoreHooks):
    async def test_a_reopened_store_has_everything(self, store: SessionStore) -> None:
        ids = await say_chain(store, "n", 3)
        await store.reserve(new("running", ids[-1]), owner=OWNER)
        secret = await store.secret("seal")

        for _ in range(3):
            await store.aclose()
            await store.open()

        assert await history_of(store, "running") == [*said(ids), "<running?>"]
        assert await store.finish("running", outcome("running"), owner=OWNER, lease=LEASE)
        assert await history_of(store, "running") == said([*ids, "running"])
        assert await store.secret("seal") == secret

    async def test_opening_and_closing_twice_does_nothing(self, store: SessionStore) -> None:
        await say(store, "a")

        await asyncio.gather(*(store.open() for _ in range(4)))
        assert await history_of(store, "a") == said(["a"])

        await store.aclose()
        await store.aclose()
        await asyncio.gather(*(store.open() for _ in range(4)))
        assert await history_of(store, "a") == said(["a"])

    async def test_a_closed_store_can_be_opened_in_another_event_loop(
        self, store: SessionStore
    ) -> None:
        await say(store, "a")
        await store.aclose()

        async def elsewhere() -> None:
            async with store:
                await say_chain(store, "n", 3, "a")

        await _in_another_loop(elsewhere)

        await store.open()
        assert await history_of(store, "n2") == said(["a", "n0", "n1", "n2"])

    async def test_a_store_survives_an_event_loop_that_ended_without_closing_it(
        self, store: SessionStore
    ) -> None:
        await store.aclose()

        async def elsewhere() -> None:
            await store.open()
            await say(store, "a")

        await _in_another_loop(elsewhere)

        await store.open()
        assert await history_of(store, await say(store, "b", "a")) == said(["a", "b"])

    async def test_a_second_store_beside_reads_and_continues(self, store: SessionStore) -> None:
        async with self.beside(store) as other:
            line: list[str] = []
            for number in range(10):
                writer, reader = (store, other) if number % 2 else (other, store)
                line.append(await say(writer, f"n{number}", line[-1] if line else None))
                assert await history_of(reader, line[-1]) == said(line)
            assert await other.secret("seal") == await store.secret("seal")

            await store.delete("n9", owner=OWNER)
            await store.purge(OWNER, id="n0")

            assert await history_of(other, "n9") is None
            assert await history_of(other, "n8") == said(line[1:9])

    async def test_two_stores_branch_one_parent_at_once(self, store: SessionStore) -> None:
        await say(store, "root")
        async with self.beside(store) as other:
            grown = await asyncio.gather(
                *(
                    say_chain(each, f"b{number}_", 3, "root")
                    for number, each in enumerate([store, other] * 12)
                )
            )

            for ids in grown:
                for reader in (store, other):
                    assert await history_of(reader, ids[-1]) == said(["root", *ids])

    async def test_a_second_store_in_another_event_loop(self, store: SessionStore) -> None:
        other = self.beside(store)
        await say(store, "root")

        async def elsewhere() -> None:
            async with other:
                await say_chain(other, "there", 20, "root")

        there = asyncio.create_task(_in_another_loop(elsewhere))
        await say_chain(store, "here", 20, "root")
        await there

        for name in ("here", "there"):
            ids = ["root", *(f"{name}{number}" for number in range(20))]
            assert await history_of(store, ids[-1]) == said(ids)

    async def test_a_cancelled_caller_leaves_all_or_nothing(self, store: SessionStore) -> None:
        await say(store, "root")
        for steps in range(24):
            id = f"n{steps}"
            await _cancelled_after(steps, store.reserve(new(id, "root"), owner=OWNER))
            await store.aclose()
            await store.open()

            if await store.get(id, owner=OWNER) is None:
                await store.reserve(new(id, "root"), owner=OWNER)
            assert await history_of(store, id) == [*said(["root"]), f"<{id}?>"]

            finish = store.finish(id, outcome(id), owner=OWNER, lease=LEASE)
            await _cancelled_after(steps, finish)
            await store.aclose()
            await store.open()

            await store.finish(id, outcome(id), owner=OWNER, lease=LEASE)
            assert await history_of(store, id) == said(["root", id])

    async def test_a_secret_is_made_once(self, store: SessionStore) -> None:
        made = await asyncio.gather(*(store.secret("seal") for _ in range(16)))

        assert len(set(made)) == 1
        assert len(made[0]) == 32
        other = await store.secret("other")
        assert len(other) == 32
        assert other != made[0]
        assert await store.secret("seal") == made[0]

    async def test_a_history_is_one_statement(self, store: SessionStore) -> None:
        ids = await say_chain(store, "n", 40)
        fork = await say_chain(store, "f", 5, ids[20])
        await history_of(store, ids[0])

        for id in (ids[0], ids[-1], fork[-1], "missing"):
            with self.watch(store) as seen:
                await store.history(id, owner=OWNER)
                await asyncio.sleep(0)  # some drivers tell of a statement once it was answered
            assert seen == Budget(statements=1, transactions=1)

    async def test_reserving_and_finishing_are_one_transaction_each(
        self, store: SessionStore
    ) -> None:
        await say(store, "a")
        await say(store, "b", "a")

        for id, parent in (("root", None), ("next", "b"), ("fork", "a")):
            with self.watch(store) as seen:
                assert await store.reserve(new(id, parent), owner=OWNER)
            assert seen.transactions == 1
            with self.watch(store) as seen:
                assert await store.finish(id, outcome(id), owner=OWNER, lease=LEASE)
            assert seen.transactions == 1


async def _in_another_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Runs `work` in an event loop of its own, in a thread, and raises what it raised."""
    done = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    async def run() -> None:
        await work()

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, None)

    threading.Thread(target=thread).start()
    await done


async def _cancelled_after(steps: int, call: Awaitable[object]) -> None:
    task = asyncio.ensure_future(call)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
