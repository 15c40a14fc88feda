"""Values: what went in comes out, equal and a copy, or is refused before anything is written."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from stores.base import Item, NativeState, NewResponse, Outcome, SessionStore, StoreError
from stores.testing.hooks import StoreHooks
from stores.testing.turns import (
    LEASE,
    NOW,
    OWNER,
    answer,
    history_of,
    new,
    outcome,
    question,
    said,
    say,
)
from stores.testing.usage import used

EDGES = (0, 1, 0x1F, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF)
PLANES = "".join(
    map(chr, [*EDGES, *(plane * 0x10000 + at for plane in range(1, 17) for at in (0, 1, 0xFFFF))])
)
ODD: dict[str, Any] = {
    "zebra": 1,
    "apple": [True, False, None, "", [], {}, [[]]],
    "numbers": [0, -1, 2**53, 2**63 - 1, -(2**63), 0.1, -0.0, 1e-300, 1.7976931348623157e308],
    "": PLANES,
    PLANES: "\x00",
    "escapes": '\\u0000 \\ " / \n\r\t \u2028\u2029 \\x00 %s $1 :id ?',
    "mango": "e\u0301 is not \u00e9",
}
LONE = ["\ud800", "\udfff", "a\ud83d", "\ude00b", "\ude00\ud83d"]
REFUSED_NEW: dict[str, Callable[[str], NewResponse]] = {
    "input": lambda text: new("b", "a", input=[{"type": "message", "content": text}]),
    "key": lambda text: new("b", "a", input=[{text: 1}]),
    "body": lambda text: replace(new("b", "a"), body={"instructions": text}),
    "request": lambda text: replace(new("b", "a"), request={"input": text}),
    "end_user": lambda text: new("b", "a", end_user=text),
}
REFUSED_OUTCOME: dict[str, Callable[[str], Outcome]] = {
    "output": lambda text: outcome("a", output=[{"content": text}]),
    "body": lambda text: Outcome("completed", {"error": {"message": text}}, answer("a")),
    "native": lambda text: Outcome("completed", {}, answer("a"), NativeState("s", [text])),
}


class ValueTests(StoreHooks):
    async def test_everything_reserved_reads_back(self, store: SessionStore) -> None:
        reserved = replace(new("a", input=[ODD]), body=ODD, request=ODD)
        await store.reserve(reserved, owner=OWNER)

        found = await store.get("a", owner=OWNER)

        assert found is not None
        assert (found.id, found.owner, found.status) == ("a", OWNER, "in_progress")
        assert (found.body, found.request, found.output) == (ODD, ODD, [])
        assert list(found.body) == list(ODD), "keys keep their order"
        assert found.created_at == NOW
        assert found.created_at.utcoffset() == timedelta(0)
        assert await store.input("a", owner=OWNER) == [ODD]

    async def test_everything_finished_reads_back(self, store: SessionStore) -> None:
        await store.reserve(new("a", input=[ODD, ODD]), owner=OWNER)
        native = NativeState(PLANES.replace("\x00", ""), [ODD])
        end = Outcome("incomplete", ODD, [ODD, ODD, ODD], native)
        await store.finish("a", end, owner=OWNER, lease=LEASE)

        found = await store.get("a", owner=OWNER)
        history = await store.history("a", owner=OWNER)

        assert found is not None
        assert history is not None
        assert (found.body, found.output) == (ODD, [ODD, ODD, ODD])
        assert history.turns[0].input == [ODD, ODD]
        assert history.turns[0].output == [ODD, ODD, ODD]
        assert history.turns[0].native == native
        assert list(history.turns[0].output[0]) == list(ODD), "keys keep their order"

    async def test_native_turns_stay_with_their_turns(self, store: SessionStore) -> None:
        states: list[Any] = [None, {"n": 1}, [], "", 0, False, None]
        parent = None
        for number, state in enumerate(states):
            id = f"n{number}"
            await store.reserve(new(id, parent), owner=OWNER)
            native = None if number == 0 else NativeState(f"scope {number}", state)
            end = Outcome("completed", {}, answer(id), native)
            await store.finish(id, end, owner=OWNER, lease=LEASE)
            parent = id

        history = await store.history("n6", owner=OWNER)

        assert history is not None
        assert [turn.native for turn in history.turns] == [
            None,
            *(NativeState(f"scope {number}", states[number]) for number in range(1, 7)),
        ]

    async def test_times_of_other_zones_come_back_in_utc(self, store: SessionStore) -> None:
        zone = timezone(timedelta(hours=5, minutes=45))
        local = datetime(2026, 1, 1, 3, 15, 0, 1, tzinfo=zone)
        lease = replace(LEASE, until=local)
        await store.reserve(replace(new("a", lease=lease), created_at=local), owner=OWNER)

        found = await store.get("a", owner=OWNER)

        assert found is not None
        assert found.lease is not None
        assert found.created_at == found.lease.until == local
        assert found.created_at.utcoffset() == found.lease.until.utcoffset() == timedelta(0)

    async def test_empty_input_and_output_are_lists(self, store: SessionStore) -> None:
        await store.reserve(new("a", input=()), owner=OWNER)
        await store.finish("a", outcome("a", output=()), owner=OWNER, lease=LEASE)
        await say(store, "b", "a")

        history = await store.history("b", owner=OWNER)

        assert history is not None
        assert (history.turns[0].input, history.turns[0].output) == ([], [])
        assert await store.input("a", owner=OWNER) == []

    async def test_changing_what_went_in_changes_nothing(self, store: SessionStore) -> None:
        reserved, end = new("a"), outcome("a")
        await store.reserve(reserved, owner=OWNER)
        await store.finish("a", end, owner=OWNER, lease=LEASE)

        for items in (reserved.input, end.output):
            _spoil(items)
        reserved.body["status"] = end.body["status"] = "spoilt"

        await self._check_unspoilt(store)

    async def test_changing_what_came_out_changes_nothing(self, store: SessionStore) -> None:
        await say(store, "a")

        for _ in range(2):
            found = await store.get("a", owner=OWNER)
            history = await store.history("a", owner=OWNER)
            page = await store.input_page("a", owner=OWNER)
            assert found is not None
            assert history is not None
            assert page is not None
            for items in (
                found.output,
                history.turns[0].input,
                history.turns[0].output,
                page.items,
                await store.input("a", owner=OWNER),
            ):
                assert items is not None
                _spoil(items)
            found.body["status"] = "spoilt"
            history.turns.clear()

        await self._check_unspoilt(store)

    async def _check_unspoilt(self, store: SessionStore) -> None:
        assert await history_of(store, "a") == said(["a"])
        assert await store.input("a", owner=OWNER) == question("a")
        found = await store.get("a", owner=OWNER)
        assert found is not None
        assert found.output == answer("a")
        assert found.body["status"] == "completed"

    @pytest.mark.parametrize("where", REFUSED_NEW)
    async def test_a_lone_surrogate_is_refused_before_it_is_reserved(
        self, store: SessionStore, where: str
    ) -> None:
        await say(store, "a")
        for text in LONE:
            with pytest.raises(StoreError):
                await store.reserve(REFUSED_NEW[where](text), owner=OWNER)
            assert await store.get("b", owner=OWNER) is None

        await say(store, "b", "a")
        assert await history_of(store, "b") == said(["a", "b"])

    @pytest.mark.parametrize("where", REFUSED_OUTCOME)
    async def test_a_lone_surrogate_is_refused_before_it_is_finished(
        self, store: SessionStore, where: str
    ) -> None:
        await store.reserve(new("a"), owner=OWNER)
        for text in LONE:
            with pytest.raises(StoreError):
                await store.finish("a", REFUSED_OUTCOME[where](text), owner=OWNER, lease=LEASE)

        found = await store.get("a", owner=OWNER)
        assert found is not None
        assert (found.status, found.output, found.lease) == ("in_progress", [], LEASE)
        assert await store.finish("a", outcome("a"), owner=OWNER, lease=LEASE) is True
        assert await history_of(store, "a") == said(["a"])

    async def test_five_megabytes_each_way(self, store: SessionStore) -> None:
        size = 5_000_000
        items: list[Item] = [{"n": 1, "text": "ab\U0001f600" * (size // 6)}]
        await say(store, "a")
        await store.reserve(new("b", "a", input=items), owner=OWNER)
        end = outcome("b", output=[{"text": "\x00\\" * (size // 8)}, *items])
        await store.finish("b", end, owner=OWNER, lease=LEASE)
        await say(store, "c", "b")

        history = await store.history("c", owner=OWNER)

        assert history is not None
        assert history.turns[1].input == items
        assert history.turns[1].output == end.output
        assert history.turns[2].input == question("c")

    async def test_input_is_paged_from_both_ends(self, store: SessionStore) -> None:
        items = [{"id": f"i{number}", "text": "x"} for number in range(7)]
        await store.reserve(new("a", input=items), owner=OWNER)

        for descending in (False, True):
            expected = items[::-1] if descending else items
            for limit in (1, 3, 7, 8):
                seen: list[Item] = []
                after = None
                more = True
                while more:
                    page = await store.input_page(
                        "a", owner=OWNER, limit=limit, descending=descending, after=after
                    )
                    assert page is not None
                    assert len(page.items) <= limit
                    seen += page.items
                    after, more = page.items[-1]["id"], page.has_more
                assert seen == expected

    async def test_a_page_after_the_last_item_is_empty_and_after_none_is_a_key_error(
        self, store: SessionStore
    ) -> None:
        await store.reserve(new("a", input=[{"id": "i0"}, {"text": "without id"}]), owner=OWNER)

        page = await store.input_page("a", owner=OWNER, after="i0")

        assert page is not None
        assert (page.items, page.has_more) == ([], False)
        with pytest.raises(KeyError):
            await store.input_page("a", owner=OWNER, after="i1")
        assert await store.input_page("missing", owner=OWNER, after="i0") is None

    async def test_a_number_too_large_harms_no_other(self, store: SessionStore) -> None:
        """Counts are the upstream's word."""
        await say(store, "a")
        await store.reserve(new("b", "a"), owner=OWNER)
        counted = used("b", input_tokens=2**63)
        ends = await asyncio.gather(
            store.finish("b", replace(outcome("b"), usage=counted), owner=OWNER, lease=LEASE),
            say(store, "c", "a"),
            return_exceptions=True,
        )
        assert [type(end) for end in ends if isinstance(end, Exception)] in ([], [StoreError])
        if isinstance(ends[0], StoreError):
            assert await store.finish("b", outcome("b"), owner=OWNER, lease=LEASE)
        await say(store, "d", "b")
        assert await history_of(store, "c") == said(["a", "c"])
        assert await history_of(store, "d") == said(["a", "b", "d"])


def _spoil(items: Any) -> None:
    items[0]["content"][0]["text"] = "spoilt"
    items[0]["spoilt"] = True
    items.append({"spoilt": True})
