"""The turns the suite writes, and the model it compares a store with.

Every text is `<id?>` (asked) or `<id!>` (answered), so that content can be searched for.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from stores.base import (
    History,
    Item,
    Lease,
    NewResponse,
    Outcome,
    SessionStore,
    Status,
)

OWNER = "owner-a"
STRANGER = "owner-b"
NOW = datetime(2026, 5, 17, 12, 30, 15, 123456, tzinfo=UTC)
LEASE = Lease("worker-1", NOW + timedelta(seconds=60))


def question(id: str) -> list[Item]:
    content = [{"type": "input_text", "text": f"<{id}?>"}]
    return [{"id": f"{id}_i0", "type": "message", "role": "user", "content": content}]


def answer(id: str) -> list[Item]:
    content = [{"type": "output_text", "text": f"<{id}!>", "annotations": [], "logprobs": []}]
    return [{"id": f"{id}_0", "type": "message", "role": "assistant", "content": content}]


def new(
    id: str,
    parent: str | None = None,
    *,
    input: Sequence[Item] | None = None,
    lease: Lease = LEASE,
    end_user: str | None = None,
) -> NewResponse:
    return NewResponse(
        id=id,
        body={"id": id, "object": "response", "status": "in_progress"},
        input=question(id) if input is None else input,
        created_at=NOW,
        lease=lease,
        parent=parent,
        end_user=end_user,
    )


def outcome(
    id: str, status: Status = "completed", *, output: Sequence[Item] | None = None
) -> Outcome:
    body = {"id": id, "object": "response", "status": status}
    return Outcome(status, body, answer(id) if output is None else output)


async def say(
    store: SessionStore,
    id: str,
    parent: str | None = None,
    *,
    owner: str = OWNER,
    end_user: str | None = None,
) -> str:
    """One whole turn."""
    assert await store.reserve(new(id, parent, end_user=end_user), owner=owner)
    assert await store.finish(id, outcome(id), owner=owner, lease=LEASE)
    return id


async def say_chain(
    store: SessionStore, name: str, length: int, parent: str | None = None, *, owner: str = OWNER
) -> list[str]:
    """Turns `name`0, `name`1, ... each behind the one before."""
    ids: list[str] = []
    for number in range(length):
        parent = await say(store, f"{name}{number}", parent, owner=owner)
        ids.append(parent)
    return ids


def texts(items: Iterable[Item]) -> list[str]:
    return [part["text"] for item in items for part in item["content"]]


def heard(history: History | None) -> list[str] | None:
    """All texts of a history, oldest first; None stays None."""
    if history is None:
        return None
    return [text for turn in history.turns for text in texts([*turn.input, *turn.output])]


def said(ids: Iterable[str]) -> list[str]:
    """What `heard` answers for a chain of whole turns."""
    return [text for id in ids for text in (f"<{id}?>", f"<{id}!>")]


async def history_of(store: SessionStore, id: str) -> list[str] | None:
    return heard(await store.history(id, owner=OWNER))


class Tree:
    """The model: responses with a parent each, some of them deleted."""

    def __init__(self, parents: dict[str, str | None]) -> None:
        self.parents = parents
        self.living = set(parents)

    @classmethod
    def grown(cls, size: int, *, seed: int) -> "Tree":
        """Half of the turns continue the youngest one, half any older one; a few begin anew."""
        chance = random.Random(seed)
        parents: dict[str, str | None] = {}
        for number in range(size):
            older = list(parents)
            parent = None
            if older and chance.random() > 0.03:
                parent = older[-1] if chance.random() < 0.5 else chance.choice(older)
            parents[f"n{number}"] = parent
        return cls(parents)

    def path(self, id: str) -> list[str]:
        """From the root down to `id`."""
        path = [id]
        while (parent := self.parents[path[-1]]) is not None:
            path.append(parent)
        return path[::-1]

    @property
    def needed(self) -> set[str]:
        """The living and all their ancestors: whose content must be kept, and no other."""
        return {ancestor for id in self.living for ancestor in self.path(id)}

    async def write(self, store: SessionStore) -> None:
        """Writes every turn as soon as its parent is there: siblings at the same time."""
        there = {id: asyncio.Event() for id in self.parents}

        async def write_one(id: str, parent: str | None) -> None:
            if parent is not None:
                await there[parent].wait()
            await say(store, id, parent)
            there[id].set()

        async with asyncio.TaskGroup() as group:
            for id, parent in self.parents.items():
                group.create_task(write_one(id, parent))

    async def delete(self, store: SessionStore, id: str) -> None:
        assert await store.delete(id, owner=OWNER)
        self.living.remove(id)

    async def check(self, store: SessionStore) -> None:
        """Every living response has its whole history, every other one is missing."""
        for id in self.parents:
            expected = said(self.path(id)) if id in self.living else None
            assert await history_of(store, id) == expected, id

    def check_kept(self, kept: list[bytes]) -> None:
        """Nothing but what is needed is in the database."""
        together = b"".join(kept)
        left = {id for id in self.parents if f"<{id}?>".encode() in together}
        assert left == self.needed
        assert {id for id in self.parents if f"<{id}!>".encode() in together} == self.needed
        assert len(kept) == len(self.needed)
