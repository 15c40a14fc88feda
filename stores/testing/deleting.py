"""Deleting: the id is gone at once, descendants stay whole, what nobody needs is erased."""

import asyncio
import random

import pytest

from stores.base import SessionStore
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
)

LENGTH = 6


class DeletingTests(StoreHooks):
    async def test_a_deleted_id_is_gone_at_once(self, store: SessionStore) -> None:
        a, b = await say_chain(store, "n", 2)
        assert await history_of(store, a) == said([a])

        assert await store.delete(a, owner=OWNER) is True

        assert await store.history(a, owner=OWNER) is None
        assert await store.get(a, owner=OWNER) is None
        assert await store.input(a, owner=OWNER) is None
        assert await store.input_page(a, owner=OWNER) is None
        assert await store.reserve(new("c", a), owner=OWNER) is False
        assert await store.delete(a, owner=OWNER) is False
        assert await store.purge(OWNER, id=a) == 0
        assert await history_of(store, b) == said([a, b])

    @pytest.mark.parametrize("place", range(LENGTH))
    async def test_any_turn_of_a_chain_can_be_deleted(
        self, store: SessionStore, place: int
    ) -> None:
        ids = await say_chain(store, "n", LENGTH)

        await store.delete(ids[place], owner=OWNER)

        for depth, id in enumerate(ids, 1):
            expected = None if id == ids[place] else said(ids[:depth])
            assert await history_of(store, id) == expected
        if place + 1 < LENGTH:
            assert await history_of(store, await say(store, "next", ids[-1])) == said(
                [*ids, "next"]
            )

    async def test_any_turn_of_a_tree_can_be_deleted(self, store: SessionStore) -> None:
        size = 12
        for place in range(size):
            grown = Tree.grown(size, seed=5).parents
            named = {
                f"t{place}{id}": parent and f"t{place}{parent}" for id, parent in grown.items()
            }
            tree = Tree(named)
            await tree.write(store)

            await tree.delete(store, f"t{place}n{place}")

            await tree.check(store)

    async def test_a_tree_deleted_in_random_order_stays_like_the_model(
        self, store: SessionStore
    ) -> None:
        tree = Tree.grown(400, seed=3)
        await tree.write(store)
        order = random.Random(3).sample(list(tree.parents), 400)

        for number, id in enumerate(order, 1):
            await tree.delete(store, id)
            if number % 80 == 0:
                await tree.check(store)

    async def test_a_tree_that_shrinks_and_grows_stays_like_the_model(
        self, store: SessionStore
    ) -> None:
        tree = Tree.grown(60, seed=7)
        await tree.write(store)
        chance = random.Random(7)

        for number in range(200):
            id = chance.choice(sorted(tree.living))
            if chance.random() < 0.5 and len(tree.living) > 10:
                await tree.delete(store, id)
            else:
                tree.parents[f"g{number}"] = id
                tree.living.add(await say(store, f"g{number}", id))

        await tree.check(store)

    async def test_content_that_no_living_response_needs_is_erased(
        self, store: SessionStore
    ) -> None:
        tree = Tree.grown(60, seed=11)
        await tree.write(store)
        tree.check_kept(await self.kept(store))

        for id in random.Random(11).sample(list(tree.parents), 60):
            await tree.delete(store, id)
            tree.check_kept(await self.kept(store))

    async def test_many_deletes_at_once_leave_what_the_model_keeps(
        self, store: SessionStore
    ) -> None:
        tree = Tree.grown(120, seed=13)
        await tree.write(store)
        chosen = random.Random(13).sample(list(tree.parents), 80)

        await asyncio.gather(*(tree.delete(store, id) for id in chosen))

        await tree.check(store)
        tree.check_kept(await self.kept(store))

    async def test_a_chain_deleted_all_at_once_leaves_nothing(self, store: SessionStore) -> None:
        for round in range(8):
            ids = await say_chain(store, f"c{round}_", 10)

            deleted = await asyncio.gather(*(store.delete(id, owner=OWNER) for id in ids))

            assert deleted == [True] * 10
            assert await self.kept(store) == []

    async def test_branches_deleted_all_at_once_leave_nothing(self, store: SessionStore) -> None:
        for round in range(8):
            ids = await say_chain(store, f"c{round}_", 3)
            forks = [await say(store, f"f{round}_{number}", ids[-1]) for number in range(10)]
            for id in ids:
                await store.delete(id, owner=OWNER)

            deleted = await asyncio.gather(*(store.delete(id, owner=OWNER) for id in forks))

            assert deleted == [True] * 10
            assert await self.kept(store) == []

    async def test_of_many_deletes_of_one_id_one_is_true(self, store: SessionStore) -> None:
        await say(store, "a")

        answers = await asyncio.gather(*(store.delete("a", owner=OWNER) for _ in range(8)))

        assert sorted(answers) == [False] * 7 + [True]

    async def test_continuing_while_deleting_is_whole_or_refused(self, store: SessionStore) -> None:
        for number in range(40):
            ids = await say_chain(store, f"n{number}_", 3)
            tip, child = ids[-1], f"child{number}"

            deleted, reserved = await asyncio.gather(
                store.delete(tip, owner=OWNER), store.reserve(new(child, tip), owner=OWNER)
            )

            assert deleted is True
            expected = [*said(ids), f"<{child}?>"] if reserved else None
            assert await history_of(store, child) == expected
            assert await history_of(store, ids[1]) == said(ids[:2])

    async def test_a_response_deleted_while_it_runs_is_not_kept(self, store: SessionStore) -> None:
        await say(store, "a")
        await store.reserve(new("b", "a"), owner=OWNER)

        assert await store.delete("b", owner=OWNER) is True

        assert await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE) is False
        assert await store.get("b", owner=OWNER) is None
        assert await history_of(store, "a") == said(["a"])

    async def test_content_of_a_response_deleted_while_it_runs_is_erased(
        self, store: SessionStore
    ) -> None:
        await say(store, "a")
        await store.reserve(new("b", "a"), owner=OWNER)

        await store.delete("b", owner=OWNER)
        await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE)

        kept = await self.kept(store)
        assert len(kept) == 1
        assert b"<b" not in kept[0]

    async def test_a_running_child_keeps_its_deleted_ancestors(self, store: SessionStore) -> None:
        ids = await say_chain(store, "n", 3)
        await store.reserve(new("child", ids[-1]), owner=OWNER)

        for id in ids:
            await store.delete(id, owner=OWNER)

        assert await store.finish("child", outcome("child"), owner=OWNER, lease=LEASE)
        assert await history_of(store, "child") == said([*ids, "child"])

    async def test_a_released_reservation_never_was(self, store: SessionStore) -> None:
        await say_chain(store, "n", 2)
        await store.reserve(new("a", "n0"), owner=OWNER)
        await store.reserve(new("b", "n1"), owner=OWNER)

        assert await store.release("a", owner=OWNER, lease=LEASE) is True
        assert await store.release("b", owner=OWNER, lease=LEASE) is True

        for id in "ab":
            assert await store.get(id, owner=OWNER) is None
            assert await store.finish(id, outcome(id), owner=OWNER, lease=LEASE) is False
            assert await store.release(id, owner=OWNER, lease=LEASE) is False
        assert await history_of(store, await say(store, "a", "n1")) == said(["n0", "n1", "a"])
        assert await history_of(store, await say(store, "b", "n0")) == said(["n0", "b"])

    async def test_content_of_a_released_reservation_is_erased(self, store: SessionStore) -> None:
        await say(store, "a")
        for id, parent in (("root", None), ("b", "a"), ("sibling", "a")):
            await store.reserve(new(id, parent), owner=OWNER)

        for id in ("root", "b", "sibling"):
            await store.release(id, owner=OWNER, lease=LEASE)

        kept = await self.kept(store)
        assert len(kept) == 1
        assert b"<a?>" in kept[0]
