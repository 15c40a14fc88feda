"""Leases: one worker at a time generates a response, and nobody who lost it writes."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from stores.base import Lease, SessionStore, StoredResponse
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    NOW,
    OWNER,
    STRANGER,
    history_of,
    new,
    outcome,
    said,
    texts,
)

LATER = NOW + timedelta(minutes=5)
MUCH_LATER = NOW + timedelta(minutes=10)
WRONG = {
    "worker": Lease("worker-2", LEASE.until),
    "attempt": Lease("worker-1", LEASE.until, attempt=2),
    "earlier attempt": Lease("worker-1", LEASE.until, attempt=0),
}


class LeaseTests(StoreHooks):
    @pytest.mark.parametrize("wrong", WRONG)
    async def test_a_wrong_lease_neither_finishes_nor_releases(
        self, store: SessionStore, wrong: str
    ) -> None:
        await store.reserve(new("a"), owner=OWNER)

        assert await store.finish("a", outcome("a"), owner=OWNER, lease=WRONG[wrong]) is False
        assert await store.release("a", owner=OWNER, lease=WRONG[wrong]) is False

        found = await store.get("a", owner=OWNER)
        assert found is not None
        assert (found.status, found.body["status"], found.output) == (
            "in_progress",
            "in_progress",
            [],
        )
        assert await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE) is True

    async def test_a_response_finishes_once(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        ends = [outcome("a", "failed", output=[{"n": n}]) for n in range(8)]

        answers = await asyncio.gather(
            *(store.finish("a", end, owner=OWNER, lease=LEASE) for end in ends)
        )

        assert sorted(answers) == [False] * 7 + [True]
        found = await store.get("a", owner=OWNER)
        assert found is not None
        assert found.output == [{"n": answers.index(True)}]
        assert await store.release("a", owner=OWNER, lease=LEASE) is False
        assert await store.get("a", owner=OWNER) is not None

    async def test_the_end_of_the_lease_is_not_part_of_its_identity(
        self, store: SessionStore
    ) -> None:
        await store.reserve(new("a"), owner=OWNER)
        renewed = replace(LEASE, until=LATER)

        assert await store.finish("a", outcome("a"), owner=OWNER, lease=renewed) is True

    async def test_a_running_response_shows_its_lease_and_an_ended_one_has_none(
        self, store: SessionStore
    ) -> None:
        await store.reserve(new("a"), owner=OWNER)
        running = await store.get("a", owner=OWNER)
        await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE)
        ended = await store.get("a", owner=OWNER)

        assert running is not None
        assert running.lease == LEASE
        assert running.lease.until.tzinfo is not None
        assert running.cancel_requested is False
        assert ended is not None
        assert ended.lease is None

    async def test_renewing_extends_one_workers_leases(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        await store.reserve(new("b"), owner=STRANGER)
        other = Lease("worker-2", LEASE.until)
        await store.reserve(new("c", lease=other), owner=OWNER)

        assert await store.renew("worker-1", LATER) == []

        a = await store.get("a", owner=OWNER)
        b = await store.get("b", owner=STRANGER)
        c = await store.get("c", owner=OWNER)
        assert a is not None
        assert b is not None
        assert c is not None
        assert a.lease == b.lease == replace(LEASE, until=LATER)
        assert c.lease == other

    async def test_what_a_worker_does_not_name_is_not_renewed(self, store: SessionStore) -> None:
        if not store.renews_each:
            pytest.skip(f"{type(store).__name__} renews all that a worker has")
        for id, worker in (("a", "w1"), ("b", "w1"), ("c", "w1"), ("d", "w2")):
            await store.reserve(new(id, lease=Lease(worker, NOW)), owner=OWNER)
        await store.request_cancel("b", owner=OWNER)
        await store.request_cancel("c", owner=OWNER)

        assert await store.renew_only("w1", ["a", "b", "d", "missing", "\x00"], LATER) == ["b"]
        assert await store.renew_only("w1", [], LATER) == []

        moment = NOW + timedelta(microseconds=1)
        taken = await store.take_expired("w3", now=moment, until=LATER)
        assert sorted(each.id for each in taken) == ["c", "d"]

    async def test_only_expired_and_running_responses_are_taken(self, store: SessionStore) -> None:
        await store.reserve(new("expired", lease=Lease("w", NOW)), owner=OWNER)
        await store.reserve(new("alive", lease=Lease("w", LATER)), owner=OWNER)
        await store.reserve(new("ended", lease=Lease("w", NOW)), owner=OWNER)
        await store.finish("ended", outcome("ended"), owner=OWNER, lease=Lease("w", NOW))
        await store.reserve(new("gone", lease=Lease("w", NOW)), owner=OWNER)
        await store.delete("gone", owner=OWNER)

        assert await store.take_expired("w2", now=NOW, until=LATER) == []
        moment = NOW + timedelta(microseconds=1)
        taken = await store.take_expired("w2", now=moment, until=LATER)

        assert [(response.id, response.owner) for response in taken] == [("expired", OWNER)]
        assert taken[0].lease == Lease("w2", LATER, attempt=2)
        assert taken == [await store.get("expired", owner=OWNER)]

    async def test_queued_work_is_taken_with_its_request(self, store: SessionStore) -> None:
        request = {"model": "m", "input": "hi"}
        queued = replace(new("a"), status="queued", request=request, end_user="ann")
        await store.reserve(queued, owner=OWNER)

        [taken] = await store.take_expired("w2", now=LATER, until=MUCH_LATER)

        assert taken.status == "queued"
        assert taken.request == request
        assert taken.end_user == "ann"

    async def test_who_lost_a_lease_cannot_write(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        [taken] = await store.take_expired("w2", now=LATER, until=MUCH_LATER)
        assert taken.lease is not None

        assert await store.renew("worker-1", MUCH_LATER + timedelta(days=1)) == []
        late = outcome("a", output=[{"content": [{"text": "late"}]}])
        assert await store.finish("a", late, owner=OWNER, lease=LEASE) is False
        assert await store.release("a", owner=OWNER, lease=LEASE) is False
        found = await store.get("a", owner=OWNER)
        assert found is not None
        assert found.lease == Lease("w2", MUCH_LATER, attempt=2)
        assert await store.finish("a", outcome("a"), owner=OWNER, lease=taken.lease) is True

        assert await history_of(store, "a") == said(["a"])

    async def test_a_worker_that_takes_its_own_response_back_has_a_new_attempt(
        self, store: SessionStore
    ) -> None:
        await store.reserve(new("a"), owner=OWNER)

        [taken] = await store.take_expired("worker-1", now=LATER, until=MUCH_LATER)

        assert taken.lease == Lease("worker-1", MUCH_LATER, attempt=2)
        assert await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE) is False
        assert await store.finish("a", outcome("a"), owner=OWNER, lease=taken.lease) is True

    async def test_what_is_handed_back_is_as_if_it_had_never_been_taken(
        self, store: SessionStore
    ) -> None:
        if not store.hands_back:
            pytest.skip(f"{type(store).__name__} hands nothing back")
        queued = replace(new("a"), status="queued", request={"model": "m", "input": "hi"})
        await store.reserve(queued, owner=OWNER)
        [taken] = await store.take_expired("w2", now=LATER, until=MUCH_LATER)
        lease = taken.lease
        assert lease is not None

        for owner, wrong in (
            (STRANGER, lease),
            (OWNER, replace(lease, worker="w3")),
            (OWNER, replace(lease, attempt=1)),
        ):
            assert await store.hand_back("a", owner=owner, lease=wrong, now=LATER) is False
        assert await store.hand_back("a", owner=OWNER, lease=lease, now=LATER) is True

        assert await store.hand_back("a", owner=OWNER, lease=lease, now=LATER) is False
        for old in (lease, LEASE):
            assert await store.finish("a", outcome("a"), owner=OWNER, lease=old) is False
        await store.renew("w2", MUCH_LATER)
        assert await store.take_expired("w3", now=LATER, until=MUCH_LATER) == []
        moment = LATER + timedelta(microseconds=1)
        [again] = await store.take_expired("w3", now=moment, until=MUCH_LATER)
        lease = Lease("w3", MUCH_LATER, attempt=2)
        assert again == replace(taken, lease=lease)
        assert await store.finish("a", outcome("a"), owner=OWNER, lease=lease) is True
        assert await store.hand_back("a", owner=OWNER, lease=lease, now=LATER) is False

    async def test_the_oldest_leases_are_taken_first_up_to_the_limit(
        self, store: SessionStore
    ) -> None:
        for number in (3, 0, 4, 1, 2):
            lease = Lease("w", NOW + timedelta(seconds=number))
            await store.reserve(new(f"n{number}", lease=lease), owner=OWNER)

        first = await store.take_expired("w2", now=LATER, until=MUCH_LATER, limit=2)
        rest = await store.take_expired("w2", now=LATER, until=MUCH_LATER)

        assert {response.id for response in first} == {"n0", "n1"}
        assert {response.id for response in rest} == {"n2", "n3", "n4"}

    async def test_each_expired_response_is_given_to_one_of_many_callers(
        self, store: SessionStore
    ) -> None:
        await self._reserve_expired(store)

        taken = await asyncio.gather(
            *(store.take_expired(f"w{n}", now=LATER, until=MUCH_LATER, limit=7) for n in range(12))
        )

        await self._check_each_taken_once(store, taken)

    async def test_each_expired_response_is_given_to_one_of_many_processes(
        self, store: SessionStore
    ) -> None:
        await self._reserve_expired(store)
        async with AsyncExitStack() as stack:
            others = [await stack.enter_async_context(self.beside(store)) for _ in range(3)]

            taken = await asyncio.gather(
                *(
                    each.take_expired(f"w{n}", now=LATER, until=MUCH_LATER, limit=7)
                    for n, each in enumerate([store, *others] * 3)
                )
            )

        await self._check_each_taken_once(store, taken)

    async def _reserve_expired(self, store: SessionStore) -> None:
        for number in range(40):
            await store.reserve(new(f"n{number}"), owner=OWNER)

    async def _check_each_taken_once(
        self, store: SessionStore, taken: Sequence[Sequence[StoredResponse]]
    ) -> None:
        rest = await store.take_expired("last", now=LATER, until=MUCH_LATER)
        ids = [response.id for each in (*taken, rest) for response in each]
        assert sorted(ids) == sorted(f"n{number}" for number in range(40))
        for worker, responses in enumerate(taken):
            for response in responses:
                assert response.lease == Lease(f"w{worker}", MUCH_LATER, attempt=2)
                assert texts((await store.input(response.id, owner=OWNER)) or []) == [
                    f"<{response.id}?>"
                ]
