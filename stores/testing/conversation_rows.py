"""What is kept of a conversation itself, and to whom it is missing."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from stores.base import ConversationLocked, SessionStore, StoredConversation, StoreError
from stores.testing.conversations import LATER, begin, post, talk, turn_in
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    NOW,
    OWNER,
    STRANGER,
    history_of,
    new,
    outcome,
    question,
    said,
    say,
)
from stores.testing.values import LONE, ODD


class ConversationRowTests(StoreHooks):
    async def test_a_new_conversation_is_empty_and_reads_back(self, store: SessionStore) -> None:
        await store.create_conversation("conv", ODD, owner=OWNER, created_at=NOW)

        found = await store.conversation("conv", owner=OWNER)

        assert found == StoredConversation("conv", OWNER, ODD, NOW, hidden=frozenset())
        assert list(found.body) == list(ODD), "keys keep their order"
        assert found.created_at.utcoffset() == timedelta(0)
        assert await history_of(store, "conv") == []

    async def test_to_everything_else_a_conversation_is_missing(self, store: SessionStore) -> None:
        await begin(store)
        await talk(store, "conv", "a")

        assert await store.get("conv", owner=OWNER) is None
        assert await store.input("conv", owner=OWNER) is None
        assert await store.input_page("conv", owner=OWNER) is None
        assert await store.delete("conv", owner=OWNER) is False
        assert await store.purge(OWNER, id="conv") == 0
        assert await store.request_cancel("conv", owner=OWNER) is False
        assert await store.finish("conv", outcome("conv"), owner=OWNER, lease=LEASE) is False
        assert await store.release("conv", owner=OWNER, lease=LEASE) is False
        assert await store.reserve(new("b", "conv"), owner=OWNER) is False
        assert await store.renew(LEASE.worker, LATER) == []
        assert await store.take_expired("w2", now=LATER, until=LATER) == []
        assert await history_of(store, "conv") == said("a")

    @pytest.mark.parametrize("id", ["missing", "a", "nul\x00", "\ud800"])
    async def test_a_missing_conversation_is_missing_everywhere(
        self, store: SessionStore, id: str
    ) -> None:
        await say(store, "a")

        assert await store.conversation(id, owner=OWNER) is None
        assert await store.update_conversation(id, {}, owner=OWNER) is False
        assert await store.delete_conversation(id, owner=OWNER) is False
        assert await post(store, id, "posted") is False
        assert await store.hide_item(id, "item", owner=OWNER) is False
        assert await store.reserve(turn_in(id, "b"), owner=OWNER) is False
        assert await store.get("b", owner=OWNER) is None
        assert await history_of(store, "a") == said("a")

    async def test_to_a_stranger_a_conversation_is_missing(self, store: SessionStore) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        before = await store.conversation("conv", owner=OWNER)

        assert await store.conversation("conv", owner=STRANGER) is None
        assert await store.history("conv", owner=STRANGER) is None
        assert await store.update_conversation("conv", {}, owner=STRANGER) is False
        assert await store.delete_conversation("conv", owner=STRANGER) is False
        assert await store.append_items("conv", question("b"), owner=STRANGER) is False
        assert await store.hide_item("conv", "a_0", owner=STRANGER) is False
        assert await store.reserve(turn_in("conv", "b"), owner=STRANGER) is False
        await store.reserve(turn_in("conv", "b"), owner=OWNER)
        assert await store.reserve(turn_in("conv", "c"), owner=STRANGER) is False

        assert await store.conversation("conv", owner=OWNER) == before
        with pytest.raises(ConversationLocked):
            await store.reserve(turn_in("conv", "d"), owner=OWNER)
        await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE)
        assert await history_of(store, "conv") == said("ab")

    async def test_ids_of_conversations_and_responses_are_one_kind(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a")

        for id, owner in (("conv", OWNER), ("conv", STRANGER), ("a", OWNER)):
            with pytest.raises(StoreError):
                await begin(store, id, owner=owner)
        for taken in (new("conv"), turn_in("conv", "a"), turn_in("conv", "conv")):
            with pytest.raises(StoreError):
                await store.reserve(taken, owner=OWNER)

        await talk(store, "conv", "b")
        assert await history_of(store, "conv") == said("ab")
        assert await store.conversation("a", owner=OWNER) is None

    async def test_a_response_has_a_parent_or_a_conversation(self) -> None:
        with pytest.raises(ValueError, match="one of them"):
            replace(new("b", "a"), conversation="conv")

    async def test_a_conversation_is_updated(self, store: SessionStore) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        body = {"object": "conversation", "metadata": {"topic": "x"}}

        assert await store.update_conversation("conv", body, owner=OWNER) is True
        body["metadata"] = {"spoilt": "x"}

        found = await store.conversation("conv", owner=OWNER)
        assert found is not None
        assert found.body["metadata"] == {"topic": "x"}
        assert found.created_at == NOW
        assert await history_of(store, "conv") == said("a")

    async def test_hidden_items_are_listed_and_stay_in_the_histories(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a", "b")
        items = [f"item{number}" for number in range(16)]

        hidden = await asyncio.gather(
            *(store.hide_item("conv", item, owner=OWNER) for item in (*items, *items))
        )

        assert hidden == [True] * 32
        found = await store.conversation("conv", owner=OWNER)
        assert found is not None
        assert found.hidden == frozenset(items)
        assert await history_of(store, "conv") == said("ab")
        assert await history_of(store, "b") == said("ab")

    async def test_a_lone_surrogate_is_refused_and_nothing_is_kept(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        for text in LONE:
            for call in (
                store.create_conversation("other", {text: 1}, owner=OWNER, created_at=NOW),
                store.create_conversation(text, {}, owner=OWNER, created_at=NOW),
                store.update_conversation("conv", {"n": text}, owner=OWNER),
                store.append_items("conv", [{"n": text}], owner=OWNER),
                store.hide_item("conv", text, owner=OWNER),
            ):
                with pytest.raises(StoreError):
                    await call
        assert await store.conversation("other", owner=OWNER) is None
        found = await store.conversation("conv", owner=OWNER)
        assert found == StoredConversation("conv", OWNER, {"object": "conversation"}, NOW)
        assert await history_of(store, "conv") == []

    async def test_a_reopened_store_has_its_conversations(self, store: SessionStore) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        await store.hide_item("conv", "a_0", owner=OWNER)
        await store.reserve(turn_in("conv", "b"), owner=OWNER)
        before = await store.conversation("conv", owner=OWNER)

        await store.aclose()
        await store.open()

        assert await store.conversation("conv", owner=OWNER) == before
        with pytest.raises(ConversationLocked):
            await post(store, "conv", "posted")
        await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE)
        await post(store, "conv", "posted")
        assert await history_of(store, "conv") == [*said("ab"), "<posted?>"]
