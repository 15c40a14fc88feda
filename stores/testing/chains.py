"""Histories: whole, in order, at any depth and any number of forks. Nothing is erased here."""

import asyncio

import pytest

from stores.base import SessionStore, Status, StoreError
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    OWNER,
    Tree,
    history_of,
    new,
    outcome,
    said,
    say,
    say_chain,
    texts,
)


class ChainTests(StoreHooks):
    async def test_a_single_turn_is_its_own_history(self, store: SessionStore) -> None:
        await say(store, "a")

        history = await store.history("a", owner=OWNER)

        assert history is not None
        assert history.status == "completed"
        assert [texts(turn.input) for turn in history.turns] == [["<a?>"]]
        assert [texts(turn.output) for turn in history.turns] == [["<a!>"]]
        assert history.turns[0].native is None

    async def test_a_chain_is_in_order_at_every_depth_up_to_1000(self, store: SessionStore) -> None:
        ids = await say_chain(store, "n", 1000)

        for depth in (1, 2, 3, 10, 99, 100, 255, 256, 257, 999, 1000):
            assert await history_of(store, ids[depth - 1]) == said(ids[:depth])

    async def test_every_turn_of_a_chain_can_be_forked_twice(self, store: SessionStore) -> None:
        ids = await say_chain(store, "n", 8)

        forks = {}
        for place, id in enumerate(ids):
            for name in (f"x{place}_", f"y{place}_"):
                forks[name] = [*ids[: place + 1], *await say_chain(store, name, 3, id)]

        for path in forks.values():
            for depth in range(1, len(path) + 1):
                assert await history_of(store, path[depth - 1]) == said(path[:depth])

    async def test_forks_of_forks_keep_each_their_own_line(self, store: SessionStore) -> None:
        path: list[str] = []
        for level in range(30):
            parent = path[-1] if path else None
            await say(store, f"sibling{level}", parent)
            path.append(await say(store, f"n{level}", parent))

        assert await history_of(store, path[-1]) == said(path)
        assert await history_of(store, "sibling29") == said([*path[:29], "sibling29"])

    @pytest.mark.parametrize("seed", [1, 2])
    async def test_a_random_tree_of_400_reads_like_the_model(
        self, store: SessionStore, seed: int
    ) -> None:
        tree = Tree.grown(400, seed=seed)

        await tree.write(store)

        await tree.check(store)

    async def test_64_branches_of_one_parent_at_once(self, store: SessionStore) -> None:
        root = await say(store, "root")

        grown = await asyncio.gather(
            *(say_chain(store, f"b{number}_", 3, root) for number in range(64))
        )

        for ids in grown:
            assert await history_of(store, ids[-1]) == said([root, *ids])

    async def test_64_chains_at_once(self, store: SessionStore) -> None:
        grown = await asyncio.gather(*(say_chain(store, f"c{number}_", 5) for number in range(64)))

        for ids in grown:
            assert await history_of(store, ids[-1]) == said(ids)

    async def test_one_id_reserved_many_times_at_once_is_reserved_once(
        self, store: SessionStore
    ) -> None:
        await say(store, "root")

        answers = await asyncio.gather(
            *(store.reserve(new("a", "root"), owner=OWNER) for _ in range(8)),
            return_exceptions=True,
        )

        assert answers.count(True) == 1
        assert all(isinstance(other, StoreError) for other in answers if other is not True)
        assert await history_of(store, "a") == ["<root?>", "<root!>", "<a?>"]

    async def test_an_id_that_exists_is_refused_and_stays(self, store: SessionStore) -> None:
        await say(store, "a")
        await say(store, "b", "a")

        for parent in (None, "a", "b"):
            with pytest.raises(StoreError):
                await store.reserve(new("b", parent, input=[]), owner=OWNER)

        assert await history_of(store, "b") == said(["a", "b"])
        assert await history_of(store, await say(store, "c", "b")) == said(["a", "b", "c"])

    async def test_a_missing_parent_is_refused_and_nothing_is_kept(
        self, store: SessionStore
    ) -> None:
        assert not await store.reserve(new("a", "missing"), owner=OWNER)

        assert await store.get("a", owner=OWNER) is None
        assert await say(store, "a")

    async def test_what_is_missing_is_none(self, store: SessionStore) -> None:
        for id in ("missing", "", "resp_\x00", "%", "x" * 100_000, "\ud800"):
            assert await store.history(id, owner=OWNER) is None
            assert await store.get(id, owner=OWNER) is None
            assert await store.input(id, owner=OWNER) is None
            assert await store.input_page(id, owner=OWNER) is None
            assert await store.delete(id, owner=OWNER) is False
            assert await store.purge(OWNER, id=id) == 0
            assert await store.finish(id, outcome("a"), owner=OWNER, lease=LEASE) is False
            assert await store.release(id, owner=OWNER, lease=LEASE) is False
            assert await store.reserve(new("a", id), owner=OWNER) is False

    async def test_a_running_response_has_its_input_and_no_output(
        self, store: SessionStore
    ) -> None:
        await say(store, "a")
        await store.reserve(new("b", "a"), owner=OWNER)

        history = await store.history("b", owner=OWNER)

        assert history is not None
        assert history.status == "in_progress"
        assert texts(history.turns[-1].input) == ["<b?>"]
        assert history.turns[-1].output == []
        await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE)
        assert await history_of(store, "b") == said(["a", "b"])

    @pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
    async def test_every_ended_response_says_how_and_can_be_continued(
        self, store: SessionStore, status: Status
    ) -> None:
        await store.reserve(new("a"), owner=OWNER)
        await store.finish("a", outcome("a", status), owner=OWNER, lease=LEASE)

        history = await store.history("a", owner=OWNER)
        found = await store.get("a", owner=OWNER)

        assert history is not None
        assert found is not None
        assert (history.status, found.status, found.body["status"]) == (status, status, status)
        assert texts(found.output) == ["<a!>"]
        await say(store, "b", "a")
        assert await history_of(store, "b") == said(["a", "b"])
