"""Histories kept in memory are those of the store, or they are not used."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from responses_mw.chains import Chain, Chains
from responses_mw.native_refs import pack
from stores.base import History, Lease, NativeState, NewResponse, Outcome, SessionStore
from stores.memory import MemoryStore
from stores.sqlite import SQLiteStore

OWNER = "me"
LEASE = Lease("w", datetime.now(UTC) + timedelta(minutes=1))
ROOM = 1_000_000


class Counted(MemoryStore):
    """Counts how often a history is read whole."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    async def history(self, id: str, *, owner: str) -> History | None:
        self.read += 1
        return await super().history(id, owner=owner)


@pytest.fixture
def store() -> Counted:
    return Counted()


@pytest.fixture
async def chains(store: Counted) -> Chains:
    return await opened(store)


async def opened(store: SessionStore, max_bytes: int = ROOM) -> Chains:
    chains = Chains(store, max_bytes=max_bytes)
    await chains.open()
    return chains


def message(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


async def say(
    store: SessionStore,
    chains: Chains,
    id: str,
    parent: str | None = None,
    *,
    native: NativeState | None = None,
) -> None:
    """A turn, as the service takes it."""
    before = None if parent is None else await chains.history(parent, owner=OWNER)
    new = NewResponse(
        id, {}, [message("user", f"{id}?")], datetime.now(UTC), LEASE, parent, chain="first"
    )
    assert await store.reserve(new, owner=OWNER)
    outcome = Outcome("completed", {}, [message("assistant", f"{id}!")], native, deployment="one")
    assert await store.finish(id, outcome, owner=OWNER, lease=LEASE)
    keep(chains, before, new, outcome)


def keep(chains: Chains, before: Chain | None, new: NewResponse, outcome: Outcome) -> None:
    keeper = chains.keeper(before, new, owner=OWNER)
    if keeper is not None:
        keeper(outcome)


def same(chain: Chain | None, history: History | None) -> bool:
    assert chain is not None
    assert history is not None
    return (chain.status, chain.turns, chain.deployment, chain.chain) == (
        history.status,
        history.turns,
        history.deployment,
        history.chain,
    )


async def test_a_chain_that_goes_on_is_not_read_again(store: Counted, chains: Chains) -> None:
    await say(store, chains, "a", native=NativeState("s", pack({"n": [1]}, [])))
    await say(store, chains, "b", "a")
    await say(store, chains, "c", "b")
    kept = await chains.history("c", owner=OWNER)
    assert store.read == 0
    assert same(kept, await store.history("c", owner=OWNER))
    assert kept is not None
    assert kept.settled.turns == 3


async def test_a_branch_from_an_earlier_turn_is_read(store: Counted, chains: Chains) -> None:
    await say(store, chains, "a")
    await say(store, chains, "b", "a")
    await say(store, chains, "other", "a")
    assert store.read == 1
    for id in ("b", "other"):
        assert same(await chains.history(id, owner=OWNER), await store.history(id, owner=OWNER))


async def test_a_deleted_response_is_gone(store: Counted, chains: Chains) -> None:
    await say(store, chains, "a")
    await store.delete("a", owner=OWNER)
    assert await chains.history("a", owner=OWNER) is None


async def test_owners_do_not_meet(store: Counted, chains: Chains) -> None:
    await say(store, chains, "a")
    assert await chains.history("a", owner="somebody else") is None


async def test_what_is_purged_is_read_again(store: Counted, chains: Chains) -> None:
    await say(store, chains, "a")
    await say(store, chains, "b", "a")
    await store.purge(OWNER, id="a")
    kept = await chains.history("b", owner=OWNER)
    assert kept is not None
    assert kept.turns[0].input == []
    await say(store, chains, "c", "b")
    assert same(await chains.history("c", owner=OWNER), await store.history("c", owner=OWNER))


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[SQLiteStore, SQLiteStore]]:
    async with SQLiteStore(tmp_path / "db") as one, SQLiteStore(tmp_path / "db") as other:
        yield one, other


async def test_what_another_process_erased_is_noticed(two: tuple[SQLiteStore, SQLiteStore]) -> None:
    mine, theirs = two
    chains = await opened(mine)
    await say(mine, chains, "a")
    await say(mine, chains, "b", "a")
    await theirs.purge(OWNER, id="a")
    kept = await chains.history("b", owner=OWNER)
    assert kept is not None
    assert kept.turns[0].input == []
    await say(mine, chains, "c", "b")
    await theirs.delete("c", owner=OWNER)
    assert await chains.history("c", owner=OWNER) is None


async def test_a_purge_during_a_turn_is_noticed_after_it(store: Counted, chains: Chains) -> None:
    await say(store, chains, "a")
    await say(store, chains, "b", "a")
    before = await chains.history("b", owner=OWNER)
    assert before is not None
    new = NewResponse("c", {}, [], datetime.now(UTC), LEASE, "b")
    await store.reserve(new, owner=OWNER)
    await store.purge(OWNER, id="a")
    await chains.history("b", owner=OWNER)  # another turn learns of it meanwhile
    outcome = Outcome("completed", {}, [])
    await store.finish("c", outcome, owner=OWNER, lease=LEASE)
    keep(chains, before, new, outcome)
    kept = await chains.history("c", owner=OWNER)
    assert kept is not None
    assert kept.turns[0].input == []


async def test_the_oldest_go_when_there_is_no_room(store: Counted) -> None:
    chains = await opened(store, max_bytes=8_000)
    for id in ("a", "b", "c", "d"):
        await say(store, chains, id)
    await chains.history("d", owner=OWNER)
    assert store.read == 0
    await chains.history("a", owner=OWNER)
    assert store.read == 1


async def test_without_room_nothing_is_kept(store: Counted) -> None:
    chains = await opened(store, max_bytes=0)
    await say(store, chains, "a")
    await chains.history("a", owner=OWNER)
    assert store.read == 1


async def test_what_was_read_from_the_store_counts_like_what_was_kept(store: Counted) -> None:
    chains = await opened(store)
    for number in range(20):
        await say(store, chains, f"{number}", f"{number - 1}" if number else None)
    kept = await chains.history("19", owner=OWNER)
    read = await (await opened(store)).history("19", owner=OWNER)
    assert kept is not None
    assert read is not None
    assert 0.8 < read.size / kept.size < 1.25
