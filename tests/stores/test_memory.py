"""The memory store: the conformance suite, with what it holds in plain sight."""

import pytest

from stores import MemoryStore, SessionStore
from stores.testing import SessionStoreConformance


class TestMemoryStore(SessionStoreConformance):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    async def kept(self, store: SessionStore) -> list[bytes]:
        assert isinstance(store, MemoryStore)
        branches = {owner: store._branches(owner) for owner in _owners(store)}
        return [
            turn.input + (turn.output or b"") + repr((turn.native, turn.cuts)).encode()
            for found in branches.values()
            for branch in found
            for turn in branch.turns.values()
        ]


def _owners(store: MemoryStore) -> set[str]:
    found = (*store._handles.values(), *store._conversations.values())
    return {each.branch.owner for each in found}


async def test_a_closed_store_still_has_its_sessions_and_another_has_none() -> None:
    store = MemoryStore()
    secret = await store.secret("seal")
    await store.aclose()

    assert await store.secret("seal") == secret
    assert await MemoryStore().secret("seal") != secret
