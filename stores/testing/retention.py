"""What is too old, whose it is, and all of it in lines: finding what to erase or to hand over."""

from dataclasses import replace
from datetime import timedelta

import pytest

from stores.base import SessionStore, StoreError
from stores.testing.hooks import StoreHooks
from stores.testing.turns import LEASE, NOW, OWNER, STRANGER, answer, new, outcome, question, say
from stores.testing.usage import used

DAY = timedelta(days=1)


async def say_at(
    store: SessionStore, id: str, age: timedelta, parent: str | None = None, owner: str = OWNER
) -> None:
    await store.reserve(replace(new(id, parent), created_at=NOW - age), owner=owner)
    await store.finish(id, outcome(id), owner=owner, lease=LEASE)


class RetentionTests(StoreHooks):
    async def test_what_is_older_is_found_whoever_owns_it(self, store: SessionStore) -> None:
        for n in range(5):
            await say_at(store, f"a{n}", n * DAY)
            await say_at(store, f"b{n}", n * DAY, owner=STRANGER)

        everybody = await store.expired(before=NOW - 2 * DAY)
        one = await store.expired(before=NOW - 2 * DAY, owner=STRANGER)
        others = await store.expired(before=NOW - 2 * DAY, other_than=[STRANGER])
        few = await store.expired(before=NOW - 2 * DAY, limit=3)

        assert sorted(everybody) == [
            ("a3", OWNER),
            ("a4", OWNER),
            ("b3", STRANGER),
            ("b4", STRANGER),
        ]
        assert sorted(one) == [("b3", STRANGER), ("b4", STRANGER)]
        assert sorted(others) == [("a3", OWNER), ("a4", OWNER)]
        assert len(few) == 3
        assert set(few) < set(everybody)

    async def test_what_runs_and_conversations_are_not_found(self, store: SessionStore) -> None:
        await store.create_conversation("conv", {}, owner=OWNER, created_at=NOW - 9 * DAY)
        await store.reserve(replace(new("runs"), created_at=NOW - 9 * DAY), owner=OWNER)
        await say_at(store, "old", 9 * DAY)

        assert await store.expired(before=NOW) == [("old", OWNER)]

    async def test_erasing_what_is_old_cuts_no_living_chain(self, store: SessionStore) -> None:
        await say_at(store, "a", 3 * DAY)
        await say_at(store, "b", 2 * DAY, "a")
        await say_at(store, "c", timedelta(0), "b")

        for id, owner in await store.expired(before=NOW - DAY):
            await store.delete(id, owner=owner)

        assert await store.expired(before=NOW - DAY) == []
        assert await store.get("a", owner=OWNER) is None
        history = await store.history("c", owner=OWNER)
        assert history is not None
        assert [turn.output for turn in history.turns] == [answer("a"), answer("b"), answer("c")]

    async def test_an_export_has_each_turn_once_however_it_is_cut(
        self, store: SessionStore
    ) -> None:
        for n in range(7):
            await say(store, f"a{n}", None if n % 3 == 0 else f"a{n - 1}", end_user=f"u{n % 2}")
        await say(store, "stranger", owner=STRANGER, end_user="u0")
        whole = await store.export()

        for size in (1, 2, 3, 100):
            pieces, after = [], None
            while found := await store.export(after=after, limit=size):
                pieces += found
                after = found[-1].cursor
            assert pieces == whole
        assert {turn.id for turn in whole} == {*(f"a{n}" for n in range(7)), "stranger"}
        mine = await store.export(owner=OWNER, user="u0")
        assert {turn.id for turn in mine} == {"a0", "a2", "a4", "a6"}

    async def test_a_line_of_an_export_holds_the_whole_turn(self, store: SessionStore) -> None:
        await say(store, "a", end_user="ann")

        (turn,) = await store.export()

        assert (turn.id, turn.owner, turn.end_user) == ("a", OWNER, "ann")
        assert (turn.status, turn.created_at) == ("completed", NOW)
        assert (turn.input, turn.output) == (question("a"), answer("a"))
        assert turn.body == outcome("a").body

    async def test_turns_without_an_id_are_exported_and_purged_ones_are_not(
        self, store: SessionStore
    ) -> None:
        await say(store, "a", end_user="ann")
        await say(store, "b", "a", end_user="ben")
        await store.delete("a", owner=OWNER)
        await store.create_conversation("conv", {}, owner=OWNER, created_at=NOW)
        await store.append_items("conv", question("posted"), owner=OWNER)

        before = await store.export()
        await store.purge(OWNER, user="ann")
        after = await store.export()

        known = [(turn.id, turn.input) for turn in before]
        assert sorted(known, key=str) == sorted(
            [(None, question("a")), ("b", question("b")), (None, question("posted"))], key=str
        )
        assert [turn for turn in before if turn.input != question("a")] == after

    async def test_a_cursor_of_something_else_is_refused(self, store: SessionStore) -> None:
        for wrong in ("", "resp_1", "1", "1:", "-1:2", "9" * 30 + ":1"):
            with pytest.raises(StoreError, match="cursor"):
                await store.export(after=wrong)

    async def test_owners_are_found_by_user_by_id_and_all_of_them(
        self, store: SessionStore
    ) -> None:
        await say(store, "a", end_user="ann")
        await say(store, "b", owner=STRANGER, end_user="ann")
        await say(store, "c", owner=STRANGER, end_user="ben")
        await store.add_usage([used("unstored", "third", end_user="ann")])

        assert await store.owners(user="ann") == [OWNER, STRANGER, "third"]
        assert await store.owners(user="ben") == [STRANGER]
        assert await store.owners(user="nobody") == []
        assert await store.owners(id="b") == [STRANGER]
        assert await store.owners(id="nobody") == []
        assert await store.owners() == [OWNER, STRANGER, "third"]
