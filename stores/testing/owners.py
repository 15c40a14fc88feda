"""Owners never meet: to everyone but its owner an id does not exist, in any method."""

import pytest

from stores.base import SessionStore, StoreError
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    OWNER,
    STRANGER,
    heard,
    history_of,
    new,
    outcome,
    said,
    say,
    say_chain,
)


class OwnerTests(StoreHooks):
    async def test_reading_a_strangers_response_finds_nothing(self, store: SessionStore) -> None:
        a, b = await say_chain(store, "n", 2)

        for id in (a, b):
            assert await store.history(id, owner=STRANGER) is None
            assert await store.get(id, owner=STRANGER) is None
            assert await store.input(id, owner=STRANGER) is None
            assert await store.input_page(id, owner=STRANGER) is None

    async def test_erasing_a_strangers_response_does_nothing(self, store: SessionStore) -> None:
        ids = await say_chain(store, "n", 2)

        for id in ids:
            assert await store.delete(id, owner=STRANGER) is False
            assert await store.purge(STRANGER, id=id) == 0
        assert await store.purge(STRANGER) == 0

        assert await history_of(store, ids[-1]) == said(ids)

    async def test_continuing_a_strangers_response_is_refused(self, store: SessionStore) -> None:
        await say(store, "a")

        assert await store.reserve(new("b", "a"), owner=STRANGER) is False

        assert await store.get("b", owner=STRANGER) is None
        assert await store.get("b", owner=OWNER) is None

    async def test_a_stranger_with_the_right_lease_writes_nothing(
        self, store: SessionStore
    ) -> None:
        await store.reserve(new("a"), owner=OWNER)

        assert await store.finish("a", outcome("a"), owner=STRANGER, lease=LEASE) is False
        assert await store.release("a", owner=STRANGER, lease=LEASE) is False

        assert await history_of(store, "a") == ["<a?>"]

    async def test_an_id_is_one_owners_only(self, store: SessionStore) -> None:
        await say(store, "a")

        with pytest.raises(StoreError):
            await store.reserve(new("a", input=[]), owner=STRANGER)

        assert await history_of(store, "a") == said(["a"])
        assert await store.history("a", owner=STRANGER) is None

    async def test_owners_side_by_side_read_only_their_own(self, store: SessionStore) -> None:
        names = ["ann", "Ann", "ann ", "", "%", "ann@example.com", "\U0001f9d1"]
        for number, owner in enumerate(names):
            await say_chain(store, f"o{number}_", 3, owner=owner)

        for number, _ in enumerate(names):
            ids = [f"o{number}_{place}" for place in range(3)]
            for reader, owner in enumerate(names):
                history = heard(await store.history(ids[-1], owner=owner))
                assert history == (said(ids) if reader == number else None)

    async def test_purging_one_owner_leaves_the_others(self, store: SessionStore) -> None:
        for owner in (OWNER, STRANGER):
            await say_chain(store, owner, 3, owner=owner)

        assert await store.purge(OWNER) == 3

        ids = [f"{STRANGER}{place}" for place in range(3)]
        assert heard(await store.history(ids[-1], owner=STRANGER)) == said(ids)
