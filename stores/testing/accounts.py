"""Who asked for a response, who answered it and what it cost: kept with it, and read with it."""

from dataclasses import replace

from stores.base import SessionStore
from stores.testing.hooks import StoreHooks
from stores.testing.turns import LEASE, NOW, OWNER, answer, new, outcome, say


class AccountTests(StoreHooks):
    async def test_a_history_says_who_answered_last_and_which_chain_it_is(
        self, store: SessionStore
    ) -> None:
        for id, parent in (("a", None), ("b", "a"), ("c", "b")):
            await store.reserve(replace(new(id, parent), chain="a"), owner=OWNER)
            end = replace(outcome(id), deployment=f"answers-{id}")
            await store.finish(id, end, owner=OWNER, lease=LEASE)

        of_b = await store.history("b", owner=OWNER)
        of_c = await store.history("c", owner=OWNER)

        assert of_b is not None
        assert of_c is not None
        assert (of_b.deployment, of_b.chain) == ("answers-b", "a")
        assert (of_c.deployment, of_c.chain) == ("answers-c", "a")

    async def test_a_conversation_says_who_answered_last(self, store: SessionStore) -> None:
        await store.create_conversation("conv", {}, owner=OWNER, created_at=NOW)
        for id in ("a", "b"):
            await store.reserve(replace(new(id), conversation="conv"), owner=OWNER)
            end = replace(outcome(id), deployment=f"answers-{id}")
            await store.finish(id, end, owner=OWNER, lease=LEASE)

        history = await store.history("conv", owner=OWNER)

        assert history is not None
        assert history.deployment == "answers-b"
        assert history.turns[-1].output == answer("b")

    async def test_who_asked_who_answered_and_the_price_read_back(
        self, store: SessionStore
    ) -> None:
        asked = replace(new("a"), chain="root", api_key="key_1", tags=["red", "gr\u00fcn\x00"])
        await store.reserve(asked, owner=OWNER)
        running = await store.get("a", owner=OWNER)
        end = replace(outcome("a"), deployment="eu-1", cost_nano=2**62)
        await store.finish("a", end, owner=OWNER, lease=LEASE)

        found = await store.get("a", owner=OWNER)

        assert running is not None
        assert found is not None
        assert (running.deployment, running.cost_nano) == (None, None)
        assert (found.chain, found.api_key, found.tags) == (
            "root",
            "key_1",
            ("red", "gr\u00fcn\x00"),
        )
        assert (found.deployment, found.cost_nano) == ("eu-1", 2**62)

    async def test_a_price_that_is_unknown_is_none_and_a_free_one_zero(
        self, store: SessionStore
    ) -> None:
        await say(store, "unknown")
        await store.reserve(new("free"), owner=OWNER)
        await store.finish("free", replace(outcome("free"), cost_nano=0), owner=OWNER, lease=LEASE)

        unknown = await store.get("unknown", owner=OWNER)
        free = await store.get("free", owner=OWNER)

        assert unknown is not None
        assert free is not None
        assert (unknown.cost_nano, free.cost_nano) == (None, 0)
