"""Virtual keys: what is told of them, and that no more get in than may."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stores.accounts import Refusal, StoredKey
from stores.base import SessionStore, StoreError
from stores.testing.hooks import StoreHooks
from stores.testing.turns import NOW, OWNER, STRANGER, new
from stores.testing.usage import end, used

MINUTE = timedelta(minutes=1)
SOON = NOW.replace(second=0, microsecond=0) + MINUTE


def key(id: str = "k", owner: str = OWNER, **given: Any) -> StoredKey:
    return StoredKey(id=id, owner=owner, created_at=NOW, **given)


class KeyTests(StoreHooks):
    async def test_a_key_reads_back_by_its_digest_and_its_id(self, store: SessionStore) -> None:
        full = key(
            name="n\u00e4me",
            models=("a", "b"),
            max_budget_nano=2**60,
            budget_s=3600,
            budget_ends=NOW + timedelta(hours=1),
            rpm=1,
            tpm=2**40,
            expires_at=NOW + timedelta(days=1),
        )
        await store.add_key(full, digest=b"1" * 32)
        await store.add_key(key("bare", STRANGER), digest=b"2" * 32)

        assert await store.key(b"1" * 32) == full
        assert await store.key(b"2" * 32) == key("bare", STRANGER)
        assert await store.key(b"3" * 32) is None
        assert await store.key_by_id("k") == full
        assert await store.key_by_id("bare") == key("bare", STRANGER)
        assert [await store.key_by_id(id) for id in ("nobody", "", "k\x00", "\ud800")] == [None] * 4
        assert await store.keys() == [key("bare", STRANGER), full]
        assert await store.keys(owner=STRANGER) == [key("bare", STRANGER)]
        assert await store.keys(owner="nobody") == []

    async def test_no_two_keys_are_one(self, store: SessionStore) -> None:
        await store.add_key(key("a"), digest=b"1" * 32)

        with pytest.raises(StoreError):
            await store.add_key(key("a"), digest=b"2" * 32)
        with pytest.raises(StoreError):
            await store.add_key(key("b"), digest=b"1" * 32)

        assert await store.keys() == [key("a")]

    async def test_a_revoked_key_is_told_and_not_admitted(self, store: SessionStore) -> None:
        await store.add_key(key(), digest=b"1")

        first = await store.revoke_key("k", at=NOW)
        again = await store.revoke_key("k", at=NOW + MINUTE)
        missing = await store.revoke_key("nobody", at=NOW)

        assert (first, again, missing) == (True, False, False)
        found = await store.key(b"1")
        assert found is not None
        assert found.revoked_at == NOW
        assert await store.admit("k", now=NOW) == Refusal("gone")
        assert await store.admit("nobody", now=NOW) == Refusal("gone")

    async def test_an_expired_key_is_not_admitted(self, store: SessionStore) -> None:
        await store.add_key(key(expires_at=NOW + MINUTE), digest=b"1")

        assert await store.admit("k", now=NOW) is None
        assert await store.admit("k", now=NOW + MINUTE) == Refusal("gone")

    async def test_requests_per_minute_are_let_in_and_no_more(self, store: SessionStore) -> None:
        await store.add_key(key(rpm=5), digest=b"1")

        answers = await asyncio.gather(*(store.admit("k", now=NOW) for _ in range(20)))

        assert answers.count(None) == 5
        assert set(answers) == {None, Refusal("rpm", SOON)}
        assert await store.admit("k", now=SOON) is None

    async def test_a_clock_that_is_behind_does_not_begin_a_minute(
        self, store: SessionStore
    ) -> None:
        await store.add_key(key(rpm=1), digest=b"1")
        await store.admit("k", now=SOON)

        assert await store.admit("k", now=NOW) == Refusal("rpm", SOON + MINUTE)

    async def test_tokens_per_minute_are_charged_when_a_response_ends(
        self, store: SessionStore
    ) -> None:
        await store.add_key(key(tpm=110), digest=b"1")
        before = await store.admit("k", now=NOW)
        await store.add_usage([used("a", api_key="k")])

        assert before is None
        assert await store.admit("k", now=NOW) == Refusal("tpm", SOON)
        assert await store.admit("k", now=SOON) is None

    @pytest.mark.parametrize("stored", [True, False])
    async def test_a_spent_budget_lets_nobody_in(self, store: SessionStore, stored: bool) -> None:
        await store.add_key(key(max_budget_nano=1500), digest=b"1")
        for id in ("a", "b"):
            assert await store.admit("k", now=NOW) is None
            usage = used(id, api_key="k")
            if stored:
                await store.reserve(new(id), owner=OWNER)
                assert await end(store, id, usage)
            else:
                await store.add_usage([usage])

        assert await store.admit("k", now=NOW) == Refusal("budget")
        found = await store.key(b"1")
        assert found is not None
        assert found.spent_nano == 2000

    async def test_a_budget_begins_anew_when_its_time_is_over(self, store: SessionStore) -> None:
        ends = NOW + timedelta(hours=1)
        limited = key(max_budget_nano=1000, budget_s=3600, budget_ends=ends)
        await store.add_key(limited, digest=b"1")
        await store.add_usage([used("a", api_key="k")])

        refused = await store.admit("k", now=NOW)
        admitted = await store.admit("k", now=ends)
        found = await store.key(b"1")

        assert refused == Refusal("budget", ends)
        assert admitted is None
        assert found is not None
        assert (found.spent_nano, found.budget_ends) == (0, ends + timedelta(hours=1))

    async def test_a_key_is_charged_for_its_own_alone(self, store: SessionStore) -> None:
        await store.add_key(key("a"), digest=b"1")
        await store.add_key(key("b"), digest=b"2")
        rows = [used(f"r{n}", api_key="ab"[n % 2], cost_nano=n) for n in range(10)]

        await asyncio.gather(
            *(store.add_usage([row]) for row in rows), store.add_usage([used("x")])
        )

        assert {found.id: found.spent_nano for found in await store.keys()} == {"a": 20, "b": 25}

    async def test_two_workers_share_what_is_left(self, store: SessionStore) -> None:
        await store.add_key(key(rpm=7, max_budget_nano=10**9), digest=b"1")
        async with self.beside(store) as other:
            both = [each.admit("k", now=NOW) for _ in range(10) for each in (store, other)]
            answers = await asyncio.gather(*both)
            await other.add_usage([replace(used("a"), api_key="k", cost_nano=10**9)])

            assert answers.count(None) == 7
            assert await store.admit("k", now=SOON) == Refusal("budget")
