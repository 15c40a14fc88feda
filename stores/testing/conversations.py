"""Conversations: one line of turns and posted items, one running turn at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest

from stores.base import (
    ConversationLocked,
    NewResponse,
    SessionStore,
    Status,
)
from stores.testing.hooks import Budget, StoreHooks
from stores.testing.turns import (
    LEASE,
    NOW,
    OWNER,
    history_of,
    new,
    outcome,
    question,
    said,
    say,
)

T = TypeVar("T")
LATER = NOW + timedelta(minutes=5)
ENDS: Sequence[Status] = ("completed", "failed", "cancelled", "incomplete")


async def begin(store: SessionStore, id: str = "conv", *, owner: str = OWNER) -> str:
    await store.create_conversation(id, {"object": "conversation"}, owner=owner, created_at=NOW)
    return id


def turn_in(conversation: str, id: str, *, end_user: str | None = None) -> NewResponse:
    return replace(new(id, end_user=end_user), conversation=conversation)


async def talk(
    store: SessionStore,
    conversation: str,
    *ids: str,
    owner: str = OWNER,
    end_user: str | None = None,
) -> None:
    """Whole turns, one behind the other."""
    for id in ids:
        assert await store.reserve(turn_in(conversation, id, end_user=end_user), owner=owner)
        assert await store.finish(id, outcome(id), owner=owner, lease=LEASE)


async def in_turn(call: Callable[[], Awaitable[T]]) -> T:
    """Tries until the conversation is free."""
    while True:
        try:
            return await call()
        except ConversationLocked:
            await asyncio.sleep(0.002)


async def talk_in_turn(store: SessionStore, conversation: str, id: str) -> None:
    assert await in_turn(lambda: store.reserve(turn_in(conversation, id), owner=OWNER))
    await asyncio.sleep(0)
    assert await store.finish(id, outcome(id), owner=OWNER, lease=LEASE)


async def post(store: SessionStore, conversation: str, id: str) -> bool:
    return await store.append_items(conversation, question(id), owner=OWNER)


class ConversationTests(StoreHooks):
    async def test_turns_stand_one_behind_the_other(self, store: SessionStore) -> None:
        ids = [f"n{number}" for number in range(8)]
        await begin(store)

        for number, id in enumerate(ids, 1):
            await talk(store, "conv", id)

            assert await history_of(store, "conv") == said(ids[:number])
            assert await history_of(store, id) == said(ids[:number])
            response = await store.get(id, owner=OWNER)
            assert response is not None
            assert response.conversation == "conv"

    async def test_posted_items_stand_between_the_turns(self, store: SessionStore) -> None:
        await begin(store)
        await post(store, "conv", "first")
        await talk(store, "conv", "a")
        await store.append_items("conv", [*question("x"), *question("y")], owner=OWNER)
        await talk(store, "conv", "b")
        assert await post(store, "conv", "last") is True

        expected = ["<first?>", *said("a"), "<x?>", "<y?>", *said("b"), "<last?>"]
        assert await history_of(store, "conv") == expected
        assert await history_of(store, "b") == expected[:-1]
        history = await store.history("conv", owner=OWNER)
        assert history is not None
        assert history.status == "completed"
        assert (history.turns[-1].output, history.turns[-1].native) == ([], None)

    @pytest.mark.parametrize("end", ENDS)
    async def test_however_a_turn_ends_it_stays_and_the_next_may_begin(
        self, store: SessionStore, end: Status
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        await store.reserve(turn_in("conv", "b"), owner=OWNER)

        await store.finish("b", outcome("b", end), owner=OWNER, lease=LEASE)

        assert await history_of(store, "conv") == said("ab")
        await talk(store, "conv", "c")
        assert await history_of(store, "conv") == said("abc")

    async def test_while_a_turn_runs_no_other_begins(self, store: SessionStore) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        await store.reserve(replace(turn_in("conv", "b"), status="queued"), owner=OWNER)

        for _ in range(2):
            with pytest.raises(ConversationLocked):
                await store.reserve(turn_in("conv", "c"), owner=OWNER)
            with pytest.raises(ConversationLocked):
                await post(store, "conv", "posted")
            await begin(store, f"other{_}")
            await talk(store, f"other{_}", f"free{_}")

        assert await store.get("c", owner=OWNER) is None
        assert await history_of(store, "conv") == said("a")
        assert await store.update_conversation("conv", {"n": 1}, owner=OWNER)
        assert await store.hide_item("conv", "a_0", owner=OWNER)
        await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE)
        await talk(store, "conv", "c")
        assert await history_of(store, "conv") == said("abc")

    async def test_a_turn_taken_back_or_deleted_never_was_in_it(self, store: SessionStore) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        for id, take_back in (
            ("b", store.release("b", owner=OWNER, lease=LEASE)),
            ("c", store.delete("c", owner=OWNER)),
        ):
            await store.reserve(turn_in("conv", id), owner=OWNER)

            assert await take_back is True

            assert await history_of(store, "conv") == said("a")
            assert await store.finish(id, outcome(id), owner=OWNER, lease=LEASE) is False
            assert await history_of(store, "conv") == said("a")
        await talk(store, "conv", "d")
        assert await history_of(store, "conv") == said("ad")

    async def test_an_id_taken_back_and_used_elsewhere_locks_nothing(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await store.reserve(turn_in("conv", "a"), owner=OWNER)
        await store.release("a", owner=OWNER, lease=LEASE)
        await store.reserve(new("a"), owner=OWNER)

        await talk(store, "conv", "b")

        assert await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE)
        assert await history_of(store, "conv") == said("b")

    async def test_the_turn_of_a_dead_worker_locks_until_it_is_ended_by_another(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await store.reserve(turn_in("conv", "a"), owner=OWNER)
        [taken] = await store.take_expired("w2", now=LATER, until=LATER)
        assert (taken.id, taken.conversation) == ("a", "conv")
        assert taken.lease is not None
        with pytest.raises(ConversationLocked):
            await store.reserve(turn_in("conv", "b"), owner=OWNER)

        assert await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE) is False
        with pytest.raises(ConversationLocked):
            await store.reserve(turn_in("conv", "b"), owner=OWNER)
        await store.finish("a", outcome("a", "failed"), owner=OWNER, lease=taken.lease)

        await talk(store, "conv", "b")
        assert await history_of(store, "conv") == said("ab")
        assert await store.take_expired("w2", now=LATER + timedelta(days=9), until=LATER) == []

    async def test_32_turns_at_once_end_in_one_order(self, store: SessionStore) -> None:
        ids = [f"n{number}" for number in range(32)]
        await begin(store)

        await asyncio.gather(
            *(talk_in_turn(store, "conv", id) for id in ids),
            *(in_turn(partial(post, store, "conv", f"{id}posted")) for id in ids[:8]),
        )

        together = await history_of(store, "conv")
        assert together is not None
        posted = [f"<{id}posted?>" for id in ids[:8]]
        assert sorted(together) == sorted([*said(ids), *posted])
        for id in ids:
            upto = together.index(f"<{id}?>") + 2
            assert await history_of(store, id) == together[:upto]
            assert together[upto - 1] == f"<{id}!>"

    async def test_turns_from_many_processes_end_in_one_order(self, store: SessionStore) -> None:
        await begin(store)
        ids = [f"n{number}" for number in range(24)]
        async with self.beside(store) as other:
            await store.reserve(turn_in("conv", "first"), owner=OWNER)
            with pytest.raises(ConversationLocked):
                await other.reserve(turn_in("conv", "n0"), owner=OWNER)
            await store.finish("first", outcome("first"), owner=OWNER, lease=LEASE)

            await asyncio.gather(
                *(talk_in_turn((store, other)[n % 2], "conv", id) for n, id in enumerate(ids))
            )

            together = await history_of(store, "conv")
            assert together == await history_of(other, "conv")
            assert together is not None
            order = [text[1:-2] for text in together[::2]]
            assert sorted(order[1:]) == sorted(ids)
            assert together == said(order)

    async def test_a_response_can_be_continued_beside_its_conversation(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a", "b")
        await store.reserve(turn_in("conv", "running"), owner=OWNER)
        await say(store, "aside", "b")
        await say(store, "early", "a")
        assert await store.finish("running", outcome("running"), owner=OWNER, lease=LEASE)
        await say(store, "behind", "running")

        await post(store, "conv", "posted")
        await talk(store, "conv", "c")

        assert await history_of(store, "conv") == [
            *said(["a", "b", "running"]),
            "<posted?>",
            *said("c"),
        ]
        assert await history_of(store, "aside") == said(["a", "b", "aside"])
        assert await history_of(store, "early") == said(["a", "early"])
        assert await history_of(store, "behind") == said(["a", "b", "running", "behind"])
        response = await store.get("aside", owner=OWNER)
        assert response is not None
        assert response.conversation is None

    async def test_a_conversation_goes_on_where_another_turn_stands_behind_it(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        await say(store, "aside", "a")

        await talk(store, "conv", "b", "c")
        await say(store, "further", "aside")

        assert await history_of(store, "conv") == said("abc")
        assert await history_of(store, "further") == said(["a", "aside", "further"])

    async def test_each_step_of_a_conversation_is_one_transaction(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        await say(store, "aside", "a")

        for id in "bc":
            for step in (
                partial(store.reserve, turn_in("conv", id), owner=OWNER),
                partial(store.finish, id, outcome(id), owner=OWNER, lease=LEASE),
                partial(post, store, "conv", "posted"),
                partial(store.hide_item, "conv", "a_0", owner=OWNER),
            ):
                with self.watch(store) as seen:
                    assert await step()
                assert seen.transactions == 1
        with self.watch(store) as seen:
            await store.history("conv", owner=OWNER)
            await asyncio.sleep(0)  # some drivers tell of a statement once it was answered
        assert seen == Budget(statements=1, transactions=1)
