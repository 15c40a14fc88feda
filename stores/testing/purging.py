"""Purging: content is blanked wherever it is read, and the chains built on it stay whole."""

import pytest

from stores.base import NativeState, Outcome, SessionStore
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    OWNER,
    STRANGER,
    answer,
    history_of,
    new,
    outcome,
    said,
    say,
    say_chain,
)


class PurgingTests(StoreHooks):
    async def test_a_purged_response_is_gone_and_blank_in_every_descendant(
        self, store: SessionStore
    ) -> None:
        a, b, c = await say_chain(store, "n", 3)
        await say(store, "fork", b)
        assert await history_of(store, c) == said([a, b, c])

        assert await store.purge(OWNER, id=b) == 1

        assert await store.get(b, owner=OWNER) is None
        assert await store.reserve(new("d", b), owner=OWNER) is False
        assert await history_of(store, a) == said([a])
        assert await history_of(store, c) == said([a, c])
        assert await history_of(store, "fork") == said([a, "fork"])
        history = await store.history(c, owner=OWNER)
        assert history is not None
        assert [(turn.input, turn.output) for turn in history.turns][1] == ([], [])
        assert await history_of(store, await say(store, "e", c)) == said([a, c, "e"])

    async def test_a_purged_turn_loses_its_native_form(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        native = NativeState("scope", ["<native>"])
        end = Outcome("completed", {}, answer("a"), native)
        await store.finish("a", end, owner=OWNER, lease=LEASE)
        await say(store, "b", "a")

        await store.purge(OWNER, id="a")

        history = await store.history("b", owner=OWNER)
        assert history is not None
        assert history.turns[0].native is None

    async def test_purged_content_is_nowhere(self, store: SessionStore) -> None:
        await say_chain(store, "n", 3)
        await store.reserve(new("fork", "n0"), owner=OWNER)
        native = NativeState("scope", ["<fork native>"])
        end = Outcome("completed", {}, answer("fork"), native)
        await store.finish("fork", end, owner=OWNER, lease=LEASE)
        await say(store, "tip", "fork")
        assert b"<fork native>" in b"".join(await self.kept(store))

        await store.purge(OWNER, id="n0")
        await store.purge(OWNER, id="fork")

        kept = await self.kept(store)
        assert len(kept) == 5
        assert b"<n0" not in b"".join(kept)
        assert b"<fork" not in b"".join(kept)

    async def test_probing_tells_whether_a_kept_history_still_holds(
        self, store: SessionStore
    ) -> None:
        await say(store, "a")
        await store.reserve(new("b", "a"), owner=OWNER)
        assert (await store.probe("b", owner=OWNER)).status == "in_progress"
        await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE)
        before = await store.probe("b", owner=OWNER)
        assert before.status == "completed"
        assert (await store.probe("a", owner=OWNER)) == before

        await store.delete("a", owner=OWNER)
        assert (await store.probe("a", owner=OWNER)).status is None
        assert (await store.probe("b", owner=STRANGER)).status is None
        assert (await store.probe("never", owner=OWNER)).status is None
        assert await store.probe("b", owner=OWNER) == before

    async def test_probing_tells_of_every_purge(self, store: SessionStore) -> None:
        ids = await say_chain(store, "n", 3)
        await say(store, "theirs", owner=STRANGER, end_user="ann")
        first = await store.probe(ids[2], owner=OWNER)
        if first.epoch is None:
            pytest.skip("the store does not say when something was purged")
        epochs = [first.epoch]
        for purged in (
            store.purge(OWNER, id=ids[0]),
            store.purge(STRANGER, user="ann"),
            store.purge(OWNER),
        ):
            assert await purged
            epoch = (await store.probe(ids[2], owner=OWNER)).epoch
            assert epoch is not None
            epochs.append(epoch)
        assert len(set(epochs)) == len(epochs)

    async def test_purging_twice_finds_nothing_the_second_time(self, store: SessionStore) -> None:
        await say(store, "a", end_user="ann")
        await say(store, "b", "a")

        assert await store.purge(OWNER, user="ann") == 1
        assert await store.purge(OWNER, user="ann") == 0
        assert await store.purge(OWNER, id="a") == 0
        assert await store.purge(OWNER, id="b") == 1
        assert await store.purge(OWNER, id="b") == 0
        assert await store.purge(OWNER) == 0

    async def test_purging_a_user_blanks_that_users_turns_only(self, store: SessionStore) -> None:
        await say(store, "a", end_user="ann")
        await say(store, "b", "a", end_user="bob")
        await say(store, "c", "b", end_user="ann")
        await say(store, "d", "c")
        await say(store, "alone", end_user="ann")
        await say(store, "theirs", owner=STRANGER, end_user="ann")

        assert await store.purge(OWNER, user="ann") == 3

        assert await history_of(store, "d") == said(["b", "d"])
        assert await history_of(store, "b") == said(["b"])
        for id in ("a", "c", "alone"):
            assert await store.get(id, owner=OWNER) is None
        assert await store.get("theirs", owner=STRANGER) is not None

    async def test_purging_a_user_finds_turns_whose_ids_are_deleted(
        self, store: SessionStore
    ) -> None:
        await say(store, "a", end_user="ann")
        await say(store, "b", "a", end_user="bob")
        await store.delete("a", owner=OWNER)

        assert await store.purge(OWNER, user="ann") == 1

        assert await history_of(store, "b") == said(["b"])

    async def test_purging_an_owner_leaves_nothing_of_that_owner(self, store: SessionStore) -> None:
        ids = await say_chain(store, "n", 3)
        await say(store, "fork", ids[0])
        await store.delete(ids[1], owner=OWNER)
        await store.reserve(new("running", ids[2]), owner=OWNER)
        await say(store, "theirs", owner=STRANGER)

        assert await store.purge(OWNER) == 5

        for id in (*ids, "fork", "running"):
            assert await store.get(id, owner=OWNER) is None
        assert await store.get("theirs", owner=STRANGER) is not None

    async def test_content_of_a_purged_owner_is_erased(self, store: SessionStore) -> None:
        await say_chain(store, "n", 3)
        await say(store, "fork", "n0")
        await say(store, "theirs", owner=STRANGER)

        await store.purge(OWNER)

        kept = await self.kept(store)
        assert len(kept) == 1
        assert b"<theirs?>" in kept[0]

    async def test_a_purged_response_that_runs_cannot_finish(self, store: SessionStore) -> None:
        await say(store, "a")
        await store.reserve(new("b", "a"), owner=OWNER)
        await store.reserve(new("c", "a", end_user="ann"), owner=OWNER)

        assert await store.purge(OWNER, id="b") == 1
        assert await store.purge(OWNER, user="ann") == 1

        for id in "bc":
            assert await store.finish(id, outcome(id), owner=OWNER, lease=LEASE) is False
            assert await store.get(id, owner=OWNER) is None
        assert await history_of(store, "a") == said(["a"])

    async def test_purging_nobody_is_zero(self, store: SessionStore) -> None:
        await say(store, "a", end_user="ann")

        assert await store.purge(OWNER, user="bob") == 0
        assert await store.purge(OWNER, user="") == 0
        assert await store.purge(STRANGER) == 0
        assert await history_of(store, "a") == said(["a"])

    async def test_a_user_may_be_called_anything(self, store: SessionStore) -> None:
        names = ["a\x00b", "a\\0b", "a\\\\0b", "%", "\U0001f9d1@ü.example"]
        names.append("".join(map(chr, range(0x4E00, 0x4E00 + 5000))))
        for number, name in enumerate(names):
            await say(store, f"n{number}", end_user=name)

        for number, name in enumerate(names):
            assert await store.purge(OWNER, user=name) == 1
            assert await store.get(f"n{number}", owner=OWNER) is None
            for later in range(number + 1, len(names)):
                assert await store.get(f"n{later}", owner=OWNER) is not None
