"""Virtual keys that are changed: what becomes another, what stays, and when the budget ends."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from stores.accounts import KeyChanges, Refusal
from stores.base import SessionStore
from stores.testing.hooks import StoreHooks
from stores.testing.keys import MINUTE, SOON, key
from stores.testing.turns import NOW
from stores.testing.usage import used

HOUR = timedelta(hours=1)
LATER = NOW + timedelta(minutes=10)


LIMITED = key(max_budget_nano=1000, budget_s=3600, budget_ends=NOW + HOUR)
"""1000 nano-dollars an hour, from NOW on."""


async def standing(store: SessionStore) -> tuple[int, datetime | None]:
    found = await store.key_by_id("k")
    assert found is not None
    return found.spent_nano, found.budget_ends


class KeyChangeTests(StoreHooks):
    async def test_what_is_named_becomes_another_and_the_rest_stays(
        self, store: SessionStore
    ) -> None:
        await store.add_key(replace(LIMITED, rpm=1, tpm=2**40), digest=b"1")
        await store.add_key(key("other", rpm=1), digest=b"2")
        every: KeyChanges = {
            "name": "n\u00e4me",
            "models": ("a", "b*"),
            "max_budget_nano": 2**60,
            "budget_s": 7200,
            "rpm": 2,
            "tpm": 3,
            "expires_at": NOW + timedelta(days=1),
            "blocked": True,
        }

        one = await store.change_key("k", {"rpm": 5}, at=LATER)
        none = await store.change_key("k", {}, at=LATER)
        all = await store.change_key("k", every, at=LATER)

        assert one == none == replace(LIMITED, rpm=5, tpm=2**40)
        assert all == key(**every, budget_ends=LATER + 2 * HOUR)
        assert await store.key_by_id("k") == await store.key(b"1") == all
        assert await store.key_by_id("other") == key("other", rpm=1)

    async def test_none_takes_a_limit_away(self, store: SessionStore) -> None:
        await store.add_key(replace(LIMITED, rpm=1, tpm=1), digest=b"1")
        await store.change_key("k", {"expires_at": NOW, "models": ("a",), "name": "n"}, at=NOW)
        nothing: KeyChanges = {
            "name": None,
            "models": None,
            "max_budget_nano": None,
            "budget_s": None,
            "rpm": None,
            "tpm": None,
            "expires_at": None,
        }

        assert await store.change_key("k", nothing, at=NOW) == key()
        assert [await store.admit("k", now=LATER) for _ in range(3)] == [None] * 3

    @pytest.mark.parametrize("id", ["nobody", "", "k\x00", "\ud800", "revoked"])
    async def test_a_key_that_is_missing_or_revoked_cannot_be_changed(
        self, store: SessionStore, id: str
    ) -> None:
        await store.add_key(key("revoked"), digest=b"1")
        await store.revoke_key("revoked", at=NOW)

        assert await store.change_key(id, {"rpm": 1, "blocked": True}, at=NOW) is None
        found = await store.key_by_id("revoked")
        assert found is not None
        assert (found.rpm, found.blocked) == (None, False)

    async def test_a_blocked_key_is_told_and_not_admitted_until_it_is_unblocked(
        self, store: SessionStore
    ) -> None:
        await store.add_key(key(rpm=1), digest=b"1")
        await store.change_key("k", {"blocked": True}, at=NOW)

        refused = [await store.admit("k", now=NOW) for _ in range(3)]
        found = await store.key(b"1")
        await store.change_key("k", {"blocked": False}, at=NOW)

        assert refused == [Refusal("blocked")] * 3
        assert found == key(rpm=1, blocked=True)
        assert await store.key(b"1") == key(rpm=1)
        assert await store.admit("k", now=NOW) is None  # the refused ones were not counted
        assert await store.admit("k", now=NOW) == Refusal("rpm", SOON)

    async def test_a_key_that_is_added_blocked_is_blocked(self, store: SessionStore) -> None:
        await store.add_key(key(blocked=True), digest=b"1")

        assert await store.admit("k", now=NOW) == Refusal("blocked")

    async def test_a_revoked_key_that_was_blocked_is_gone(self, store: SessionStore) -> None:
        await store.add_key(key(blocked=True), digest=b"1")

        assert await store.revoke_key("k", at=NOW)
        assert await store.admit("k", now=NOW) == Refusal("gone")

    async def test_a_raised_budget_goes_on_with_what_was_spent(self, store: SessionStore) -> None:
        await store.add_key(LIMITED, digest=b"1")
        await store.add_usage([used("a", api_key="k", cost_nano=1500)])
        refused = await store.admit("k", now=NOW)

        await store.change_key("k", {"max_budget_nano": 2000}, at=LATER)

        assert refused == Refusal("budget", NOW + HOUR)
        assert await store.admit("k", now=LATER) is None
        assert await standing(store) == (1500, NOW + HOUR)
        await store.change_key("k", {"max_budget_nano": 1500}, at=LATER)
        assert await store.admit("k", now=LATER) == Refusal("budget", NOW + HOUR)

    async def test_another_duration_counts_from_then_with_what_was_spent(
        self, store: SessionStore
    ) -> None:
        await store.add_key(LIMITED, digest=b"1")
        await store.add_usage([used("a", api_key="k", cost_nano=1000)])

        await store.change_key("k", {"budget_s": 60}, at=LATER)

        assert await standing(store) == (1000, LATER + MINUTE)
        assert await store.admit("k", now=LATER) == Refusal("budget", LATER + MINUTE)
        assert await store.admit("k", now=LATER + MINUTE) is None
        assert await standing(store) == (0, LATER + 2 * MINUTE)

    async def test_the_same_duration_again_puts_nothing_off(self, store: SessionStore) -> None:
        await store.add_key(LIMITED, digest=b"1")

        await store.change_key("k", {"budget_s": 3600}, at=LATER)

        assert await standing(store) == (0, NOW + HOUR)

    async def test_a_budget_for_ever_gets_an_end_and_loses_it(self, store: SessionStore) -> None:
        await store.add_key(key(max_budget_nano=1000), digest=b"1")
        await store.add_usage([used("a", api_key="k", cost_nano=1000)])

        await store.change_key("k", {"budget_s": 3600}, at=LATER)
        ending = await standing(store)
        await store.change_key("k", {"budget_s": None}, at=LATER)

        assert ending == (1000, LATER + HOUR)
        assert await standing(store) == (1000, None)
        assert await store.admit("k", now=LATER + HOUR) == Refusal("budget")

    @pytest.mark.parametrize("budget_s", [60, None])
    async def test_what_was_spent_in_a_time_that_is_over_does_not_come_back(
        self, store: SessionStore, budget_s: int | None
    ) -> None:
        """Nobody asked since the hour was over, so nobody began a new one."""
        await store.add_key(LIMITED, digest=b"1")
        await store.add_usage([used("a", api_key="k", cost_nano=1000)])

        await store.change_key("k", {"budget_s": budget_s}, at=NOW + HOUR)

        assert await store.admit("k", now=NOW + HOUR) is None

    async def test_two_changes_at_once_are_both_made(self, store: SessionStore) -> None:
        await store.add_key(key(rpm=1, tpm=1), digest=b"1")
        async with self.beside(store) as other:
            await asyncio.gather(
                store.change_key("k", {"rpm": 2}, at=NOW),
                other.change_key("k", {"tpm": 2}, at=NOW),
                *(each.add_usage([used(f"{each}", api_key="k")]) for each in (store, other)),
            )

            assert await other.key_by_id("k") == key(rpm=2, tpm=2, spent_nano=2000)
