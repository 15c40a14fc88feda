"""A random life of conversations, and the model that says what must be there."""

import random
from collections.abc import Sequence

from stores.base import SessionStore
from stores.testing.conversations import begin, post, talk
from stores.testing.turns import OWNER, Tree, history_of, said, say


class Life:
    """In the model a conversation lives as a child of its last turn, without a turn of its own."""

    def __init__(self, store: SessionStore, *, seed: int) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.tree = Tree({})
        self.heads: dict[str, str] = {}
        self.roots: set[str] = set()
        self.posted: set[str] = set()
        self.made = 0

    async def live(self, steps: int) -> None:
        actions = (self.begin, *[self.talk] * 5, *[self.post] * 2, *[self.aside] * 2)
        erasing = (*[self.delete] * 4, self.delete_conversation)
        for _ in range(steps):
            await self.chance.choice((*actions, *erasing))()
        await self.check()

    async def begin(self) -> None:
        id = self.name("conv")
        await begin(self.store, id)
        self.tree.parents[f"root of {id}"] = None
        self.roots.add(f"root of {id}")
        self.move(id, f"root of {id}")

    async def talk(self) -> None:
        if self.heads:
            conversation, id = self.choose(list(self.heads)), self.name("n")
            await talk(self.store, conversation, id)
            self.tree.parents[id] = self.heads[conversation]
            self.tree.living.add(id)
            self.move(conversation, id)

    async def post(self) -> None:
        if self.heads:
            conversation, id = self.choose(list(self.heads)), self.name("p")
            assert await post(self.store, conversation, id)
            self.tree.parents[id] = self.heads[conversation]
            self.posted.add(id)
            self.move(conversation, id)

    async def aside(self) -> None:
        if responses := self.responses():
            parent, id = self.choose(responses), self.name("s")
            await say(self.store, id, parent)
            self.tree.parents[id] = parent
            self.tree.living.add(id)

    async def delete(self) -> None:
        if responses := self.responses():
            await self.tree.delete(self.store, self.choose(responses))

    async def delete_conversation(self) -> None:
        if self.heads:
            id = self.choose(list(self.heads))
            assert await self.store.delete_conversation(id, owner=OWNER)
            del self.heads[id], self.tree.parents[id]
            self.tree.living.remove(id)

    async def check(self) -> None:
        for id in [*self.responses(), *self.heads]:
            expected: list[str] = []
            for ancestor in self.tree.path(id):
                if ancestor in self.posted:
                    expected.append(f"<{ancestor}?>")
                elif ancestor not in self.roots and ancestor not in self.heads:
                    expected += said([ancestor])
            assert await history_of(self.store, id) == expected, id

    def move(self, conversation: str, to: str) -> None:
        self.heads[conversation] = to
        self.tree.parents[conversation] = to
        self.tree.living.add(conversation)

    def responses(self) -> list[str]:
        return sorted(self.tree.living - set(self.heads))

    def choose(self, ids: Sequence[str]) -> str:
        return self.chance.choice(ids)

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"
