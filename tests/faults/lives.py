"""Random lives of responses and conversations, each step held to the model in `house`."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from house import OWNERS, House
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stores import open_store

ROOTS = 3
"""Chains and conversations of one life: few, so that much happens to each."""


def live(url: str, *, lives: int, steps: int, the_same: bool) -> None:
    """`the_same`: those of every other run, too. What fails is not made smaller: with real stores
    that takes minutes, and the steps are printed."""
    run_state_machine_as_test(
        lambda: Lives(url),
        settings=settings(
            max_examples=lives,
            stateful_step_count=steps,
            derandomize=the_same,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


class Lives(RuleBasedStateMachine):
    """On the store of this URL; other lives may go on in it at the same time."""

    ids, lines = Bundle("ids"), Bundle("lines")
    strange = st.integers(0, 7).map(lambda n: n == 0)
    """Whether somebody asks whose it is not."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.url = url

    @initialize(kept=st.sampled_from((0, 1 << 20)))
    def open(self, kept: int) -> None:
        self.house = House(open_store(self.url), kept=kept)
        self._run(self.house.open())

    def teardown(self) -> None:
        """Closed also where something failed: what stays open is a warning, and that an error."""
        try:
            self._run(self.house.check_all())
        finally:
            self._run(self.house.aclose())
            self.runner.close()

    # --- what happens

    @precondition(lambda self: self.house.roots < ROOTS)
    @rule(target=ids, owner=st.sampled_from(OWNERS), stream=st.booleans())
    def ask(self, owner: str, stream: bool) -> str | None:
        return self._run(self.house.ask(owner, None, stream=stream))

    @rule(target=ids, parent=ids, strange=strange, stream=st.booleans())
    def go_on(self, parent: str | None, strange: bool, stream: bool) -> str | None:
        owner = self._who(parent, strange=strange)
        return self._run(self.house.ask(owner, parent, stream=stream))

    @rule(target=ids, parent=ids, strange=strange)
    def break_off(self, parent: str | None, strange: bool) -> str | None:
        owner = self._who(parent, strange=strange)
        return self._run(self.house.ask(owner, parent, model="broken", stream=True))

    @rule(target=ids, parent=ids, strange=strange, words=st.integers(0, 5))
    def cancel(self, parent: str | None, strange: bool, words: int) -> str | None:
        owner = self._who(parent, strange=strange)
        return self._run(self.house.cancel(owner, parent, after_s=0.003 * words))

    @rule(id=ids, strange=strange)
    def delete(self, id: str | None, strange: bool) -> None:
        if id is not None:
            self._run(self.house.delete(id, self._who(id, strange=strange)))

    @rule(id=ids)
    def keep_one(self, id: str | None) -> None:
        """Deletes every other response that grew from the same root: its chain is then kept for
        itself alone."""
        if id is not None:
            root = self._root(id)
            others = [each for each in self.house.known if each != id and self._root(each) == root]
            for each in others:
                self._run(self.house.delete(each, self.house.known[each].owner))

    @rule(id=ids, strange=strange, after=st.integers(-1, 12))
    def resume(self, id: str | None, strange: bool, after: int) -> None:
        if id is not None:
            self._run(self.house.resume(id, self._who(id, strange=strange), after))

    @rule(id=ids, clients=st.integers(2, 4), delete=st.booleans())
    def race(self, id: str | None, clients: int, delete: bool) -> None:
        """Many continue one response; one may delete it meanwhile, and one tell it again."""
        if id is None or self.house.known[id].gone:
            return
        owner = self.house.known[id].owner
        racing: list[Coroutine[Any, Any, object]] = [
            self.house.ask(owner, id, stream=bool(n % 2), deleted_meanwhile=delete)
            for n in range(clients)
        ]
        if delete:
            racing.insert(clients // 2, self.house.delete(id, owner))
        else:
            racing.append(self.house.resume(id, owner, 3))
        self._run(_together(racing))

    @precondition(lambda self: len(self.house.conversations) < ROOTS)
    @rule(target=lines, owner=st.sampled_from(OWNERS))
    def begin(self, owner: str) -> str:
        return self._run(self.house.begin(owner))

    @rule(target=ids, line=lines, strange=strange, stream=st.booleans())
    def talk(self, line: str, strange: bool, stream: bool) -> str | None:
        return self._run(self.house.talk(line, self._whose(line, strange=strange), stream=stream))

    @rule(line=lines, strange=strange)
    def post(self, line: str, strange: bool) -> None:
        self._run(self.house.post(line, self._whose(line, strange=strange)))

    @rule(line=lines, clients=st.integers(2, 3))
    def talk_at_once(self, line: str, clients: int) -> None:
        self._run(self.house.talk_at_once(line, clients))

    @rule(line=lines, strange=strange)
    def drop(self, line: str, strange: bool) -> None:
        self._run(self.house.drop(line, self._whose(line, strange=strange)))

    def _root(self, id: str) -> str:
        while (parent := self.house.known[id].parent) is not None:
            id = parent
        return id

    def _who(self, id: str | None, *, strange: bool) -> str:
        return _other(self.house.known[id].owner if id is not None else OWNERS[0], strange=strange)

    def _whose(self, line: str, *, strange: bool) -> str:
        return _other(self.house.conversations[line].owner, strange=strange)

    def _run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(doing)


def _other(owner: str, *, strange: bool) -> str:
    return OWNERS[1 - OWNERS.index(owner)] if strange else owner


async def _together(racing: list[Coroutine[Any, Any, object]]) -> None:
    await asyncio.gather(*racing)
