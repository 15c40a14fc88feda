"""What responses used: counted once, kept when they go, summed by anything."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stores.accounts import Group, Usage, UsageQuery
from stores.base import Lease, SessionStore
from stores.testing.hooks import StoreHooks
from stores.testing.turns import LEASE, NOW, OWNER, STRANGER, new, outcome, say


def used(id: str, owner: str = OWNER, **given: Any) -> Usage:
    said: dict[str, Any] = {
        "created_at": NOW,
        "ended_at": NOW,
        "status": "completed",
        "model": "m",
        "input_tokens": 100,
        "output_tokens": 10,
        "cost_nano": 1000,
    }
    return Usage(response=id, owner=owner, **{**said, **given})


async def end(store: SessionStore, id: str, usage: Usage, *, lease: Lease = LEASE) -> bool:
    ended = replace(outcome(id), usage=usage)
    return await store.finish(id, ended, owner=usage.owner, lease=lease)


async def requests_by(store: SessionStore, *groups: Group, **query: Any) -> dict[Any, int]:
    totals = await store.usage(UsageQuery(group_by=groups, **query))
    return {
        tuple(total.group.values()) if len(groups) > 1 else total.group[groups[0]]: total.requests
        for total in totals
    }


class UsageTests(StoreHooks):
    async def test_what_a_response_used_is_counted_when_it_ends(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        before = await store.usage(UsageQuery())
        row = used("a", cached_tokens=5, cache_write_tokens=4, reasoning_tokens=3)
        await end(store, "a", row)

        (total,) = await store.usage(UsageQuery())

        assert before == []
        assert (total.group, total.requests, total.unpriced) == ({}, 1, 0)
        assert (total.input_tokens, total.output_tokens, total.cost_nano) == (100, 10, 1000)
        assert (total.cached_tokens, total.cache_write_tokens) == (5, 4)
        assert total.reasoning_tokens == 3

    async def test_an_end_that_was_not_recorded_counts_nothing(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        lost = replace(LEASE, attempt=2)

        assert not await end(store, "a", used("a"), lease=lost)
        assert await store.usage(UsageQuery()) == []

    async def test_counting_a_response_again_adds_up(self, store: SessionStore) -> None:
        await store.add_usage([used("a"), used("b"), used("a", cost_nano=5)])

        totals = await store.usage(UsageQuery(group_by=["response"]))

        assert [(t.group["response"], t.requests, t.cost_nano) for t in totals] == [
            ("a", 1, 1005),
            ("b", 1, 1000),
        ]

    async def test_usage_outlives_its_response(self, store: SessionStore) -> None:
        await store.reserve(new("a", end_user="ann"), owner=OWNER)
        await end(store, "a", used("a", end_user="ann"))
        await store.delete("a", owner=OWNER)

        assert await requests_by(store, "user") == {"ann": 1}

    async def test_a_purged_user_is_forgotten_and_the_sums_stay(self, store: SessionStore) -> None:
        for id, owner, user in (
            ("a", OWNER, "ann"),
            ("b", OWNER, "ben"),
            ("c", STRANGER, "ann"),
        ):
            await say(store, id, owner=owner, end_user=user)
            await store.add_usage([used(id, owner, end_user=user)])
        await store.add_usage([used("unstored", end_user="ann")])

        await store.purge(OWNER, user="ann")
        assert await requests_by(store, "owner", "user") == {
            (OWNER, None): 2,
            (OWNER, "ben"): 1,
            (STRANGER, "ann"): 1,
        }
        await store.purge(OWNER, id="b")
        assert await requests_by(store, "owner", "user") == {
            (OWNER, None): 3,
            (STRANGER, "ann"): 1,
        }
        await store.purge(STRANGER)
        assert await requests_by(store, "owner", "user") == {(OWNER, None): 3, (STRANGER, None): 1}

    async def test_usage_is_summed_by_each_group(self, store: SessionStore) -> None:
        later = NOW + timedelta(days=1)
        await store.add_usage(
            [
                used("a", end_user="ann", api_key="k1", deployment="d1", chain="a"),
                used("b", end_user="ann", api_key="k2", deployment="d2", chain="a", model="n"),
                used("c", STRANGER, created_at=later, status="failed", chain="c"),
            ]
        )
        wanted: dict[Group, dict[str | None, int]] = {
            "owner": {OWNER: 2, STRANGER: 1},
            "key": {"k1": 1, "k2": 1, None: 1},
            "user": {"ann": 2, None: 1},
            "model": {"m": 2, "n": 1},
            "deployment": {"d1": 1, "d2": 1, None: 1},
            "chain": {"a": 2, "c": 1},
            "day": {"2026-05-17": 2, "2026-05-18": 1},
            "status": {"completed": 2, "failed": 1},
            "response": {"a": 1, "b": 1, "c": 1},
        }

        for group, counts in wanted.items():
            assert await requests_by(store, group) == counts
            for value, count in counts.items():
                found = await store.usage(UsageQuery(where={group: value}))
                assert [total.requests for total in found] == [count], (group, value)

    async def test_a_response_counts_under_each_of_its_tags(self, store: SessionStore) -> None:
        odd = "\u00e4 \U0001f600 \" \\ '"
        await store.add_usage([used("a", tags=("red", odd)), used("b", tags=("red",)), used("c")])

        assert await requests_by(store, "tag") == {"red": 2, odd: 1, None: 1}
        for tag, count in (("red", 2), (odd, 1), (None, 1), ("blue", None)):
            found = await store.usage(UsageQuery(where={"tag": tag}))
            assert [total.requests for total in found] == ([] if count is None else [count])

    async def test_a_span_has_its_start_and_not_its_end(self, store: SessionStore) -> None:
        hours = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(4)]
        await store.add_usage([used(f"r{n}", created_at=at) for n, at in enumerate(hours)])

        found = await store.usage(UsageQuery(group_by=["response"], start=hours[1], end=hours[3]))

        assert {total.group["response"] for total in found} == {"r1", "r2"}

    async def test_an_unknown_price_is_not_a_zero(self, store: SessionStore) -> None:
        await store.add_usage([used("a", cost_nano=None), used("b", cost_nano=0), used("c")])

        (total,) = await store.usage(UsageQuery())

        assert (total.requests, total.unpriced, total.cost_nano) == (3, 1, 1000)

    async def test_the_dearest_come_first_and_no_more_than_asked_for(
        self, store: SessionStore
    ) -> None:
        rows = [used(f"r{n}", end_user=f"u{n}", cost_nano=n) for n in range(20)]
        await store.add_usage(rows)

        found = await store.usage(UsageQuery(group_by=["user"], limit=3))

        assert [total.group["user"] for total in found] == ["u19", "u18", "u17"]

    async def test_sums_of_large_numbers_are_exact(self, store: SessionStore) -> None:
        large = 2**53 + 1
        await store.add_usage([used(f"r{n}", cost_nano=large) for n in range(3)])

        (total,) = await store.usage(UsageQuery())

        assert total.cost_nano == 3 * large

    async def test_everything_a_client_may_be_called_is_counted(self, store: SessionStore) -> None:
        odd = "a\x00b" + "\U0001f600" * 600
        await store.add_usage([used("a", end_user=odd, model=odd, tags=(odd,)), used("b")])

        (total,) = await store.usage(UsageQuery(where={"response": "a"}))
        await store.purge(OWNER, user=odd)

        assert total.requests == 1
        assert await requests_by(store, "user") == {None: 2}

    async def test_many_ends_at_once_are_all_counted(self, store: SessionStore) -> None:
        ids = [f"r{n}" for n in range(64)]
        for id in ids:
            await store.reserve(new(id), owner=OWNER)

        await asyncio.gather(*(end(store, id, used(id)) for id in ids))

        (total,) = await store.usage(UsageQuery())
        assert (total.requests, total.cost_nano) == (64, 64_000)

    async def test_finishing_with_usage_is_one_transaction(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)

        with self.watch(store) as seen:
            await end(store, "a", used("a"))

        assert seen.transactions == 1

    async def test_usage_is_one_statement(self, store: SessionStore) -> None:
        await store.add_usage([used("a")])

        with self.watch(store) as seen:
            await store.usage(UsageQuery(group_by=["user", "model"]))

        assert seen.statements == 1
