"""What a session store owes its callers: the turns of every response, rebuilt from any id.

Bodies, items and native turns are JSON to a store; it looks inside none of them but for item `id`s
when it pages, and for the compactions that it is asked to empty. Nothing here imports
`responses_mw`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from stores.accounts import Accounts, Usage

Json = Any
Item = dict[str, Any]
Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
RUNNING: frozenset[str] = frozenset({"queued", "in_progress"})
NOBODY = ""
"""The worker of a response that was handed back."""


class StoreError(Exception):
    """The database could not be reached, or refused. Nothing was half-written."""


class StoreBusy(StoreError):
    """The database is locked, overloaded or away for longer than the store waits; try again."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who generates a response, and until when nobody else may take it over. `until` is aware
    UTC."""

    worker: str
    until: datetime
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class NewResponse:
    """A response about to be generated, with its input. `body` is the response object without
    `output`.

    `request` is kept only for work that another worker may have to start again (background).
    `end_user` is who the turn was for, so that one person's turns can be purged.
    """

    id: str
    body: dict[str, Any]
    input: Sequence[Item]
    created_at: datetime
    lease: Lease
    parent: str | None = None
    status: Status = "in_progress"
    request: dict[str, Any] | None = None
    end_user: str | None = None
    conversation: str | None = None
    """Instead of `parent`: the turn goes behind the conversation's last one, and holds its lock."""
    chain: str | None = None
    """The first response of its chain, or the conversation: what usage is summed by."""
    api_key: str | None = None
    """The id of the virtual key it was asked with."""
    tags: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.parent is not None and self.conversation is not None:
            raise ValueError(
                f"the response {self.id!r} has the parent {self.parent!r} and the conversation"
                f" {self.conversation!r}; it can have one of them"
            )


@dataclass(frozen=True, slots=True)
class NativeState:
    """The assistant turn in one provider's own form; `scope` says who may have it back."""

    scope: str
    state: Json


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response ended. `body` is again the object without `output`."""

    status: Status
    body: dict[str, Any]
    output: Sequence[Item]
    native: NativeState | None = None
    cuts: Json = None
    """How the output was cut into events, so that its stream can be told again."""
    deployment: str | None = None
    """Who answered: a chain that goes on may want to stay there."""
    cost_nano: int | None = None
    """In nano-dollars; None where a price is unknown."""
    usage: Usage | None = None
    """Counted in the same transaction."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a running response has said so far. It is `in_progress` from then on."""

    id: str
    owner: str
    lease: Lease
    body: dict[str, Any]
    output: Sequence[Item]
    cuts: Json = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """`output` is what was kept so far while the response runs (empty until a checkpoint)."""

    id: str
    owner: str
    status: Status
    body: dict[str, Any]
    output: list[Item]
    created_at: datetime
    lease: Lease | None = None
    cancel_requested: bool = False
    request: dict[str, Any] | None = None
    cuts: Json = None
    conversation: str | None = None
    chain: str | None = None
    api_key: str | None = None
    tags: tuple[str, ...] = ()
    deployment: str | None = None
    cost_nano: int | None = None
    end_user: str | None = None


class StoredTurn(NamedTuple):
    """A tuple, because a history makes thousands: a frozen dataclass takes twice as long."""

    input: list[Item]
    output: list[Item]
    native: NativeState | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The chain up to and including one response; `status` is that response's, `turns` oldest
    first, `deployment` who answered the last one that ended."""

    status: Status
    turns: list[StoredTurn] = field(default_factory=list)
    deployment: str | None = None
    chain: str | None = None


class Standing(NamedTuple):
    """Whether a history that was read earlier still holds: `status` None means that the response is
    gone, and `epoch` is another one after each purge. `epoch` None: the store cannot say."""

    status: Status | None
    epoch: bytes | None


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """`hidden` are the ids of items that were deleted from the conversation, and from it alone."""

    id: str
    owner: str
    body: dict[str, Any]
    created_at: datetime
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Item]
    has_more: bool


class ConversationLocked(StoreError):
    """Another turn of this conversation is running."""


class SessionStore(Accounts, ABC):
    """Every method is safe to call concurrently from one event loop, and from many processes.

    Missing is None or False, never an exception; another owner's id is missing. Values go in and
    out by copy. Only StoreError is raised. A cancelled caller never cancels a transaction under
    way.
    """

    shared_between_processes = True
    hands_back = False
    """Whether `hand_back` does."""
    renews_each = False
    """Whether `renew_only` does."""

    # --- life

    @abstractmethod
    async def open(self) -> None:
        """Creates or migrates the schema. Calling it again on an open store does nothing."""

    @abstractmethod
    async def aclose(self) -> None:
        """Waits for writes under way. The store may be opened again, in another event loop too."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # --- a turn's life

    @abstractmethod
    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        """Records the input and the running response behind `new.parent`, in one transaction.

        False if the parent or conversation is missing. Any number of responses may have the same
        parent. Raises StoreError if the id exists, ConversationLocked while another response of the
        conversation runs (its lock goes with its end, its release or its deletion).
        """

    @abstractmethod
    async def checkpoint(self, running: Sequence[Checkpoint]) -> None:
        """Keeps what running responses have said so far, all in one transaction; those that are no
        longer running under their lease are passed over."""

    @abstractmethod
    async def request_cancel(self, id: str, *, owner: str) -> bool:
        """Asks whoever generates a response to stop: `renew` tells its worker. False unless it is
        running."""

    @abstractmethod
    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        """Records the end, and what was used; a turn of a conversation becomes its last one.

        False, and nothing written, unless the response is running under this lease (same worker,
        same attempt)."""

    @abstractmethod
    async def release(self, id: str, *, owner: str, lease: Lease) -> bool:
        """Takes a reservation back as if it had never been; False unless running under this
        lease."""

    @abstractmethod
    async def renew(self, worker: str, until: datetime) -> list[str]:
        """Extends every lease of `worker`; answers the ids of its responses that were asked to
        cancel."""

    async def renew_only(self, worker: str, ids: Sequence[str], until: datetime) -> list[str]:
        """The same for these responses of `worker`, so that what it has lost sight of expires. All
        of them where the store cannot tell them apart."""
        return await self.renew(worker, until)

    @abstractmethod
    async def take_expired(
        self, worker: str, *, now: datetime, until: datetime, limit: int = 100
    ) -> list[StoredResponse]:
        """Moves running responses whose lease ended before `now` to `worker`, with their attempt
        counted up. Each is given to exactly one caller."""

    async def hand_back(self, id: str, *, owner: str, lease: Lease, now: datetime) -> bool:
        """Gives up what `take_expired` gave, as if it had not been taken: it is nobody's, its lease
        ends `now`, its attempt is not counted. False unless running under this lease, or where the
        store cannot: then the lease must be used."""
        return False

    # --- reading

    @abstractmethod
    async def history(self, id: str, *, owner: str) -> History | None:
        """The chain that ends with `id`, in one statement whatever its depth and forks.

        Deleted ancestors are in it: deleting takes away an id, not what descendants were built on.
        Purged ones have empty input and output."""

    async def probe(self, id: str, *, owner: str) -> Standing:
        """What must be unchanged for a kept history of the response to be used again. Far cheaper
        than `history`, or not worth overriding."""
        found = await self.get(id, owner=owner)
        return Standing(None if found is None else found.status, None)

    @abstractmethod
    async def get(self, id: str, *, owner: str) -> StoredResponse | None: ...

    @abstractmethod
    async def input(self, id: str, *, owner: str) -> list[Item] | None:
        """The response's own input items, in order."""

    async def input_page(
        self,
        id: str,
        *,
        owner: str,
        limit: int = 20,
        descending: bool = True,
        after: str | None = None,
    ) -> Page | None:
        """A page of `input`. Raises KeyError if no item has the id `after`."""
        items = await self.input(id, owner=owner)
        if items is None:
            return None
        if descending:
            items = items[::-1]
        if after is not None:
            start = next((n for n, item in enumerate(items, 1) if item.get("id") == after), None)
            if start is None:
                raise KeyError(after)
            items = items[start:]
        return Page(items[:limit], has_more=len(items) > limit)

    # --- conversations: a line of turns with a head that moves when a turn in it ends

    @abstractmethod
    async def create_conversation(
        self, id: str, body: dict[str, Any], *, owner: str, created_at: datetime
    ) -> None:
        """An empty conversation. `history(id)` reads it like a response. Raises StoreError if the
        id exists."""

    @abstractmethod
    async def conversation(self, id: str, *, owner: str) -> StoredConversation | None: ...

    @abstractmethod
    async def update_conversation(self, id: str, body: dict[str, Any], *, owner: str) -> bool: ...

    @abstractmethod
    async def delete_conversation(self, id: str, *, owner: str) -> bool:
        """Responses made in it stay; turns that no living response is built on are erased."""

    @abstractmethod
    async def append_items(self, id: str, items: Sequence[Item], *, owner: str) -> bool:
        """A turn of these items alone, behind the last one, without a response of its own. Raises
        ConversationLocked while a turn runs."""

    @abstractmethod
    async def hide_item(self, id: str, item_id: str, *, owner: str) -> bool:
        """Adds to `hidden`; False if the conversation is missing. The item stays in the store."""

    # --- erasing

    @abstractmethod
    async def delete(self, id: str, *, owner: str) -> bool:
        """The id is gone at once. Turns that no living response is built on are erased with it."""

    @abstractmethod
    async def purge(self, owner: str, *, id: str | None = None, user: str | None = None) -> int:
        """Blanks input, output and native turn of one response, of one end user's, or of all of the
        owner's, in their descendants' histories too; ids that match are deleted. Empties the
        compactions in answers that go on from them (`empty_summaries`). Returns how many turns were
        blanked."""

    # --- keys

    @abstractmethod
    async def secret(self, name: str) -> bytes:
        """32 random bytes, made at the first call for this name and the same ever after, on every
        worker."""
