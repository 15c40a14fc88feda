"""How turns stand in branches in memory: the rules that the databases keep in their statements.

Only branches and turns: whose ids point at them is the store's.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from stores.base import NativeState, StoredTurn
from stores.codec import decode


@dataclass(slots=True)
class Turn:
    input: bytes
    end_user: str | None = None
    output: bytes | None = None
    native: tuple[str, bytes] | None = None
    cuts: bytes | None = None

    @property
    def blank(self) -> bool:
        return self.input == b"[]" and self.output is None

    def read(self) -> StoredTurn:
        native = self.native and NativeState(self.native[0], decode(self.native[1]))
        return StoredTurn(decode(self.input), decode(self.output or b"[]"), native)


@dataclass(slots=True, eq=False, repr=False)
class Branch:
    """`turns` by depth, and the ids of `handles` by depth. Below them stand the parent's turns up
    to `fork`. `head` is the depth of a conversation's last turn, if it stands here."""

    owner: str
    parent: "Branch | None" = None
    fork: int = -1
    turns: dict[int, Turn] = field(default_factory=dict)
    handles: dict[int, str] = field(default_factory=dict)
    children: "set[Branch]" = field(default_factory=set)
    head: int = -1
    number: int = field(default_factory=itertools.count().__next__)
    """Younger ones have higher ones: an order for exports."""

    @property
    def floor(self) -> int:
        """The deepest turn that is needed, by a handle, a conversation or a child; -1 if none."""
        return max([self.head, *self.handles, *(child.fork for child in self.children)])


def behind(branch: Branch, depth: int) -> tuple[Branch, int]:
    """The next depth of the branch; that of a new branch if another turn stands there."""
    if depth + 1 in branch.turns:
        child = Branch(branch.owner, branch, depth)
        branch.children.add(child)
        branch = child
    return branch, depth + 1


def line(branch: Branch, depth: int) -> Iterator[Turn]:
    """The turns of a chain, youngest first."""
    at: Branch | None = branch
    while at is not None:
        for place in range(depth, at.fork, -1):
            yield at.turns[place]
        depth = at.fork
        at = at.parent


def trim(branch: Branch | None) -> None:
    """Erases the turns above what is still needed; an emptied branch goes, then its parent's."""
    while branch is not None:
        floor = branch.floor
        for depth in [depth for depth in branch.turns if depth > floor]:
            del branch.turns[depth]
        if branch.turns:
            return
        if branch.parent is not None:
            branch.parent.children.discard(branch)
        branch = branch.parent
