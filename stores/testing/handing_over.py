"""Handing over conversations and usage, and emptying the summaries of what is to be erased."""

from collections.abc import Sequence
from typing import Any

from stores.accounts import Usage
from stores.base import Item, SessionStore
from stores.testing.conversations import begin, talk
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    NOW,
    OWNER,
    STRANGER,
    answer,
    new,
    outcome,
    say,
)
from stores.testing.usage import used

SUMMARY = {"id": "cmp_0", "type": "compaction", "encrypted_content": "<what was said before>"}


async def summarise(
    store: SessionStore, id: str, parent: str, *, end_user: str | None = None
) -> None:
    """A turn whose answer begins with a summary of those before it."""
    assert await store.reserve(new(id, parent, end_user=end_user), owner=OWNER)
    said = outcome(id, output=[SUMMARY, *answer(id)])
    assert await store.finish(id, said, owner=OWNER, lease=LEASE)


async def output_of(store: SessionStore, id: str) -> Sequence[Item] | None:
    found = await store.get(id, owner=OWNER)
    return None if found is None else found.output


class HandingOverTests(StoreHooks):
    async def test_an_export_has_each_conversation_once_however_it_is_cut(
        self, store: SessionStore
    ) -> None:
        for n in range(5):
            await begin(store, f"c{n}", owner=(OWNER, STRANGER)[n % 2])
        whole = await store.export_conversations()

        for size in (1, 2, 100):
            pieces, after = [], None
            while found := await store.export_conversations(after=after, limit=size):
                pieces += found
                after = found[-1].cursor
            assert pieces == whole
        assert [found.id for found in whole] == ["c0", "c1", "c2", "c3", "c4"]
        mine = await store.export_conversations(owner=STRANGER)
        assert [found.id for found in mine] == ["c1", "c3"]

    async def test_a_conversation_is_handed_over_with_all_that_is_kept_of_it(
        self, store: SessionStore
    ) -> None:
        await begin(store)
        await talk(store, "conv", "a", "b")
        await store.hide_item("conv", "a_i0", owner=OWNER)

        (found,) = await store.export_conversations()
        turns = await store.export()

        assert (found.id, found.owner, found.created_at) == ("conv", OWNER, NOW)
        assert (found.body, found.hidden) == ({"object": "conversation"}, ("a_i0",))
        assert found.last_turn == next(turn.cursor for turn in turns if turn.id == "b")

    async def test_an_end_users_conversations_are_those_with_a_turn_of_theirs(
        self, store: SessionStore
    ) -> None:
        for conversation, user in (("anns", "ann"), ("bens", "ben")):
            await begin(store, conversation)
            await talk(store, conversation, f"{conversation}0", end_user=user)
            await talk(store, conversation, f"{conversation}1", end_user="both")
        # The conversation goes on in another branch, and the response that named it is gone.
        await say(store, "aside", "anns1")
        await talk(store, "anns", "anns2")
        await store.delete("anns0", owner=OWNER)

        async def of(user: str, owner: str | None = None) -> list[str]:
            return [c.id for c in await store.export_conversations(user=user, owner=owner)]

        assert (await of("ann"), await of("ben")) == (["anns"], ["bens"])
        assert await of("both") == ["anns", "bens"]
        assert (await of("nobody"), await of("ann", STRANGER)) == ([], [])

    async def test_usage_is_handed_over_as_it_was_counted(self, store: SessionStore) -> None:
        rows = [
            used("r1", end_user="ann", tags=("red", "gr\u00fcn"), cost_nano=None, estimated=True),
            used("r2", STRANGER, end_user="ann", api_key="key_1", chain="r0", deployment="d"),
            used("r3", end_user="ben", cached_tokens=3, cache_write_tokens=2, reasoning_tokens=1),
        ]
        await store.add_usage(rows)
        whole = await store.export_usage()

        pieces, after = [], None
        while found := await store.export_usage(after=after, limit=1):
            pieces += found
            after = found[-1].cursor
        anns = await store.export_usage(user="ann")
        mine = await store.export_usage(owner=OWNER, user="ann")

        assert pieces == whole
        assert [_counted(row) for row in whole] == [_counted(row) for row in rows]
        assert [row.response for row in anns] == ["r1", "r2"]
        assert [row.response for row in mine] == ["r1"]

    async def test_summaries_of_a_users_turns_are_emptied_in_others_answers(
        self, store: SessionStore
    ) -> None:
        await say(store, "a", end_user="ann")
        await say(store, "b", "a", end_user="ben")
        await summarise(store, "c", "b", end_user="ben")
        await say(store, "d", "c")
        await summarise(store, "fork", "a")
        await say(store, "other")
        await summarise(store, "others", "other")

        assert await store.empty_summaries(STRANGER, user="ann") == 0
        assert await store.empty_summaries(OWNER, user="ann") == 2
        assert await store.empty_summaries(OWNER, user="ann") == 0

        empty = {**SUMMARY, "encrypted_content": ""}
        for id in ("c", "fork"):
            assert await output_of(store, id) == [empty, *answer(id)]
        assert await output_of(store, "others") == [SUMMARY, *answer("others")]
        history = await store.history("d", owner=OWNER)
        assert history is not None
        assert history.turns[2].output == [empty, *answer("c")]

    async def test_summaries_before_and_beside_a_turn_stay(self, store: SessionStore) -> None:
        await say(store, "a")
        await summarise(store, "b", "a")
        await say(store, "c", "b", end_user="ann")
        await summarise(store, "beside", "b")

        assert await store.empty_summaries(OWNER, user="ann") == 0
        assert await store.empty_summaries(OWNER, id="c") == 0
        assert await store.empty_summaries(OWNER, id="a") == 2
        assert await store.empty_summaries(OWNER, id="nobody") == 0
        assert await store.empty_summaries(OWNER) == 0

    async def test_a_kept_history_with_an_emptied_summary_does_not_hold(
        self, store: SessionStore
    ) -> None:
        await say(store, "a", end_user="ann")
        await summarise(store, "b", "a")
        before = await store.probe("b", owner=OWNER)

        await store.empty_summaries(OWNER, user="ann")
        after = await store.probe("b", owner=OWNER)

        assert before.epoch is None or before.epoch != after.epoch

    async def test_a_purge_empties_the_summaries_that_stand_for_what_it_erased(
        self, store: SessionStore
    ) -> None:
        await say(store, "a", end_user="ann")
        await say(store, "b", "a", end_user="ben")
        await summarise(store, "c", "b", end_user="ben")
        await summarise(store, "d", "b")

        assert await store.purge(OWNER, user="ann") == 1
        empty = {**SUMMARY, "encrypted_content": ""}
        assert await output_of(store, "c") == [empty, *answer("c")]
        assert await output_of(store, "d") == [empty, *answer("d")]

        await summarise(store, "e", "b")
        assert await store.purge(STRANGER, id="b") == 0
        assert await output_of(store, "e") == [SUMMARY, *answer("e")]
        assert await store.purge(OWNER, id="b") == 1
        assert await output_of(store, "e") == [empty, *answer("e")]

    async def test_what_only_reads_like_a_summary_stays(self, store: SessionStore) -> None:
        await say(store, "a", end_user="ann")
        said = [{**answer("b")[0], "note": '"compaction"', "kind": "compaction"}]
        await store.reserve(new("b", "a"), owner=OWNER)
        await store.finish("b", outcome("b", output=said), owner=OWNER, lease=LEASE)

        assert await store.empty_summaries(OWNER, user="ann") == 0
        assert await output_of(store, "b") == said


def _counted(row: Any) -> dict[str, Any]:
    """What usage and its export both say."""
    names = Usage.__dataclass_fields__.keys() - {"ended_at", "charged_nano"}
    return {name: getattr(row, name) for name in names}
