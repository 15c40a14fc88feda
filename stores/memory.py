"""Sessions in this process only: for tests of host applications, and for trying things out.

It follows the same rules of branches, leases and erasing as the databases, and keeps serialised
bytes as they do, so that what works here works there.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from stores.base import (
    RUNNING,
    History,
    Item,
    Lease,
    NativeState,
    NewResponse,
    Outcome,
    SessionStore,
    Status,
    StoredResponse,
    StoredTurn,
    StoreError,
)
from stores.codec import decode, encode, from_micros, text, to_micros


@dataclass(slots=True)
class _Turn:
    input: bytes
    end_user: str | None
    output: bytes | None = None
    native: tuple[str, bytes] | None = None


@dataclass(slots=True, eq=False, repr=False)
class _Branch:
    """`turns` by depth, and the ids of `handles` by depth. Below them stand the parent's turns up
    to `fork`."""

    owner: str
    parent: "_Branch | None" = None
    fork: int = -1
    turns: dict[int, _Turn] = field(default_factory=dict)
    handles: dict[int, str] = field(default_factory=dict)
    children: "set[_Branch]" = field(default_factory=set)

    @property
    def floor(self) -> int:
        """The deepest turn that is needed, by a handle or by a child; -1 if none is."""
        return max([*self.handles, *(child.fork for child in self.children)], default=-1)


@dataclass(slots=True)
class _Handle:
    branch: _Branch
    depth: int
    status: Status
    created_at: int
    body: bytes
    worker: str
    lease_until: int
    attempt: int
    request: bytes | None = None

    @property
    def turn(self) -> _Turn:
        return self.branch.turns[self.depth]


class MemoryStore(SessionStore):
    """Closing it forgets nothing; the sessions end with the object. For one thread at a time."""

    shared_between_processes = False

    def __init__(self) -> None:
        self._handles: dict[str, _Handle] = {}
        self._secrets: dict[str, bytes] = {}

    async def open(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    # --- a turn's life

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        turn = _Turn(
            encode(list(new.input), "input"),
            None if new.end_user is None else text(new.end_user, "end_user"),
        )
        body = encode(new.body, "body")
        request = None if new.request is None else encode(new.request, "request")
        worker = text(new.lease.worker, "the worker")
        if text(new.id, "the id") in self._handles:
            raise StoreError(f"the response {new.id!r} exists; take a new id")
        if new.parent is None:
            branch, depth = _Branch(text(owner, "the owner")), 0
        else:
            parent = self._owned(new.parent, owner)
            if parent is None:
                return False
            branch, depth = _behind(parent)
        branch.turns[depth] = turn
        branch.handles[depth] = new.id
        self._handles[new.id] = _Handle(
            branch=branch,
            depth=depth,
            status=new.status,
            created_at=to_micros(new.created_at),
            body=body,
            worker=worker,
            lease_until=to_micros(new.lease.until),
            attempt=new.lease.attempt,
            request=request,
        )
        return True

    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        output, body = encode(list(outcome.output), "output"), encode(outcome.body, "body")
        native = None
        if outcome.native is not None:
            state = encode(outcome.native.state, "native")
            native = (text(outcome.native.scope, "scope"), state)
        handle = self._leased(id, owner, lease)
        if handle is None:
            return False
        handle.turn.output, handle.turn.native = output, native
        handle.status, handle.body, handle.request = outcome.status, body, None
        return True

    async def release(self, id: str, *, owner: str, lease: Lease) -> bool:
        return self._leased(id, owner, lease) is not None and self._remove(id)

    async def renew(self, worker: str, until: datetime) -> list[str]:
        for handle in self._handles.values():
            if handle.worker == worker:
                handle.lease_until = to_micros(until)
        return []

    async def take_expired(
        self, worker: str, *, now: datetime, until: datetime, limit: int = 100
    ) -> list[StoredResponse]:
        text(worker, "the worker")
        expired = [
            (handle.lease_until, id)
            for id, handle in self._handles.items()
            if handle.status in RUNNING and handle.lease_until < to_micros(now)
        ]
        taken = [id for _, id in sorted(expired)[:limit]]
        for id in taken:
            handle = self._handles[id]
            handle.worker, handle.lease_until = worker, to_micros(until)
            handle.attempt += 1
        return [_stored(id, self._handles[id]) for id in taken]

    # --- reading

    async def history(self, id: str, *, owner: str) -> History | None:
        handle = self._owned(id, owner)
        if handle is None:
            return None
        return History(handle.status, [_read(turn) for turn in _line(handle)][::-1])

    async def get(self, id: str, *, owner: str) -> StoredResponse | None:
        handle = self._owned(id, owner)
        return None if handle is None else _stored(id, handle)

    async def input(self, id: str, *, owner: str) -> list[Item] | None:
        handle = self._owned(id, owner)
        return None if handle is None else decode(handle.turn.input)

    # --- erasing

    async def delete(self, id: str, *, owner: str) -> bool:
        return self._owned(id, owner) is not None and self._remove(id)

    async def purge(self, owner: str, *, id: str | None = None, user: str | None = None) -> int:
        if id is not None and user is not None:
            raise StoreError("purge takes an id or a user, not both: which turns did you mean?")
        if id is not None:
            handle = self._owned(id, owner)
            places = [] if handle is None else [(handle.branch, handle.depth)]
        else:
            places = [
                (branch, depth)
                for branch in self._branches(owner)
                for depth, turn in branch.turns.items()
                if user is None or turn.end_user == user
            ]
        for branch, depth in places:
            branch.turns[depth] = _Turn(encode([], "input"), end_user=None)
        for branch, depth in places:
            if depth in branch.handles:
                self._remove(branch.handles[depth])
        return len(places)

    # --- keys

    async def secret(self, name: str) -> bytes:
        return self._secrets.setdefault(text(name, "the name"), secrets.token_bytes(32))

    # --- branches

    def _branches(self, owner: str) -> set[_Branch]:
        """Reached from the handles: no branch outlives its last one."""
        found: set[_Branch] = set()
        for handle in self._handles.values():
            branch: _Branch | None = handle.branch
            while branch is not None and branch.owner == owner and branch not in found:
                found.add(branch)
                branch = branch.parent
        return found

    def _owned(self, id: str, owner: str) -> _Handle | None:
        handle = self._handles.get(id)
        return None if handle is None or handle.branch.owner != owner else handle

    def _leased(self, id: str, owner: str, lease: Lease) -> _Handle | None:
        handle = self._owned(id, owner)
        if (
            handle is None
            or handle.status not in RUNNING
            or (handle.worker, handle.attempt) != (lease.worker, lease.attempt)
        ):
            return None
        return handle

    def _remove(self, id: str) -> bool:
        handle = self._handles.pop(id)
        del handle.branch.handles[handle.depth]
        _trim(handle.branch)
        return True


def _behind(parent: _Handle) -> tuple[_Branch, int]:
    """The next depth of the parent's branch; a new branch if another turn stands there."""
    branch, depth = parent.branch, parent.depth + 1
    if depth in branch.turns:
        branch = _Branch(branch.owner, branch, parent.depth)
        parent.branch.children.add(branch)
    return branch, depth


def _line(handle: _Handle) -> Iterator[_Turn]:
    """The turns of a chain, youngest first."""
    branch: _Branch | None = handle.branch
    depth = handle.depth
    while branch is not None:
        for place in range(depth, branch.fork, -1):
            yield branch.turns[place]
        depth = branch.fork
        branch = branch.parent


def _trim(branch: _Branch | None) -> None:
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


def _read(turn: _Turn) -> StoredTurn:
    native = None if turn.native is None else NativeState(turn.native[0], decode(turn.native[1]))
    return StoredTurn(
        decode(turn.input), [] if turn.output is None else decode(turn.output), native
    )


def _stored(id: str, handle: _Handle) -> StoredResponse:
    lease = Lease(handle.worker, from_micros(handle.lease_until), handle.attempt)
    return StoredResponse(
        id=id,
        owner=handle.branch.owner,
        status=handle.status,
        body=decode(handle.body),
        output=_read(handle.turn).output,
        created_at=from_micros(handle.created_at),
        lease=lease if handle.status in RUNNING else None,
        request=None if handle.request is None else decode(handle.request),
    )
