"""The conformance suite finds what is broken: each fault fails the test that is about it."""

import asyncio
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from stores.accounts import KeyChanges, StoredKey
from stores.base import (
    Checkpoint,
    History,
    Item,
    Lease,
    NewResponse,
    Outcome,
    Page,
    SessionStore,
    StoredResponse,
)
from stores.memory import MemoryStore
from stores.testing import SessionStoreConformance
from stores.testing.turns import OWNER


class Backwards(MemoryStore):
    async def history(self, id: str, *, owner: str) -> History | None:
        history = await super().history(id, owner=owner)
        return history and replace(history, turns=history.turns[::-1])


class Capped(MemoryStore):
    async def history(self, id: str, *, owner: str) -> History | None:
        history = await super().history(id, owner=owner)
        return history and replace(history, turns=history.turns[-200:])


class Cached(MemoryStore):
    """Gives everyone the same objects."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], Any] = {}

    async def get(self, id: str, *, owner: str) -> StoredResponse | None:
        found = await super().get(id, owner=owner)
        return self._seen.setdefault((id, owner), found) if found else None


class Stale(MemoryStore):
    """Remembers a history it has read once."""

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[tuple[str, str], History] = {}

    async def history(self, id: str, *, owner: str) -> History | None:
        if (id, owner) not in self._read:
            history = await super().history(id, owner=owner)
            if history is None:
                return None
            self._read[id, owner] = history
        return deepcopy(self._read[id, owner])


class Forgetful(MemoryStore):
    """Takes a parent that is missing for no parent."""

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        if await super().reserve(new, owner=owner):
            return True
        return await super().reserve(replace(new, parent=None), owner=owner)


class Noted(MemoryStore):
    """Knows what was reserved, and for whom."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: dict[str, tuple[str, str | None]] = {}

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        reserved = await super().reserve(new, owner=owner)
        if reserved:
            self.notes[new.id] = (owner, new.end_user)
        return reserved


class Open(Noted):
    """Shows responses to everyone who knows the id."""

    async def get(self, id: str, *, owner: str) -> StoredResponse | None:
        owner, _ = self.notes.get(id, (owner, None))
        return await super().get(id, owner=owner)


class Trusting(MemoryStore):
    """Lets any worker finish."""

    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        found = await self.get(id, owner=owner)
        lease = found.lease if found and found.lease else lease
        return await super().finish(id, outcome, owner=owner, lease=lease)


class Generous(Noted):
    """Takes what has expired and then, with room for others in between, gives it away."""

    async def take_expired(
        self, worker: str, *, now: datetime, until: datetime, limit: int = 100
    ) -> list[StoredResponse]:
        found = [await self.get(id, owner=owner) for id, (owner, _) in self.notes.items()]
        free = [each for each in found if each and each.lease and each.lease.until < now][:limit]
        await asyncio.sleep(0)
        await super().take_expired(worker, now=now, until=until, limit=limit)
        return [replace(each, lease=Lease(worker, until, attempt=2)) for each in free]


class Clinging(MemoryStore):
    """Counts what was handed back as an attempt."""

    async def hand_back(self, id: str, *, owner: str, lease: Lease, now: datetime) -> bool:
        done = await super().hand_back(id, owner=owner, lease=lease, now=now)
        self._handles[id].attempt += done
        return done


class Hoarding(MemoryStore):
    """Takes the id away and keeps what it said."""

    async def delete(self, id: str, *, owner: str) -> bool:
        return await self.get(id, owner=owner) is not None


class Brutal(MemoryStore):
    """Erases what descendants were built on."""

    async def delete(self, id: str, *, owner: str) -> bool:
        await self.purge(owner, id=id)
        return True


class HalfPurging(Noted):
    """Forgets that a person's turns outlive their ids."""

    async def purge(self, owner: str, *, id: str | None = None, user: str | None = None) -> int:
        if user is None:
            return await super().purge(owner, id=id)
        theirs = [id for id, note in self.notes.items() if note == (owner, user)]
        return sum([await self.purge(owner, id=id) for id in theirs])


class Lenient(MemoryStore):
    """Writes something else instead of what JSON cannot hold."""

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        return await super().reserve(replace(new, input=_mended(new.input)), owner=owner)


class Unpaged(MemoryStore):
    async def input_page(self, id: str, *, owner: str, **_: Any) -> Page | None:
        items = await self.input(id, owner=owner)
        return None if items is None else Page(items, has_more=False)


class Fickle(MemoryStore):
    async def secret(self, name: str) -> bytes:
        self._secrets.pop(name, None)
        return await super().secret(name)


class Overwriting(MemoryStore):
    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        await self.delete(new.id, owner=owner)
        return await super().reserve(new, owner=owner)


class Racing(MemoryStore):
    """Looks first, then writes, with room for others in between."""

    async def delete(self, id: str, *, owner: str) -> bool:
        there = await self.get(id, owner=owner) is not None
        await asyncio.sleep(0)
        await super().delete(id, owner=owner)
        return there


class Careless(MemoryStore):
    """Keeps whatever anyone says of a running response."""

    async def checkpoint(self, running: Sequence[Checkpoint]) -> None:
        found = [await self.get(each.id, owner=each.owner) for each in running]
        leases = [there.lease if there and there.lease else None for there in found]
        await super().checkpoint(
            [
                replace(each, lease=lease or each.lease)
                for each, lease in zip(running, leases, strict=True)
            ]
        )


class Loud(Noted):
    """Tells every worker whom to stop."""

    async def renew(self, worker: str, until: datetime) -> list[str]:
        await super().renew(worker, until)
        found = [await self.get(id, owner=owner) for id, (owner, _) in self.notes.items()]
        return [each.id for each in found if each and each.lease and each.cancel_requested]


class Unlocked(MemoryStore):
    """Lets everyone talk at once."""

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        if new.conversation in self._conversations:
            self._conversations[new.conversation].running = None
        return await super().reserve(new, owner=owner)


class Choosy(MemoryStore):
    """Keeps in a conversation only what ended well."""

    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        if outcome.status != "completed":
            for conversation in self._conversations.values():
                conversation.running = None
        return await super().finish(id, outcome, owner=owner, lease=lease)


class Grasping(MemoryStore):
    """Takes the responses along with their conversation."""

    async def delete_conversation(self, id: str, *, owner: str) -> bool:
        for response in [key for key, each in self._handles.items() if each.conversation == id]:
            await self.delete(response, owner=owner)
        return await super().delete_conversation(id, owner=owner)


class Shown(MemoryStore):
    """Takes a conversation for a response."""

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        if new.parent in self._conversations:
            new = replace(new, parent=None, conversation=new.parent)
        return await super().reserve(new, owner=owner)


class Forgiving(MemoryStore):
    """Begins a budget anew with whatever is changed."""

    async def change_key(self, id: str, changes: KeyChanges, *, at: datetime) -> StoredKey | None:
        changed = await super().change_key(id, changes, at=at)
        if changed is not None:
            self._keys[id].key = replace(changed, spent_nano=0)
        return changed


def _mended(items: Sequence[Item]) -> Sequence[Item]:
    return [
        {
            _encodable(key): _encodable(value) if isinstance(value, str) else value
            for key, value in item.items()
        }
        for item in items
    ]


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


FAULTS: list[tuple[Callable[[], SessionStore], str, dict[str, Any]]] = [
    (Clinging, "test_what_is_handed_back_is_as_if_it_had_never_been_taken", {}),
    (Backwards, "test_a_chain_is_in_order_at_every_depth_up_to_1000", {}),
    (Backwards, "test_a_random_tree_of_400_reads_like_the_model", {"seed": 1}),
    (Backwards, "test_forks_of_forks_keep_each_their_own_line", {}),
    (Capped, "test_a_chain_is_in_order_at_every_depth_up_to_1000", {}),
    (Cached, "test_changing_what_came_out_changes_nothing", {}),
    (Stale, "test_a_running_response_has_its_input_and_no_output", {}),
    (Stale, "test_a_deleted_id_is_gone_at_once", {}),
    (Stale, "test_a_purged_response_is_gone_and_blank_in_every_descendant", {}),
    (Forgetful, "test_a_missing_parent_is_refused_and_nothing_is_kept", {}),
    (Forgetful, "test_continuing_a_strangers_response_is_refused", {}),
    (Open, "test_reading_a_strangers_response_finds_nothing", {}),
    (Trusting, "test_a_wrong_lease_neither_finishes_nor_releases", {"wrong": "worker"}),
    (Trusting, "test_a_wrong_lease_neither_finishes_nor_releases", {"wrong": "attempt"}),
    (Trusting, "test_who_lost_a_lease_cannot_write", {}),
    (Generous, "test_each_expired_response_is_given_to_one_of_many_callers", {}),
    (Hoarding, "test_content_that_no_living_response_needs_is_erased", {}),
    (Brutal, "test_any_turn_of_a_chain_can_be_deleted", {"place": 2}),
    (Brutal, "test_a_tree_deleted_in_random_order_stays_like_the_model", {}),
    (HalfPurging, "test_purging_a_user_finds_turns_whose_ids_are_deleted", {}),
    (Lenient, "test_a_lone_surrogate_is_refused_before_it_is_reserved", {"where": "input"}),
    (Unpaged, "test_input_is_paged_from_both_ends", {}),
    (Fickle, "test_a_secret_is_made_once", {}),
    (Overwriting, "test_an_id_that_exists_is_refused_and_stays", {}),
    (Racing, "test_of_many_deletes_of_one_id_one_is_true", {}),
    (Careless, "test_one_checkpoint_of_many_leaves_out_those_whose_lease_is_lost", {}),
    (Careless, "test_who_lost_the_lease_writes_no_checkpoint", {}),
    (Loud, "test_only_the_worker_of_a_response_hears_that_it_should_stop", {}),
    (Unlocked, "test_while_a_turn_runs_no_other_begins", {}),
    (Unlocked, "test_32_turns_at_once_end_in_one_order", {}),
    (Unlocked, "test_the_turn_of_a_dead_worker_locks_until_it_is_ended_by_another", {}),
    (Choosy, "test_however_a_turn_ends_it_stays_and_the_next_may_begin", {"end": "failed"}),
    (Grasping, "test_a_random_life_stays_like_the_model", {}),
    (Grasping, "test_a_conversation_deleted_while_a_turn_runs_lets_it_finish", {}),
    (Shown, "test_to_everything_else_a_conversation_is_missing", {}),
    (HalfPurging, "test_purging_a_user_blanks_that_users_turns_in_conversations", {}),
    (Forgiving, "test_a_raised_budget_goes_on_with_what_was_spent", {}),
    (Forgiving, "test_another_duration_counts_from_then_with_what_was_spent", {}),
]


class Suite(SessionStoreConformance):
    async def kept(self, store: SessionStore) -> list[bytes]:
        assert isinstance(store, MemoryStore)
        return [
            turn.input + (turn.output or b"")
            for branch in store._branches(OWNER)
            for turn in branch.turns.values()
        ]


@pytest.mark.parametrize(("faulty", "test", "arguments"), FAULTS)
async def test_a_fault_fails_the_test_that_is_about_it(
    faulty: Callable[[], SessionStore], test: str, arguments: dict[str, Any]
) -> None:
    run = getattr(Suite(), test)

    await run(MemoryStore(), **arguments)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await run(faulty(), **arguments)
