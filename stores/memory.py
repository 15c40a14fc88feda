"""Sessions in this process only: for tests of host applications, and for trying things out.

It follows the same rules of branches, leases and erasing as the databases, and keeps serialised
bytes as they do, so that what works here works there.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from stores.base import (
    NOBODY,
    RUNNING,
    Checkpoint,
    ConversationLocked,
    History,
    Item,
    Json,
    Lease,
    NewResponse,
    Outcome,
    Standing,
    StoredConversation,
    StoredResponse,
    StoreError,
)
from stores.codec import decode, from_micros, text, to_micros
from stores.codec import encode as encode_json
from stores.memory_accounts import MemoryAccounts
from stores.memory_branches import Branch, Turn, behind, line, trim
from stores.memory_rows import Conversation, Handle, stored


class MemoryStore(MemoryAccounts):
    """Closing it forgets nothing; the sessions end with the object. For one thread at a time."""

    shared_between_processes = False
    hands_back = True
    renews_each = True

    def __init__(self) -> None:
        self._handles: dict[str, Handle] = {}
        self._running: dict[str, Handle] = {}
        self._conversations: dict[str, Conversation] = {}
        self._secrets: dict[str, bytes] = {}
        self._purges = 0
        super().__init__()

    async def open(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    # --- a turn's life

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        turn = Turn(
            encode(list(new.input), "input"),
            None if new.end_user is None else text(new.end_user, "end_user"),
        )
        body = encode(new.body, "body")
        request = None if new.request is None else encode(new.request, "request")
        worker = text(new.lease.worker, "the worker")
        self._check_new(new.id)
        place = self._place(new, text(owner, "the owner"))
        if place is None:
            return False
        branch, depth = place
        branch.turns[depth] = turn
        branch.handles[depth] = new.id
        self._handles[new.id] = self._running[new.id] = Handle(
            branch=branch,
            depth=depth,
            status=new.status,
            created_at=to_micros(new.created_at),
            body=body,
            worker=worker,
            lease_until=to_micros(new.lease.until),
            attempt=new.lease.attempt,
            request=request,
            conversation=new.conversation,
            asked=(new.chain, new.api_key, tuple(new.tags)),
        )
        return True

    def _place(self, new: NewResponse, owner: str) -> tuple[Branch, int] | None:
        """Where the turn goes; None if what it should stand behind is missing."""
        if new.conversation is not None:
            conversation = self._lockable(new.conversation, owner)
            if conversation is None:
                return None
            conversation.running = new.id
            return behind(conversation.branch, conversation.depth)
        if new.parent is not None:
            parent = self._owned(new.parent, owner)
            return None if parent is None else behind(parent.branch, parent.depth)
        return Branch(owner), 0

    async def checkpoint(self, running: Sequence[Checkpoint]) -> None:
        encoded = [
            (
                each,
                encode(each.body, "body"),
                encode(list(each.output), "output"),
                _encoded_cuts(each.cuts),
            )
            for each in running
        ]
        for each, body, output, cuts in encoded:
            handle = self._leased(each.id, each.owner, each.lease)
            if handle is not None:
                handle.status, handle.body = "in_progress", body
                handle.turn.output, handle.turn.cuts = output, cuts

    async def request_cancel(self, id: str, *, owner: str) -> bool:
        handle = self._owned(id, owner)
        if handle is None or handle.status not in RUNNING:
            return False
        handle.cancel_requested = True
        return True

    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        output, body = encode(list(outcome.output), "output"), encode(outcome.body, "body")
        cuts = _encoded_cuts(outcome.cuts)
        native = None
        if outcome.native is not None:
            state = encode(outcome.native.state, "native")
            native = (text(outcome.native.scope, "scope"), state)
        handle = self._leased(id, owner, lease)
        if handle is None:
            return False
        turn = handle.turn
        turn.output, turn.native, turn.cuts = output, native, cuts
        handle.status, handle.body, handle.request = outcome.status, body, None
        handle.deployment, handle.cost_nano = outcome.deployment, outcome.cost_nano
        if outcome.usage is not None:
            self._count(outcome.usage)
        conversation = self._conversations.get(handle.conversation or "")
        if conversation is not None and conversation.running == id:
            conversation.move(handle.branch, handle.depth)
            conversation.deployment = outcome.deployment
        return True

    async def release(self, id: str, *, owner: str, lease: Lease) -> bool:
        return self._leased(id, owner, lease) is not None and self._remove(id)

    async def renew(self, worker: str, until: datetime) -> list[str]:
        return await self.renew_only(worker, list(self._running), until)

    async def renew_only(self, worker: str, ids: Sequence[str], until: datetime) -> list[str]:
        running = self._still_running()
        mine = {id: running[id] for id in ids if id in running and running[id].worker == worker}
        for handle in mine.values():
            handle.lease_until = to_micros(until)
        return [id for id, handle in mine.items() if handle.cancel_requested]

    async def take_expired(
        self, worker: str, *, now: datetime, until: datetime, limit: int = 100
    ) -> list[StoredResponse]:
        text(worker, "the worker")
        expired = [
            (handle.lease_until, id)
            for id, handle in self._still_running().items()
            if handle.lease_until < to_micros(now)
        ]
        taken = [id for _, id in sorted(expired)[:limit]]
        for id in taken:
            handle = self._handles[id]
            handle.worker, handle.lease_until = worker, to_micros(until)
            handle.attempt += 1
        return [stored(id, self._handles[id]) for id in taken]

    async def hand_back(self, id: str, *, owner: str, lease: Lease, now: datetime) -> bool:
        handle = self._leased(id, owner, lease)
        if handle is None:
            return False
        handle.worker, handle.lease_until = NOBODY, to_micros(now)
        handle.attempt -= 1
        return True

    # --- reading

    async def history(self, id: str, *, owner: str) -> History | None:
        handle, conversation = self._owned(id, owner), self._owned_conversation(id, owner)
        found = handle or conversation
        if found is None:
            return None
        turns = [turn.read() for turn in line(found.branch, found.depth)]
        if handle is None:
            return History("completed", turns[::-1], deployment=found.deployment)
        return History(handle.status, turns[::-1], handle.deployment, handle.asked[0])

    async def probe(self, id: str, *, owner: str) -> Standing:
        handle = self._owned(id, owner)
        return Standing(None if handle is None else handle.status, b"%d" % self._purges)

    async def get(self, id: str, *, owner: str) -> StoredResponse | None:
        handle = self._owned(id, owner)
        return None if handle is None else stored(id, handle)

    async def input(self, id: str, *, owner: str) -> list[Item] | None:
        handle = self._owned(id, owner)
        return None if handle is None else decode(handle.turn.input)

    # --- conversations

    async def create_conversation(
        self, id: str, body: dict[str, Any], *, owner: str, created_at: datetime
    ) -> None:
        encoded = encode(body, "body")
        self._check_new(id)
        branch = Branch(text(owner, "the owner"), turns={0: Turn(b"[]")}, head=0)
        self._conversations[id] = Conversation(branch, 0, to_micros(created_at), encoded)

    async def conversation(self, id: str, *, owner: str) -> StoredConversation | None:
        found = self._owned_conversation(id, owner)
        if found is None:
            return None
        return StoredConversation(
            id=id,
            owner=owner,
            body=decode(found.body),
            created_at=from_micros(found.created_at),
            hidden=frozenset(found.hidden),
        )

    async def update_conversation(self, id: str, body: dict[str, Any], *, owner: str) -> bool:
        encoded = encode(body, "body")
        found = self._owned_conversation(id, owner)
        if found is not None:
            found.body = encoded
        return found is not None

    async def delete_conversation(self, id: str, *, owner: str) -> bool:
        found = self._owned_conversation(id, owner)
        if found is None:
            return False
        del self._conversations[id]
        found.branch.head = -1
        trim(found.branch)
        return True

    async def append_items(self, id: str, items: Sequence[Item], *, owner: str) -> bool:
        turn = Turn(encode(list(items), "items"))
        conversation = self._lockable(id, owner)
        if conversation is None:
            return False
        branch, depth = behind(conversation.branch, conversation.depth)
        branch.turns[depth] = turn
        conversation.move(branch, depth)
        return True

    async def hide_item(self, id: str, item_id: str, *, owner: str) -> bool:
        text(item_id, "the item's id")
        found = self._owned_conversation(id, owner)
        if found is not None:
            found.hidden.add(item_id)
        return found is not None

    def _owned_conversation(self, id: str, owner: str) -> Conversation | None:
        found = self._conversations.get(id)
        return None if found is None or found.branch.owner != owner else found

    def _lockable(self, id: str, owner: str) -> Conversation | None:
        """The conversation, in which nothing runs; None if it is missing."""
        found = self._owned_conversation(id, owner)
        if found is None:
            return None
        running = self._handles.get(found.running or "")
        if running is not None and running.status in RUNNING and running.conversation == id:
            raise ConversationLocked(f"{found.running!r} runs in the conversation {id!r}")
        return found

    # --- erasing

    async def delete(self, id: str, *, owner: str) -> bool:
        return self._owned(id, owner) is not None and self._remove(id)

    async def purge(self, owner: str, *, id: str | None = None, user: str | None = None) -> int:
        if id is not None and user is not None:
            raise StoreError("purge takes an id or a user, not both: which turns did you mean?")
        if id is not None or user is not None:
            await self.empty_summaries(owner, id=id, user=user)
        self._purges += 1
        self._forget(owner, id=id, user=user)
        if id is None and user is None:
            return self._purge_owner(owner)
        if id is not None:
            handle = self._owned(id, owner)
            places = [] if handle is None else [(handle.branch, handle.depth)]
        else:
            places = [
                (branch, depth)
                for branch in self._branches(owner)
                for depth, turn in branch.turns.items()
                if turn.end_user == user
            ]
        for branch, depth in places:
            branch.turns[depth] = Turn(b"[]")
        for branch, depth in places:
            if depth in branch.handles:
                self._remove(branch.handles[depth])
        return len(places)

    def _purge_owner(self, owner: str) -> int:
        """A turn that holds nothing, like a conversation's first, is not counted."""
        branches = self._branches(owner)
        for id in [id for id, found in self._handles.items() if found.branch in branches]:
            del self._handles[id]
        for id in [id for id, found in self._conversations.items() if found.branch in branches]:
            del self._conversations[id]
        return sum(not turn.blank for branch in branches for turn in branch.turns.values())

    # --- keys

    async def secret(self, name: str) -> bytes:
        return self._secrets.setdefault(text(name, "the name"), secrets.token_bytes(32))

    # --- branches

    def _branches(self, owner: str) -> set[Branch]:
        """Reached from handles and conversations: no branch outlives its last one."""
        found: set[Branch] = set()
        starts = [handle.branch for handle in self._handles.values()]
        starts += [conversation.branch for conversation in self._conversations.values()]
        for start in starts:
            branch: Branch | None = start
            while branch is not None and branch.owner == owner and branch not in found:
                found.add(branch)
                branch = branch.parent
        return found

    def _check_new(self, id: str) -> None:
        if text(id, "the id") in self._handles or id in self._conversations:
            raise StoreError(f"the id {id!r} exists; take a new one")

    def _owned(self, id: str, owner: str) -> Handle | None:
        handle = self._handles.get(id)
        return None if handle is None or handle.branch.owner != owner else handle

    def _still_running(self) -> dict[str, Handle]:
        """Asked for every few seconds: what has ended is looked at once, not ever after."""
        self._running = {
            id: handle
            for id, handle in self._running.items()
            if handle.status in RUNNING and self._handles.get(id) is handle
        }
        return self._running

    def _leased(self, id: str, owner: str, lease: Lease) -> Handle | None:
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
        trim(handle.branch)
        return True


def _encoded_cuts(cuts: Json) -> bytes | None:
    return None if cuts is None else encode(cuts, "cuts")


def encode(value: Json, name: str) -> bytes:
    """By copy: orjson's own bytes occupy 4 KiB, however few they are."""
    return b"%b" % encode_json(value, name)
