"""What MemoryStore keeps of a response and of a conversation, as its values in memory."""

from dataclasses import dataclass, field

from stores.base import RUNNING, Lease, Status, StoredResponse
from stores.codec import decode, from_micros
from stores.memory_branches import Branch, Turn


@dataclass(slots=True)
class Handle:
    branch: Branch
    depth: int
    status: Status
    created_at: int
    body: bytes
    worker: str
    lease_until: int
    attempt: int
    request: bytes | None = None
    conversation: str | None = None
    cancel_requested: bool = False
    asked: tuple[str | None, str | None, tuple[str, ...]] = (None, None, ())
    deployment: str | None = None
    cost_nano: int | None = None

    @property
    def turn(self) -> Turn:
        return self.branch.turns[self.depth]


@dataclass(slots=True)
class Conversation:
    """`running` took the lock last; it holds the lock for as long as it runs."""

    branch: Branch
    depth: int
    created_at: int
    body: bytes
    hidden: set[str] = field(default_factory=set)
    running: str | None = None
    deployment: str | None = None

    def move(self, branch: Branch, depth: int) -> None:
        self.branch.head = -1
        branch.head = depth
        self.branch, self.depth = branch, depth


def stored(id: str, handle: Handle) -> StoredResponse:
    lease = Lease(handle.worker, from_micros(handle.lease_until), handle.attempt)
    turn = handle.turn
    chain, api_key, tags = handle.asked
    return StoredResponse(
        id=id,
        owner=handle.branch.owner,
        status=handle.status,
        body=decode(handle.body),
        output=turn.read().output,
        created_at=from_micros(handle.created_at),
        lease=lease if handle.status in RUNNING else None,
        cancel_requested=handle.cancel_requested,
        request=None if handle.request is None else decode(handle.request),
        cuts=None if turn.cuts is None else decode(turn.cuts),
        conversation=handle.conversation,
        chain=chain,
        api_key=api_key,
        tags=tags,
        deployment=handle.deployment,
        cost_nano=handle.cost_nano,
        end_user=turn.end_user,
    )
