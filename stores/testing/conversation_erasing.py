"""Erasing in and around conversations: their turns outlive deleted responses, and not themselves.

An empty conversation has one turn, with nothing in it: `kept` shows it, too.
"""

import asyncio
import random
from contextlib import suppress
from functools import partial

import pytest

from stores.base import SessionStore
from stores.testing.conversation_model import Life
from stores.testing.conversations import begin, in_turn, post, talk, talk_in_turn, turn_in
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    OWNER,
    STRANGER,
    heard,
    history_of,
    outcome,
    said,
    say,
)

LENGTH = 4


class ConversationErasingTests(StoreHooks):
    @pytest.mark.parametrize("place", range(LENGTH))
    async def test_deleting_a_response_leaves_its_turn_in_the_conversation(
        self, store: SessionStore, place: int
    ) -> None:
        ids = [f"n{number}" for number in range(LENGTH)]
        await begin(store)
        await talk(store, "conv", *ids)

        assert await store.delete(ids[place], owner=OWNER) is True

        assert await store.get(ids[place], owner=OWNER) is None
        assert await history_of(store, "conv") == said(ids)
        await talk(store, "conv", "next")
        assert await history_of(store, "conv") == said([*ids, "next"])
        assert await history_of(store, "next") == said([*ids, "next"])

    async def test_a_deleted_conversation_is_gone_at_once_and_leaves_its_responses(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a", "b")

        assert await store.delete_conversation("conv", owner=OWNER) is True

        assert await store.delete_conversation("conv", owner=OWNER) is False
        assert await store.conversation("conv", owner=OWNER) is None
        assert await store.history("conv", owner=OWNER) is None
        assert await store.update_conversation("conv", {}, owner=OWNER) is False
        assert await store.hide_item("conv", "a_0", owner=OWNER) is False
        assert await post(store, "conv", "posted") is False
        assert await store.reserve(turn_in("conv", "c"), owner=OWNER) is False
        assert await history_of(store, "a") == said("a")
        assert await history_of(store, await say(store, "c", "b")) == said("abc")

    async def test_what_no_response_needs_goes_with_the_conversation(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a", "b", "c")
        await post(store, "conv", "posted")
        await store.delete("c", owner=OWNER)
        await store.delete("a", owner=OWNER)
        assert len(await self.kept(store)) == 5

        await store.delete_conversation("conv", owner=OWNER)

        kept = b"".join(await self.kept(store))
        assert b"<a!>" in kept
        assert b"<b!>" in kept
        assert b"<c" not in kept
        assert b"<posted" not in kept
        await store.delete("b", owner=OWNER)
        assert await self.kept(store) == []

    async def test_a_conversation_deleted_while_a_turn_runs_lets_it_finish(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        await store.reserve(turn_in("conv", "b"), owner=OWNER)

        assert await store.delete_conversation("conv", owner=OWNER) is True

        assert await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE) is True
        assert await history_of(store, "b") == said("ab")
        assert await store.conversation("conv", owner=OWNER) is None
        assert await store.history("conv", owner=OWNER) is None

    async def test_a_turn_of_a_deleted_conversation_does_not_enter_a_later_one(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await store.reserve(turn_in("conv", "a"), owner=OWNER)
        await store.delete_conversation("conv", owner=OWNER)
        await begin(store, owner=STRANGER)

        await talk(store, "conv", "b", owner=STRANGER)
        assert await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE) is True

        assert heard(await store.history("conv", owner=STRANGER)) == said("b")
        assert await store.history("conv", owner=OWNER) is None

    async def test_content_of_a_turn_deleted_while_it_runs_is_erased(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        for id in "bc":
            await store.reserve(turn_in("conv", id), owner=OWNER)
            await (
                store.delete(id, owner=OWNER)
                if id == "b"
                else store.release(id, owner=OWNER, lease=LEASE)
            )

            kept = await self.kept(store)
            assert len(kept) == 2
            assert f"<{id}?>".encode() not in b"".join(kept)

    async def test_of_many_deletes_of_one_conversation_one_is_true(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a")

        answers = await asyncio.gather(
            *(store.delete_conversation("conv", owner=OWNER) for _ in range(8))
        )

        assert sorted(answers) == [False] * 7 + [True]

    async def test_finishing_and_deleting_at_once_leaves_what_the_living_need(
        self, store: SessionStore
    ) -> None:
        chance = random.Random(23)
        for number in range(30):
            conversation, a, b = f"conv{number}", f"a{number}", f"b{number}"
            await begin(store, conversation)
            await talk(store, conversation, a)
            if number % 2:
                await say(store, f"aside{number}", a)
            await store.reserve(turn_in(conversation, b), owner=OWNER)
            calls = [
                store.finish(b, outcome(b), owner=OWNER, lease=LEASE),
                store.delete_conversation(conversation, owner=OWNER),
                store.delete(a, owner=OWNER),
                store.delete(b, owner=OWNER),
            ]
            chance.shuffle(calls)

            await asyncio.gather(*calls)

            for id in (conversation, a, b):
                assert await store.history(id, owner=OWNER) is None
        kept = await self.kept(store)
        assert len(kept) == 15 * 3
        assert b"<b" not in b"".join(kept)

    async def test_talking_while_deleting_is_whole_or_refused(self, store: SessionStore) -> None:
        for number in range(20):
            conversation, id = f"conv{number}", f"n{number}"
            await begin(store, conversation)
            await talk(store, conversation, f"first{number}")

            async def try_to_talk(conversation: str = conversation, id: str = id) -> bool:
                reserved = await store.reserve(turn_in(conversation, id), owner=OWNER)
                return reserved and await store.finish(id, outcome(id), owner=OWNER, lease=LEASE)

            deleted, talked, posted = await asyncio.gather(
                store.delete_conversation(conversation, owner=OWNER),
                try_to_talk(),
                in_turn(partial(post, store, conversation, "posted")),
            )

            assert deleted is True
            history = await history_of(store, id)
            if not talked:
                assert history is None
                continue
            assert history is not None
            between = ["<posted?>"] if posted and len(history) == 5 else []
            assert history == [*said([f"first{number}"]), *between, *said([id])]

    async def test_a_random_life_stays_like_the_model(self, store: SessionStore) -> None:
        await Life(store, seed=29).live(240)

    async def test_a_random_life_keeps_only_what_is_needed(self, store: SessionStore) -> None:
        life = Life(store, seed=31)
        for _ in range(12):
            await life.live(12)
            kept = await self.kept(store)
            needed = life.tree.needed - set(life.heads)
            together = b"".join(kept)
            left = {id for id in life.tree.parents if f"<{id}?>".encode() in together}
            assert left == needed - life.roots
            assert len(kept) == len(needed)

    async def test_a_purged_response_is_blank_in_its_conversation(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a", "b", "c")

        assert await store.purge(OWNER, id="a") == 1
        assert await store.purge(OWNER, id="c") == 1

        assert await history_of(store, "conv") == said("b")
        assert await store.get("c", owner=OWNER) is None
        await talk(store, "conv", "d")
        assert await history_of(store, "conv") == said("bd")
        assert await history_of(store, "d") == said("bd")

    async def test_a_purged_turn_that_runs_was_never_in_its_conversation(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a")
        await store.reserve(turn_in("conv", "b"), owner=OWNER)

        assert await store.purge(OWNER, id="b") == 1

        assert await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE) is False
        await talk(store, "conv", "c")
        assert await history_of(store, "conv") == said("ac")

    async def test_purging_a_user_blanks_that_users_turns_in_conversations(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        for id, user in (("a", "ann"), ("b", "bob"), ("c", "ann")):
            await talk(store, "conv", id, end_user=user)
        await store.delete("a", owner=OWNER)

        assert await store.purge(OWNER, user="ann") == 2
        assert await store.purge(OWNER, user="ann") == 0

        assert await store.conversation("conv", owner=OWNER) is not None
        assert await history_of(store, "conv") == said("b")
        await talk(store, "conv", "d")
        assert await history_of(store, "conv") == said("bd")

    async def test_purging_an_owner_leaves_no_conversation(self, store: SessionStore) -> None:
        await begin(store)
        await begin(store, "empty")
        await talk(store, "conv", "a", "b")
        await post(store, "conv", "posted")
        await store.reserve(turn_in("conv", "running"), owner=OWNER)
        await begin(store, "theirs", owner=STRANGER)
        await talk(store, "theirs", "c", owner=STRANGER)

        assert await store.purge(OWNER) == 4
        assert await store.purge(OWNER) == 0

        for id in ("conv", "empty"):
            assert await store.conversation(id, owner=OWNER) is None
            assert await store.history(id, owner=OWNER) is None
        assert await store.finish("running", outcome("running"), owner=OWNER, lease=LEASE) is False
        assert heard(await store.history("theirs", owner=STRANGER)) == said("c")
        await begin(store)
        await talk(store, "conv", "a")
        assert await history_of(store, "conv") == said("a")

    async def test_content_of_a_purged_owners_conversations_is_erased(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a", "b")
        await say(store, "aside", "a")
        await begin(store, "empty")

        await store.purge(OWNER)

        assert await self.kept(store) == []

    async def test_purging_an_owner_who_goes_on_talking_leaves_whole_lines(
        self, store: SessionStore
    ) -> None:
        async def talk_on(number: int) -> None:
            for round in range(6):
                conversation = f"conv{number}_{round}"
                await begin(store, conversation)
                with suppress(AssertionError):  # purged in between
                    await talk_in_turn(store, conversation, f"n{number}_{round}")
                    for aside in ("aside", "fork"):
                        await say(store, f"{aside}{number}_{round}", f"n{number}_{round}")

        async def purge() -> None:
            for _ in range(6):
                await store.purge(OWNER)

        await asyncio.gather(*(talk_on(number) for number in range(6)), purge())

        for name in (f"{number}_{round}" for number in range(6) for round in range(6)):
            if await store.conversation(f"conv{name}", owner=OWNER) is not None:
                assert await history_of(store, f"conv{name}") in ([], said([f"n{name}"]))
            for aside in (f"aside{name}", f"fork{name}"):
                assert await history_of(store, aside) in (None, said([f"n{name}", aside]))
        await store.purge(OWNER)
        assert await self.kept(store) == []
