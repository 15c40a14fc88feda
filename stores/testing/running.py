"""While a response runs: checkpoints, asking it to stop, and the cuts its stream is told from."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stores.base import Checkpoint, Lease, Outcome, SessionStore, StoredResponse, StoreError
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    NOW,
    OWNER,
    STRANGER,
    answer,
    history_of,
    new,
    outcome,
    said,
    say,
)
from stores.testing.values import ODD

LATER = NOW + timedelta(minutes=5)
CUTS: dict[str, Any] = {
    "list": [["text", 4], ["text", 7]],
    "empty list": [],
    "empty object": {},
    "false": False,
    "zero": 0,
    "odd": ODD,
}


def told(id: str, text: str = "so far", *, owner: str = OWNER, lease: Lease = LEASE) -> Checkpoint:
    output = [{"id": f"{id}_0", "content": [{"type": "output_text", "text": text}]}]
    body = {"id": id, "object": "response", "status": "in_progress", "said": text}
    return Checkpoint(id, owner, lease, body, output, cuts=[["text", len(text)]])


async def found(store: SessionStore, id: str) -> StoredResponse:
    response = await store.get(id, owner=OWNER)
    assert response is not None
    return response


class RunningTests(StoreHooks):
    async def test_a_checkpoint_shows_what_was_said_so_far(self, store: SessionStore) -> None:
        await say(store, "a")
        await store.reserve(replace(new("b", "a"), status="queued", request={"n": 1}), owner=OWNER)
        for text in ("so", "so far", "so far so good"):
            checkpoint = told("b", text)

            await store.checkpoint([checkpoint])

            response = await found(store, "b")
            assert (response.status, response.lease) == ("in_progress", LEASE)
            assert (response.body, response.output) == (checkpoint.body, checkpoint.output)
            assert response.cuts == checkpoint.cuts
            assert response.request == {"n": 1}
            assert await history_of(store, "b") == [*said(["a"]), "<b?>", text]

    async def test_who_takes_over_is_told_what_was_said_so_far(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        await store.checkpoint([told("a")])

        [taken] = await store.take_expired("w2", now=LATER, until=LATER)

        assert (taken.body, taken.output, taken.cuts) == (
            told("a").body,
            told("a").output,
            told("a").cuts,
        )
        assert taken == await found(store, "a")

    async def test_the_end_replaces_the_checkpoint(self, store: SessionStore) -> None:
        for id, cuts in (("a", [["text", 1]]), ("b", None)):
            await store.reserve(new(id), owner=OWNER)
            await store.checkpoint([told(id)])

            end = replace(outcome(id), cuts=cuts)
            assert await store.finish(id, end, owner=OWNER, lease=LEASE)

            response = await found(store, id)
            assert (response.body, response.output) == (end.body, answer(id))
            assert response.cuts == cuts
            await store.checkpoint([told(id)])
            assert await found(store, id) == response

    async def test_one_checkpoint_of_many_leaves_out_those_whose_lease_is_lost(
        self, store: SessionStore
    ) -> None:
        kept = [f"n{number}" for number in range(20)]
        for id in (*kept, "worker", "attempt", "owner", "ended", "released", "deleted"):
            await store.reserve(new(id), owner=OWNER)
        await store.reserve(new("theirs"), owner=STRANGER)
        await store.finish("ended", outcome("ended"), owner=OWNER, lease=LEASE)
        await store.release("released", owner=OWNER, lease=LEASE)
        await store.delete("deleted", owner=OWNER)
        lost = [
            told("worker", lease=replace(LEASE, worker="worker-2")),
            told("attempt", lease=replace(LEASE, attempt=2)),
            told("owner", owner=STRANGER),
            *map(told, ("ended", "released", "deleted", "missing", "nul\x00")),
        ]
        theirs = told("theirs", owner=STRANGER)

        await store.checkpoint([*lost[:4], *map(told, kept), theirs, *lost[4:]])

        for id in kept:
            assert (await found(store, id)).output == told(id).output
        response = await store.get("theirs", owner=STRANGER)
        assert response is not None
        assert response.output == theirs.output
        for id in ("worker", "attempt", "owner"):
            response = await found(store, id)
            assert (response.output, response.cuts) == ([], None)
            assert "said" not in response.body
        assert (await found(store, "ended")).output == answer("ended")
        for id in ("released", "deleted", "missing"):
            assert await store.get(id, owner=OWNER) is None

    async def test_a_checkpoint_of_many_is_one_transaction(self, store: SessionStore) -> None:
        ids = [f"n{number}" for number in range(20)]
        for id in ids:
            await store.reserve(new(id), owner=OWNER)

        await store.checkpoint([told(ids[0])])  # a driver may ask about types, once
        with self.watch(store) as seen:
            await store.checkpoint([told(id) for id in ids])

        assert seen.transactions == 1

    async def test_a_checkpoint_that_cannot_be_kept_keeps_none_of_its_batch(
        self, store: SessionStore
    ) -> None:
        for id in "ab":
            await store.reserve(new(id), owner=OWNER)

        with pytest.raises(StoreError):
            await store.checkpoint([told("a"), told("b", "\ud800")])

        assert (await found(store, "a")).output == []
        await store.checkpoint([])
        await store.checkpoint([told("a"), told("b")])
        assert (await found(store, "a")).output == told("a").output

    async def test_who_lost_the_lease_writes_no_checkpoint(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        await store.checkpoint([told("a", "first")])
        [taken] = await store.take_expired("w2", now=LATER, until=LATER)
        assert taken.lease is not None

        await store.checkpoint([told("a", "late")])
        assert (await found(store, "a")).output == told("a", "first").output
        await store.checkpoint([told("a", "second", lease=taken.lease)])
        assert (await found(store, "a")).output == told("a", "second").output

    @pytest.mark.parametrize("cuts", CUTS)
    async def test_cuts_read_back(self, store: SessionStore, cuts: str) -> None:
        await store.reserve(new("a"), owner=OWNER)
        assert (await found(store, "a")).cuts is None

        await store.checkpoint([replace(told("a"), cuts=CUTS[cuts])])
        assert (await found(store, "a")).cuts == CUTS[cuts]
        end = replace(outcome("a"), cuts=CUTS[cuts])
        await store.finish("a", end, owner=OWNER, lease=LEASE)
        await say(store, "b", "a")

        assert (await found(store, "a")).cuts == CUTS[cuts]
        assert (await found(store, "b")).cuts is None

    async def test_purged_cuts_are_nowhere(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        end = Outcome("completed", {}, answer("a"), cuts=["<cuts>"])
        await store.finish("a", end, owner=OWNER, lease=LEASE)
        await say(store, "b", "a")
        assert b"<cuts>" in b"".join(await self.kept(store))

        await store.purge(OWNER, id="a")

        assert b"<cuts>" not in b"".join(await self.kept(store))

    async def test_only_the_worker_of_a_response_hears_that_it_should_stop(
        self, store: SessionStore
    ) -> None:
        for id, worker in (("a", "w1"), ("b", "w1"), ("c", "w2")):
            await store.reserve(new(id, lease=Lease(worker, LEASE.until)), owner=OWNER)

        assert await store.request_cancel("a", owner=OWNER) is True

        assert await store.renew("w2", LATER) == []
        for _ in range(2):
            assert await store.renew("w1", LATER) == ["a"]
        assert [(await found(store, id)).cancel_requested for id in "abc"] == [True, False, False]
        assert await store.request_cancel("b", owner=OWNER) is True
        assert sorted(await store.renew("w1", LATER)) == ["a", "b"]
        await store.finish(
            "a", outcome("a", "cancelled"), owner=OWNER, lease=Lease("w1", LEASE.until)
        )
        assert await store.renew("w1", LATER) == ["b"]

    async def test_who_takes_over_hears_that_it_should_stop(self, store: SessionStore) -> None:
        await store.reserve(new("a"), owner=OWNER)
        await store.request_cancel("a", owner=OWNER)
        await store.checkpoint([told("a")])

        [taken] = await store.take_expired("w2", now=LATER, until=LATER)

        assert taken.cancel_requested is True
        assert await store.renew(LEASE.worker, LATER) == []
        assert await store.renew("w2", LATER) == ["a"]

    async def test_only_what_runs_can_be_asked_to_stop(self, store: SessionStore) -> None:
        await say(store, "ended")
        await store.reserve(new("running"), owner=OWNER)
        await store.reserve(replace(new("queued"), status="queued"), owner=OWNER)

        assert await store.request_cancel("queued", owner=OWNER) is True
        for id in ("ended", "missing", "nul\x00", "\ud800"):
            assert await store.request_cancel(id, owner=OWNER) is False
        assert await store.request_cancel("running", owner=STRANGER) is False
        assert (await found(store, "ended")).cancel_requested is False
        assert (await found(store, "running")).cancel_requested is False
