"""Histories that were rebuilt once, kept in memory for the turn that goes on from them.

Nothing is taken from here before the store has said that the response is still there and that
nothing was purged since: another process may have done either.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from responses_mw.conversation import NOTHING, Settled, settle
from stores.base import (
    RUNNING,
    History,
    NativeState,
    NewResponse,
    Outcome,
    SessionStore,
    Standing,
    StoredTurn,
)

_OBJECTS = 5
"""What a history takes in memory, in multiples of its JSON: objects, and what an adapter wrote."""
_CHAIN = 2048
"""What a chain takes besides."""


@dataclass(frozen=True, slots=True)
class Chain(History):
    """A history with what was made of it. It is never changed: a turn that goes on makes another.

    `epoch` is the store's when it was read; None: it is not to be kept. `size` in bytes.
    """

    settled: Settled = NOTHING
    epoch: bytes | None = None
    size: int = 0


class Chains:
    """One event loop's. `max_bytes` bounds what is kept; the chain used longest ago goes first."""

    def __init__(self, store: SessionStore, *, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._size = 0
        self._epoch: bytes | None = None
        self._kept: OrderedDict[tuple[str, str], Chain] = OrderedDict()

    async def open(self) -> None:
        """Learns the epoch. Raises StoreError."""
        if self._max_bytes:
            self._epoch = (await self._store.probe("", owner="")).epoch

    async def history(self, id: str, *, owner: str) -> Chain | None:
        """As the store's. Raises StoreError."""
        kept = self._kept.get((owner, id))
        if kept is not None:
            standing = await self._store.probe(id, owner=owner)
            self._epoch = standing.epoch
            if standing == Standing(kept.status, kept.epoch):
                if (owner, id) in self._kept:
                    self._kept.move_to_end((owner, id))
                return kept
            self.forget(id, owner=owner)
        # Read first: what is purged from now on is purged after this epoch.
        epoch = self._epoch
        history = await self._store.history(id, owner=owner)
        if history is None:
            return None
        turns, settled = history.turns, NOTHING
        if epoch is not None and history.status not in RUNNING:
            settled = settle(turns)
        named = (history.deployment, history.chain)
        size = 0 if epoch is None else _size(turns)  # an epoch may be empty, too
        return Chain(history.status, turns, *named, settled, epoch, size)

    def keeper(
        self, before: History | None, new: NewResponse, *, owner: str
    ) -> Callable[[Outcome], None] | None:
        """Keeps the chain with the new turn once that has ended; None where it is not to be kept.
        `before` is what the turn goes on from, as `history` gave it."""
        if before is None:
            before = Chain("completed", epoch=self._epoch, size=_CHAIN)
        if not isinstance(before, Chain) or before.epoch is None or new.conversation is not None:
            return None
        return partial(self._extend, before, new, owner)

    def _extend(self, chain: Chain, new: NewResponse, owner: str, outcome: Outcome) -> None:
        """In the place of the chain itself: a branch that goes on from there, too, is read."""
        turn, size = _as_stored(new, outcome)
        turns = [*chain.turns, turn]
        longer = Chain(
            outcome.status,
            turns,
            outcome.deployment,
            new.chain or chain.chain,
            settle(turns, chain.settled),
            chain.epoch,
            chain.size + size,
        )
        if new.parent is not None:
            self.forget(new.parent, owner=owner)
        self._kept[owner, new.id] = longer
        self._size += longer.size
        while self._size > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.size

    def forget(self, id: str, *, owner: str) -> None:
        kept = self._kept.pop((owner, id), None)
        if kept is not None:
            self._size -= kept.size


def _as_stored(new: NewResponse, outcome: Outcome) -> tuple[StoredTurn, int]:
    """By copy, as it would be read: nobody else's hands are on it."""
    encoded = orjson.dumps([list(new.input), list(outcome.output), outcome.native])
    input, output, native = orjson.loads(encoded)
    state = None if native is None else NativeState(**native)
    return StoredTurn(input, output, state), _OBJECTS * len(encoded)


def _size(turns: Sequence[StoredTurn]) -> int:
    plain: list[Any] = [list(turn) for turn in turns]
    return _CHAIN + _OBJECTS * len(orjson.dumps(plain))
